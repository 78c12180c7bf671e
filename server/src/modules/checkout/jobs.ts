import { defineJob, type Job } from '../../platform/jobs.ts'
import {
  expireOrders,
  fetchEvents,
  handleEvent,
  handleEventJob,
  pruneEvents,
  pruneReconciliations,
  reconcile,
  reconcileLedger,
  requestedReconciliationJob,
  runRequested,
} from './usecases/index.ts'

export const jobs: readonly Job[] = [
  defineJob(handleEventJob, null, (ctx, { eventId }) => handleEvent(ctx, String(eventId))),
  defineJob('fetch-provider-events', '* * * * *', (ctx) => fetchEvents(ctx)),
  defineJob('reconcile-payments', '* * * * *', (ctx) => reconcile(ctx)),
  defineJob('reconcile-ledger', '7 * * * *', (ctx) => reconcileLedger(ctx, 'recent')),
  defineJob('reconcile-whole-ledger', '37 2 * * *', (ctx) => reconcileLedger(ctx, 'wide')),
  defineJob(requestedReconciliationJob, null, (ctx, { reconciliationId }) =>
    runRequested(ctx, String(reconciliationId)),
  ),
  defineJob('expire-orders', '*/5 * * * *', (ctx) => expireOrders(ctx)),
  defineJob('prune-provider-events', '17 3 * * *', (ctx) => pruneEvents(ctx)),
  defineJob('prune-reconciliations', '27 3 * * *', (ctx) => pruneReconciliations(ctx)),
]
