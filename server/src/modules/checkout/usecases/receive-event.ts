import { dayMs, later } from '../../../kernel/time.ts'
import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { ProviderError, type ObservedRefund } from '../../../platform/stripe.ts'
import { lockOrder, writeLedger } from '../../orders/index.ts'
import {
  adoptDispute,
  adoptRefund,
  applyRefundObservation,
  findPayment,
  getLedger,
  type PaymentRow,
} from '../../payments/index.ts'
import { ProviderEventRefused } from '../events.ts'
import { invalidSignature, paymentsNotConfigured } from '../schema.ts'
import * as sql from '../sql.ts'
import type { ProviderEventRow } from '../sql.ts'
import { observe } from './call-provider.ts'
import { settlePayment } from './settle-payment.ts'

export const handleEventJob = 'handle-provider-event'

/** Stores a signed event before it is acknowledged; what it means is worked out by a job. */
export async function receiveEvent(
  ctx: AppContext,
  { rawBody, signature }: { rawBody: Buffer | undefined; signature: string | undefined },
): Promise<void> {
  if (!ctx.stripe.enabled) throw paymentsNotConfigured()
  if (rawBody === undefined || signature === undefined) throw invalidSignature()
  const event = await ctx.stripe
    .readEvent({ rawBody, signature }, ctx.now)
    .catch((error: unknown) => {
      throw invalidSignature({ cause: error })
    })
  const { id, type, objectKind, objectId, account, livemode } = event
  await sql.insertProviderEvent(
    ctx.db,
    { id, type, objectKind, objectId, account, livemode },
    { job: handleEventJob, now: ctx.now },
  )
}

/**
 * Works out what an event means. Its payload is only a hint: the object is asked for by its id, and
 * what the provider then says goes the one way that all news of money goes.
 */
export async function handleEvent(ctx: AppContext, eventId: string): Promise<void> {
  const event = await sql.findProviderEvent(ctx.db, eventId)
  if (!event || event.processedAt) return
  const outcome = await act(ctx, event).catch((error: unknown) => {
    // The provider does not know the object: asking again will not help.
    if (error instanceof ProviderError && error.code === 'resource_missing') return 'refused'
    throw error
  })
  await inTx(ctx, async (ctx) => {
    if (outcome === 'refused') await refuse(ctx, event)
    await sql.setProcessed(ctx.db, event.id, outcome, ctx.now)
  })
}

type EventOutcome = 'settled' | 'ignored' | 'refused'

const handledTypes = new Set([
  'payment_intent.succeeded',
  'payment_intent.processing',
  'payment_intent.requires_action',
  'payment_intent.payment_failed',
  'payment_intent.canceled',
  'checkout.session.completed',
  'checkout.session.async_payment_succeeded',
  'checkout.session.async_payment_failed',
  'checkout.session.expired',
  'refund.created',
  'refund.updated',
  'refund.failed',
  'charge.refunded',
  'charge.dispute.created',
  'charge.dispute.updated',
  'charge.dispute.closed',
  'charge.dispute.funds_withdrawn',
  'charge.dispute.funds_reinstated',
])

async function act(ctx: AppContext, event: ProviderEventRow): Promise<EventOutcome> {
  if (!handledTypes.has(event.type)) return 'ignored'
  // Of another account, or test money beside live: it is not ours, whatever it says.
  if (event.account !== null || event.livemode !== ctx.stripe.livemode) return 'refused'
  switch (event.objectKind) {
    case 'payment_intent':
    case 'checkout.session':
      return (await settleObject(ctx, event.objectId)) ? 'settled' : 'refused'
    case 'refund': {
      const { intentRef } = await ctx.stripe.retrieveRefund(event.objectId)
      return await settleRefundsOf(ctx, intentRef)
    }
    case 'dispute':
      return await settleDispute(ctx, event.objectId)
    default:
      return await settleRefundsOf(ctx, await ctx.stripe.findIntentOfCharge(event.objectId))
  }
}

/** The attempt that an object belongs to, settled; false for one that is not ours. */
async function settleObject(ctx: AppContext, ref: string): Promise<boolean> {
  const seen = await ctx.stripe.retrievePayment(ref)
  const payment = await findOwn(ctx, seen)
  if (!payment) return false
  if (payment.mode === 'hosted' && ref.startsWith('pi_')) await observeSession(ctx, payment)
  else await settlePayment(ctx, payment, { seen })
  return true
}

/** The row of a hosted attempt names its session: the news of its intent is read through that. */
async function observeSession(ctx: AppContext, payment: PaymentRow): Promise<void> {
  // The event has overtaken the answer to the session's creation: its job comes again.
  if (payment.providerRef === null) throw new Error(`${payment.id} does not know its session yet`)
  await observe(ctx, payment)
}

async function findOwn(
  ctx: AppContext,
  { orderId, paymentId }: { orderId: string | null; paymentId: string | null },
): Promise<PaymentRow | undefined> {
  if (orderId === null || paymentId === null) return undefined
  return await findPayment(ctx.db, orderId, paymentId)
}

/** Charges and refunds: all refunds of the intent are compared, so that none is missed. */
async function settleRefundsOf(ctx: AppContext, intentRef: string | null): Promise<EventOutcome> {
  const payment = await settleFirst(ctx, intentRef)
  if (!payment || intentRef === null) return 'refused'
  const refunds = await ctx.stripe.listRefunds(intentRef)
  for (const seen of refunds) await settleOneRefund(ctx, payment, seen)
  return 'settled'
}

async function settleOneRefund(
  ctx: AppContext,
  payment: PaymentRow,
  seen: ObservedRefund,
): Promise<void> {
  await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, payment.orderId)
    if (!order) return
    const { refunds } = await getLedger(ctx.db, payment.orderId)
    const known = refunds.find((one) => one.providerRef === seen.ref || one.id === seen.refundId)
    const facts = known
      ? await applyRefundObservation(ctx, known, seen)
      : await adoptRefund(ctx, payment, seen)
    if (facts.length > 0) await writeLedger(ctx, order, facts)
  })
}

async function settleDispute(ctx: AppContext, disputeRef: string): Promise<EventOutcome> {
  const seen = await ctx.stripe.retrieveDispute(disputeRef)
  const payment = await settleFirst(ctx, seen.intentRef)
  if (!payment) return 'refused'
  await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, payment.orderId)
    if (!order) return
    const facts = await adoptDispute(ctx, payment, seen)
    if (facts.length > 0) await writeLedger(ctx, order, facts)
  })
  return 'settled'
}

/** Money goes back only after it came: the payment itself is brought up to date before. */
async function settleFirst(
  ctx: AppContext,
  intentRef: string | null,
): Promise<PaymentRow | undefined> {
  if (intentRef === null || !(await settleObject(ctx, intentRef))) return undefined
  const payment = await findOwn(ctx, await ctx.stripe.retrievePayment(intentRef))
  // What our books did not take in cannot go out of them.
  return payment?.status === 'succeeded' ? payment : undefined
}

/** Acknowledged, without effect, and shown in the audit trail. */
async function refuse(ctx: TxContext, event: ProviderEventRow): Promise<void> {
  const data = { type: event.type, objectId: event.objectId, livemode: event.livemode }
  await emit(ctx, ProviderEventRefused({ rootId: event.id, rootVersion: 1, data }))
}

/** Kept for 30 days, long after the provider has stopped repeating an event. */
const keptForMs = 30 * dayMs

/** A job: old events go, a bounded number at a time. */
export async function pruneEvents(ctx: AppContext): Promise<void> {
  await sql.deleteOldEvents(ctx.db, later(ctx.now, -keptForMs), 5000)
}
