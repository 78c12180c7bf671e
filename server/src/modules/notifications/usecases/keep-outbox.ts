import { dayMs, later } from '../../../kernel/time.ts'
import type { AppContext } from '../../../platform/context.ts'
import type { HealthCheck } from '../../../platform/health.ts'
import { inBatches } from '../../../platform/jobs.ts'
import { summaryFigures, type FigureSource } from '../../../platform/metrics.ts'
import { rowKeptMs, textKeptMs, tooOldBefore } from '../rules/backoff.ts'
import { tokenTemplates } from '../rules/templates.ts'
import { notificationStatuses } from '../schema.ts'
import {
  countByStatus,
  enqueueDue,
  listUntaken,
  pruneRows,
  pruneTexts,
} from '../sql/notifications.ts'
import { giveUp, nobodyTookIt } from './deliver-mail.ts'
import { deliverJob } from './queue-mail.ts'

/** As many as a queue shared with other work should hold; the next minute takes the next. */
const maxEnqueued = 500

/**
 * Has everything tried that is due: mails that were put off, that wait a while by design, and whose
 * sender died. While the server rests there is nothing to try.
 */
export async function deliverDue({ db, mail, now }: AppContext): Promise<void> {
  const isShown = !mail.isConfigured && mail.showLink !== undefined
  if ((!mail.isConfigured && !isShown) || mail.isResting()) return
  const templates = isShown ? tokenTemplates : null
  await enqueueDue(db, { job: deliverJob, now, limit: maxEnqueued, templates })
}

const pruned = { size: 1000, maxBatches: 50 }

/**
 * Forgets what old mails said, and much later that they were. Without a mail server mails wait
 * until then: here they end, so that none is kept for ever.
 */
export async function pruneNotifications(ctx: AppContext): Promise<void> {
  const { db, now } = ctx
  const before = later(now, -textKeptMs)
  await inBatches(pruned, async (limit) => {
    const untaken = await listUntaken(db, { before, waitingBefore: tooOldBefore(now), now, limit })
    for (const mail of untaken) await giveUp(ctx, mail, nobodyTookIt)
    return untaken.length
  })
  await inBatches(pruned, (limit) => pruneTexts(db, { before, limit }))
  await inBatches(pruned, (limit) => pruneRows(db, { before: later(now, -rowKeptMs), limit }))
}

/** At worst a warning: orders are taken without mail, and mails wait. */
export const mailCheck: HealthCheck = {
  name: 'mail',
  critical: false,
  reachesOutside: true,
  run: (ctx) => ctx.mail.check(),
}

export const mailFigures: FigureSource = {
  name: 'mails',
  figures: [
    {
      name: summaryFigures.mails,
      help: 'Mails of the outbox by status: all that wait, and of the others those of a day.',
      type: 'gauge',
      labels: ['status'],
    },
  ],
  read: async ({ db, now }) => {
    const counted = await countByStatus(db, later(now, -dayMs))
    const counts = new Map(counted.map(({ status, count }) => [status, count]))
    return notificationStatuses.map((status) => ({
      figure: summaryFigures.mails,
      value: counts.get(status) ?? 0,
      labels: { status },
    }))
  },
}
