import { API_VERSION, secondsOf, type Context } from './context.ts'
import { newId } from './ids.ts'
import type { Delivery } from './records.ts'
import type { SandboxEvent } from './resources.ts'

export type EventType =
  | 'charge.captured'
  | 'charge.dispute.closed'
  | 'charge.dispute.created'
  | 'charge.dispute.funds_reinstated'
  | 'charge.dispute.funds_withdrawn'
  | 'charge.dispute.updated'
  | 'charge.failed'
  | 'charge.pending'
  | 'charge.refund.updated'
  | 'charge.refunded'
  | 'charge.succeeded'
  | 'charge.updated'
  | 'checkout.session.async_payment_failed'
  | 'checkout.session.async_payment_succeeded'
  | 'checkout.session.completed'
  | 'checkout.session.expired'
  | 'customer.created'
  | 'customer.deleted'
  | 'customer.updated'
  | 'payment_intent.amount_capturable_updated'
  | 'payment_intent.canceled'
  | 'payment_intent.created'
  | 'payment_intent.payment_failed'
  | 'payment_intent.processing'
  | 'payment_intent.requires_action'
  | 'payment_intent.succeeded'
  | 'refund.created'
  | 'refund.failed'
  | 'refund.updated'

/**
 * Records an event with the object as it is now, and that the webhook must hear of it; it does
 * after the commit.
 */
export function emit(context: Context, type: EventType, object: object, previous?: object): void {
  const event: SandboxEvent = {
    object: 'event',
    id: newId('evt_'),
    api_version: API_VERSION,
    created: secondsOf(context.now),
    data: { object, ...(previous === undefined ? {} : { previous_attributes: previous }) },
    livemode: false,
    pending_webhooks: 0,
    request: { id: context.request.id, idempotency_key: context.request.idempotencyKey },
    type,
  }
  context.store.put('event', event)
  if (context.settings.hasWebhook()) context.store.put('delivery', newDelivery(event, context.now))
}

export function newDelivery(event: SandboxEvent, now: Date): Delivery {
  const createdMs = now.getTime()
  return {
    id: event.id,
    type: event.type,
    state: 'pending',
    createdMs,
    nextAttemptAtMs: createdMs,
    attempts: 0,
    log: [],
  }
}

/** The event as the API answers it: with the number of webhooks that have not taken it yet. */
export function presentEvent(context: Context, event: SandboxEvent): SandboxEvent {
  const pending = context.store.find('delivery', event.id)?.state === 'pending'
  return { ...event, pending_webhooks: pending ? 1 : 0 }
}
