import { present } from '../../../kernel/assert.ts'
import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import type { Fact } from '../../../platform/events.ts'
import type { ObservedPayment, ObservedRefund } from '../../../platform/stripe.ts'
import { lockOrder, settleLedger, writeLedger, type OrderRow } from '../../orders/index.ts'
import {
  applyObservation,
  applyRefundObservation,
  flagPayment,
  getLedger,
  lockPayment,
  lockRefund,
  PaymentSucceeded,
  reserveRefund,
  type PaymentRow,
} from '../../payments/index.ts'

/** Which attempt of which order: the key of our row. */
export interface PaymentKey {
  readonly orderId: string
  readonly paymentId: string
}

/**
 * The one path to paid: confirm, webhook, reconciliation and the reply of a call all end here, with
 * what the provider was just seen to say. Under the order's lock the same news is a no-op, a final
 * state never moves, and money for a cancelled order goes back by itself. Undefined where the order
 * or the payment is not ours.
 */
export async function settlePayment(
  ctx: AppContext,
  key: PaymentKey,
  seen: ObservedPayment,
): Promise<OrderRow | undefined> {
  const { livemode } = ctx.stripe
  return await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, key.orderId)
    const payment = order && (await lockPayment(ctx.db, key.orderId, key.paymentId))
    if (!order || !payment) return undefined
    const { changed, facts } = await applyObservation(ctx, payment, { seen, livemode })
    return changed ? await settleNews(ctx, { order, payment, facts }) : order
  })
}

/** Brings a refund to what the provider says, and the order's money with it. */
export async function settleRefund(
  ctx: AppContext,
  { orderId, refundId }: { orderId: string; refundId: string },
  seen: ObservedRefund,
): Promise<void> {
  await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, orderId)
    const refund = order && (await lockRefund(ctx.db, orderId, refundId))
    if (!order || !refund) return
    const facts = await applyRefundObservation(ctx, refund, seen)
    if (facts.length > 0) await writeLedger(ctx, order, facts)
  })
}

async function settleNews(
  ctx: TxContext,
  { order, payment, facts }: { order: OrderRow; payment: PaymentRow; facts: readonly Fact[] },
): Promise<OrderRow> {
  const isMoneyIn = facts.some((fact) => fact.type.name === PaymentSucceeded.name)
  if (!isMoneyIn) return await writeLedger(ctx, order, facts)
  if (order.status === 'cancelled') return await giveBack(ctx, { order, payment, facts })
  const settled = await settleLedger(ctx, order, facts)
  if (settled.paid <= settled.total) return settled
  const flagged = await flagLocked(ctx, payment, 'overpaid')
  return flagged.length > 0 ? await writeLedger(ctx, settled, flagged) : settled
}

/** Money for an order that was cancelled meanwhile: refunded by itself, and shown to a person. */
async function giveBack(
  ctx: TxContext,
  { order, payment, facts }: { order: OrderRow; payment: PaymentRow; facts: readonly Fact[] },
): Promise<OrderRow> {
  const flagged = await flagLocked(ctx, payment, 'paid_after_cancel')
  const { payments } = await getLedger(ctx.db, order.id)
  const paid = present(
    payments.find((one) => one.id === payment.id),
    'the payment that was just settled',
  )
  const { facts: refunding } = await reserveRefund(ctx, paid, {
    amount: paid.amount,
    reason: 'paid after the order was cancelled',
  })
  return await writeLedger(ctx, order, [...facts, ...flagged, ...refunding])
}

/** The row as it stands after what this transaction has written on it. */
async function flagLocked(ctx: TxContext, payment: PaymentRow, reason: string): Promise<Fact[]> {
  const current = await lockPayment(ctx.db, payment.orderId, payment.id)
  return current ? await flagPayment(ctx, current, reason) : []
}
