import { present } from '../../../kernel/assert.ts'
import type { AppContext } from '../../../platform/context.ts'
import { ProviderError, type ObservedPayment } from '../../../platform/stripe.ts'
import { requireOwnOrder, type OrderRow } from '../../orders/index.ts'
import { findLivePayment, isFinal, type PaymentRow } from '../../payments/index.ts'
import { paymentInProgress } from '../schema.ts'
import { observe, recoverStaleStep, runStep, toPublicFailure } from './call-provider.ts'
import { endPayment } from './end-payment.ts'

/** Each turn is one call; more than these mean that others keep changing the order. */
const maxTurns = 6

/**
 * After the order's sum or state has changed: a live payment is given the new amount, or ended
 * where there is nothing left to pay. It bears to be run twice, and at any time.
 */
export async function adjustLivePayment(ctx: AppContext, orderId: string): Promise<void> {
  if (!ctx.stripe.enabled) return
  for (let turn = 1; turn <= maxTurns; turn += 1) {
    const order = await requireOwnOrder(ctx, orderId)
    const live = await findLivePayment(ctx, orderId)
    if (!live || (await isAdjusted(ctx, order, live))) return
  }
  throw paymentInProgress({ retryAfterSeconds: 1 })
}

/** Makes one call where the payment is not as its order wants it; true once nothing is to do. */
async function isAdjusted(ctx: AppContext, order: OrderRow, live: PaymentRow): Promise<boolean> {
  if (await recoverStaleStep(ctx, live)) return false
  const outstanding = order.total - order.paid
  const isOver = order.status === 'cancelled' || order.status === 'completed' || outstanding <= 0
  if (isOver) {
    await endPayment(ctx, live)
    return true
  }
  // What the bank has already cannot be changed; what then is too much is flagged as it arrives.
  if (live.status === 'processing') return true
  return await bringToAmount(ctx, live, outstanding)
}

/**
 * A live payment asks for the outstanding amount, in our row and at the provider: true where it did
 * already. Otherwise one call was made, or news were found, and the caller looks at both anew.
 */
export async function bringToAmount(
  ctx: AppContext,
  payment: PaymentRow,
  outstanding: number,
): Promise<boolean> {
  if (payment.amount === outstanding && payment.nextAmount === null) {
    // One of which nothing but its creation was ever asked cannot have another amount.
    if (payment.attempt <= 1) return true
    // A change that was given up, as its answer was a failure, may have arrived after all.
    const seen = await look(ctx, payment)
    if (!seen || isFinal(seen.status) || seen.status === 'processing') return false
    if (seen.amount === outstanding) return true
  }
  await changeAmount(ctx, payment)
  return false
}

async function look(ctx: AppContext, payment: PaymentRow): Promise<ObservedPayment | undefined> {
  try {
    return await observe(ctx, payment)
  } catch (error) {
    throw toPublicFailure(error)
  }
}

/**
 * A live intent is updated. A session cannot be, nor an intent to what the provider refuses (such
 * as less than its minimum): these are ended, and another attempt follows. A change that had no
 * answer may still arrive: it is repeated first, with its own amount.
 */
async function changeAmount(ctx: AppContext, payment: PaymentRow): Promise<void> {
  if (payment.mode === 'hosted' || payment.providerRef === null) {
    return await endPayment(ctx, payment)
  }
  try {
    await runStep(ctx, payment, {
      operation: 'amount',
      call: ({ providerRef, nextAmount }, key) =>
        ctx.stripe.changeIntentAmount(providerRef ?? '', present(nextAmount, 'an amount'), key),
    })
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    // An earlier change with this key did arrive: the next turn has another key.
    if (error.kind === 'key_used') return
    if (error.kind === 'refused') return await endPayment(ctx, payment)
    throw toPublicFailure(error)
  }
}
