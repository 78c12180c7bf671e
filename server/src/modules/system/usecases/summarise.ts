import { toInstant } from '../../../kernel/time.ts'
import type { AppContext } from '../../../platform/context.ts'
import { failedSources } from '../../../platform/figures.ts'
import {
  durationBuckets,
  metricsContentType,
  summaryFigures,
  type Reading,
} from '../../../platform/metrics.ts'
import { figuresOf, totalOf, type Window } from '../rules.ts'
import type { Summary } from '../schema.ts'
import { jobFigures } from './figures.ts'

/** All figures in Prometheus' text form, with its media type. */
export async function writeMetrics({
  instruments,
}: AppContext): Promise<{ text: string; contentType: string }> {
  const text = await instruments.metrics.write(await instruments.figures.read())
  return { text, contentType: metricsContentType }
}

const maxRoutes = 100

/** What a console draws: this process's requests of late, and the business's day. */
export async function summarise({ instruments, now }: AppContext): Promise<Summary> {
  const { metrics, figures } = instruments
  const [readings, traffic] = await Promise.all([figures.read(), metrics.traffic()])
  const { activeRequests, connections, ...ofProcess } = metrics.process()
  const window: Window = { seconds: traffic.windowSeconds, bounds: durationBuckets }
  const busiest = traffic.routes.toSorted((one, other) => other.count - one.count)
  return {
    at: toInstant(now),
    requests: {
      windowSeconds: Math.round(traffic.windowSeconds),
      ...figuresOf(totalOf(traffic.routes), window),
      active: activeRequests,
      routes: busiest.slice(0, maxRoutes).map(({ method, route, ...counts }) => ({
        method,
        route,
        ...figuresOf(counts, window),
      })),
    },
    process: ofProcess,
    database: {
      connections: connections.total,
      idle: connections.idle,
      maximum: connections.size,
      waiting: connections.waiting,
    },
    jobs: jobsOf(readings),
    mails: mailsOf(readings),
    today: { orders: ordersOf(readings), revenue: revenueOf(readings) },
    missing: valueOf(readings, failedSources.name),
  }
}

// Each is null where its source did not answer: nought would say that there is nothing.

function jobsOf(readings: readonly Reading[]): Summary['jobs'] {
  if (allOf(readings, jobFigures.jobs).length === 0) return null
  return {
    queued: valueOf(readings, jobFigures.jobs, 'queued'),
    running: valueOf(readings, jobFigures.jobs, 'running'),
    failed: valueOf(readings, jobFigures.jobs, 'failed'),
    oldestDueSeconds: valueOf(readings, jobFigures.oldestDue),
    undeliveredEvents: valueOf(readings, jobFigures.undelivered),
  }
}

function mailsOf(readings: readonly Reading[]): Summary['mails'] {
  if (allOf(readings, summaryFigures.mails).length === 0) return null
  return {
    queued: valueOf(readings, summaryFigures.mails, 'queued'),
    failed: valueOf(readings, summaryFigures.mails, 'failed'),
  }
}

function ordersOf(readings: readonly Reading[]): number | null {
  const found = allOf(readings, summaryFigures.ordersToday)
  return found.length === 0 ? null : found.reduce((sum, { value }) => sum + value, 0)
}

function revenueOf(readings: readonly Reading[]): Summary['today']['revenue'] {
  const found = allOf(readings, summaryFigures.revenueToday)
  if (found.length === 0) return null
  return found.map(({ value, labels }) => ({ amount: value, currency: labels?.['currency'] ?? '' }))
}

function allOf(readings: readonly Reading[], name: string): Reading[] {
  return readings.filter(({ figure }) => figure === name)
}

function valueOf(readings: readonly Reading[], name: string, status?: string): number {
  const found = allOf(readings, name).find(
    ({ labels }) => status === undefined || labels?.['status'] === status,
  )
  return found?.value ?? 0
}
