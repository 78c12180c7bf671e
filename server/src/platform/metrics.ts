import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { secondMs } from '../kernel/time.ts'
import type { AppContext } from './context.ts'
import type { Pool } from './database.ts'
import { keepWindows, type Counts, type RouteCounts, type Traffic } from './traffic.ts'

/** A named number of the business or of its machinery, as a scrape shows it. */
export interface Figure {
  /** Prometheus' form, with the unit last: `bureau_mails`, `bureau_oldest_job_age_seconds`. */
  readonly name: string
  readonly help: string
  /** A counter only rises for as long as the process lives; a count of rows is a gauge. */
  readonly type: 'gauge' | 'counter'
  /** Names of its labels. Their values are of a closed set, never of a person or an id. */
  readonly labels?: readonly string[]
}

/** One value of a figure; `labels` names each label that the figure declares. */
export interface Reading {
  readonly figure: string
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

/**
 * Figures that one bounded statement (or none at all) answers. A module declares its own in
 * `Module.figures`; they are read when somebody scrapes, a few seconds apart at most.
 */
export interface FigureSource {
  /** Names the source where reading it failed. */
  readonly name: string
  readonly figures: readonly Figure[]
  read(ctx: AppContext): Promise<readonly Reading[]>
}

/**
 * Figures that the summary for a console shows by name. The module that knows the number declares
 * it under this name: day's ends are those of the business's time zone.
 */
export const summaryFigures = {
  /** Orders placed today, by `status`. */
  ordersToday: 'bureau_orders_today',
  /** Succeeded payments less succeeded refunds of today, in minor units by `currency`. */
  revenueToday: 'bureau_revenue_today_minor_units',
  /** Mails of the outbox by `status`. */
  mails: 'bureau_mails',
} as const

/** A request that has been answered. */
export interface EndedRequest {
  readonly method: string
  /** The template; undefined where no route fitted the address. */
  readonly route: string | undefined
  /** Undefined where the client was gone before it was told one. */
  readonly status: number | undefined
  readonly durationMs: number
}

export interface ProcessFigures {
  readonly uptimeSeconds: number
  readonly residentBytes: number
  readonly heapUsedBytes: number
  /** 99 of 100 turns of the event loop were late by at most this, over the last minute or two. */
  readonly eventLoopLagMs: number
  readonly activeRequests: number
  readonly connections: { total: number; idle: number; waiting: number; size: number }
}

/** What this process counts while it works, and how it is written for a scrape. */
export interface Metrics {
  requestBegan(): void
  requestEnded(request: EndedRequest): void
  /** A reply kept for an Idempotency-Key was given again. */
  replyRepeated(): void
  /** A public reply came from the cache, without any work. Returns how many did by now. */
  replyFromCache(): number
  /** All of it in Prometheus' text form, with the readings of the modules. */
  write(readings: readonly Reading[]): Promise<string>
  /** What was asked during the last five minutes, or since the start. */
  traffic(): Promise<Traffic>
  process(): ProcessFigures
  /** Begins to keep the windows. */
  start(): void
  stop(): void
}

export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE

/** Seconds. OpenTelemetry's advice, with finer ones below: most replies take a millisecond or two. */
export const durationBuckets = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
] as const

/** Of one figure; what comes beyond is added up under the label `other`. */
const maxSeries = 100

export function createMetrics(db: Pool, figures: readonly Figure[]): Metrics {
  const registry = new Registry()
  const requests = new Histogram({
    name: 'http_server_request_duration_seconds',
    help: 'How long requests took until they were answered.',
    labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
    buckets: [...durationBuckets],
    registers: [registry],
  })
  const repeated = new Counter({
    name: 'bureau_idempotent_replays_total',
    help: 'Replies that were given again for an Idempotency-Key.',
    registers: [registry],
  })
  const cached = new Counter({
    name: 'bureau_reply_cache_replies_total',
    help: 'Public replies that came from the cache.',
    registers: [registry],
  })
  let active = 0
  let hits = 0
  registerGauges(registry, { db, activeRequests: () => active })
  const written = registerFigures(registry, figures)
  const windows = keepWindows(() => countsOf(requests))
  return {
    requestBegan: () => void (active += 1),
    requestEnded: ({ method, route, status, durationMs }) => {
      active -= 1
      requests.observe(
        {
          // Methods and addresses are what anybody may invent: only known ones become labels.
          http_request_method: knownMethods.has(method) ? method : '_OTHER',
          http_route: route ?? 'unmatched',
          ...(status === undefined ? {} : { http_response_status_code: status }),
        },
        durationMs / secondMs,
      )
    },
    replyRepeated: () => repeated.inc(),
    replyFromCache: () => {
      cached.inc()
      return (hits += 1)
    },
    write: async (readings) => {
      written.set(readings)
      const [own, ofProcess] = await Promise.all([registry.metrics(), processRegistry().metrics()])
      return `${own}\n${ofProcess}`
    },
    traffic: windows.traffic,
    process: () => {
      const { rss, heapUsed } = process.memoryUsage()
      return {
        uptimeSeconds: Math.round(process.uptime()),
        residentBytes: rss,
        heapUsedBytes: heapUsed,
        eventLoopLagMs: windows.lagMs(),
        activeRequests: active,
        connections: connectionsOf(db),
      }
    },
    start: () => {
      // Its figures of the event loop count from here on.
      processRegistry()
      windows.start()
    },
    stop: windows.stop,
  }
}

