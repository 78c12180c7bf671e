import type { Fixtures } from './description.ts'
import { readSdkFields, type SdkFields } from './sdk-types.ts'

/** Where a resource stands in the fixtures and in the SDK. */
interface ResourceSource {
  fixture: string
  file: string
  name: string
}

const SOURCES: Readonly<Record<string, ResourceSource>> = {
  account: { fixture: 'account', file: 'Accounts', name: 'Account' },
  balance: { fixture: 'balance', file: 'Balance', name: 'Balance' },
  balance_transaction: {
    fixture: 'balance_transaction',
    file: 'BalanceTransactions',
    name: 'BalanceTransaction',
  },
  charge: { fixture: 'charge', file: 'Charges', name: 'Charge' },
  'checkout.session': {
    fixture: 'checkout.session',
    file: 'Checkout/Sessions',
    name: 'Session',
  },
  customer: { fixture: 'customer', file: 'Customers', name: 'Customer' },
  dispute: { fixture: 'dispute', file: 'Disputes', name: 'Dispute' },
  event: { fixture: 'event', file: 'Events', name: 'EventBase' },
  item: { fixture: 'item', file: 'LineItems', name: 'LineItem' },
  payment_intent: { fixture: 'payment_intent', file: 'PaymentIntents', name: 'PaymentIntent' },
  payment_method: { fixture: 'payment_method', file: 'PaymentMethods', name: 'PaymentMethod' },
  refund: { fixture: 'refund', file: 'Refunds', name: 'Refund' },
}

const DELETED_CUSTOMER: ResourceSource = {
  fixture: 'deleted_customer',
  file: 'Customers',
  name: 'DeletedCustomer',
}

const LIST_FIELDS = ['object', 'data', 'has_more', 'url']

/** Everything in which a reply differs from the fixtures and the SDK's types at the top level. */
export function findReplyProblems(fixtures: Fixtures, status: number, body: string): string[] {
  let reply: unknown
  try {
    reply = JSON.parse(body)
  } catch {
    return ['is not JSON']
  }
  if (!isRecord(reply)) return ['is not an object']
  return status >= 400 ? findErrorProblems(reply) : findObjectProblems(fixtures, reply)
}

function findErrorProblems({ error }: Record<string, unknown>): string[] {
  if (!isRecord(error)) return ['has no error object']
  return ['message', 'type']
    .filter((field) => typeof error[field] !== 'string')
    .map((field) => `error.${field} is not text`)
}

function findObjectProblems(fixtures: Fixtures, reply: Record<string, unknown>): string[] {
  if (reply['object'] === 'list') return findListProblems(fixtures, reply)
  const kind = String(reply['object'])
  const source = kind === 'customer' && reply['deleted'] === true ? DELETED_CUSTOMER : SOURCES[kind]
  if (source === undefined) return [`is of an unknown kind: ${kind}`]
  const fixture = fixtures[source.fixture]
  const declared = readSdkFields(source.file, source.name)
  if (fixture === undefined || declared.size === 0) {
    return [`${kind} is missing in the fixtures or in the SDK`]
  }
  const own = [
    ...findFieldProblems(fixture, declared, reply),
    ...findTypeProblems(fixture, reply),
  ].map((problem) => `${kind}.${problem}`)
  const { data } = reply
  const inner =
    kind === 'event' && isRecord(data) && isRecord(data['object']) ? data['object'] : undefined
  return inner === undefined ? own : [...own, ...findObjectProblems(fixtures, inner)]
}

function findListProblems(fixtures: Fixtures, list: Record<string, unknown>): string[] {
  const { data } = list
  const fields = Object.keys(list).toSorted().join()
  if (fields !== LIST_FIELDS.toSorted().join()) return [`list has the fields ${fields}`]
  if (!Array.isArray(data)) return ['list.data is not an array']
  return data.flatMap((entry: unknown) =>
    isRecord(entry) ? findObjectProblems(fixtures, entry) : ['list.data holds no objects'],
  )
}

/**
 * A field must be there if the SDK requires it, or if the fixture has it and the SDK does not call
 * it optional; it may be there if either knows it.
 */
function findFieldProblems(
  fixture: Record<string, unknown>,
  declared: SdkFields,
  reply: Record<string, unknown>,
): string[] {
  const known = new Set([...Object.keys(fixture), ...declared.keys()])
  const missing = [...known].filter((field) => {
    const must = declared.get(field) === 'required' || !declared.has(field)
    return must && !(field in reply)
  })
  const invented = Object.keys(reply).filter((field) => !known.has(field))
  return [
    ...missing.map((field) => `${field} is missing`),
    ...invented.map((field) => `${field} is invented`),
  ]
}

function findTypeProblems(
  fixture: Record<string, unknown>,
  reply: Record<string, unknown>,
): string[] {
  return Object.entries(reply).flatMap(([field, value]) => {
    const sample = fixture[field]
    if (value === null || sample === null || sample === undefined) return []
    if (typeOf(value) === typeOf(sample) || isExpanded(value, sample)) return []
    return [`${field} is ${typeOf(value)}, not ${typeOf(sample)}`]
  })
}

/** An id may be answered as the object that it names. */
function isExpanded(value: unknown, sample: unknown): boolean {
  return isRecord(value) && 'object' in value && typeof sample === 'string'
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
