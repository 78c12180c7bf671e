import { defineJob, type Job } from '../../platform/jobs.ts'
import { deliverMail } from './usecases/deliver-mail.ts'
import { deliverDue, pruneNotifications } from './usecases/keep-outbox.ts'
import { deliverJob } from './usecases/queue-mail.ts'

export const jobs: readonly Job[] = [
  defineJob(deliverJob, null, (ctx, { id }) => deliverMail(ctx, String(id))),
  defineJob('deliver-due-notifications', '* * * * *', (ctx) => deliverDue(ctx)),
  defineJob('prune-notifications', '41 3 * * *', (ctx) => pruneNotifications(ctx)),
]
