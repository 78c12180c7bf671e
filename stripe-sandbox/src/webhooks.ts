import { resourceMissing } from './errors.ts'
import { newDelivery } from './events.ts'
import type { Fault, FaultTable } from './faults.ts'
import type { Delivery, DeliveryAttempt } from './records.ts'
import type { Store } from './store.ts'
import { createWebhookSender, signPayload, type SendResult } from './webhook-sender.ts'

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
  isPaused(): boolean
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
  readonly faults: FaultTable
  readonly now: () => Date
  readonly store: Store
  readonly warn: (message: string) => void
}

/** Delivers events to the webhook: at least once, some at a time, again and again for three days. */
export function createWebhooks(parts: Parts, first?: WebhookTarget): Webhooks {
  const { now, store } = parts
  const sender = createWebhookSender(MAX_CONCURRENT)
  /** Ids that may be sent now, and when the others may. */
  const due: string[] = []
  const waiting = new Map<string, number>()
  const held: string[] = []
  const sending = new Set<Promise<void>>()
  let target = first
  let paused = false
  let closed = false

  /** Faults of the moment decide on what way a new delivery goes. */
  function admit(delivery: Delivery): void {
    const faults = parts.faults.take(`webhook:${delivery.type}`)
    const struck = (effect: Fault['effect']) => faults.find((fault) => fault.effect === effect)
    const delay = struck('delay')
    if (struck('drop') !== undefined) change(delivery.id, { state: 'dropped' })
    else if (struck('reorder') !== undefined) {
      held.push(delivery.id)
      waiting.set(delivery.id, delivery.nextAttemptAtMs + HOLD_MS)
    } else if (delay !== undefined) {
      waiting.set(delivery.id, delivery.nextAttemptAtMs + (delay.delayMs ?? 1000))
    } else due.push(delivery.id)
    if (struck('duplicate') !== undefined) due.push(delivery.id)
  }

  function advance(): void {
    const atMs = now().getTime()
    for (const [id, sendAtMs] of waiting) {
      if (sendAtMs > atMs) continue
      waiting.delete(id)
      due.push(id)
    }
    while (!paused && !closed && target !== undefined && sending.size < MAX_CONCURRENT) {
      const id = due.shift()
      if (id === undefined) return
      const attempt = deliver(id, target).finally(() => {
        sending.delete(attempt)
        advance()
      })
      sending.add(attempt)
    }
  }

  async function deliver(id: string, to: WebhookTarget): Promise<void> {
    const event = store.find('event', id)
    const delivery = store.find('delivery', id)
    if (event === undefined || delivery === undefined) return
    const start = now()
    // Stripe sends its events with indentation; whoever re-serialises them breaks the signature.
    const body = JSON.stringify({ ...event, pending_webhooks: 1 }, undefined, 2)
    const result = await sender.send(to.url, body, signPayload(body, to.secrets, start))
    if (closed) return
    settle(id, start, result)
    for (const next of held.splice(0)) {
      if (waiting.delete(next)) due.push(next)
    }
  }

  function settle(id: string, start: Date, result: SendResult): void {
    const delivery = store.find('delivery', id)
    if (delivery === undefined) return
    const attempt: DeliveryAttempt = {
      atMs: start.getTime(),
      durationMs: now().getTime() - start.getTime(),
      ...result,
    }
    const after = afterAttempt(delivery, attempt)
    change(id, after)
    if (after.state === 'pending') waiting.set(id, after.nextAttemptAtMs)
  }

  /** A disk that is full for the moment must not end the process: the attempt is made again. */
  function change(id: string, changes: Partial<Delivery>): void {
    const delivery = store.find('delivery', id)
    if (delivery === undefined) return
    try {
      store.transact(() => store.put('delivery', { ...delivery, ...changes }))
    } catch (error) {
      parts.warn(`A webhook delivery could not be written down: ${String(error)}`)
      waiting.set(id, now().getTime() + HOLD_MS)
    }
  }

  store.onCommit('event', (ids) => {
    // The reply to whoever caused the event goes out first.
    setImmediate(() => {
      for (const id of ids) {
        const delivery = store.find('delivery', id)
        if (delivery !== undefined) admit(delivery)
      }
      advance()
    })
  })
  for (const delivery of store.values('delivery')) {
    if (delivery.state === 'pending') waiting.set(delivery.id, delivery.nextAttemptAtMs)
  }

  return {
    setTarget: (next) => void (target = next),
    pause: () => void (paused = true),
    resume() {
      paused = false
      advance()
    },
    resend(eventId) {
      const event = store.find('event', eventId)
      if (event === undefined) throw resourceMissing('event', eventId, 'id')
      const before = store.find('delivery', eventId)
      if (before === undefined)
        store.transact(() => store.put('delivery', newDelivery(event, now())))
      else change(eventId, { state: 'pending', attempts: 0, createdMs: now().getTime() })
      waiting.delete(eventId)
      due.push(eventId)
      advance()
    },
    isPaused: () => paused,
    hasTarget: () => target !== undefined,
    advance,
    pendingCount: () => due.length + waiting.size + sending.size,
    async close() {
      closed = true
      sender.close()
      await Promise.allSettled(sending)
    },
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
