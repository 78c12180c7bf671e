import { newId } from '../../../kernel/id.ts'
import { epoch, later } from '../../../kernel/time.ts'
import type { TxContext } from '../../../platform/context.ts'
import { factOf, type Fact } from '../../../platform/events.ts'
import type { ObservedDispute } from '../../../platform/stripe.ts'
import * as events from '../events.ts'
import { disputeSupersedes } from '../rules.ts'
import * as sql from '../sql/index.ts'
import type { DisputeRow, PaymentRow } from '../sql/index.ts'

/** A dispute as the provider tells it; the same news twice is none. */
export async function adoptDispute(
  ctx: TxContext,
  payment: PaymentRow,
  seen: ObservedDispute,
): Promise<Fact[]> {
  const known = (await ctx.db.many<sql.DisputeRow>(sql.disputesOf(payment.orderId).query)).find(
    (dispute) => dispute.providerRef === seen.ref,
  )
  if (known && isSameNews(known, seen)) return []
  if (known && !disputeSupersedes(known.status)) return []
  const dispute = {
    orderId: payment.orderId,
    id: known?.id ?? newId('dsp', ctx.now),
    paymentId: payment.id,
    providerRef: seen.ref,
    status: seen.status,
    amount: seen.amount,
    currency: seen.currency,
    reason: seen.reason,
    dueBy: seen.dueByMs === null ? null : later(epoch, seen.dueByMs),
  }
  await sql.upsertDispute(ctx.db, dispute, ctx.now)
  const { id, paymentId, status, amount, currency } = dispute
  return [factOf(events.DisputeUpdated, { disputeId: id, paymentId, status, amount, currency })]
}

function isSameNews(known: DisputeRow, seen: ObservedDispute): boolean {
  return (
    known.status === seen.status &&
    known.amount === seen.amount &&
    known.reason === seen.reason &&
    (known.dueBy?.getTime() ?? null) === seen.dueByMs
  )
}