const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Memory, processor, garbage collection and event loop are the process's: one set for all apps. */
function processRegistry(): Registry {
  if (sharedRegistry) return sharedRegistry
  sharedRegistry = new Registry()
  collectDefaultMetrics({ register: sharedRegistry })
  return sharedRegistry
}

let sharedRegistry: Registry | undefined

function connectionsOf({ driver }: Pool): ProcessFigures['connections'] {
  return {
    total: driver.totalCount,
    idle: driver.idleCount,
    waiting: driver.waitingCount,
    size: driver.options.max,
  }
}

interface Gauged {
  readonly db: Pool
  readonly activeRequests: () => number
}

/** What is known without asking anybody, read when it is scraped. */
function registerGauges(registry: Registry, { db, activeRequests }: Gauged): void {
  const gauge = (name: string, help: string, value: () => number): void => {
    const registers = [registry]
    const created: Gauge = new Gauge({
      name,
      help,
      registers,
      collect: () => created.set(value()),
    })
  }
  gauge('http_server_active_requests', 'Requests that are being answered.', activeRequests)
  gauge(
    'bureau_database_connections',
    'Connections of this process to the database.',
    () => connectionsOf(db).total,
  )
  gauge(
    'bureau_database_connections_idle',
    'Connections that nobody uses at the moment.',
    () => connectionsOf(db).idle,
  )
  gauge(
    'bureau_database_connections_max',
    'Connections that this process may have.',
    () => connectionsOf(db).size,
  )
  gauge(
    'bureau_database_waiting_requests',
    'Work that waits for a connection.',
    () => connectionsOf(db).waiting,
  )
}

/** The modules' figures as metrics; each writing replaces all values of the one before. */
function registerFigures(
  registry: Registry,
  figures: readonly Figure[],
): { set(readings: readonly Reading[]): void } {
  const metrics = new Map(
    figures.map(({ name, help, type, labels }) => {
      const settings = { name, help, labelNames: [...(labels ?? [])], registers: [registry] }
      return [name, type === 'counter' ? new Counter(settings) : new Gauge(settings)]
    }),
  )
  if (metrics.size !== figures.length) throw new Error('two figures have the same name')
  return {
    set: (readings) => {
      const seriesOf = new Map<string, number>()
      for (const metric of metrics.values()) {
        metric.reset()
        // The library leaves a figure without labels at 0: one that was not read must be absent.
        metric.remove({})
      }
      for (const { figure, value, labels = {} } of readings) {
        const series = (seriesOf.get(figure) ?? 0) + 1
        seriesOf.set(figure, series)
        const names = Object.keys(labels)
        const bounded =
          series > maxSeries ? Object.fromEntries(names.map((name) => [name, 'other'])) : labels
        metrics.get(figure)?.inc(bounded, value)
      }
    },
  }
}

async function countsOf(requests: Histogram): Promise<Counts> {
  const { values } = await requests.get()
  const counts = new Map<string, RouteCounts>()
  for (const { labels, value, metricName } of values) {
    if (!metricName?.endsWith('_bucket')) continue
    const method = String(labels['http_request_method'])
    const route = String(labels['http_route'])
    const status = Number(labels['http_response_status_code'] ?? 0)
    const key = `${method} ${route} ${status}`
    const known = counts.get(key) ?? { method, route, status, atMost: [] }
    // The library writes the buckets of a series in their order, +Inf last.
    known.atMost.push(value)
    counts.set(key, known)
  }
  return counts
}
