import { invalidRequest, resourceMissing } from './errors.ts'
import { newDelivery } from './events.ts'
import type { Fault, TakeFaults } from './faults.ts'
import type { Delivery, DeliveryAttempt } from './records.ts'
import type { Store } from './store.ts'
import { createWebhookSender, signPayload, type WebhookSender } from './webhook-sender.ts'

const MAX_CONCURRENT = 8
const MAX_ATTEMPTS = 16
const MAX_AGE_MS = 3 * 24 * 60 * 60 * 1000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 60 * 60 * 1000
/** An event held back by a `reorder` fault goes out after this time even when no other follows. */
const HOLD_MS = 1000
const LOGGED_ATTEMPTS = 10

export interface WebhookTarget {
  url: string
  /** All of them sign; more than one while a secret is being replaced. */
  secrets: readonly string[]
}

export interface Webhooks {
  setTarget(target: WebhookTarget): void
  pause(): void
  resume(): void
  hasTarget(): boolean
  /** Sends an event again, whatever became of it before. */
  resend(eventId: string): void
  /** Starts what is due; called by the clock. */
  advance(): void
  /** Deliveries that are still to come, and those being sent. */
  pendingCount(): number
  close(): Promise<void>
}

interface Parts {
  readonly now: () => Date
  readonly store: Store
  readonly takeFaults: TakeFaults
  readonly warn: (message: string) => void
}

/**
 * Delivers events to the webhook: at least once, some at a time, again and again for three days.
 */
export function createWebhooks(parts: Parts, target?: WebhookTarget): Webhooks {
  const courier: Courier = {
    ...parts,
    sender: createWebhookSender(MAX_CONCURRENT),
    due: [],
    waiting: new Map(),
    held: [],
    sending: new Set(),
    target,
    state: 'running',
  }
  for (const delivery of parts.store.values('delivery')) {
    if (delivery.state === 'pending') courier.waiting.set(delivery.id, delivery.nextAttemptAtMs)
  }
  parts.store.onCommit('event', (ids) => {
    // The reply to whoever caused the event goes out first.
    setImmediate(() => {
      for (const id of ids) admit(courier, id)
      dispatch(courier)
    })
  })
  return {
    setTarget: (next) => void (courier.target = next),
    pause: () => void (courier.state = 'paused'),
    resume() {
      courier.state = 'running'
      dispatch(courier)
    },
    hasTarget: () => courier.target !== undefined,
    resend: (eventId) => resend(courier, eventId),
    advance: () => wake(courier),
    pendingCount: () => courier.due.length + courier.waiting.size + courier.sending.size,
    async close() {
      courier.state = 'closed'
      courier.sender.close()
      await Promise.allSettled(courier.sending)
    },
  }
}

/** The deliveries on their way; what must outlive the process is in the store. */
interface Courier extends Parts {
  readonly sender: WebhookSender
  /** Ids of the deliveries that may be sent now, in order. */
  readonly due: string[]
  /** When the others may be sent. */
  readonly waiting: Map<string, number>
  /** Those that wait for another to overtake them. */
  readonly held: string[]
  readonly sending: Set<Promise<void>>
  target: WebhookTarget | undefined
  state: 'closed' | 'paused' | 'running'
}

/** Faults of the moment decide on what way a new delivery goes. */
function admit(courier: Courier, id: string): void {
  const { due, held, now, store, waiting } = courier
  const delivery = store.find('delivery', id)
  if (delivery === undefined) return
  const faults = courier.takeFaults(`webhook:${delivery.type}`)
  const struck = (effect: Fault['effect']) => faults.find((fault) => fault.effect === effect)
  if (struck('drop') !== undefined) return change(courier, id, { state: 'dropped' })
  const delay = struck('delay')
  if (struck('reorder') !== undefined) {
    held.push(id)
    waiting.set(id, now().getTime() + HOLD_MS)
  } else if (delay !== undefined) {
    waiting.set(id, now().getTime() + (delay.delayMs ?? HOLD_MS))
  } else {
    due.push(id)
  }
  if (struck('duplicate') !== undefined) due.push(id)
}

