/** Requests of a window, with their durations in a histogram's buckets. */
export interface RequestCounts {
  readonly count: number
  /** Replies of 500 and above. */
  readonly errors: number
  /** How many fell into each bucket; the one without an upper bound stands last. */
  readonly buckets: readonly number[]
}

export interface RequestFigures {
  readonly count: number
  readonly perSecond: number
  /** Share of replies of 500 and above, 0 to 1. */
  readonly errorRate: number
  /** Milliseconds. */
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export interface Window {
  readonly seconds: number
  /** Upper bounds of the buckets in seconds, rising; the last bucket has none. */
  readonly bounds: readonly number[]
}

/** The figures of one route, or of several added up. */
export function figuresOf(
  { count, errors, buckets }: RequestCounts,
  { seconds, bounds }: Window,
): RequestFigures {
  const quantile = (share: number): number => rounded(quantileOf({ buckets, bounds }, share) * 1000)
  return {
    count,
    perSecond: rounded(count / Math.max(1, seconds)),
    errorRate: count === 0 ? 0 : Math.round((errors / count) * 1e4) / 1e4,
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
  }
}

/** All routes as if they were one. */
export function totalOf(routes: readonly RequestCounts[]): RequestCounts {
  const buckets: number[] = []
  for (const route of routes) {
    route.buckets.forEach((count, index) => {
      buckets[index] = (buckets[index] ?? 0) + count
    })
  }
  return {
    count: routes.reduce((sum, { count }) => sum + count, 0),
    errors: routes.reduce((sum, { errors }) => sum + errors, 0),
    buckets,
  }
}

export interface Distribution {
  readonly buckets: readonly number[]
  readonly bounds: readonly number[]
}

/**
 * The value that this share of all is at most, taken as evenly spread within its bucket as
 * Prometheus' `histogram_quantile` does; the highest bound for what lies beyond it, 0 for nothing.
 */
export function quantileOf({ buckets, bounds }: Distribution, share: number): number {
  const count = buckets.reduce((sum, value) => sum + value, 0)
  const rank = share * count
  let before = 0
  for (const [index, inBucket] of buckets.entries()) {
    const upper = bounds[index]
    if (upper === undefined) break
    if (inBucket > 0 && before + inBucket >= rank) {
      const lower = index === 0 ? 0 : (bounds[index - 1] ?? 0)
      return lower + (upper - lower) * ((rank - before) / inBucket)
    }
    before += inBucket
  }
  return count === 0 ? 0 : (bounds.at(-1) ?? 0)
}

/** To hundredths. */
function rounded(value: number): number {
  return Math.round(value * 100) / 100
}

const maxErrorLength = 500

/**
 * The first line of what a job said when it failed, with e-mail addresses taken out: a job's error
 * may quote whom it was about.
 */
export function firstLineOf(text: string): string {
  const [line = ''] = text.split('\n')
  return line
    .replaceAll(/[^\s@<>"']{1,64}@[^\s@<>"']{1,255}/g, '[address]')
    .slice(0, maxErrorLength)
}
