import type { Id } from '../kernel/id.ts'
import { createCategory, createService, type ServiceOption } from '../modules/catalog/index.ts'
import type { AppContext } from '../platform/context.ts'

/** What the demo business sells. Prices are in minor units of the business's currency. */
export interface DemoCategory {
  readonly slug: string
  readonly name: string
  readonly description: string
  readonly services: readonly DemoService[]
}

export interface DemoService {
  readonly slug: string
  readonly name: string
  readonly summary: string
  readonly included: readonly string[]
  readonly needed: readonly string[]
  readonly price: number
  readonly turnaroundDays: number
  readonly options: readonly ServiceOption[]
}

/** The service that the start's banner shows how to buy. */
export const showcaseSlug = 'uk-company-formation'

export const demoCategories: readonly DemoCategory[] = [
  {
    slug: 'company-formation',
    name: 'Company formation',
    description: 'From the idea to a company on the register.',
    services: [
      {
        slug: showcaseSlug,
        name: 'UK company formation',
        summary: 'A private limited company, registered at Companies House.',
        included: ['Check of the company name', 'Filing and its fee', 'Digital certificate'],
        needed: ['Names and addresses of the directors', 'How the shares are divided'],
        price: 14_900,
        turnaroundDays: 2,
        options: [levels('Plus, with a share register and first minutes', 12_000, 1)],
      },
      {
        slug: 'registered-office',
        name: 'Registered office for a year',
        summary: 'An address in London for the register and for official mail.',
        included: ['Address for the public register', 'Scans of official mail on the same day'],
        needed: ['Proof of identity of one director'],
        price: 8900,
        turnaroundDays: 1,
        options: [levels('Plus, with all business mail', 6000)],
      },
    ],
  },
  {
    slug: 'visas',
    name: 'Visas and immigration',
    description: 'Applications prepared by regulated advisers.',
    services: [
      {
        slug: 'visitor-visa',
        name: 'UK visitor visa application',
        summary: 'A complete application for a stay of up to six months.',
        included: ['Review of the documents', 'The form, filled in with you', 'Appointment'],
        needed: ['Passport', 'Bank statements of six months', 'Travel plans'],
        price: 22_000,
        turnaroundDays: 15,
        options: [levels('Plus, with the priority queue', 18_000, 5)],
      },
      {
        slug: 'skilled-worker-visa',
        name: 'Skilled Worker visa application',
        summary: 'For a job offer by a licensed sponsor.',
        included: ['Check of points and salary', 'Application with a cover letter'],
        needed: ['Certificate of Sponsorship', 'Passport', 'Proof of English'],
        price: 89_000,
        turnaroundDays: 21,
        options: [levels('Plus, with dependants', 35_000)],
      },
    ],
  },
  {
    slug: 'accounting',
    name: 'Accounting and tax',
    description: 'Books, returns and registrations, on time.',
    services: [
      {
        slug: 'annual-accounts',
        name: 'Annual accounts and tax return',
        summary: 'Accounts for Companies House and the return for HMRC.',
        included: ['Statutory accounts', 'Corporation tax return', 'Filing of both'],
        needed: ['Bank statements of the year', 'Invoices and receipts'],
        price: 54_000,
        turnaroundDays: 10,
        options: [levels('Plus, with a call on tax planning', 15_000)],
      },
      {
        slug: 'vat-registration',
        name: 'VAT registration',
        summary: 'Registration with HMRC, and advice on the scheme that fits.',
        included: ['Choice of the scheme', 'Registration', 'Set-up of the online account'],
        needed: ['Company number', 'Turnover expected in twelve months'],
        price: 12_000,
        turnaroundDays: 5,
        options: [],
      },
    ],
  },
  {
    slug: 'legal-documents',
    name: 'Legal documents',
    description: 'Contracts and rights, drafted by solicitors.',
    services: [
      {
        slug: 'terms-and-conditions',
        name: 'Terms and conditions',
        summary: 'Terms of sale for an online business.',
        included: ['Questionnaire', 'Draft', 'One round of changes'],
        needed: ['What you sell, and to whom'],
        price: 26_000,
        turnaroundDays: 5,
        options: [levels('Plus, with a privacy notice', 9000)],
      },
      {
        slug: 'trade-mark',
        name: 'UK trade mark application',
        summary: 'Search, application and the first class at the IPO.',
        included: ['Search for older marks', 'Application in one class', 'Watch until granted'],
        needed: ['The mark, as a word or a picture', 'Goods and services it stands for'],
        price: 32_000,
        turnaroundDays: 7,
        options: [levels('Plus, with a second class', 11_000)],
      },
    ],
  },
  {
    slug: 'design',
    name: 'Design and web',
    description: 'How your business looks, on paper and on screen.',
    services: [
      {
        slug: 'logo-design',
        name: 'Logo design',
        summary: 'A logo with its colours and letters.',
        included: ['Three drafts', 'Two rounds of changes', 'All files'],
        needed: ['A few words on your business', 'Logos that you like'],
        price: 35_000,
        turnaroundDays: 8,
        options: [levels('Plus, with stationery', 14_000, 12)],
      },
      {
        slug: 'business-website',
        name: 'Business website',
        summary: 'Five pages, ready for phones, with a contact form.',
        included: ['Design', 'Five pages', 'Hosting for a year'],
        needed: ['Texts and pictures', 'The domain, if you have one'],
        price: 120_000,
        turnaroundDays: 20,
        options: [levels('Plus, with an online shop', 80_000, 30)],
      },
    ],
  },
  {
    slug: 'certification',
    name: 'Translation and certification',
    description: 'Papers that are accepted elsewhere.',
    services: [
      {
        slug: 'certified-translation',
        name: 'Certified translation, per page',
        summary: 'By a sworn translator, accepted by the Home Office.',
        included: ['Translation', 'Signed statement of accuracy'],
        needed: ['A clear scan of each page'],
        price: 4500,
        turnaroundDays: 3,
        options: [levels('Plus, within one day', 2500, 1)],
      },
      {
        slug: 'apostille',
        name: 'Apostille certificate',
        summary: 'Legalisation of a UK document for use abroad.',
        included: ['Check of the document', 'The fee of the office', 'Return by courier'],
        needed: ['The original document'],
        price: 7500,
        turnaroundDays: 4,
        options: [],
      },
    ],
  },
]

