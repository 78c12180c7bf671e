import type { Id } from '../../kernel/id.ts'
import type { Db, Tx } from '../../platform/database.ts'
import { json, sql, type Sql } from '../../platform/sql.ts'
import type { PaymentFailure, PaymentStatus, RefundStatus } from './schema.ts'

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

export interface RefundRow {
  readonly orderId: Id<'ord'>
  readonly id: Id<'ref'>
  readonly paymentId: Id<'pay'>
  readonly status: RefundStatus
  readonly amount: number
  readonly currency: string
  readonly reason: string
  readonly providerRef: string | null
  readonly attempt: number
  readonly createdAt: Date
}

export interface DisputeRow {
  readonly orderId: Id<'ord'>
  readonly providerRef: string
  readonly id: Id<'dsp'>
  readonly paymentId: Id<'pay'>
  readonly status: string
  readonly amount: number
  readonly currency: string
  readonly reason: string
  readonly dueBy: Date | null
}

/** Orders have few of each; checkout refuses more refunds long before this. */
const maxRows = 1000

const paymentColumns = sql`order_id, id, provider, mode, status, amount, currency, provider_ref,
  intent_ref, client_secret, url, next_amount, failure, attempt, flag, step, step_at, created_at`

const refundColumns = sql`order_id, id, payment_id, status, amount, currency, reason, provider_ref,
  attempt, created_at`

/** Oldest first. Of attempts that came to nothing only the newest, whoever made how many. */
export const listPayments = (db: Db, orderId: string): Promise<PaymentRow[]> =>
  db.many(sql`
    select ${paymentColumns} from (
      select ${paymentColumns} from payments
      where order_id = ${orderId}
      order by status = 'canceled', created_at desc, id desc limit ${maxRows}) as newest
    order by created_at, id`)

export const listRefunds = (db: Db, orderId: string): Promise<RefundRow[]> =>
  db.many(sql`
    select ${refundColumns} from refunds
    where order_id = ${orderId} order by created_at, id limit ${maxRows}`)

export const listDisputes = (db: Db, orderId: string): Promise<DisputeRow[]> =>
  db.many(sql`
    select order_id, id, payment_id, provider_ref, status, amount, currency, reason, due_by
    from disputes
    where order_id = ${orderId} order by created_at, id limit ${maxRows}`)

/** What the ledger holds of each state, in one statement: sums, so that none is left out. */
export const listSums = (
  db: Db,
  orderId: string,
): Promise<{ kind: 'payments' | 'refunds' | 'disputes'; status: string; amount: number }[]> =>
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
      received_at, created_at, updated_at, checked_at)
    values (${payment.orderId}, ${payment.id}, ${payment.provider}, ${payment.mode},
      ${payment.status}, ${payment.amount}, ${payment.currency}, ${payment.reference ?? null},
      ${payment.receivedAt ?? null}::timestamptz, ${now}, ${now}, ${now})
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
 * The call has had its answer; a definite one raises `attempt`, so the next key is another. After
 * one that was lost the amount that it asked for may still come.
 */
export const endStep = (
  db: Db,
  payment: Pick<PaymentRow, 'orderId' | 'id' | 'attempt'>,
  definite: boolean,
): Promise<number> =>
  db.run(sql`
    update payments set step = null, step_at = null,
      next_amount = case when ${definite}::boolean then null else next_amount end,
      attempt = case when ${definite}::boolean then attempt + 1 else attempt end
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

/** What the provider was seen to say, under the row's lock. */
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
const restAfterLook = (now: Date): Sql => sql`
  case when created_at > ${now}::timestamptz - interval '24 hours' then interval '3 minutes'
    else (${now}::timestamptz - created_at) / 8 end`

/** Live attempts whose provider should be asked again. */
export const listStalePayments = (db: Db, now: Date, limit: number): Promise<PaymentRow[]> =>
  db.many(sql`
    select ${paymentColumns} from payments
    where provider = 'stripe' and status in ('pending', 'requires_action', 'processing', 'failed')
      and checked_at < ${now}::timestamptz - ${restAfterLook(now)}
    order by checked_at limit ${limit}`)

export const insertRefund = (
  tx: Tx,
  refund: Omit<RefundRow, 'attempt' | 'createdAt'>,
  now: Date,
): Promise<RefundRow> =>
  tx.one(sql`
    insert into refunds (order_id, id, payment_id, status, amount, currency, reason, provider_ref,
      created_at, updated_at, checked_at)
    values (${refund.orderId}, ${refund.id}, ${refund.paymentId}, ${refund.status},
      ${refund.amount}, ${refund.currency}, ${refund.reason}, ${refund.providerRef}, ${now}, ${now},
      ${now})
    returning ${refundColumns}`)

export const findRefund = (
  db: Db,
  orderId: string,
  refundId: string,
): Promise<RefundRow | undefined> =>
  db.maybeOne(sql`
    select ${refundColumns} from refunds where order_id = ${orderId} and id = ${refundId}`)

export const lockRefund = (
  tx: Tx,
  orderId: string,
  refundId: string,
): Promise<RefundRow | undefined> =>
  tx.maybeOne(sql`
    select ${refundColumns} from refunds
    where order_id = ${orderId} and id = ${refundId} for update`)

export const setRefund = (
  tx: Tx,
  refund: Pick<RefundRow, 'orderId' | 'id'>,
  change: { status: RefundStatus; providerRef: string | null },
  now: Date,
): Promise<number> =>
  tx.run(sql`
    update refunds set status = ${change.status}, provider_ref = ${change.providerRef},
      updated_at = ${now}, checked_at = ${now}
    where order_id = ${refund.orderId} and id = ${refund.id}`)

/** Looked at, or tried in vain: the next one has its turn. */
export const touchRefund = (
  db: Db,
  refund: Pick<RefundRow, 'orderId' | 'id'>,
  now: Date,
): Promise<number> =>
  db.run(sql`
    update refunds set checked_at = ${now}
    where order_id = ${refund.orderId} and id = ${refund.id}`)

/** It did not happen and its key is spent: the next try has another. */
export const raiseRefundAttempt = (
  db: Db,
  refund: Pick<RefundRow, 'orderId' | 'id' | 'attempt'>,
): Promise<number> =>
  db.run(sql`
    update refunds set attempt = attempt + 1
    where order_id = ${refund.orderId} and id = ${refund.id} and attempt = ${refund.attempt}`)

/** Open refunds whose provider should be asked again. */
export const listStaleRefunds = (db: Db, now: Date, limit: number): Promise<RefundRow[]> =>
  db.many(sql`
    select ${refundColumns} from refunds
    where status in ('pending', 'requires_action')
      and checked_at < ${now}::timestamptz - ${restAfterLook(now)}
    order by checked_at limit ${limit}`)

export const upsertDispute = (tx: Tx, dispute: DisputeRow, now: Date): Promise<number> =>
  tx.run(sql`
    insert into disputes (order_id, id, payment_id, provider_ref, status, amount, currency, reason,
      due_by, created_at, updated_at)
    values (${dispute.orderId}, ${dispute.id}, ${dispute.paymentId}, ${dispute.providerRef},
      ${dispute.status}, ${dispute.amount}, ${dispute.currency}, ${dispute.reason},
      ${dispute.dueBy}::timestamptz, ${now}, ${now})
    on conflict (order_id, id) do update set status = excluded.status, amount = excluded.amount,
      reason = excluded.reason, due_by = excluded.due_by, updated_at = excluded.updated_at`)
