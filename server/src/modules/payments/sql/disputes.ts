import type { Id } from '../../../kernel/id.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { json, sql } from '../../../platform/sql.ts'
import type { Part } from '../../../platform/together.ts'
import { maxRows, type MadeBetween } from './payments.ts'

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
  readonly createdAt: Date
}

const disputeColumns = sql`order_id, id, payment_id, provider_ref, status, amount, currency, reason,
  due_by, created_at`

export const disputesOf = (orderId: string): Part<DisputeRow> => ({
  query: sql`
    select ${disputeColumns} from disputes
    where order_id = ${orderId} order by created_at, id limit ${maxRows}`,
  instants: { dueBy: true, createdAt: true },
})

export const upsertDispute = (
  tx: Tx,
  dispute: Omit<DisputeRow, 'createdAt'>,
  now: Date,
): Promise<number> =>
  tx.run(sql`
    insert into disputes (order_id, id, payment_id, provider_ref, status, amount, currency, reason,
      due_by, created_at, updated_at)
    values (${dispute.orderId}, ${dispute.id}, ${dispute.paymentId}, ${dispute.providerRef},
      ${dispute.status}, ${dispute.amount}, ${dispute.currency}, ${dispute.reason},
      ${dispute.dueBy}::timestamptz, ${now}, ${now})
    on conflict (order_id, id) do update set status = excluded.status, amount = excluded.amount,
      reason = excluded.reason, due_by = excluded.due_by, updated_at = excluded.updated_at`)

/** Disputes of many orders by what the provider calls them, for a comparison. */
export const findDisputesByRef = (
  db: Db,
  keys: readonly { readonly orderId: string; readonly ref: string }[],
): Promise<DisputeRow[]> =>
  db.many(sql`
    select ${disputeColumns} from disputes
    where (order_id, provider_ref) in (
      select wanted."orderId", wanted.ref
      from jsonb_to_recordset(${json(keys)}::jsonb) as wanted ("orderId" text, ref text))
    limit ${maxRows}`)

/** Disputes in the order in which we heard of them. */
export const listDisputesMade = (
  db: Db,
  { after, to, limit }: MadeBetween,
): Promise<DisputeRow[]> =>
  db.many(sql`
    select ${disputeColumns} from disputes
    where created_at <= ${to}
      and (created_at, order_id, id)
        > (${after.createdAt}::timestamptz, ${after.orderId}, ${after.id})
    order by created_at, order_id, id limit ${limit}`)
