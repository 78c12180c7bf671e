import { present } from '../../kernel/assert.ts'
import type { PageRequest } from '../../kernel/page.ts'
import { dayMs, later } from '../../kernel/time.ts'
import { listServices, recountServices } from '../../modules/catalog/index.ts'
import { recountUsage } from '../../modules/documents/index.ts'
import { listOrders } from '../../modules/orders/index.ts'
import { loadInBulk, type BulkLoad, type Column } from '../../platform/bulk-load.ts'
import type { AppContext } from '../../platform/context.ts'
import { demoGuests } from '../people.ts'
import { createCopier, type Template } from './copies.ts'
import { rememberPeople } from './people.ts'
import { copyServices } from './services.ts'
import {
  customerTables,
  readCustomer,
  readStory,
  storyTables,
  type StoryTable,
} from './templates.ts'

/** How many more of each there are; of everything that hangs on an order there is more still. */
export interface Size {
  readonly services: number
  readonly orders: number
}

/** By the word that asks for it. */
export const sizes: Readonly<Record<string, Size>> = {
  s: { services: 100, orders: 1000 },
  m: { services: 1000, orders: 10_000 },
  l: { services: 10_000, orders: 100_000 },
  xl: { services: 100_000, orders: 1_000_000 },
}

export interface Enlargement {
  /** Of the business, which has the demo already. */
  readonly ctx: AppContext
  readonly ownerUrl: string
  readonly size: Size
  /** Told what is being made, and how much of all is done, from 0 to 1. */
  readonly progress: (what: string, share: number) => void
}

/**
 * Makes of the demo a business of years: its orders are copied with all that became of them, as
 * the use-cases wrote it, for as many customers. Documents are rows alone. One transaction.
 */
export async function enlargeDemo(enlargement: Enlargement): Promise<void> {
  const { ownerUrl, size, progress } = enlargement
  const indexed = (done: number, all: number): void =>
    progress('indexes', rowsShare + (1 - rowsShare) * (done / all))
  // Before the tables are locked: the use-cases have connections of their own.
  const originals = await findOriginals(enlargement)
  await loadInBulk({ ownerUrl, tables: ['services', ...tables], indexed }, async (load) => {
    await addServices(load, enlargement, originals)
    const copy = await prepareCopies(load, enlargement, originals)
    for (let done = 0; done < size.orders; done += ordersAtOnce) {
      const until = Math.min(done + ordersAtOnce, size.orders)
      for (const [table, { columns, lines }] of copy(done, until)) {
        await load.add(table, columns, lines)
      }
      progress('customers and orders', (rowsShare * until) / size.orders)
    }
    await recountServices(load.tx)
    await recountUsage(load.tx)
  })
}

/** Of the bar: a guess, as only the rows and the indexes done are known. */
const rowsShare = 0.5
const ordersAtOnce = 2000
const tables = [...new Set([...customerTables, ...storyTables])]

/** They begin over two years, the last of them before the demo's own. */
const yearsMs = 730 * dayMs
const demoMs = 75 * dayMs

function spread({ ctx }: Enlargement, number: number, count: number): Date {
  return later(ctx.now, -demoMs - yearsMs + Math.floor((number * yearsMs) / count))
}

/** Ids of what the demo has. */
interface Originals {
  readonly services: readonly string[]
  readonly orders: readonly string[]
}

async function findOriginals({ ctx }: Enlargement): Promise<Originals> {
  const services = await listServices(ctx, { page: firstPage, query: {} })
  const orders = await listOrders(ctx, { page: firstPage, filters: {} })
  return { services: services.data.map(({ id }) => id), orders: orders.data.map(({ id }) => id) }
}

async function addServices(
  load: BulkLoad,
  enlargement: Enlargement,
  originals: Originals,
): Promise<void> {
  const { size } = enlargement
  const templates = await load.read('services', { column: 'id', values: originals.services })
  const since = (number: number): Date => spread(enlargement, number, size.services)
  const lines = copyServices(templates, { count: size.services, since })
  await load.add('services', templates.columns, lines)
}

const firstPage: PageRequest = {
  limit: 100,
  sort: { field: 'createdAt', direction: 'asc' },
  after: null,
  count: false,
}

interface Filling {
  readonly columns: readonly Column[]
  readonly lines: string[]
}

/** Gives a function that makes the rows of the customers and orders of some numbers. */
async function prepareCopies(
  load: BulkLoad,
  enlargement: Enlargement,
  originals: Originals,
): Promise<(from: number, until: number) => Map<string, Filling>> {
  const { ctx, size } = enlargement
  const templates: Template<StoryTable>[] = []
  for (const id of originals.orders) templates.push(await readStory(load, id))
  const template = await readCustomer(load, demoGuests.lucia.email)
  const stories = templates.map((story) => createCopier(story))
  const copyCustomer = createCopier(template)
  const columns = new Map(
    Object.entries({ ...template.rows, ...templates[0]?.rows }).map(([table, rows]) => [
      table,
      rows.columns,
    ]),
  )
  const numbers = {
    order: await load.advance('order_numbers', size.orders),
    case: await load.advance('case_numbers', size.orders),
  }
  const people = rememberPeople((number) => spread(enlargement, number, size.orders))
  return (from, until) => {
    const made = new Map<string, Filling>(
      tables.map((table) => [table, { columns: present(columns.get(table), table), lines: [] }]),
    )
    for (let number = from; number < until; number += 1) {
      const occasion = {
        startsAt: spread(enlargement, number, size.orders),
        orderNumber: `${ctx.business.orderPrefix}${numbers.order + number + 1}`,
        caseNumber: `C-${numbers.case + number + 1}`,
      }
      const story = present(stories[number % stories.length], 'a story')
      for (const rows of [
        copyCustomer({ ...occasion, customer: people.of(number) }),
        story({ ...occasion, customer: people.of(buyerOf(number)) }),
      ]) {
        for (const [table, lines] of Object.entries(rows)) made.get(table)?.lines.push(...lines)
      }
    }
    return made
  }
}

/** Most buy once; every tenth order is of somebody who came back, and one buys very often. */
function buyerOf(number: number): number {
  if (number % 1000 === 999) return 0
  return number % 10 === 9 ? Math.floor(number * 0.61) : number
}
