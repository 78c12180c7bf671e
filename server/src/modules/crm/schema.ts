import { Type, type Static } from 'typebox'
import { defineError } from '../../kernel/errors.ts'
import {
  Email,
  idOf,
  Instant,
  Name,
  nullable,
  oneOf,
  Phone,
  strictObject,
  TimelineEntry,
  Transition,
  searchedIn,
} from '../../kernel/shapes.ts'
import { AttachedDocument, DocumentKey } from '../documents/index.ts'

export { documentInternal } from '../documents/index.ts'

export const caseKinds = ['lead', 'case'] as const
export type CaseKind = (typeof caseKinds)[number]

/** Where a case began: with a confirmed order, with somebody known, or on the public form. */
export const caseOrigins = ['order', 'enquiry', 'contact'] as const
export type CaseOrigin = (typeof caseOrigins)[number]

export const caseStatuses = [
  'new',
  'open',
  'waiting_customer',
  'waiting_third_party',
  'resolved',
  'closed',
] as const
export type CaseStatus = (typeof caseStatuses)[number]

/** From the least to the most urgent: the order in which a list sorts them. */
export const priorities = ['low', 'normal', 'high', 'urgent'] as const
export type Priority = (typeof priorities)[number]

export const outcomes = ['completed', 'declined', 'duplicate', 'no_response'] as const
export type Outcome = (typeof outcomes)[number]

export const visibilities = ['internal', 'public'] as const
export type Visibility = (typeof visibilities)[number]

export const authorKinds = ['staff', 'customer', 'guest', 'system'] as const
export type AuthorKind = (typeof authorKinds)[number]

/** A case's id or its number: both name it wherever `:id` stands. */
export const CaseParams = strictObject({
  id: Type.String({
    minLength: 1,
    maxLength: 40,
    description: 'the id (`case_…`) or the number (`C-1042`)',
  }),
})

const CaseNumber = Type.String({ examples: ['C-1042'] })

/** Free text of several lines with something visible in it. */
function textOf(maxLength: number) {
  return Type.String({ minLength: 1, maxLength, pattern: '\\S' })
}

const DueAt = Type.String({
  format: 'date-time',
  description: 'RFC 3339, between the years 2000 and 2199',
  examples: ['2026-12-01T17:00:00.000Z'],
})
const Tag = Type.String({
  maxLength: 50,
  pattern: '^[^\\s\\p{Cc}](?:[^\\p{Cc}]*[^\\s\\p{Cc}])?$',
  examples: ['vat'],
})
const Tags = Type.Array(Tag, { maxItems: 20, uniqueItems: true })

/**
 * What anybody may send to open a case. Which members an actor may use is told by `rules.ts`, so
 * that the answer names the member and who may send it.
 */
export const OpenCaseInput = strictObject({
  subject: Name,
  description: textOf(10_000),
  contact: Type.Optional(
    strictObject(
      { name: Name, email: Email, phone: Type.Optional(Phone) },
      { description: 'needed where nobody else says who asks' },
    ),
  ),
  orderId: Type.Optional(idOf('ord')),
  kind: Type.Optional(oneOf(caseKinds, { description: 'staff only' })),
  priority: Type.Optional(oneOf(priorities, { description: 'staff only; `normal` when absent' })),
  customerId: Type.Optional(idOf('cus')),
  assigneeId: Type.Optional(idOf('usr')),
  dueAt: Type.Optional(DueAt),
  tags: Type.Optional(Tags),
})
export type OpenCaseInput = Static<typeof OpenCaseInput>

export const UpdateCaseInput = strictObject(
  {
    assigneeId: Type.Optional(nullable(idOf('usr'))),
    priority: Type.Optional(oneOf(priorities)),
    dueAt: Type.Optional(nullable(DueAt)),
    tags: Type.Optional(nullable(Tags)),
    customerId: Type.Optional(nullable(idOf('cus'))),
  },
  { minProperties: 1 },
)
export type UpdateCaseInput = Static<typeof UpdateCaseInput>

