import { secondMs } from '../../../kernel/time.ts'
import { countJobs, jobStatuses } from '../../../platform/job-queue.ts'
import type { FigureSource } from '../../../platform/metrics.ts'
import { countUndelivered } from '../../../platform/outbox.ts'

/** Names of the figures that the summary reads again. */
export const jobFigures = {
  jobs: 'bureau_jobs',
  oldestDue: 'bureau_oldest_due_job_age_seconds',
  undelivered: 'bureau_undelivered_events',
} as const

export const figures: readonly FigureSource[] = [
  {
    name: 'jobs',
    figures: [
      {
        name: jobFigures.jobs,
        help: 'Jobs in the queue by how they stand.',
        type: 'gauge',
        labels: ['status'],
      },
      {
        name: jobFigures.oldestDue,
        help: 'How long the job that has waited longest has been due.',
        type: 'gauge',
      },
      {
        name: jobFigures.undelivered,
        help: 'Events that wait to be handed over to their listeners.',
        type: 'gauge',
      },
    ],
    read: async ({ db, now }) => {
      const [counts, undelivered] = await Promise.all([countJobs(db, now), countUndelivered(db)])
      const { oldestDueAt } = counts
      const ageMs = oldestDueAt ? Math.max(0, now.getTime() - oldestDueAt.getTime()) : 0
      return [
        ...jobStatuses.map((status) => ({
          figure: jobFigures.jobs,
          value: counts[status],
          labels: { status },
        })),
        { figure: jobFigures.oldestDue, value: ageMs / secondMs },
        { figure: jobFigures.undelivered, value: undelivered },
      ]
    },
  },
  {
    name: 'events',
    figures: [
      {
        name: 'bureau_events_total',
        help: 'Events that this process has handed over: what happened in the business.',
        type: 'counter',
        labels: ['type'],
      },
    ],
    // Each event is handed over by one process only: the sum over all nodes is how many there were.
    read: async ({ events }) =>
      [...events.handedOver].map(([type, value]) => ({
        figure: 'bureau_events_total',
        value,
        labels: { type },
      })),
  },
]
