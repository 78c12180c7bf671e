import type { TxContext } from '../../../platform/context.ts'
import { factOf, type Fact } from '../../../platform/events.ts'
import type { ObservedPayment } from '../../../platform/stripe.ts'
import * as events from '../events.ts'
import { fitsAmount, isBegunAnew, isFinal, mismatchOf, supersedes } from '../rules.ts'
import * as sql from '../sql/index.ts'
import type { PaymentRow } from '../sql/index.ts'

/** What an observation came to: `changed` tells whether the order's representation is another. */
export interface Applied {
  readonly changed: boolean
  readonly facts: readonly Fact[]
}

const unchanged: Applied = { changed: false, facts: [] }

/**
 * Brings our row to what the provider says, under its lock: nothing changes for a state that we
 * already have or that comes too late; money that is not ours is flagged, once.
 */
export async function applyObservation(
  ctx: TxContext,
  payment: PaymentRow,
  { seen, livemode }: { seen: ObservedPayment; livemode: boolean },
): Promise<Applied> {
  if (payment.status === 'canceled' && seen.status === 'succeeded') {
    return await flagged(ctx, payment, 'paid_after_end')
  }
  if (isFinal(payment.status)) return unchanged
  const mismatch = mismatchOf(payment, seen, livemode)
  if (mismatch !== null) return await flagged(ctx, payment, mismatch)
  const change = changeBy(payment, seen)
  if (change === undefined || isSameState(payment, change)) {
    await sql.touchPayment(ctx.db, payment, ctx.now)
    return unchanged
  }
  await sql.setPayment(ctx.db, payment, change, ctx.now)
  const moved = { paymentId: payment.id, amount: change.amount, currency: payment.currency }
  const isAmountNew = change.amount !== payment.amount
  const facts = [
    ...(isAmountNew ? [factOf(events.PaymentAmountChanged, moved)] : []),
    ...(isSameOutcome(payment, change) ? [] : factsOfStatus(change, moved)),
  ]
  return { changed: true, facts }
}

/** Marks the payment for a person to look at; the same reason is told once. */
export async function flagPayment(
  ctx: TxContext,
  payment: Pick<PaymentRow, 'orderId' | 'id'>,
  reason: string,
): Promise<Fact[]> {
  if ((await sql.setFlag(ctx.db, payment, reason, ctx.now)) === 0) {
    await sql.touchPayment(ctx.db, payment, ctx.now)
    return []
  }
  return [factOf(events.PaymentFlagged, { paymentId: payment.id, reason })]
}

async function flagged(ctx: TxContext, payment: PaymentRow, reason: string): Promise<Applied> {
  const facts = await flagPayment(ctx, payment, reason)
  return { changed: facts.length > 0, facts }
}

/** The row as the provider says it is; undefined where that was asked for too long ago. */
function changeBy(payment: PaymentRow, seen: ObservedPayment): sql.PaymentChange | undefined {
  if (!supersedes(payment.status, seen.status) && !isBegunAnew(payment, seen)) return undefined
  const takesAmount = seen.status !== 'canceled' && fitsAmount(payment, seen)
  const hasFailed = seen.status === 'failed' || seen.status === 'canceled'
  return {
    status: seen.status,
    // A look from before a change of the amount must not bring the old one back.
    amount: takesAmount ? seen.amount : payment.amount,
    // A look from before the change arrived must not forget that it is on its way.
    nextAmount: seen.amount === payment.nextAmount ? null : payment.nextAmount,
    providerRef: seen.ref,
    intentRef: seen.intentRef,
    clientSecret: seen.clientSecret,
    url: seen.url,
    failure: hasFailed ? seen.failure : null,
  }
}

function isSameState(payment: PaymentRow, change: sql.PaymentChange): boolean {
  return (
    isSameOutcome(payment, change) &&
    payment.amount === change.amount &&
    payment.nextAmount === change.nextAmount &&
    payment.providerRef === change.providerRef &&
    payment.intentRef === change.intentRef &&
    payment.clientSecret === change.clientSecret &&
    payment.url === change.url
  )
}

function isSameOutcome(payment: PaymentRow, { status, failure }: sql.PaymentChange): boolean {
  return (
    payment.status === status &&
    payment.failure?.code === failure?.code &&
    payment.failure?.declineCode === failure?.declineCode
  )
}

interface MovedData {
  readonly paymentId: string
  readonly amount: number
  readonly currency: string
}

function factsOfStatus({ status, failure }: sql.PaymentChange, moved: MovedData): Fact[] {
  switch (status) {
    case 'succeeded':
      return [factOf(events.PaymentSucceeded, moved)]
    case 'processing':
      return [factOf(events.PaymentProcessing, moved)]
    case 'requires_action':
      return [factOf(events.PaymentActionRequired, moved)]
    case 'canceled':
      return [factOf(events.PaymentCanceled, moved)]
    case 'failed':
      return [
        factOf(events.PaymentFailed, {
          paymentId: moved.paymentId,
          code: failure?.code ?? 'unknown',
          declineCode: failure?.declineCode ?? null,
        }),
      ]
    case 'pending':
      return []
    default:
      return status satisfies never
  }
}
