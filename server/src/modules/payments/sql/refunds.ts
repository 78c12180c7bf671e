import type { Id } from '../../../kernel/id.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { json, sql } from '../../../platform/sql.ts'
import type { Part } from '../../../platform/together.ts'
import type { RefundStatus } from '../schema.ts'
import { maxRows, restAfterLook, type MadeBetween } from './payments.ts'

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

const refundColumns = sql`order_id, id, payment_id, status, amount, currency, reason, provider_ref,
  attempt, created_at`

export const refundsOf = (orderId: string): Part<RefundRow> => ({
  query: sql`
    select ${refundColumns} from refunds
    where order_id = ${orderId} order by created_at, id limit ${maxRows}`,
  instants: { createdAt: true },
})

export const insertRefund = (
  tx: Tx,
  refund: Omit<RefundRow, 'attempt' | 'createdAt'>,
  now: Date,
): Promise<RefundRow> =>
  tx.one(sql`
    insert into refunds (order_id, id, payment_id, status, amount, currency, reason, provider_ref,
      succeeded_at, created_at, updated_at, checked_at)
    values (${refund.orderId}, ${refund.id}, ${refund.paymentId}, ${refund.status},
      ${refund.amount}, ${refund.currency}, ${refund.reason}, ${refund.providerRef},
      case when ${refund.status} = 'succeeded' then ${now}::timestamptz end,
      ${now}, ${now}, ${now})
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
      succeeded_at = case when ${change.status} = 'succeeded'
        then coalesce(succeeded_at, ${now}::timestamptz) else succeeded_at end,
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

/** Refunds of many orders by what the provider calls them, for a comparison. */
export const findRefundsByRef = (
  db: Db,
  keys: readonly { readonly orderId: string; readonly ref: string }[],
): Promise<RefundRow[]> =>
  db.many(sql`
    select ${refundColumns} from refunds
    where (order_id, provider_ref) in (
      select wanted."orderId", wanted.ref
      from jsonb_to_recordset(${json(keys)}::jsonb) as wanted ("orderId" text, ref text))
    limit ${maxRows}`)

/** Refunds in the order of their creation, those of manual payments too. */
export const listRefundsMade = (db: Db, { after, to, limit }: MadeBetween): Promise<RefundRow[]> =>
  db.many(sql`
    select ${refundColumns} from refunds
    where created_at <= ${to}
      and (created_at, order_id, id)
        > (${after.createdAt}::timestamptz, ${after.orderId}, ${after.id})
    order by created_at, order_id, id limit ${limit}`)
