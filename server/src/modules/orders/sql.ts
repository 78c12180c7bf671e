import type { Id } from '../../kernel/id.ts'
import type { Page } from '../../kernel/page.ts'
import type { Context } from '../../platform/context.ts'
import type { Db, Tx } from '../../platform/database.ts'
import type { StoredEvent } from '../../platform/events.ts'
import { contains, fetchPage, type ListDefinition, type ListQuery } from '../../platform/list.ts'
import { announcement, leaseHeld } from '../../platform/outbox.ts'
import { json, sql } from '../../platform/sql.ts'
import type { Part } from '../../platform/together.ts'
import type { OrderPaymentStatus } from '../payments/index.ts'
import type { PricedLine, Totals } from './rules.ts'
import type { LineOption, OrderFilters, OrderStatus } from './schema.ts'

export interface OrderRow {
  readonly id: Id<'ord'>
  readonly number: string
  readonly source: 'checkout' | 'direct'
  readonly status: OrderStatus
  readonly customerId: Id<'cus'>
  readonly customerEmail: string
  readonly customerName: string
  readonly currency: string
  readonly subtotal: number
  readonly discount: number
  readonly tax: number
  readonly total: number
  readonly paymentStatus: OrderPaymentStatus
  readonly paid: number
  readonly refunded: number
  /** Whether a person has to look at its money. */
  readonly flagged: boolean
  readonly started: boolean
  readonly tokenVersion: number
  readonly caseId: Id<'case'> | null
  readonly caseNumber: string | null
  readonly caseStatus: string | null
  readonly note: string | null
  readonly metadata: Record<string, unknown>
  readonly version: number
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly closedAt: Date | null
  /** A word of the system's, or a person's own reason: never shown to the customer. */
  readonly closeReason: string | null
}

export interface LineRow {
  readonly id: Id<'line'>
  readonly serviceId: Id<'svc'>
  readonly name: string
  readonly options: readonly LineOption[]
  readonly quantity: number
  readonly unitPrice: number
  readonly total: number
  readonly turnaroundDays: number | null
  readonly answers: Record<string, unknown>
}

/** An order has at most 50 lines: the contract's bound. */
const maxLines = 50

const orderColumns = sql`id, number, source, status, customer_id, customer_email, customer_name,
  currency, subtotal, discount, tax, total, payment_status, paid, refunded, flagged, started,
  token_version,
  case_id, case_number, case_status, note, metadata, version, created_at, updated_at, closed_at,
  close_reason`

export interface NewOrder extends Totals {
  readonly id: Id<'ord'>
  readonly source: 'checkout' | 'direct'
  readonly customer: { readonly id: string; readonly email: string; readonly name: string }
  readonly currency: string
  readonly paymentStatus: OrderPaymentStatus
  readonly note: string | null
  readonly metadata: Readonly<Record<string, unknown>>
  readonly lines: readonly (PricedLine & { readonly id: Id<'line'> })[]
}

/** How many unpaid orders one customer may have open. */
const maxOpenOrders = 20

/**
 * The order, its lines, its event and the name on the Idempotency-Key in one statement. No row
 * comes back when the customer has too many unpaid orders, or the key was taken over.
 */
export const insertOrder = (
  ctx: Context,
  order: NewOrder,
  placed: StoredEvent,
): Promise<OrderRow | undefined> =>
  ctx.db.maybeOne(sql`
    with open as (
      select count(*) as orders from (
        select 1 from orders
        where customer_id = ${order.customer.id} and status = 'pending' and paid = 0
        limit ${maxOpenOrders}) as unpaid
    ),
    ${announcement(ctx, [placed], { condition: underLimit })},
    placed as (
      insert into orders (id, number, source, status, customer_id, customer_email, customer_name,
        currency, subtotal, discount, tax, total, payment_status, note, metadata, version,
        created_at, updated_at)
      select ${order.id}, ${ctx.business.orderPrefix} || nextval('order_numbers'), ${order.source},
        'pending', ${order.customer.id}, ${order.customer.email}, ${order.customer.name},
        ${order.currency}, ${order.subtotal}::bigint, ${order.discount}::bigint,
        ${order.tax}::bigint, ${order.total}::bigint, ${order.paymentStatus}, ${order.note}::text,
        ${json(order.metadata)}::jsonb, 1, ${ctx.now}::timestamptz, ${ctx.now}::timestamptz
      where ${leaseHeld}
      returning ${orderColumns}
    ),
    lines as (
      insert into order_lines (order_id, id, position, service_id, name, options, quantity,
        unit_price, total, turnaround_days, answers)
      select placed.id, line.id, line.position, line."serviceId", line.name, line.options,
        line.quantity, line."unitPrice", line.total, line."turnaroundDays", line.answers
      from placed, jsonb_to_recordset(${json(toLineRecords(order))}::jsonb) as line (
        id text, position int, "serviceId" text, name text, options jsonb, quantity int,
        "unitPrice" bigint, total bigint, "turnaroundDays" int, answers jsonb)
    )
    select ${orderColumns} from placed`)