export const ChangeStatusInput = strictObject({
  status: oneOf(caseStatuses),
  comment: Type.Optional(textOf(10_000)),
})
export type ChangeStatusInput = Static<typeof ChangeStatusInput>

export const AddNoteInput = strictObject({
  body: textOf(10_000),
  visibility: oneOf(visibilities),
  documentKeys: Type.Optional(
    Type.Array(DocumentKey, {
      maxItems: 20,
      uniqueItems: true,
      description:
        'documents of the case or its order, or your own that are linked to nothing and become ' +
        'the case’s',
    }),
  ),
})
export type AddNoteInput = Static<typeof AddNoteInput>

export const ResolveCaseInput = strictObject({
  summary: textOf(10_000),
  outcome: oneOf(outcomes),
})
export type ResolveCaseInput = Static<typeof ResolveCaseInput>

export const CaseFilters = strictObject({
  status: Type.Optional(oneOf(caseStatuses)),
  kind: Type.Optional(oneOf(caseKinds)),
  priority: Type.Optional(oneOf(priorities, { description: 'staff only' })),
  assigneeId: Type.Optional(idOf('usr')),
  orderId: Type.Optional(idOf('ord')),
  customerId: Type.Optional(idOf('cus')),
  origin: Type.Optional(oneOf(caseOrigins)),
  overdue: Type.Optional(
    Type.Boolean({ description: 'whether the due date has passed and the case is unfinished' }),
  ),
  q: Type.Optional(searchedIn('the number, the subject, or the e-mail or name of the contact')),
})
export type CaseFilters = Static<typeof CaseFilters>

export const caseSorts = ['createdAt', 'dueAt', 'updatedAt', 'priority'] as const

const Contact = Type.Object({ name: Type.String(), email: Type.String(), phone: nullable(Phone) })

const Resolution = Type.Object({
  outcome: oneOf(outcomes),
  summary: Type.String(),
  resolvedAt: Instant,
})

/** What a customer may see of a case in a list. The staff's own marks stand in `staffMembers`. */
const sharedMembers = {
  id: idOf('case'),
  number: CaseNumber,
  kind: oneOf(caseKinds),
  origin: oneOf(caseOrigins),
  subject: Type.String(),
  status: oneOf(caseStatuses),
  contact: Contact,
  customerId: nullable(idOf('cus')),
  orderId: nullable(idOf('ord')),
  dueAt: nullable(Instant),
  overdue: Type.Boolean(),
  resolution: nullable(Resolution),
  allowedTransitions: Type.Array(Transition),
  version: Type.Integer(),
  createdAt: Instant,
  updatedAt: Instant,
}

const staffMembers = {
  priority: oneOf(priorities),
  assignee: nullable(Type.Object({ id: idOf('usr'), name: nullable(Type.String()) })),
  tags: Type.Array(Type.String()),
}

const Author = Type.Object({
  id: nullable(Type.String()),
  name: nullable(Type.String()),
  kind: oneOf(authorKinds),
})

const noteMembers = {
  id: idOf('note'),
  body: Type.String(),
  author: Author,
  documents: Type.Array(AttachedDocument),
  createdAt: Instant,
}

/** What staff see: internal notes too. */
export const StaffNote = Type.Object(
  { ...noteMembers, visibility: oneOf(visibilities) },
  { title: 'StaffNote' },
)
export type StaffNote = Static<typeof StaffNote>

/** What customers see: a shape in which an internal note does not fit. */
export const CustomerNote = Type.Object(
  { ...noteMembers, visibility: Type.Literal('public') },
  { title: 'CustomerNote' },
)
export type CustomerNote = Static<typeof CustomerNote>

export const StaffCaseItem = Type.Object(
  { ...sharedMembers, ...staffMembers },
  { title: 'StaffCaseItem' },
)
export type StaffCaseItem = Static<typeof StaffCaseItem>

