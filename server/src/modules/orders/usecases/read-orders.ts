import { invalidInputAt, notFound } from '../../../kernel/errors.ts'
import { mapPage, type Page } from '../../../kernel/page.ts'
import type { Context } from '../../../platform/context.ts'
import type { ListQuery } from '../../../platform/list.ts'
import { peopleIn, showTimeline, timelineOf } from '../../../platform/outbox.ts'
import { fetchTogether } from '../../../platform/together.ts'
import { namesOf } from '../../identity/index.ts'
import { ledgerOf, type Ledger } from '../../payments/index.ts'
import { turnaroundOf } from '../rules.ts'
import type { Order, OrderFilters, OrderSummary } from '../schema.ts'
import * as sql from '../sql.ts'
import type { OrderRow } from '../sql.ts'
import { audienceOf, renderOrder, renderSummary } from './render-order.ts'

/** Throws 404 where the order does not exist or belongs to somebody else. */
export async function getOrder(ctx: Context, idOrNumber: string): Promise<Order> {
  const { order } = await readWhole(ctx, await requireOwnOrder(ctx, idOrNumber))
  return order
}

/** An order as it is shown, with the ledger that it was made of. */
export interface WholeOrder {
  readonly order: Order
  readonly ledger: Ledger
}

/** The whole order around a row that was just read or written, by one statement. */
export async function readWhole(ctx: Context, row: OrderRow): Promise<WholeOrder> {
  const audience = audienceOf(ctx)
  const events = timelineOf(ctx, row.id, audience)
  const found = await fetchTogether(ctx.db, {
    ...ledgerOf(row.id),
    lines: sql.linesOf(row.id),
    events,
    people: namesOf(peopleIn(events, audience)),
  })
  const { payments, refunds, disputes, lines } = found
  const ledger = { payments, refunds, disputes }
  const timeline = showTimeline(ctx, found.events, audience)
  const names = new Map(found.people.map(({ id, name }) => [id, name]))
  return { order: renderOrder(audience, { row, lines, ledger, timeline, names }), ledger }
}

/** Customers see their own orders whatever they filter by; staff see all. */
export async function listOrders(
  ctx: Context,
  { page, filters }: ListQuery<OrderFilters>,
): Promise<Page<OrderSummary>> {
  const { actor } = ctx
  if (actor.kind === 'customer' && filters.flagged !== undefined) {
    throw invalidInputAt({ pointer: '/query/flagged', code: 'forbidden', message: 'is for staff' })
  }
  const own = actor.kind === 'customer' ? { ...filters, customerId: actor.customerId } : filters
  if (actor.kind === 'customer' && filters.customerId && filters.customerId !== actor.customerId) {
    return { data: [], next: null, ...(page.count ? { total: 0 } : {}) }
  }
  const audience = audienceOf(ctx)
  const orders = await sql.listOrders(ctx.db, { page, filters: own })
  return mapPage(orders, (row) => renderSummary(audience, row))
}

/** The order, for whoever may see it: its customer, its token's holder, staff. 404 for all else. */
export async function requireOwnOrder(ctx: Context, idOrNumber: string): Promise<OrderRow> {
  const row = await sql.findOrder(ctx.db, idOrNumber)
  if (!row || !maySee(ctx, row)) throw notFound({ detail: 'There is no such order.' })
  return row
}

/** What crm needs of an order to open its case. */
export async function getOrderForCase(ctx: Context, orderId: string) {
  const row = await sql.findOrder(ctx.db, orderId)
  if (!row) throw notFound({ detail: 'There is no such order.' })
  const lines = await sql.listLines(ctx.db, orderId)
  return {
    id: row.id,
    number: row.number,
    customerId: row.customerId,
    customer: { name: row.customerName, email: row.customerEmail },
    turnaroundDays: turnaroundOf(lines),
    lineNames: lines.map((line) => line.name),
    caseId: row.caseId,
  }
}

export function maySee({ actor }: Context, row: OrderRow): boolean {
  switch (actor.kind) {
    case 'customer':
      return row.customerId === actor.customerId
    case 'order':
      return row.id === actor.orderId
    case 'staff':
    case 'system':
      return true
    case 'anonymous':
      return false
    default:
      return actor satisfies never
  }
}
