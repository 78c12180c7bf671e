import { finishSettlement } from './attempts.ts'
import { expireOverdueSessions } from './checkout-sessions.ts'
import type { Context } from './context.ts'
import type { Idempotency } from './idempotency.ts'
import type { Journal } from './journal.ts'
import { pruneEvents } from './retention.ts'

/** Expiring and pruning look through much and are in no hurry. */
const SLOW_WORK_INTERVAL_MS = 1000

interface Parts {
  /** A context for work that nobody asked for, at the time of the call. */
  readonly context: () => Context
  readonly idempotency: Idempotency
  readonly journal: Journal
  readonly warn: (message: string) => void
}

/** The work that time brings: bank debits settle, sessions expire, old records go. */
export function createClockwork({ context, idempotency, journal, warn }: Parts): () => void {
  let slowWorkAtMs = 0
  return () => {
    const current = context()
    const { store, now } = current
    store.transact(() => settleDuePayments(current))
    if (now.getTime() - slowWorkAtMs < SLOW_WORK_INTERVAL_MS) return
    slowWorkAtMs = now.getTime()
    store.transact(() => {
      expireOverdueSessions(current)
      idempotency.prune(now)
      pruneEvents(current)
    })
    journal
      .compactWhenGrown(() => store.snapshot())
      .catch((error: unknown) => {
        warn(`The state file could not be compacted: ${String(error)}`)
      })
  }
}

function settleDuePayments(context: Context): void {
  for (const { id, settlesAtMs } of context.store.values('settlement')) {
    if (settlesAtMs > context.now.getTime()) continue
    const intent = context.store.find('payment_intent', id)
    if (intent?.status === 'processing') finishSettlement(context, intent)
    else context.store.remove('settlement', id)
  }
}
