import type { Customer } from './people.ts'

/** One order of the demo and what became of it. Days count back from the start that seeds. */
export interface OrderStory {
  readonly customer: Customer
  readonly daysAgo: number
  readonly items: readonly OrderedItem[]
  readonly note?: string
  /** A bank transfer some hours later: of the whole, of half of it as a deposit, or none yet. */
  readonly pays: 'all' | 'half' | 'nothing'
  readonly steps: readonly OrderStep[]
  readonly work?: CaseWork
}

export interface OrderedItem {
  readonly slug: string
  readonly quantity?: number
  readonly level?: 'standard' | 'plus'
  readonly answers?: Readonly<Record<string, string>>
}

export interface OrderStep {
  readonly daysAgo: number
  readonly status: 'in_progress' | 'on_hold' | 'completed' | 'cancelled'
  readonly reason?: string
  readonly refund?: 'full'
}

/** What the agent does with the case that the paid order opened. */
export interface CaseWork {
  readonly daysAgo: number
  readonly priority?: 'high' | 'urgent'
  readonly tags?: readonly string[]
  readonly status?: 'open' | 'waiting_customer' | 'waiting_third_party'
  readonly notes: readonly { readonly visibility: 'internal' | 'public'; readonly body: string }[]
  readonly resolution?: string
}

export const demoOrders: readonly OrderStory[] = [
  {
    customer: 'amelia',
    daysAgo: 12,
    items: [
      {
        slug: 'uk-company-formation',
        level: 'plus',
        answers: { companyName: 'Hart Botanicals Ltd', directors: 'Amelia Hart' },
      },
      { slug: 'registered-office', level: 'standard' },
    ],
    pays: 'all',
    steps: [
      { daysAgo: 11.5, status: 'in_progress' },
      { daysAgo: 10, status: 'completed' },
    ],
    work: {
      daysAgo: 11.4,
      status: 'open',
      notes: [
        { visibility: 'internal', body: 'The name is free. Filed with Companies House.' },
        { visibility: 'public', body: 'Your application is filed. We expect the answer tomorrow.' },
      ],
      resolution: 'Hart Botanicals Ltd is on the register, and its office is in place.',
    },
  },
  {
    customer: 'joseph',
    daysAgo: 11,
    items: [{ slug: 'annual-accounts', level: 'standard', answers: { yearEnd: '31 August' } }],
    pays: 'all',
    steps: [{ daysAgo: 9, status: 'in_progress' }],
    work: {
      daysAgo: 9,
      priority: 'urgent',
      tags: ['year end'],
      status: 'waiting_third_party',
      notes: [{ visibility: 'internal', body: 'The bank has promised the missing statement.' }],
    },
  },
  {
    customer: 'lucia',
    daysAgo: 9,
    items: [{ slug: 'skilled-worker-visa', level: 'plus', answers: { nationality: 'Italian' } }],
    note: 'Called first; prefers e-mail from now on.',
    pays: 'all',
    steps: [
      { daysAgo: 7, status: 'in_progress' },
      { daysAgo: 5, status: 'on_hold', reason: 'The certificate of sponsorship is missing.' },
    ],
    work: {
      daysAgo: 5,
      priority: 'high',
      tags: ['documents'],
      status: 'waiting_customer',
      notes: [
        {
          visibility: 'public',
          body: 'Please send us the number of your certificate of sponsorship.',
        },
      ],
    },
  },
  {
    customer: 'joseph',
    daysAgo: 8,
    items: [{ slug: 'terms-and-conditions', level: 'standard' }],
    pays: 'nothing',
    steps: [{ daysAgo: 6, status: 'cancelled', reason: 'The customer changed their plans.' }],
  },
  {
    customer: 'lucia',
    daysAgo: 7,
    items: [{ slug: 'apostille', quantity: 2 }],
    pays: 'all',
    steps: [
      {
        daysAgo: 6,
        status: 'cancelled',
        reason: 'The documents need no apostille after all.',
        refund: 'full',
      },
    ],
  },
  {
    customer: 'noah',
    daysAgo: 6,
    items: [{ slug: 'logo-design', level: 'plus', answers: { colours: 'Blue and sand' } }],
    pays: 'all',
    steps: [{ daysAgo: 4, status: 'in_progress' }],
    work: {
      daysAgo: 4,
      status: 'open',
      notes: [{ visibility: 'public', body: 'The first three drafts come on Thursday.' }],
    },
  },
  {
    customer: 'amelia',
    daysAgo: 5,
    items: [{ slug: 'vat-registration' }],
    pays: 'all',
    steps: [],
  },
  {
    customer: 'hannah',
    daysAgo: 4,
    items: [{ slug: 'business-website', level: 'standard' }],
    note: 'Half now, half before the work begins.',
    pays: 'half',
    steps: [],
  },
  {
    customer: 'yusuf',
    daysAgo: 2,
    items: [{ slug: 'certified-translation', level: 'plus', quantity: 6 }],
    pays: 'nothing',
    steps: [],
  },
  {
    customer: 'noah',
    daysAgo: 1,
    items: [{ slug: 'trade-mark', level: 'standard', answers: { mark: 'Clarke & Tide' } }],
    pays: 'all',
    steps: [],
  },
]
