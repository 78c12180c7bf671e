import { inTx, withoutLease, type AppContext, type TxContext } from '../../../platform/context.ts'
import type { Fact } from '../../../platform/events.ts'
import type { ObservedPayment, ObservedRefund } from '../../../platform/stripe.ts'
import { lockOrder, settleLedger, writeLedger, type OrderRow } from '../../orders/index.ts'
import {
  applyObservation,
  applyRefundObservation,
  endStep,
  flagPayment,
  lockPayment,
  lockRefund,
  PaymentSucceeded,
  reserveRefund,
  type PaymentRow,
  type RefundRow,
  type StepEnd,
} from '../../payments/index.ts'

/** What was seen, and how the row's own step has ended with it, if it has. */
export interface News {
  readonly seen: ObservedPayment
  readonly end?: StepEnd
}

/**
 * The one path to paid: confirm, webhook, reconciliation and the reply of a call all end here, with
 * what the provider was just seen to say. Under the order's lock the same news is a no-op, a final
 * state never moves, and money for a cancelled order goes back by itself. The provider's word is
 * written whoever holds the request's Idempotency-Key by now.
 */
export async function settlePayment(
  ctx: AppContext,
  row: PaymentRow,
  { seen, end }: News,
): Promise<void> {
  const { livemode } = ctx.stripe
  await inTx(withoutLease(ctx), async (ctx) => {
    const order = await lockOrder(ctx.db, row.orderId)
    const payment = order && (await lockPayment(ctx.db, row.orderId, row.id))
    if (!order || !payment) return
    const { changed, facts } = await applyObservation(ctx, payment, { seen, livemode })
    if (end) await endStep(ctx.db, row, end)
    if (changed) await settleNews(ctx, { order, payment, facts })
  })
}

/** Brings a refund to what the provider says, and the order's money with it. */
export async function settleRefund(
  ctx: AppContext,
  { orderId, refundId }: { orderId: string; refundId: string },
  seen: Pick<ObservedRefund, 'status'> & { ref: string | null },
): Promise<void> {
  await inTx(withoutLease(ctx), async (ctx) => {
    const order = await lockOrder(ctx.db, orderId)
    const refund = order && (await lockRefund(ctx.db, orderId, refundId))
    if (!order || !refund) return
    await bookRefund(ctx, { order, refund }, seen)
  })
}

/**
 * What the provider says of a refund, under the order's lock. Of a cancelled order nobody else will
 * miss money that could not go back: a person is shown it.
 */
export async function bookRefund(
  ctx: TxContext,
  { order, refund }: { order: OrderRow; refund: RefundRow },
  seen: Pick<ObservedRefund, 'status'> & { ref: string | null },
): Promise<void> {
  const facts = await applyRefundObservation(ctx, refund, seen)
  if (facts.length === 0) return
  const hasFailed = seen.status === 'failed' || seen.status === 'canceled'
  const payment = { orderId: refund.orderId, id: refund.paymentId }
  const isKept = hasFailed && order.status === 'cancelled'
  const flagged = isKept ? await flagPayment(ctx, payment, 'refund_failed') : []
  await writeLedger(ctx, order, [...facts, ...flagged])
}

interface Settling {
  readonly order: OrderRow
  /** As it was before the news. */
  readonly payment: PaymentRow
  readonly facts: readonly Fact[]
}

async function settleNews(ctx: TxContext, { order, payment, facts }: Settling): Promise<void> {
  const isMoneyIn = facts.some((fact) => fact.type.name === PaymentSucceeded.name)
  if (!isMoneyIn) return void (await writeLedger(ctx, order, facts))
  if (order.status === 'cancelled') return await giveBack(ctx, { order, payment, facts })
  const settled = await settleLedger(ctx, order, facts)
  if (settled.paid <= settled.total) return
  const flagged = await flagPayment(ctx, payment, 'overpaid')
  if (flagged.length > 0) await writeLedger(ctx, settled, flagged)
}

/** Money for an order that was cancelled meanwhile: refunded by itself, and shown to a person. */
async function giveBack(ctx: TxContext, { order, payment, facts }: Settling): Promise<void> {
  const flagged = await flagPayment(ctx, payment, 'paid_after_cancel')
  const paid = (await lockPayment(ctx.db, payment.orderId, payment.id)) ?? payment
  const { facts: refunding } = await reserveRefund(ctx, paid, {
    amount: paid.amount,
    reason: 'paid after the order was cancelled',
  })
  await writeLedger(ctx, order, [...facts, ...flagged, ...refunding])
}
