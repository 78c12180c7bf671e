import { dayMs, later, minuteMs } from '../../../kernel/time.ts'
import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { ProviderError } from '../../../platform/stripe.ts'
import { ProviderEventRefused } from '../events.ts'
import { invalidSignature, paymentsNotConfigured } from '../schema.ts'
import * as sql from '../sql/provider-events.ts'
import type { ProviderEventRow } from '../sql/provider-events.ts'
import { settleDispute, settleObject, settleRefundsOf } from './settle-object.ts'

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
  await sql.insertProviderEvent(ctx.db, event, { job: handleEventJob, now: ctx.now })
}

/** Stripe delivers what it could not for three days; what is older is found in the ledgers. */
const lookBackMs = 10 * minuteMs
const maxPages = 50

/**
 * Takes in what no webhook has brought: the events of the last minutes are listed, and those that
 * we do not have are stored as if they had come. So news is at most a minute late, however old the
 * payment is that it tells of.
 */
export async function fetchEvents(ctx: AppContext): Promise<void> {
  if (!ctx.stripe.enabled) return
  try {
    let after: string | null = null
    for (let page = 1; page <= maxPages; page += 1) {
      after = await fetchPage(ctx, after)
      if (after === null) return
    }
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    ctx.log.warn({ err: error }, 'events of the provider not listed; the next run looks again')
  }
}

async function fetchPage(ctx: AppContext, after: string | null): Promise<string | null> {
  const from = later(ctx.now, -lookBackMs)
  const { events, next } = await ctx.stripe.listEvents({ from, types: [...handledTypes], after })
  const known = await sql.listKnownEvents(
    ctx.db,
    events.map(({ id }) => id),
  )
  const ids = new Set(known.map(({ id }) => id))
  for (const event of events.filter(({ id }) => !ids.has(id))) {
    await sql.insertProviderEvent(ctx.db, event, { job: handleEventJob, now: ctx.now })
  }
  return next
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
      return toOutcome(await settleObject(ctx, event.objectId))
    case 'refund': {
      const { intentRef } = await ctx.stripe.retrieveRefund(event.objectId)
      return toOutcome(await settleRefundsOf(ctx, intentRef))
    }
    case 'dispute':
      return toOutcome(await settleDispute(ctx, event.objectId))
    default: {
      const intentRef = await ctx.stripe.findIntentOfCharge(event.objectId)
      return toOutcome(await settleRefundsOf(ctx, intentRef))
    }
  }
}

function toOutcome(isOurs: boolean): EventOutcome {
  return isOurs ? 'settled' : 'refused'
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
