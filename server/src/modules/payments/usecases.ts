import { newId, type Id } from '../../kernel/id.ts'
import { money } from '../../kernel/money.ts'
import { epoch, later, toInstant, toInstantOrNull } from '../../kernel/time.ts'
import type { Context, TxContext } from '../../platform/context.ts'
import type { Db } from '../../platform/database.ts'
import { factOf, type Fact } from '../../platform/events.ts'
import type { ObservedDispute, ObservedPayment, ObservedRefund } from '../../platform/stripe.ts'
import * as events from './events.ts'
import { isFinal, mismatchOf, refundableAmount } from './rules.ts'
import type { PayerPayment, Payment, PaymentStatus, Refund } from './schema.ts'
import * as sql from './sql.ts'
import type { DisputeRow, PaymentRow, RefundRow } from './sql.ts'

/** Everything that moved, or tried to, for one order. */
export interface Ledger {
  readonly payments: readonly PaymentRow[]
  readonly refunds: readonly RefundRow[]
  readonly disputes: readonly DisputeRow[]
}

export async function getLedger(db: Db, orderId: string): Promise<Ledger> {
  const [payments, refunds, disputes] = await Promise.all([
    sql.listPayments(db, orderId),
    sql.listRefunds(db, orderId),
    sql.listDisputes(db, orderId),
  ])
  return { payments, refunds, disputes }
}

export interface Attempt {
  readonly orderId: Id<'ord'>
  readonly mode: 'intent' | 'hosted'
  readonly amount: number
  readonly currency: string
}

/** Writes the intent of a payment before the provider hears of it; the order's row is locked. */
export async function openAttempt(
  ctx: TxContext,
  attempt: Attempt,
): Promise<{ payment: PaymentRow; fact: Fact }> {
  const { amount, currency, mode } = attempt
  const id = newId('pay', ctx.now)
  const payment = await sql.insertPayment(
    ctx.db,
    { ...attempt, id, provider: 'stripe', status: 'pending' },
    ctx.now,
  )
  const fact = factOf(events.PaymentStarted, { paymentId: id, mode, amount, currency })
  return { payment, fact }
}

/** Money that came another way, such as by bank transfer: recorded, never sent anywhere. */
export async function recordManualPayment(
  ctx: TxContext,
  given: {
    orderId: Id<'ord'>
    amount: number
    currency: string
    reference: string
    receivedAt: Date
  },
): Promise<{ paymentId: Id<'pay'>; fact: Fact }> {
  const id = newId('pay', ctx.now)
  const { amount, currency } = given
  await sql.insertPayment(
    ctx.db,
    { ...given, id, provider: 'manual', mode: 'manual', status: 'succeeded' },
    ctx.now,
  )
  const fact = factOf(events.PaymentSucceeded, { paymentId: id, amount, currency })
  return { paymentId: id, fact: { ...fact, resourceId: id } }
}

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
  if (isFinal(payment.status)) return unchanged
  const mismatch = mismatchOf(payment, seen, livemode)
  if (mismatch !== null) {
    const facts = await flagPayment(ctx, payment, mismatch)
    return { changed: facts.length > 0, facts }
  }
  const change = {
    status: seen.status,
    amount: seen.status === 'canceled' ? payment.amount : seen.amount,
    providerRef: seen.ref,
    intentRef: seen.intentRef,
    clientSecret: seen.clientSecret,
    url: seen.url,
    failure: seen.status === 'failed' || seen.status === 'canceled' ? seen.failure : null,
    flag: payment.flag,
  }
  const amountMoved = change.amount !== payment.amount
  if (!amountMoved && isSameState(payment, change)) {
    await sql.touchPayment(ctx.db, payment, ctx.now)
    return unchanged
  }
  await sql.setPayment(ctx.db, payment, change, ctx.now)
  const moved = { paymentId: payment.id, amount: change.amount, currency: payment.currency }
  const facts = [
    ...(amountMoved ? [factOf(events.PaymentAmountChanged, moved)] : []),
    ...(payment.status === change.status && payment.failure?.code === change.failure?.code
      ? []
      : factsOfStatus(change.status, { moved, failure: change.failure })),
  ]
  return { changed: true, facts }
}

/** An attempt that the provider never heard of: it can be ended without asking. */
export async function abandonAttempt(ctx: TxContext, payment: PaymentRow): Promise<Fact> {
  await sql.setPayment(ctx.db, payment, { ...payment, status: 'canceled' }, ctx.now)
  const { id, amount, currency } = payment
  return factOf(events.PaymentCanceled, { paymentId: id, amount, currency })
}

/** Marks the payment for a person to look at; the same reason is told once. */
export async function flagPayment(
  ctx: TxContext,
  payment: PaymentRow,
  reason: string,
): Promise<Fact[]> {
  if (payment.flag === reason) {
    await sql.touchPayment(ctx.db, payment, ctx.now)
    return []
  }
  await sql.setPayment(ctx.db, payment, { ...payment, flag: reason }, ctx.now)
  return [factOf(events.PaymentFlagged, { paymentId: payment.id, reason })]
}

/** Reserves money to give back; the provider is told after the commit. */
export async function reserveRefund(
  ctx: TxContext,
  payment: PaymentRow,
  { amount, reason }: { amount: number; reason: string },
): Promise<{ refund: RefundRow; facts: Fact[] }> {
  const isManual = payment.provider === 'manual'
  const refund = await sql.insertRefund(
    ctx.db,
    {
      orderId: payment.orderId,
      id: newId('ref', ctx.now),
      paymentId: payment.id,
      // Money that was taken by hand is given back by hand: the refund is only recorded.
      status: isManual ? 'succeeded' : 'pending',
      amount,
      currency: payment.currency,
      reason,
      providerRef: null,
    },
    ctx.now,
  )
  const requested = {
    ...factOf(events.RefundRequested, movedRefund(refund, 'pending')),
    resourceId: refund.id,
  }
  const facts = isManual
    ? [requested, factOf(events.RefundMovedOn, movedRefund(refund, 'succeeded'))]
    : [requested]
  return { refund, facts }
}

