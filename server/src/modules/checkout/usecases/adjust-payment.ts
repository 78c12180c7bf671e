import type { AppContext } from '../../../platform/context.ts'
import { ProviderError } from '../../../platform/stripe.ts'
import { requireOwnOrder } from '../../orders/index.ts'
import { findLivePayment, type PaymentRow } from '../../payments/index.ts'
import { recoverStaleStep, runStep, toPublicFailure } from './call-provider.ts'
import { endPayment } from './end-payment.ts'

/**
 * After the order's sum or state has changed: a live payment is given the new amount, or ended
 * where there is nothing left to pay. It bears to be run twice.
 */
export async function adjustLivePayment(ctx: AppContext, orderId: string): Promise<void> {
  if (!ctx.stripe.enabled) return
  const order = await requireOwnOrder(ctx, orderId)
  const live = await findLivePayment(ctx, orderId)
  if (!live) return
  if (await recoverStaleStep(ctx, live)) return await adjustLivePayment(ctx, orderId)
  const outstanding = order.total - order.paid
  const isOver = order.status === 'cancelled' || order.status === 'completed' || outstanding <= 0
  if (isOver) return await endPayment(ctx, live)
  // What the bank has already cannot be changed; what then is too much is flagged as it arrives.
  if (live.status === 'processing') return
  const { nextAmount } = live
  if (live.amount === outstanding && nextAmount === null) return
  await changeAmount(ctx, live, outstanding)
  // It was the earlier change that was repeated: the amount of now is still to be asked for.
  const isBehind = nextAmount !== null && nextAmount !== outstanding
  if (isBehind) await adjustLivePayment(ctx, orderId)
}

/**
 * A live intent is updated. A session cannot be, nor an intent to what the provider refuses (such
 * as less than its minimum): these are ended, and another attempt follows. A change that had no
 * answer may still arrive: it is repeated first, with its own amount under its own key.
 */
export async function changeAmount(
  ctx: AppContext,
  payment: PaymentRow,
  amount: number,
): Promise<void> {
  if (payment.mode === 'hosted' || payment.providerRef === null) {
    return await endPayment(ctx, payment)
  }
  try {
    await runStep(ctx, payment, {
      operation: 'amount',
      nextAmount: amount,
      call: (current, key) =>
        ctx.stripe.changeIntentAmount(current.providerRef ?? '', current.nextAmount ?? amount, key),
    })
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'refused') {
      return await endPayment(ctx, payment)
    }
    throw toPublicFailure(error)
  }
}
