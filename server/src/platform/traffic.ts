import { monitorEventLoopDelay } from 'node:perf_hooks'
import { secondMs } from '../kernel/time.ts'

/** What one route was asked during a window. */
export interface RouteTraffic {
  readonly method: string
  readonly route: string
  readonly count: number
  /** Replies of 500 and above. */
  readonly errors: number
  /** How many fell into each of the histogram's buckets, the one without an end last. */
  readonly buckets: readonly number[]
}

export interface Traffic {
  readonly windowSeconds: number
  readonly routes: readonly RouteTraffic[]
}

/** The counts of one route and status, as they stand since the start. */
export interface RouteCounts {
  readonly method: string
  readonly route: string
  /** 0 where the client was gone before it was told one. */
  readonly status: number
  /** Cumulative: how many took at most as long as each bucket says; the last is all of them. */
  readonly atMost: number[]
}

export type Counts = ReadonlyMap<string, RouteCounts>

/** What happened lately, for people who look now; a scraper keeps its own history. */
export interface Windows {
  traffic(): Promise<Traffic>
  /** How late 99 of 100 turns of the event loop were at most. */
  lagMs(): number
  start(): void
  stop(): void
}

const windowMs = 60 * secondMs
const windowsKept = 5

/** What happened lately is the difference between the counts now and those of minutes ago. */
export function keepWindows(countNow: () => Promise<Counts>): Windows {
  const kept: { counts: Counts; atMs: number }[] = [{ counts: new Map(), atMs: performance.now() }]
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs })
  let lastLagMs = 0
  let timer: NodeJS.Timeout | undefined
  const lagNowMs = (): number =>
    Math.max(0, Math.round(delay.percentile(99) / 1e4) / 100 - delayResolutionMs)
  /** Ends one window and begins the next. */
  const close = async (): Promise<void> => {
    lastLagMs = lagNowMs()
    delay.reset()
    kept.push({ counts: await countNow(), atMs: performance.now() })
    if (kept.length > windowsKept) kept.shift()
  }
  return {
    traffic: async () => {
      const [oldest] = kept
      const counts = await countNow()
      return {
        windowSeconds: (performance.now() - (oldest?.atMs ?? 0)) / secondMs,
        routes: trafficBetween(oldest?.counts ?? new Map(), counts),
      }
    },
    lagMs: () => Math.max(lastLagMs, lagNowMs()),
    start: () => {
      delay.enable()
      timer = setInterval(() => void close(), windowMs).unref()
    },
    stop: () => {
      delay.disable()
      clearInterval(timer)
    },
  }
}

const delayResolutionMs = 10

function trafficBetween(before: Counts, after: Counts): RouteTraffic[] {
  const routes = new Map<string, RouteTraffic>()
  for (const [key, { method, route, status, atMost }] of after) {
    const old = before.get(key)?.atMost ?? []
    const cumulative = atMost.map((count, index) => count - (old[index] ?? 0))
    const count = cumulative.at(-1) ?? 0
    if (count === 0) continue
    const buckets = cumulative.map((sum, index) => sum - (cumulative[index - 1] ?? 0))
    const name = `${method} ${route}`
    const known = routes.get(name)
    routes.set(name, {
      method,
      route,
      count: count + (known?.count ?? 0),
      errors: (status >= 500 ? count : 0) + (known?.errors ?? 0),
      buckets: buckets.map((value, index) => value + (known?.buckets[index] ?? 0)),
    })
  }
  return [...routes.values()]
}