/** Publishes the whole catalogue; returns the services' ids by their slugs. */
export async function publishCatalogue(ctx: AppContext): Promise<Map<string, Id<'svc'>>> {
  const ids = new Map<string, Id<'svc'>>()
  const { currency } = ctx.business
  for (const [index, { services, ...category }] of demoCategories.entries()) {
    const { id: categoryId } = await createCategory(ctx, { ...category, position: index + 1 })
    for (const [place, service] of services.entries()) {
      const { slug, name, summary, price, turnaroundDays, options } = service
      const { id } = await createService(ctx, {
        slug,
        name,
        summary,
        description: describe(service),
        categoryId,
        price: { amount: price, currency },
        options: [...options],
        turnaroundDays,
        status: 'active',
        position: index * 10 + place + 1,
      })
      ids.set(service.slug, id)
    }
  }
  return ids
}

/** The choice that most services offer: as it is, or with something more. */
function levels(plus: string, priceDelta: number, turnaroundDays?: number): ServiceOption {
  const more = { key: 'plus', name: plus, priceDelta }
  return {
    key: 'package',
    name: 'Package',
    required: true,
    choices: [
      { key: 'standard', name: 'Standard', priceDelta: 0 },
      turnaroundDays === undefined ? more : { ...more, turnaroundDays },
    ],
  }
}

function describe({ summary, included, needed }: DemoService): string {
  const list = (items: readonly string[]): string => items.map((item) => `- ${item}`).join('\n')
  return `${summary}\n\n## Included\n\n${list(included)}\n\n## What we need\n\n${list(needed)}\n`
}
