import {
  integerBetween,
  listOf,
  oneOf,
  flag,
  readParameters,
  record,
  required,
  text,
  type Values,
} from './parameters.ts'
import type { Form } from './form.ts'

/**
 * A fault strikes the requests of an operation, or the webhooks of an event type.
 *
 * | effect    | strikes  | what happens                                                         |
 * |-----------|----------|----------------------------------------------------------------------|
 * | answer    | requests | the answer is this status; `kept`: also under the idempotency key     |
 * | cut       | requests | the connection is cut without an answer                               |
 * | delay     | both     | the answer or the delivery comes later by `delayMs`                   |
 * | drop      | webhooks | the event is never sent                                               |
 * | duplicate | webhooks | the event is sent twice                                               |
 * | reorder   | webhooks | the event is held back until the one after it was sent                |
 *
 * `when: before` strikes before the operation ran, so that nothing happened; `when: after` once
 * everything is done and only the answer suffers.
 */
const faultParameters = {
  /**
   * An operation (`payment_intents.confirm`) or a webhook (`webhook:charge.refunded`); may end in
   * `*`.
   */
  operation: required(text),
  effect: required(oneOf('answer', 'cut', 'delay', 'drop', 'duplicate', 'reorder')),
  when: oneOf('after', 'before'),
  status: integerBetween(400, 599),
  kept: flag,
  delayMs: integerBetween(1, 600_000),
  /** So many matches pass unharmed first. */
  skip: integerBetween(0, 1_000_000),
  /** So many matches are struck, one unless told. */
  times: integerBetween(1, 1_000_000),
}

export type Fault = Values<typeof faultParameters>

const MAX_FAULTS = 100

/** What strikes this request (`payment_intents.confirm`) or webhook (`webhook:…`) now. */
export type TakeFaults = (operation: string) => readonly Fault[]

export interface FaultTable {
  /** Replaces all faults. */
  set(faults: readonly Fault[]): void
  /** What is still to strike. */
  list(): Fault[]
  /** The faults that strike this request or webhook now; each is used up by one. */
  take(operation: string): Fault[]
}

/** Reads faults as the control API gets them, already in the form of text. */
export function readFaults(form: Form): Fault[] {
  const reader = { faults: required(listOf(record(faultParameters), MAX_FAULTS)) }
  return readParameters(reader, form).faults
}

export function createFaultTable(): FaultTable {
  let active: { fault: Fault; skip: number; left: number }[] = []
  return {
    set(faults) {
      active = faults
        .slice(0, MAX_FAULTS)
        .map((fault) => ({ fault, skip: fault.skip ?? 0, left: fault.times ?? 1 }))
    },
    list: () => active.map(({ fault, skip, left }) => ({ ...fault, skip, times: left })),
    take(operation) {
      if (active.length === 0) return []
      const struck: Fault[] = []
      for (const entry of active) {
        if (!matches(entry.fault.operation, operation)) continue
        if (entry.skip > 0) {
          entry.skip -= 1
          continue
        }
        entry.left -= 1
        struck.push(entry.fault)
      }
      active = active.filter(({ left }) => left > 0)
      return struck
    },
  }
}

function matches(pattern: string, operation: string): boolean {
  return pattern.endsWith('*') ? operation.startsWith(pattern.slice(0, -1)) : operation === pattern
}