export const CustomerCaseItem = Type.Object(sharedMembers, { title: 'CustomerCaseItem' })
export type CustomerCaseItem = Static<typeof CustomerCaseItem>

const wholeMembers = { description: Type.String(), timeline: Type.Array(TimelineEntry) }

export const StaffCase = Type.Object(
  { ...sharedMembers, ...staffMembers, ...wholeMembers, notes: Type.Array(StaffNote) },
  { title: 'StaffCase' },
)
export type StaffCase = Static<typeof StaffCase>

export const CustomerCase = Type.Object(
  { ...sharedMembers, ...wholeMembers, notes: Type.Array(CustomerNote) },
  { title: 'CustomerCase' },
)
export type CustomerCase = Static<typeof CustomerCase>

/** All that the sender of the public form learns. */
export const CaseReceipt = Type.Object({ number: CaseNumber }, { title: 'CaseReceipt' })
export type CaseReceipt = Static<typeof CaseReceipt>

/** The serialiser takes the first shape that fits, so the richest stands first. */
export const CaseView = Type.Union([StaffCase, CustomerCase])
export type CaseView = Static<typeof CaseView>
export const CaseItemView = Type.Union([StaffCaseItem, CustomerCaseItem])
export type CaseItemView = Static<typeof CaseItemView>
export const OpenedCase = Type.Union([StaffCase, CustomerCase, CaseReceipt])
export type OpenedCase = Static<typeof OpenedCase>
export const NoteView = Type.Union([CustomerNote, StaffNote])
export type NoteView = Static<typeof NoteView>

/** The case that the documentation shows, as staff see it. */
export const exampleCase = {
  id: 'case_01jd8q9yg8e5v9c0m4t7k2x3za',
  number: 'C-1042',
  kind: 'case',
  origin: 'order',
  subject: 'B-1042: Company formation',
  description: 'Company formation',
  status: 'waiting_customer',
  priority: 'high',
  contact: { name: 'Ada Lovelace', email: 'ada@example.com', phone: null },
  customerId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3za',
  orderId: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za',
  assignee: { id: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za', name: 'Grace Hopper' },
  tags: ['vat'],
  dueAt: '2026-12-02T23:59:59.999Z',
  overdue: false,
  resolution: null,
  notes: [
    {
      id: 'note_01jd8q9yg8e5v9c0m4t7k2x3za',
      body: 'Please send us a proof of address.',
      visibility: 'public',
      author: {
        id: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za',
        name: 'Grace Hopper',
        kind: 'staff',
      },
      documents: [],
      createdAt: '2026-11-22T16:58:03.000Z',
    },
  ],
  timeline: [
    {
      id: 'evt_01jd8q9yg8e5v9c0m4t7k2x3zb',
      type: 'case.status_changed',
      at: '2026-11-22T16:58:04.000Z',
      actor: { id: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za', name: 'Grace Hopper', kind: 'staff' },
      data: { from: 'new', to: 'waiting_customer' },
    },
  ],
  allowedTransitions: [
    { to: 'open', blockedBy: null },
    { to: 'resolved', blockedBy: 'use_resolve' },
  ],
  version: 4,
  createdAt: '2026-11-22T16:40:21.000Z',
  updatedAt: '2026-11-22T16:58:04.000Z',
} as const

export const useResolve = defineError(
  409,
  'use_resolve',
  'A case is resolved with an outcome and a summary, at its own address.',
  'Use `POST /api/crm/:id/resolve`, with an outcome and a summary.',
)
export const caseClosed = defineError(
  409,
  'case_closed',
  'The case is closed. Open another one to go on.',
  'Open a new case with `POST /api/crm`, with the same `orderId` where there is one.',
)
export const customerFixedByOrder = defineError(
  409,
  'customer_fixed_by_order',
  'The case belongs to an order, and with it to the customer of that order.',
  'Leave `customerId` out, or open a case without the order.',
)
