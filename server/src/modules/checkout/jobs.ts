import { defineJob, type Job } from '../../platform/jobs.ts'
import {
  expireOrders,
  handleEvent,
  handleEventJob,
  pruneEvents,
  reconcile,
} from './usecases/index.ts'

export const jobs: readonly Job[] = [
  defineJob(handleEventJob, null, (ctx, { eventId }) => handleEvent(ctx, String(eventId))),
  defineJob('reconcile-payments', '* * * * *', (ctx) => reconcile(ctx)),
  defineJob('expire-orders', '*/5 * * * *', (ctx) => expireOrders(ctx)),
  defineJob('prune-provider-events', '17 3 * * *', (ctx) => pruneEvents(ctx)),
]
