import { inTx, withoutLease, type AppContext } from '../../../platform/context.ts'
import { nameKey } from '../../../platform/outbox.ts'
import { ProviderError, type ObservedPayment } from '../../../platform/stripe.ts'
import { lockOrder, type OrderRow } from '../../orders/index.ts'
import {
  beginStep,
  endStep,
  findPayment,
  isFinal,
  lockPayment,
  providerKey,
  type PaymentRow,
} from '../../payments/index.ts'
import {
  amountTooSmall,
  orderNotPayable,
  paymentInProgress,
  paymentRefused,
  providerUnavailable,
} from '../schema.ts'
import { settlePayment } from './settle-payment.ts'

/** What a call at the provider is for; the middle part of its idempotency key. */
export type Operation = 'create' | 'confirm' | 'amount' | 'cancel' | 'expire'

export interface Step {
  readonly operation: Operation
  /** A change of the amount is to `nextAmount` of the row, which is present. */
  call(payment: PaymentRow, key: string): Promise<ObservedPayment>
}

/** A step that nobody finished in this time was left by a process that died. */
const stepLeaseMs = 30_000

/**
 * One call that may move money, in three steps: the intention is written (one transaction), the
 * call is made (no transaction), its outcome is written (one transaction). Its key is fixed by the
 * row, so a repeat after a crash is the same call to the provider. Nothing is called for a payment
 * that is over, nor to create what is there. Throws `ProviderError` where the answer was definite,
 * once the row knows of it; 503 where there was none; 409 while another call for the payment is
 * under way.
 */
export async function runStep(ctx: AppContext, payment: PaymentRow, step: Step): Promise<void> {
  const begun = await begin(ctx, payment, step)
  if (begun === undefined) return
  let seen: ObservedPayment
  try {
    seen = await step.call(begun, providerKey(begun, step.operation))
  } catch (error) {
    throw await afterFailure(ctx, begun, error)
  }
  await settlePayment(ctx, begun, { seen, end: 'answered' })
}

/**
 * A step that was begun and never ended belongs to a process that died. A look at the object tells
 * what came of it; after that the next call is another one. Answers whether there was such a step.
 */
export async function recoverStaleStep(ctx: AppContext, payment: PaymentRow): Promise<boolean> {
  if (payment.step === null || payment.stepAt === null || payment.providerRef === null) return false
  if (ctx.now.getTime() - payment.stepAt.getTime() < stepLeaseMs) return false
  const seen = await ctx.stripe.retrievePayment(payment.providerRef)
  // Another request's step: what came of it is not what this one's key stands for.
  await settlePayment(withoutLease(ctx), payment, { seen, end: 'erred' })
  return true
}

/** Asks the provider for the object and settles what it says; answers what was seen, if anything. */
export async function observe(
  ctx: AppContext,
  payment: PaymentRow,
): Promise<ObservedPayment | undefined> {
  if (payment.providerRef === null) return undefined
  const seen = await ctx.stripe.retrievePayment(payment.providerRef)
  await settlePayment(ctx, payment, { seen })
  return seen
}

/** A decline is no failure of ours; a refusal tells the client why, in the provider's words. */
export function toPublicFailure(error: unknown): unknown {
  if (!(error instanceof ProviderError)) return error
  if (error.kind !== 'refused' && error.kind !== 'declined') {
    return providerUnavailable({ retryAfterSeconds: 2, cause: error })
  }
  if (error.code === 'amount_too_small') return amountTooSmall({ cause: error })
  return paymentRefused({ detail: error.message, members: { reason: error.code }, cause: error })
}