const underLimit = sql`(select orders from open) < ${maxOpenOrders}`

/** Whether the customer has as many unpaid orders as one may have. */
export const hasTooManyOpen = async (db: Db, customerId: string): Promise<boolean> => {
  const { count } = await db.one<{ count: number }>(sql`
    select count(*) from (
      select 1 from orders where customer_id = ${customerId} and status = 'pending' and paid = 0
      limit ${maxOpenOrders}) as unpaid`)
  return count >= maxOpenOrders
}

/** By id or by number: the two can never be mistaken for each other. */
export const findOrder = (db: Db, idOrNumber: string): Promise<OrderRow | undefined> =>
  idOrNumber.startsWith('ord_')
    ? db.maybeOne(sql`select ${orderColumns} from orders where id = ${idOrNumber}`)
    : db.maybeOne(sql`select ${orderColumns} from orders where number = ${idOrNumber}`)

export const lockOrder = (tx: Tx, orderId: string): Promise<OrderRow | undefined> =>
  tx.maybeOne(sql`select ${orderColumns} from orders where id = ${orderId} for update`)

export const linesOf = (orderId: string): Part<LineRow> => ({
  query: sql`
    select id, service_id, name, options, quantity, unit_price, total, turnaround_days, answers
    from order_lines where order_id = ${orderId} order by position limit ${maxLines}`,
  instants: {},
})

export const listLines = (db: Db, orderId: string): Promise<LineRow[]> =>
  db.many(linesOf(orderId).query)

export interface MoneyChange {
  readonly status: OrderStatus
  readonly paymentStatus: OrderPaymentStatus
  readonly paid: number
  readonly refunded: number
  /** True raises the flag; only a person takes it down. */
  readonly flagged: boolean
  readonly version: number
}

/** What the ledger came to, with the order's row locked by the caller. */
export const setMoney = (
  tx: Tx,
  orderId: string,
  change: MoneyChange,
  now: Date,
): Promise<OrderRow> =>
  tx.one(sql`
    update orders set status = ${change.status}, payment_status = ${change.paymentStatus},
      paid = ${change.paid}, refunded = ${change.refunded},
      flagged = flagged or ${change.flagged}::boolean,
      version = ${change.version}, updated_at = ${now},
      confirmed_at = case when ${change.status} = 'confirmed' and confirmed_at is null
        then ${now}::timestamptz else confirmed_at end
    where id = ${orderId}
    returning ${orderColumns}`)

export interface StatusChange {
  readonly status: OrderStatus
  readonly reason: string | null
  readonly isClosed: boolean
  readonly isStarted: boolean
  readonly version: number
}

export const setStatus = (
  tx: Tx,
  orderId: string,
  change: StatusChange,
  now: Date,
): Promise<OrderRow> =>
  tx.one(sql`
    update orders set status = ${change.status}, version = ${change.version}, updated_at = ${now},
      started = started or ${change.isStarted}::boolean,
      close_reason = ${change.reason}::text,
      closed_at = case when ${change.isClosed}::boolean then ${now}::timestamptz end,
      confirmed_at = case when ${change.status} = 'confirmed' and confirmed_at is null
        then ${now}::timestamptz else confirmed_at end
    where id = ${orderId}
    returning ${orderColumns}`)

export interface OrderPatch {
  readonly note: string | null
  readonly metadata: Readonly<Record<string, unknown>>
  readonly flagged: boolean
}

/** What staff wrote on it, with the order's row locked by the caller. */
export const updateOrder = (
  tx: Tx,
  orderId: string,
  { note, metadata, flagged }: OrderPatch,
  now: Date,
): Promise<OrderRow> =>
  tx.one(sql`
    update orders set note = ${note}, metadata = ${json(metadata)}::jsonb,
      flagged = ${flagged}, version = version + 1, updated_at = ${now}
    where id = ${orderId}
    returning ${orderColumns}`)

