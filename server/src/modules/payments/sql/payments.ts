import type { Id } from '../../../kernel/id.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { json, sql, type Sql } from '../../../platform/sql.ts'
import type { Part } from '../../../platform/together.ts'
import type { PaymentFailure, PaymentStatus } from '../schema.ts'

export interface PaymentRow {
  readonly orderId: Id<'ord'>
  readonly id: Id<'pay'>
  readonly provider: 'stripe' | 'manual'
  readonly mode: 'intent' | 'hosted' | 'manual'
  readonly status: PaymentStatus
  readonly amount: number
  readonly currency: string
  readonly providerRef: string | null
  readonly intentRef: string | null
  readonly clientSecret: string | null
  readonly url: string | null
  /** The amount that a change under way will give it at the provider. */
  readonly nextAmount: number | null
  readonly failure: PaymentFailure | null
  /** How many calls have had a definite answer: the `n` of the next key. */
  readonly attempt: number
  readonly flag: string | null
  readonly step: string | null
  readonly stepAt: Date | null
  readonly createdAt: Date
}

/** Orders have few of each; checkout refuses more refunds long before this. */
export const maxRows = 1000

const paymentColumns = sql`order_id, id, provider, mode, status, amount, currency, provider_ref,
  intent_ref, client_secret, url, next_amount, failure, attempt, flag, step, step_at, created_at`

/** Oldest first. Of attempts that came to nothing only the newest, whoever made how many. */
export const paymentsOf = (orderId: string): Part<PaymentRow> => ({
  query: sql`
    select ${paymentColumns} from (
      select ${paymentColumns} from payments
      where order_id = ${orderId}
      order by status = 'canceled', created_at desc, id desc limit ${maxRows}) as newest
    order by created_at, id`,
  instants: { stepAt: true, createdAt: true },
})

export interface LedgerSum {
  readonly kind: 'payments' | 'refunds' | 'disputes'
  readonly status: string
  readonly amount: number
}

/** What the ledger holds of each state, in one statement: sums, so that none is left out. */
export const listSums = (db: Db, orderId: string): Promise<LedgerSum[]> =>
  db.many(sql`
    select 'payments' as kind, status, sum(amount)::bigint as amount
    from payments where order_id = ${orderId} group by status
    union all
    select 'refunds', status, sum(amount)::bigint
    from refunds where order_id = ${orderId} group by status
    union all
    select 'disputes', status, sum(amount)::bigint
    from disputes where order_id = ${orderId} group by status
    limit ${maxRows}`)

export const findPayment = (
  db: Db,
  orderId: string,
  paymentId: string,
): Promise<PaymentRow | undefined> =>
  db.maybeOne(sql`
    select ${paymentColumns} from payments where order_id = ${orderId} and id = ${paymentId}`)

export const lockPayment = (
  tx: Tx,
  orderId: string,
  paymentId: string,
): Promise<PaymentRow | undefined> =>
  tx.maybeOne(sql`
    select ${paymentColumns} from payments
    where order_id = ${orderId} and id = ${paymentId} for update`)

/** The one attempt that may still be paid. */
export const findLivePayment = (db: Db, orderId: string): Promise<PaymentRow | undefined> =>
  db.maybeOne(sql`
    select ${paymentColumns} from payments
    where order_id = ${orderId} and provider = 'stripe'
      and status in ('pending', 'requires_action', 'processing', 'failed')`)

export interface NewPayment {
  readonly orderId: Id<'ord'>
  readonly id: Id<'pay'>
  readonly provider: 'stripe' | 'manual'
  readonly mode: 'intent' | 'hosted' | 'manual'
  readonly status: PaymentStatus
  readonly amount: number
  readonly currency: string
  readonly reference?: string
  readonly receivedAt?: Date
}

export const insertPayment = (tx: Tx, payment: NewPayment, now: Date): Promise<PaymentRow> =>
  tx.one(sql`
    insert into payments (order_id, id, provider, mode, status, amount, currency, reference,
      received_at, succeeded_at, created_at, updated_at, checked_at)
    values (${payment.orderId}, ${payment.id}, ${payment.provider}, ${payment.mode},
      ${payment.status}, ${payment.amount}, ${payment.currency}, ${payment.reference ?? null},
      ${payment.receivedAt ?? null}::timestamptz,
      case when ${payment.status} = 'succeeded' then ${now}::timestamptz end,
      ${now}, ${now}, ${now})
    returning ${paymentColumns}`)

/** A call to the provider begins: the key it will use is fixed by the row. */
export const beginStep = (
  tx: Tx,
  payment: PaymentRow,
  { step, nextAmount }: { step: string; nextAmount: number | null },
  now: Date,
): Promise<number> =>
  tx.run(sql`
    update payments set step = ${step}, step_at = ${now}, next_amount = ${nextAmount},
      updated_at = ${now}
    where order_id = ${payment.orderId} and id = ${payment.id}`)

/**
 * How a call ended: with a definite answer; with a failure of the provider's, after which its key
 * is spent and nobody knows whether it happened; or without an answer: it may still happen.
 */
export type StepEnd = 'answered' | 'erred' | 'lost'

/**
 * The call is over. Another needs another key, but after one without an answer; and an amount that
 * was asked for may come until the answer is definite, or it was seen.
 */
export const endStep = (
  db: Db,
  payment: Pick<PaymentRow, 'orderId' | 'id' | 'attempt'>,
  end: StepEnd,
): Promise<number> =>
  db.run(sql`
    update payments set step = null, step_at = null,
      next_amount = case when ${end} = 'answered' then null else next_amount end,
      attempt = case when ${end} = 'lost' then attempt else attempt + 1 end
    where order_id = ${payment.orderId} and id = ${payment.id} and attempt = ${payment.attempt}`)

