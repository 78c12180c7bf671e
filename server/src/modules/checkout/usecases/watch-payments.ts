import { dayMs, later, minuteMs, secondMs } from '../../../kernel/time.ts'
import type { Finding, HealthCheck, HealthContext } from '../../../platform/health.ts'
import type { FigureSource } from '../../../platform/metrics.ts'
import { countEvents, findOldestWaiting } from '../sql/provider-events.ts'
import { countOpenDifferences } from '../sql/reconciliations.ts'

/** At worst a warning, and never a call: the last ones tell how the provider is. */
export const paymentsCheck: HealthCheck = {
  name: 'payments',
  critical: false,
  run: checkPayments,
}

/** An event is worked out within seconds. */
const maxWaitMs = 10 * minuteMs

async function checkPayments({ db, now, stripe }: HealthContext): Promise<Finding> {
  if (!stripe.enabled) return { status: 'pass', output: 'No card payments are taken here.' }
  const last = stripe.lastCall()
  if (last && !last.isAnswered) {
    return {
      status: 'warn',
      output: 'The payment provider did not answer when it was asked last.',
      observedValue: Math.round(last.agoMs / secondMs),
      observedUnit: 's ago',
    }
  }
  const waiting = await findOldestWaiting(db)
  const waitedMs = waiting ? now.getTime() - waiting.receivedAt.getTime() : 0
  if (waitedMs > maxWaitMs) {
    return {
      status: 'warn',
      output: 'Events of the payment provider wait: see GET /api/system/jobs?status=failed.',
      observedValue: Math.round(waitedMs / secondMs),
      observedUnit: 's',
    }
  }
  const open = await countOpenDifferences(db)
  if (open === 0) return { status: 'pass' }
  return {
    status: 'warn',
    output: 'The books and the provider differ: see GET /api/system/reconciliation.',
    observedValue: open,
    observedUnit: 'differences',
  }
}

const names = {
  events: 'bureau_webhook_events',
  oldest: 'bureau_oldest_waiting_webhook_event_age_seconds',
  open: 'bureau_open_ledger_differences',
} as const

const outcomes = ['settled', 'ignored', 'refused', 'waiting'] as const

/** What the provider told, and whether its books and ours agree. */
export const paymentFigures: FigureSource = {
  name: 'payments',
  figures: [
    {
      name: names.events,
      help: 'Events of the payment provider of the last day, by what came of them.',
      type: 'gauge',
      labels: ['outcome'],
    },
    {
      name: names.oldest,
      help: 'How long the event that has waited longest was not worked out.',
      type: 'gauge',
    },
    {
      name: names.open,
      help: 'Differences between our books and the provider’s that the last comparisons left open.',
      type: 'gauge',
    },
  ],
  read: async ({ db, now }) => {
    const counted = await countEvents(db, later(now, -dayMs))
    const waiting = await findOldestWaiting(db)
    const waitedMs = waiting ? now.getTime() - waiting.receivedAt.getTime() : 0
    return [
      ...outcomes.map((outcome) => ({
        figure: names.events,
        value: counted.find((one) => one.outcome === outcome)?.events ?? 0,
        labels: { outcome },
      })),
      { figure: names.oldest, value: Math.max(0, waitedMs) / secondMs },
      { figure: names.open, value: await countOpenDifferences(db) },
    ]
  },
}