/** Reserves all that is still refundable of every payment of the order. */
export async function reserveFullRefund(
  ctx: TxContext,
  orderId: string,
  reason: string,
): Promise<Fact[]> {
  const ledger = await getLedger(ctx.db, orderId)
  const facts: Fact[] = []
  for (const payment of ledger.payments) {
    const amount = refundableOf(payment, ledger)
    if (amount > 0) facts.push(...(await reserveRefund(ctx, payment, { amount, reason })).facts)
  }
  return facts
}

/** What may still be given back of one payment, in minor units. */
export function refundableOf(payment: PaymentRow, { refunds }: Ledger): number {
  if (payment.status !== 'succeeded') return 0
  return refundableAmount(
    payment.amount,
    refunds.filter((refund) => refund.paymentId === payment.id),
  )
}

/** Brings our refund to what the provider says, under its lock. */
export async function applyRefundObservation(
  ctx: TxContext,
  refund: RefundRow,
  seen: ObservedRefund,
): Promise<Fact[]> {
  if (refund.status === seen.status && refund.providerRef === seen.ref) {
    await sql.setRefund(ctx.db, refund, { status: seen.status, providerRef: seen.ref }, ctx.now)
    return []
  }
  await sql.setRefund(ctx.db, refund, { status: seen.status, providerRef: seen.ref }, ctx.now)
  if (refund.status === seen.status) return []
  return [factOf(events.RefundMovedOn, movedRefund(refund, seen.status))]
}

/** A refund made in the provider's dashboard: it is in our books from now on. */
export async function adoptRefund(
  ctx: TxContext,
  payment: PaymentRow,
  seen: ObservedRefund,
): Promise<Fact[]> {
  const refund = await sql.insertRefund(
    ctx.db,
    {
      orderId: payment.orderId,
      id: newId('ref', ctx.now),
      paymentId: payment.id,
      status: seen.status,
      amount: seen.amount,
      currency: seen.currency,
      reason: 'made at the payment provider',
      providerRef: seen.ref,
    },
    ctx.now,
  )
  return [factOf(events.RefundMovedOn, movedRefund(refund, seen.status))]
}

/** A dispute as the provider tells it; the same news twice is none. */
export async function adoptDispute(
  ctx: TxContext,
  payment: PaymentRow,
  seen: ObservedDispute,
): Promise<Fact[]> {
  const known = (await sql.listDisputes(ctx.db, payment.orderId)).find(
    (dispute) => dispute.providerRef === seen.ref,
  )
  if (known?.status === seen.status && known.amount === seen.amount) return []
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

/** A payment as everybody who may see its order sees it. */
export function renderPayment(row: PaymentRow, { disputes }: Pick<Ledger, 'disputes'>): Payment {
  const dispute = disputes.findLast((one) => one.paymentId === row.id)
  return {
    id: row.id,
    provider: row.provider,
    status: row.status,
    amount: money(row.amount, row.currency),
    providerRef: row.providerRef,
    url: isFinal(row.status) ? null : row.url,
    failure: row.failure,
    dispute: dispute
      ? {
          id: dispute.id,
          status: dispute.status,
          amount: money(dispute.amount, dispute.currency),
          reason: dispute.reason,
          dueBy: toInstantOrNull(dispute.dueBy),
        }
      : null,
    createdAt: toInstant(row.createdAt),
  }
}

/** A payment with what only its payer may have. */
export function renderForPayer(row: PaymentRow, ledger: Pick<Ledger, 'disputes'>): PayerPayment {
  const clientSecret = isFinal(row.status) ? null : row.clientSecret
  return { ...renderPayment(row, ledger), clientSecret }
}

export function renderRefund(row: RefundRow): Refund {
  return {
    id: row.id,
    paymentId: row.paymentId,
    amount: money(row.amount, row.currency),
    status: row.status,
    reason: row.reason,
    createdAt: toInstant(row.createdAt),
  }
}

/** The key of the next call for this payment: the same until the last one was answered. */
export function providerKey(
  payment: Pick<PaymentRow, 'id' | 'attempt'>,
  operation: string,
): string {
  return `${payment.id}:${operation}:${payment.attempt}`
}

export async function findLivePayment(
  ctx: Context,
  orderId: string,
): Promise<PaymentRow | undefined> {
  return await sql.findLivePayment(ctx.db, orderId)
}

function isSameState(payment: PaymentRow, change: sql.PaymentChange): boolean {
  return (
    payment.status === change.status &&
    payment.providerRef === change.providerRef &&
    payment.intentRef === change.intentRef &&
    payment.clientSecret === change.clientSecret &&
    payment.url === change.url &&
    payment.nextAmount === null &&
    payment.failure?.code === change.failure?.code &&
    payment.failure?.declineCode === change.failure?.declineCode
  )
}

function factsOfStatus(
  status: PaymentStatus,
  { moved, failure }: { moved: MovedData; failure: PaymentRow['failure'] },
): Fact[] {
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

interface MovedData {
  readonly paymentId: string
  readonly amount: number
  readonly currency: string
}

function movedRefund(refund: RefundRow, status: RefundRow['status']) {
  const { id, paymentId, amount, currency } = refund
  return { refundId: id, paymentId, status, amount, currency }
}
