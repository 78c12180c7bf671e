import { hourMs, later } from '../../../kernel/time.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { cancelOrder, listExpired, lockOrder } from '../../orders/index.ts'
import {
  listStalePayments,
  listStaleRefunds,
  touchPayment,
  touchRefund,
  type PaymentRow,
  type RefundRow,
} from '../../payments/index.ts'
import { adjustLivePayment } from './adjust-payment.ts'
import { observe, recoverStaleStep } from './call-provider.ts'
import { abandonLost, isLost } from './end-payment.ts'
import { sendRefund } from './refund-money.ts'
import { settleRefund } from './settle-payment.ts'

/** How many objects one run asks the provider for; the next run is a minute later. */
const batchSize = 100

/**
 * Finds what no webhook told: payments and refunds that are still open are asked for again, each
 * by itself. One that fails has its turn like the others, so that it never holds them up.
 */
export async function reconcile(ctx: AppContext): Promise<void> {
  if (!ctx.stripe.enabled) return
  for (const payment of await listStalePayments(ctx.db, ctx.now, batchSize)) {
    await touchPayment(ctx.db, payment, ctx.now)
    await attempt(ctx, { paymentId: payment.id }, () => reconcilePayment(ctx, payment))
  }
  for (const refund of await listStaleRefunds(ctx.db, ctx.now, batchSize)) {
    await touchRefund(ctx.db, refund, ctx.now)
    await attempt(ctx, { refundId: refund.id }, () => reconcileRefund(ctx, refund))
  }
}

/** Checkout orders that were not paid in time are cancelled; what then still arrives goes back. */
export async function expireOrders(ctx: AppContext): Promise<void> {
  const before = later(ctx.now, -ctx.business.unpaidOrderHours * hourMs)
  for (const { id } of await listExpired(ctx.db, before, batchSize)) {
    await attempt(ctx, { orderId: id }, () =>
      inTx(ctx, async (ctx) => {
        const order = await lockOrder(ctx.db, id)
        const isStill = order?.status === 'pending' && order.paid === 0
        if (!order || !isStill || order.paymentStatus === 'processing') return
        await cancelOrder(ctx, order, { reason: 'expired', kind: 'expired', refund: 'none' })
      }),
    )
  }
}

async function reconcilePayment(ctx: AppContext, payment: PaymentRow): Promise<void> {
  if (isLost(ctx, payment)) return await abandonLost(ctx, payment)
  if (await recoverStaleStep(ctx, payment)) return
  await observe(ctx, payment)
  // Its order may have changed since, and the job that was to tell the provider have given up.
  await adjustLivePayment(ctx, payment.orderId)
}

async function reconcileRefund(ctx: AppContext, refund: RefundRow): Promise<void> {
  if (refund.providerRef === null) return await sendRefund(ctx, refund)
  const seen = await ctx.stripe.retrieveRefund(refund.providerRef)
  await settleRefund(ctx, { orderId: refund.orderId, refundId: refund.id }, seen)
}

async function attempt(
  ctx: AppContext,
  facts: Record<string, string>,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    ctx.log.warn({ err: error, ...facts }, 'left for the next run')
  }
}
