import { createHash } from 'node:crypto'
import type { Fault } from './faults.ts'
import type { Form } from './form.ts'
import {
  integerBetween,
  probability,
  readParameters,
  record,
  required,
  type Values,
} from './parameters.ts'

const MAX_SEED = 2 ** 32 - 1

/**
 * Chaos is faults by chance. Each chance is a probability from 0 to 1 of its own, none unless told.
 *
 * | of requests | what happens                                                                  |
 * |-------------|-------------------------------------------------------------------------------|
 * | fail        | a 5xx, before or after the operation ran, kept under its key or not           |
 * | cut         | the connection is cut, before or after the operation ran                      |
 * | limit       | a 429, and nothing else                                                       |
 * | slow        | the operation or its answer comes later, by `maxDelayMs` at most              |
 *
 * | of webhooks | what happens                                                                  |
 * |-------------|-------------------------------------------------------------------------------|
 * | drop        | the event is never sent                                                       |
 * | duplicate   | the event is sent twice                                                       |
 * | reorder     | the event is held back until the one after it was sent                        |
 * | delay       | the event is sent later, by `maxDelayMs` at most                              |
 */
const chaosParameters = {
  /** With it the n-th request of an operation, and the n-th webhook of a type, always fare alike. */
  seed: required(integerBetween(0, MAX_SEED)),
  requests: record({
    fail: probability,
    cut: probability,
    limit: probability,
    slow: probability,
    maxDelayMs: integerBetween(1, 600_000),
  }),
  webhooks: record({
    drop: probability,
    duplicate: probability,
    reorder: probability,
    delay: probability,
    maxDelayMs: integerBetween(1, 600_000),
  }),
}

export type Chaos = Values<typeof chaosParameters>

type Effects = Partial<Record<Fault['effect'], number>>

export interface ChaosReport {
  chaos: Chaos
  /** How often each effect has struck since the chaos was set. */
  struck: { requests: Effects; webhooks: Effects }
}

export interface ChaosTable {
  /** Replaces the chaos, and counts from the first again; a seed alone ends it. */
  set(chaos: Chaos): void
  report(): ChaosReport
  /** The faults that chance has for this request or webhook. */
  take(operation: string): Fault[]
}

/** Reads chaos as the control API gets it, already in the form of text. */
export function readChaos(form: Form): Chaos {
  return readParameters(chaosParameters, form)
}

export function createChaosTable(): ChaosTable {
  let chaos: Chaos = { seed: 0 }
  let struck: ChaosReport['struck'] = { requests: {}, webhooks: {} }
  const counts = new Map<string, number>()
  return {
    set(next) {
      chaos = next
      struck = { requests: {}, webhooks: {} }
      counts.clear()
    },
    report: () => structuredClone({ chaos, struck }),
    take(operation) {
      const subject = operation.startsWith('webhook:') ? 'webhooks' : 'requests'
      if (chaos[subject] === undefined) return []
      const nth = (counts.get(operation) ?? 0) + 1
      counts.set(operation, nth)
      const rolls = roll(`${chaos.seed} ${operation} ${nth}`)
      const faults =
        subject === 'webhooks'
          ? faultsOfWebhook(operation, chaos.webhooks ?? {}, rolls)
          : faultsOfRequest(operation, chaos.requests ?? {}, rolls)
      for (const { effect } of faults) {
        struck[subject][effect] = (struck[subject][effect] ?? 0) + 1
      }
      return faults
    },
  }
}

const DEFAULT_DELAY_MS = 1000

/**
 * How a request fails, each as likely as the others: as Stripe itself does, which keeps a 500 under
 * the key, or as something between the two does, of which Stripe knows nothing.
 */
const FAILURES = [
  { effect: 'answer', when: 'before', status: 500, kept: true },
  { effect: 'answer', when: 'before', status: 503, kept: false },
  { effect: 'answer', when: 'after', status: 500, kept: true },
  { effect: 'answer', when: 'after', status: 502, kept: false },
] as const satisfies Omit<Fault, 'operation'>[]

function faultsOfRequest(
  operation: string,
  { fail = 0, cut = 0, limit = 0, slow = 0, maxDelayMs }: NonNullable<Chaos['requests']>,
  rolls: Rolls,
): Fault[] {
  const faults: Fault[] = []
  const when = rolls.next() < 0.5 ? 'before' : 'after'
  const delayMs = spread(rolls.next(), maxDelayMs)
  if (rolls.next() < slow) faults.push({ operation, effect: 'delay', when, delayMs })
  const failure = FAILURES[Math.floor(rolls.next() * FAILURES.length)]
  if (rolls.next() < fail && failure !== undefined) return [...faults, { operation, ...failure }]
  if (rolls.next() < cut) return [...faults, { operation, effect: 'cut', when }]
  if (rolls.next() < limit) faults.push({ operation, effect: 'answer', status: 429 })
  return faults
}

function faultsOfWebhook(
  operation: string,
  { drop = 0, duplicate = 0, reorder = 0, delay = 0, maxDelayMs }: NonNullable<Chaos['webhooks']>,
  rolls: Rolls,
): Fault[] {
  const delayMs = spread(rolls.next(), maxDelayMs)
  if (rolls.next() < drop) return [{ operation, effect: 'drop' }]
  const faults: Fault[] = []
  if (rolls.next() < duplicate) faults.push({ operation, effect: 'duplicate' })
  if (rolls.next() < reorder) return [...faults, { operation, effect: 'reorder' }]
  if (rolls.next() < delay) faults.push({ operation, effect: 'delay', delayMs })
  return faults
}

function spread(part: number, maxDelayMs = DEFAULT_DELAY_MS): number {
  return 1 + Math.floor(part * maxDelayMs)
}

interface Rolls {
  /** A number in [0, 1). */
  next(): number
}

/** Up to eight numbers that depend on nothing but the text, whatever was asked before. */
function roll(text: string): Rolls {
  const bytes = createHash('sha256').update(text).digest()
  let position = 0
  return {
    next() {
      position += 4
      return bytes.readUInt32BE(position - 4) / 2 ** 32
    },
  }
}