export interface PaymentChange {
  readonly status: PaymentStatus
  readonly amount: number
  readonly providerRef: string | null
  readonly intentRef: string | null
  readonly clientSecret: string | null
  readonly url: string | null
  readonly nextAmount: number | null
  readonly failure: PaymentFailure | null
}

/**
 * What the provider was seen to say, under the row's lock. A final state is the end of whatever
 * call was under way, whoever has seen it.
 */
export const setPayment = (
  tx: Tx,
  payment: Pick<PaymentRow, 'orderId' | 'id'>,
  change: PaymentChange,
  now: Date,
): Promise<number> =>
  tx.run(sql`
    update payments set status = ${change.status}, amount = ${change.amount},
      next_amount = ${change.nextAmount}, provider_ref = ${change.providerRef},
      intent_ref = ${change.intentRef}, client_secret = ${change.clientSecret},
      url = ${change.url}, failure = ${change.failure && json(change.failure)}::jsonb,
      succeeded_at = case when ${change.status} = 'succeeded' then ${now}::timestamptz end,
      step = case when ${change.status} not in ('succeeded', 'canceled') then step end,
      step_at = case when ${change.status} not in ('succeeded', 'canceled') then step_at end,
      updated_at = ${now}, checked_at = ${now}
    where order_id = ${payment.orderId} and id = ${payment.id}`)

/** Why a person should look at it; no row where the same is flagged already. */
export const setFlag = (
  tx: Tx,
  payment: Pick<PaymentRow, 'orderId' | 'id'>,
  flag: string,
  now: Date,
): Promise<number> =>
  tx.run(sql`
    update payments set flag = ${flag}, updated_at = ${now}, checked_at = ${now}
    where order_id = ${payment.orderId} and id = ${payment.id} and flag is distinct from ${flag}`)

export const touchPayment = (
  db: Db,
  payment: Pick<PaymentRow, 'orderId' | 'id'>,
  now: Date,
): Promise<number> =>
  db.run(sql`
    update payments set checked_at = ${now}
    where order_id = ${payment.orderId} and id = ${payment.id}`)

/**
 * How long a row rests after a look: three minutes on its first day, so that with the minute until
 * the next run and the look itself no news is older than five; later an eighth of its age.
 */
export const restAfterLook = (now: Date): Sql => sql`
  case when created_at > ${now}::timestamptz - interval '24 hours' then interval '3 minutes'
    else (${now}::timestamptz - created_at) / 8 end`

/** Live attempts whose provider should be asked again. */
export const listStalePayments = (db: Db, now: Date, limit: number): Promise<PaymentRow[]> =>
  db.many(sql`
    select ${paymentColumns} from payments
    where provider = 'stripe' and status in ('pending', 'requires_action', 'processing', 'failed')
      and checked_at < ${now}::timestamptz - ${restAfterLook(now)}
    order by checked_at limit ${limit}`)

/** The place in a list of one table's rows by their creation; the first page begins before all. */
export interface MadePosition {
  readonly createdAt: Date
  readonly orderId: string
  readonly id: string
}

/** Rows made from one instant to another, both included. */
export interface MadeBetween {
  readonly after: MadePosition
  readonly to: Date
  readonly limit: number
}

/** Attempts of many orders by their keys, for a comparison; the unknown are left out. */
export const findPayments = (
  db: Db,
  keys: readonly { readonly orderId: string; readonly paymentId: string }[],
): Promise<PaymentRow[]> =>
  db.many(sql`
    select ${paymentColumns} from payments
    where (order_id, id) in (
      select wanted."orderId", wanted."paymentId"
      from jsonb_to_recordset(${json(keys)}::jsonb) as wanted ("orderId" text, "paymentId" text))
    limit ${maxRows}`)

/** Attempts at the provider in the order of their creation. */
export const listPaymentsMade = (
  db: Db,
  { after, to, limit }: MadeBetween,
): Promise<PaymentRow[]> =>
  db.many(sql`
    select ${paymentColumns} from payments
    where provider = 'stripe' and created_at <= ${to}
      and (created_at, order_id, id)
        > (${after.createdAt}::timestamptz, ${after.orderId}, ${after.id})
    order by created_at, order_id, id limit ${limit}`)

/** What the ledgers of many orders hold of each state, for a look through the orders. */
export const listSumsOf = (
  db: Db,
  orderIds: readonly string[],
): Promise<(LedgerSum & { orderId: string })[]> =>
  db.many(sql`
    select order_id, 'payments' as kind, status, sum(amount)::bigint as amount
    from payments where order_id = any(${orderIds}::text[]) group by order_id, status
    union all
    select order_id, 'refunds', status, sum(amount)::bigint
    from refunds where order_id = any(${orderIds}::text[]) group by order_id, status
    union all
    select order_id, 'disputes', status, sum(amount)::bigint
    from disputes where order_id = any(${orderIds}::text[]) group by order_id, status
    limit ${maxRows * 10}`)

/** A label of a figure: many more than any business takes. */
const maxCurrencies = 50

/** What came in on the day of the instant, less what went back on it, by currency. */
export const listRevenueOfDay = (
  db: Db,
  { now, timeZone }: { now: Date; timeZone: string },
): Promise<{ currency: string; amount: number }[]> =>
  db.many(sql`
    with day as (
      select date_trunc('day', ${now}::timestamptz at time zone ${timeZone})
        at time zone ${timeZone} as begins
    )
    select moved.currency, sum(moved.amount)::bigint as amount from (
      select currency, amount from payments
      where succeeded_at >= (select begins from day) and status = 'succeeded'
      union all
      select currency, -amount from refunds
      where succeeded_at >= (select begins from day) and status = 'succeeded') as moved
    group by moved.currency order by moved.currency limit ${maxCurrencies}`)