/** The order's copy of its case: crm writes it in its own transaction. */
export const setCase = (
  tx: Tx,
  orderId: string,
  { caseId, caseNumber, caseStatus }: { caseId: string; caseNumber: string; caseStatus: string },
  now: Date,
): Promise<number> =>
  tx.run(sql`
    update orders set case_id = ${caseId}, case_number = ${caseNumber},
      case_status = ${caseStatus}, version = version + 1, updated_at = ${now}
    where id = ${orderId}`)

/** The oldest first. */
export const listOrdersOfCustomer = (
  db: Db,
  customerId: string,
  limit: number,
): Promise<{ id: Id<'ord'> }[]> =>
  db.many(sql`
    select id from orders where customer_id = ${customerId} order by created_at, id limit ${limit}`)

/** Whose order it is from now on, with the order's row locked by the caller. */
export const setCustomer = (
  tx: Tx,
  orderId: string,
  customerId: string,
  now: Date,
): Promise<{ version: number }> =>
  tx.one(sql`
    update orders set customer_id = ${customerId}, version = version + 1, updated_at = ${now}
    where id = ${orderId} returning version`)

export const setCaseStatus = (
  tx: Tx,
  orderId: string,
  status: string,
  now: Date,
): Promise<number> =>
  tx.run(sql`
    update orders set case_status = ${status}, version = version + 1, updated_at = ${now}
    where id = ${orderId} and case_id is not null`)

/** Checkout orders that nobody paid in time; one whose payment is under way is left alone. */
export const listExpired = (db: Db, before: Date, limit: number): Promise<{ id: Id<'ord'> }[]> =>
  db.many(sql`
    select id from orders
    where status = 'pending' and source = 'checkout' and paid = 0 and created_at < ${before}
      and payment_status <> 'processing'
    order by created_at, id limit ${limit}`)

/** How many orders the day of the instant has brought, by how they stand. */
export const countOrdersOfDay = (
  db: Db,
  { now, timeZone }: { now: Date; timeZone: string },
): Promise<{ status: OrderStatus; orders: number }[]> =>
  db.many(sql`
    select status, count(*) as orders from orders
    where created_at >= date_trunc('day', ${now}::timestamptz at time zone ${timeZone})
      at time zone ${timeZone}
    group by status limit 20`)

/** What an order shows of its money. */
export type OrderMoneyRow = Pick<
  OrderRow,
  'id' | 'total' | 'currency' | 'paid' | 'refunded' | 'paymentStatus'
>

/** Order after order by their ids, for the look through the books. */
export const listOrderMoney = (db: Db, after: string, limit: number): Promise<OrderMoneyRow[]> =>
  db.many(sql`
    select id, total, currency, paid, refunded, payment_status from orders
    where id > ${after} order by id limit ${limit}`)

/** A summary with the columns of a list. */
export type OrderListRow = Pick<
  OrderRow,
  | 'id'
  | 'number'
  | 'status'
  | 'paymentStatus'
  | 'customerId'
  | 'customerEmail'
  | 'customerName'
  | 'currency'
  | 'total'
  | 'paid'
  | 'refunded'
  | 'flagged'
  | 'caseId'
  | 'caseNumber'
  | 'caseStatus'
  | 'version'
  | 'createdAt'
  | 'updatedAt'
>

/** Written as the search index is. */
const searched = sql`(lower(number) || ' ' || lower(customer_email || ' ' || customer_name))`

export const orderList: ListDefinition<OrderFilters> = {
  columns: sql`id, number, status, payment_status, customer_id, customer_email, customer_name,
    currency, total, paid, refunded, flagged, case_id, case_number, case_status, version,
    created_at, updated_at`,
  from: sql`orders`,
  id: sql`id`,
  sorts: {
    createdAt: { column: sql`created_at`, type: sql`timestamptz` },
    total: { column: sql`total`, type: sql`bigint` },
  },
  filters: {
    status: (status) => sql`status = ${status}`,
    paymentStatus: (status) => sql`payment_status = ${status}`,
    customerId: (id) => sql`customer_id = ${id}`,
    flagged: (isFlagged) => (isFlagged ? sql`flagged` : sql`not flagged`),
    q: (text) => contains(searched, text),
    createdFrom: (from) => sql`created_at >= ${from}::timestamptz`,
    createdTo: (to) => sql`created_at <= ${to}::timestamptz`,
  },
}

export const listOrders = (db: Db, query: ListQuery<OrderFilters>): Promise<Page<OrderListRow>> =>
  fetchPage(db, orderList, query)

function toLineRecords({ lines }: NewOrder): object[] {
  return lines.map((line, position) => ({ ...line, position }))
}
