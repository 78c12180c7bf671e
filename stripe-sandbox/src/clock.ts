import { finishSettlement } from './attempts.ts'
import { expireOverdueSessions } from './checkout-sessions.ts'
import type { Context } from './context.ts'
import type { Idempotency } from './idempotency.ts'
import type { Journal } from './journal.ts'
import { pruneEvents } from './retention.ts'

const PRUNING_INTERVAL_MS = 60_000

interface Parts {
  /** A context for work that nobody asked for, at the time of the call. */
  readonly context: () => Context
  readonly idempotency: Idempotency
  readonly journal: Journal
}

/** The work that time brings: bank debits settle, sessions expire, old records go. */
export function createClockwork({ context, idempotency, journal }: Parts): () => void {
  let prunedAtMs = 0
  return () => {
    const current = context()
    const { store, now } = current
    store.transact(() => {
      settleDuePayments(current)
      expireOverdueSessions(current)
    })
    if (now.getTime() - prunedAtMs < PRUNING_INTERVAL_MS) return
    prunedAtMs = now.getTime()
    store.transact(() => {
      idempotency.prune(now)
      pruneEvents(current)
    })
    journal.compactWhenGrown(() => store.snapshot())
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
