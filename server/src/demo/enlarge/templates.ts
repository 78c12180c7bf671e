import { present } from '../../kernel/assert.ts'
import { instantOfId, newId, newKey, type Id, type IdPrefix } from '../../kernel/id.ts'
import type { BulkLoad, TextRows } from '../../platform/bulk-load.ts'
import type { Slot, Template } from './copies.ts'

/** Where an order has its rows, each table after those that its keys point to. */
export const storyTables = [
  'orders',
  'order_lines',
  'payments',
  'refunds',
  'cases',
  'case_notes',
  'documents',
  'events',
] as const
export type StoryTable = (typeof storyTables)[number]

/** Where a customer has. */
export const customerTables = ['customers', 'events'] as const
export type CustomerTable = (typeof customerTables)[number]

/** One order of the demo with all that became of it. */
export async function readStory(load: BulkLoad, orderId: string): Promise<Template<StoryTable>> {
  const by = (column: string, values: readonly string[]) => (table: StoryTable) =>
    load.read(table, { column, values })
  const ofOrder = by('order_id', [orderId])
  const orders = await by('id', [orderId])('orders')
  const cases = await ofOrder('cases')
  const ofCase = by('case_id', valuesOf(cases, 'id'))
  const documents = await ofOrder('documents')
  const rows = {
    orders,
    order_lines: await ofOrder('order_lines'),
    payments: await ofOrder('payments'),
    refunds: await ofOrder('refunds'),
    cases,
    case_notes: await ofCase('case_notes'),
    documents: joined(documents, await ofCase('documents')),
  }
  const roots = [orders, cases, rows.documents].flatMap((table) => valuesOf(table, 'id'))
  const all = { ...rows, events: await by('root_id', roots)('events') }
  const [name, email] = [valueOf(orders, 'customer_name'), valueOf(orders, 'customer_email')]
  return {
    startsAt: new Date(valueOf(orders, 'created_at')),
    rows: all,
    words: new Map([
      ...wordsOfPerson({ id: valueOf(orders, 'customer_id'), name, email }),
      ...valuesOf(orders, 'number').map((number) => [number, orderNumberSlot] as const),
      ...valuesOf(cases, 'number').map((number) => [number, caseNumberSlot] as const),
      ...valuesOf(rows.documents, 'key').map((key) => [key, newKey] as const),
      ...wordsOfIds(Object.values(all)),
    ]),
  }
}

/** Somebody without a login, whom the office wrote down. */
export async function readCustomer(
  load: BulkLoad,
  email: string,
): Promise<Template<CustomerTable>> {
  const customers = await load.read('customers', { column: 'email', values: [email] })
  const customerId = valueOf(customers, 'id')
  const events = await load.read('events', { column: 'root_id', values: [customerId] })
  const name = valueOf(customers, 'name')
  return {
    startsAt: new Date(valueOf(customers, 'created_at')),
    rows: { customers, events },
    words: new Map([
      ...wordsOfPerson({ id: customerId, name, email }),
      ...wordsOfIds([customers, events]),
    ]),
  }
}

/** Ids of what the rows tell of; colleagues and services are there already, and stay the same. */
const madeIds = /\b(ord|line|pay|ref|case|note|doc|evt|req)_[0-7][0-9a-hjkmnp-tv-z]{25}\b/g

function wordsOfIds(tables: readonly TextRows[]): [string, Slot][] {
  const text = tables.flatMap(({ rows }) => rows.flat()).join('\n')
  return [...text.matchAll(madeIds)].map(([id, prefix]) => [id, idSlot(id, prefix as IdPrefix)])
}

/** As much later as all the rest, so that ids and instants keep their common order. */
function idSlot(id: string, prefix: IdPrefix): Slot {
  const madeAt = instantOfId(id as Id<IdPrefix>).getTime()
  return (_occasion, laterMs) => newId(prefix, new Date(madeAt + laterMs))
}

const orderNumberSlot: Slot = ({ orderNumber }) => orderNumber
const caseNumberSlot: Slot = ({ caseNumber }) => caseNumber

function wordsOfPerson(person: { id: string; name: string; email: string }): [string, Slot][] {
  const { id, name, email } = person
  return [
    [id, ({ customer }) => customer.id],
    [name, ({ customer }) => customer.name],
    [name.toLowerCase(), ({ customer }) => customer.name.toLowerCase()],
    [email, ({ customer }) => customer.email],
  ]
}

function joined(one: TextRows, other: TextRows): TextRows {
  return { columns: one.columns, rows: [...one.rows, ...other.rows] }
}

function valueOf(rows: TextRows, column: string): string {
  return present(valuesOf(rows, column)[0], `a value of ${column}`)
}

/** The values of a column that are not null. */
function valuesOf({ columns, rows }: TextRows, column: string): string[] {
  const at = columns.findIndex(({ name }) => name === column)
  return rows.flatMap((row) => row[at] ?? [])
}