/** Writes the intention; undefined where there is nothing left to do. */
async function begin(
  ctx: AppContext,
  { orderId, id }: PaymentRow,
  { operation }: Step,
): Promise<PaymentRow | undefined> {
  return await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, orderId)
    const current = order && (await lockPayment(ctx.db, orderId, id))
    if (!order || !current || isFinal(current.status)) return undefined
    // Somebody else was quicker: a second object would be one too many.
    if (operation === 'create' && current.providerRef !== null) return undefined
    const since = current.stepAt ? ctx.now.getTime() - current.stepAt.getTime() : stepLeaseMs
    if (current.step !== null && since < stepLeaseMs) {
      throw paymentInProgress({ retryAfterSeconds: 1 })
    }
    if (operation === 'confirm') {
      requireSameSum(order, current)
      // From here on money may move: whoever sends the request again must be told of this order,
      // also when it stood before and the answer to this call is lost.
      await nameKey(ctx, order.id, ctx.origin.lease)
    }
    // The sum of now; but a change that had no answer may still arrive, and is repeated first.
    const wanted = operation === 'amount' ? outstandingOf(order) : null
    const nextAmount = current.nextAmount ?? wanted
    if (operation === 'amount' && nextAmount === null) return undefined
    const intention = { step: operation, nextAmount }
    await beginStep(ctx.db, current, intention, ctx.now)
    return { ...current, ...intention, stepAt: ctx.now }
  })
}

/** What a card may be asked for; null where nothing is. */
function outstandingOf({ status, total, paid }: OrderRow): number | null {
  return status === 'cancelled' || paid >= total ? null : total - paid
}

/**
 * Looked at under the lock: nobody is charged for an order that was cancelled or part-paid since,
 * nor while the provider may have, or be given, another amount than what is outstanding.
 */
function requireSameSum(order: OrderRow, payment: PaymentRow): void {
  if (order.status === 'cancelled')
    throw orderNotPayable({ members: { orderStatus: order.status } })
  const isSure = payment.nextAmount === null && payment.amount === order.total - order.paid
  if (!isSure) throw paymentInProgress({ retryAfterSeconds: 1 })
}

/** Makes our row true after a failed call, and returns the error that the caller should hear. */
async function afterFailure(
  ctx: AppContext,
  payment: PaymentRow,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof ProviderError)) return error
  switch (error.kind) {
    case 'busy':
      await endStep(ctx.db, payment, 'lost')
      return providerUnavailable({ retryAfterSeconds: 1, cause: error })
    case 'erred':
    case 'lost':
      await lookUp(ctx, payment, error.kind)
      return providerUnavailable({ retryAfterSeconds: 2, cause: error })
    case 'declined':
    case 'refused':
    case 'key_used':
      // A definite answer: the next call is another one. A decline has also changed the object.
      await endStep(ctx.db, payment, 'answered')
      await observe(ctx, payment)
      return error
    default:
      return error.kind satisfies never
  }
}

/**
 * Nobody knows whether the call happened; only a look at the object tells. The provider keeps its
 * own failures under a key, so that after one the next call needs another. A call that was lost may
 * still arrive: unless it is seen to have happened, the next one has the same key.
 */
async function lookUp(
  ctx: AppContext,
  payment: PaymentRow,
  unanswered: 'erred' | 'lost',
): Promise<void> {
  // A creation moves no money, and nobody knows of what it may have made: it can be repeated.
  if (payment.providerRef === null) return void (await endStep(ctx.db, payment, unanswered))
  try {
    await observe(ctx, payment)
  } catch (failure) {
    // Unseen, the step stays open: whoever comes next, or the reconciliation, looks again.
    ctx.log.warn({ err: failure, paymentId: payment.id }, 'the outcome of a call is not known yet')
    return
  }
  const now = await findPayment(ctx.db, payment.orderId, payment.id)
  await endStep(ctx.db, payment, now && hasHappened(payment, now) ? 'answered' : unanswered)
}

/** A new amount is the sign of a change of the amount, a new state that of all other calls. */
function hasHappened(before: PaymentRow, now: PaymentRow): boolean {
  return before.step === 'amount'
    ? now.nextAmount === null || isFinal(now.status)
    : now.status !== before.status
}
