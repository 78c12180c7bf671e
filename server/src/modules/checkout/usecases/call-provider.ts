import { inTx, type AppContext } from '../../../platform/context.ts'
import { ProviderError, type ObservedPayment } from '../../../platform/stripe.ts'
import { lockOrder, type OrderRow } from '../../orders/index.ts'
import { beginStep, endStep, lockPayment, providerKey, type PaymentRow } from '../../payments/index.ts'
import {
  amountTooSmall,
  paymentInProgress,
  paymentRefused,
  providerUnavailable,
} from '../schema.ts'
import { settlePayment } from './settle-payment.ts'

/** What a call at the provider is for; the middle part of its idempotency key. */
export type Operation = 'create' | 'confirm' | 'amount' | 'cancel' | 'expire'

export interface Step {
  readonly operation: Operation
  /** The amount that the call asks for, where it changes it. */
  readonly nextAmount?: number
  call(payment: PaymentRow, key: string): Promise<ObservedPayment>
}

/** A step that nobody finished in this time was left by a process that died. */
const stepLeaseMs = 30_000

/**
 * One call that may move money, in three steps: the intention is written (one transaction), the
 * call is made (no transaction), its outcome is written (one transaction). Its key is fixed by the
 * row, so a repeat after a crash is the same call to the provider. `ProviderError` of the kinds
 * declined and refused is thrown on, once the row knows of it; doubtful ones become 503.
 */
export async function runStep(
  ctx: AppContext,
  payment: PaymentRow,
  step: Step,
): Promise<OrderRow | undefined> {
  const begun = await begin(ctx, payment, step)
  let seen: ObservedPayment
  try {
    seen = await step.call(begun, providerKey(begun, step.operation))
  } catch (error) {
    throw await afterFailure(ctx, begun, error)
  }
  const order = await settlePayment(ctx, keyOf(payment), seen)
  await endStep(ctx.db, begun, true)
  return order
}

async function begin(ctx: AppContext, payment: PaymentRow, step: Step): Promise<PaymentRow> {
  return await inTx(ctx, async (ctx) => {
    await lockOrder(ctx.db, payment.orderId)
    const current = await lockPayment(ctx.db, payment.orderId, payment.id)
    if (!current) throw paymentInProgress({ retryAfterSeconds: 1 })
    const since = current.stepAt ? ctx.now.getTime() - current.stepAt.getTime() : stepLeaseMs
    if (current.step !== null && since < stepLeaseMs) {
      throw paymentInProgress({ retryAfterSeconds: 1 })
    }
    const nextAmount = step.nextAmount ?? current.nextAmount
    await beginStep(ctx.db, current, { step: step.operation, nextAmount }, ctx.now)
    return { ...current, step: step.operation }
  })
}

/**
 * A step that was begun and never ended belongs to a process that died. A look at the object tells
 * what came of it; after that the next call is another one. Answers whether there was such a step.
 */
export async function recoverStaleStep(ctx: AppContext, payment: PaymentRow): Promise<boolean> {
  if (payment.step === null || payment.stepAt === null || payment.providerRef === null) return false
  if (ctx.now.getTime() - payment.stepAt.getTime() < stepLeaseMs) return false
  await observe(ctx, payment)
  await endStep(ctx.db, payment, true)
  return true
}

/** Asks the provider for the object and settles what it says. */
export async function observe(
  ctx: AppContext,
  payment: PaymentRow,
): Promise<OrderRow | undefined> {
  if (payment.providerRef === null) return undefined
  const seen = await ctx.stripe.retrievePayment(payment.providerRef)
  return await settlePayment(ctx, keyOf(payment), seen)
}

/** A decline is no failure of ours; a refusal tells the client why, in the provider's words. */
export function toPublicFailure(error: unknown): unknown {
  if (!(error instanceof ProviderError)) return error
  if (error.kind === 'doubtful' || error.kind === 'busy') {
    return providerUnavailable({ retryAfterSeconds: 2, cause: error })
  }
  if (error.code === 'amount_too_small') return amountTooSmall({ cause: error })
  return paymentRefused({ detail: error.message, members: { reason: error.code }, cause: error })
}

/** Makes our row true after a failed call, and returns the error that the caller should hear. */
async function afterFailure(
  ctx: AppContext,
  payment: PaymentRow,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof ProviderError)) return error
  if (error.kind === 'busy') {
    await endStep(ctx.db, payment, false)
    return providerUnavailable({ retryAfterSeconds: 1, cause: error })
  }
  if (error.kind === 'doubtful') return await lookUp(ctx, payment, error)
  // A definite answer: the next call is another one. A decline has also changed the object.
  await endStep(ctx.db, payment, true)
  if (payment.providerRef !== null) await observe(ctx, payment)
  return error
}

/**
 * Nobody knows whether the call happened. A look at the object tells; only then may the key rise,
 * because the provider keeps even its own failures under a key.
 */
async function lookUp(
  ctx: AppContext,
  payment: PaymentRow,
  cause: ProviderError,
): Promise<unknown> {
  const failure = providerUnavailable({ retryAfterSeconds: 2, cause })
  // A creation moves no money: the same key may be sent again, which needs no look.
  if (payment.providerRef === null) {
    await endStep(ctx.db, payment, false)
    return failure
  }
  const known = await observe(ctx, payment).catch(() => undefined)
  // Unseen, the step stays open: the reconciliation looks again, and a repeat has the same key.
  if (known !== undefined) await endStep(ctx.db, payment, true)
  return failure
}

function keyOf(payment: PaymentRow): { orderId: string; paymentId: string } {
  return { orderId: payment.orderId, paymentId: payment.id }
}