/** Looks through what waits; the clock does so, since it may be much. */
function wake(courier: Courier): void {
  const { due, waiting } = courier
  const atMs = courier.now().getTime()
  for (const [id, sendAtMs] of waiting) {
    if (sendAtMs > atMs) continue
    waiting.delete(id)
    due.push(id)
  }
  dispatch(courier)
}

function dispatch(courier: Courier): void {
  const { due, sending } = courier
  if (courier.state !== 'running' || courier.target === undefined) return
  const free = MAX_CONCURRENT - sending.size
  for (const id of due.splice(0, free)) {
    const attempt = deliver(courier, id, courier.target).finally(() => {
      sending.delete(attempt)
      dispatch(courier)
    })
    sending.add(attempt)
  }
}

async function deliver(courier: Courier, id: string, target: WebhookTarget): Promise<void> {
  const { held, now, sender, store, waiting } = courier
  const event = store.find('event', id)
  if (event === undefined) return
  const start = now()
  // Stripe sends its events with indentation; whoever re-serialises them breaks the signature.
  const body = JSON.stringify({ ...event, pending_webhooks: 1 }, undefined, 2)
  const result = await sender.send(target.url, body, signPayload(body, target.secrets, start))
  if (courier.state === 'closed') return
  settle(courier, id, {
    atMs: start.getTime(),
    durationMs: now().getTime() - start.getTime(),
    ...result,
  })
  for (const next of held.splice(0)) {
    if (waiting.delete(next)) courier.due.push(next)
  }
}

function settle(courier: Courier, id: string, attempt: DeliveryAttempt): void {
  const delivery = courier.store.find('delivery', id)
  if (delivery === undefined) return
  const after = afterAttempt(delivery, attempt)
  change(courier, id, after)
  if (after.state === 'pending') courier.waiting.set(id, after.nextAttemptAtMs)
}

function resend(courier: Courier, eventId: string): void {
  const { due, now, store, waiting } = courier
  const event = store.find('event', eventId)
  if (event === undefined) throw resourceMissing('event', eventId, 'id')
  if (courier.target === undefined) throw invalidRequest('There is no webhook to send it to.')
  store.transact(() => store.put('delivery', newDelivery(event, now())))
  waiting.delete(eventId)
  due.push(eventId)
  dispatch(courier)
}

/** A disk that is full for the moment must not end the process: the attempt is made again. */
function change(courier: Courier, id: string, changes: Partial<Delivery>): void {
  const { now, store, waiting, warn } = courier
  const delivery = store.find('delivery', id)
  if (delivery === undefined) return
  try {
    store.transact(() => store.put('delivery', { ...delivery, ...changes }))
  } catch (error) {
    warn(`A webhook delivery could not be written down: ${String(error)}`)
    waiting.set(id, now().getTime() + HOLD_MS)
  }
}

function afterAttempt(delivery: Delivery, attempt: DeliveryAttempt): Delivery {
  const attempts = delivery.attempts + 1
  const log = [...delivery.log, attempt].slice(-LOGGED_ATTEMPTS)
  const tried = { ...delivery, attempts, log }
  const taken = attempt.status !== null && attempt.status >= 200 && attempt.status < 300
  // A duplicate may fail after its twin was taken: that changes nothing.
  if (taken || delivery.state === 'delivered') return { ...tried, state: 'delivered' }
  const tooOld = attempt.atMs - delivery.createdMs >= MAX_AGE_MS
  if (attempts >= MAX_ATTEMPTS || tooOld) return { ...tried, state: 'failed' }
  return { ...tried, nextAttemptAtMs: attempt.atMs + retryDelayMs(attempts) }
}

/** Half a second after the first attempt, then twice as long each time, an hour at most. */
function retryDelayMs(attempts: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LAST_RETRY_MS)
}
