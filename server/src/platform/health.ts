import { secondMs } from '../kernel/time.ts'
import type { AppContext } from './context.ts'

export type HealthStatus = 'pass' | 'warn' | 'fail'

/** What one look at a part found. */
export interface Finding {
  readonly status: HealthStatus
  /** A sentence for an operator, without names, addresses or secrets. */
  readonly output?: string
  readonly observedValue?: number | string
  /** Such as `ms`, `bytes` or `jobs`. */
  readonly observedUnit?: string
}

/**
 * A part that Bureau needs. A module declares its own in `Module.checks`; what is not configured is
 * `pass` with an `output` that says so.
 */
export interface HealthCheck {
  /** In lower case with dashes; it stands in the report and never changes. */
  readonly name: string
  /** Without it the whole has failed; where another part fails, the whole is warned about. */
  readonly critical: boolean
  /** This process can serve nobody without it: `/readyz` asks too. */
  readonly neededToServe?: boolean
  /**
   * It asks somebody beyond our own database and disk. A timer then looks, and a request only reads
   * what was found last, so that no stranger can make Bureau call anybody.
   */
  readonly reachesOutside?: boolean
  /** Throwing, or taking longer than two seconds, is `fail`. */
  run(ctx: HealthContext): Promise<Finding>
}

/** What a check may use: what is there also where nothing serves, as for an operator who asks. */
export interface HealthContext extends Pick<
  AppContext,
  'db' | 'log' | 'mail' | 'now' | 'scanner' | 'stripe'
> {
  readonly files: Pick<AppContext['files'], 'check'>
  readonly tokens: Pick<AppContext['tokens'], 'rotate'>
  readonly instruments: Pick<AppContext['instruments'], 'migrations'>
}

/** A finding with the part that it is about and the instant of the look. */
export interface CheckReport extends Finding {
  readonly name: string
  readonly at: Date | null
}

export interface HealthReport {
  readonly status: HealthStatus
  readonly checks: readonly CheckReport[]
}

export interface Health {
  /** All parts, each looked at within the last five seconds. */
  report(): Promise<HealthReport>
  /** What this process cannot serve without, looked at within the last second. */
  readiness(): Promise<HealthReport>
  /** Looks at the parts beyond our own; the timer's work, at hand for whoever cannot wait. */
  lookOutside(): Promise<void>
  /** Begins to look outside every minute. */
  start(): void
  /** From here on the process says that it is not ready, so that nobody new is sent to it. */
  stop(): void
}

const reportAgeMs = 5 * secondMs
const readinessAgeMs = secondMs
const lookOutsideEveryMs = 60 * secondMs
/** One look; a part that needs longer is of no use to a request either. */
const lookTimeoutMs = 2 * secondMs

/** The registry of all checks, with a context of its own for each look. */
export function createHealth(
  checks: readonly HealthCheck[],
  contextFor: () => HealthContext,
): Health {
  const names = new Set(checks.map(({ name }) => name))
  if (names.size !== checks.length) throw new Error('two health checks have the same name')
  const watched = checks.map((check) => watch(check, contextFor))
  const outside = watched.filter(({ check }) => check.reachesOutside)
  const needed = watched.filter(({ check }) => check.neededToServe)
  let timer: NodeJS.Timeout | undefined
  let isStopping = false
  const lookOutside = async (): Promise<void> => {
    await Promise.all(outside.map((part) => part.look(0)))
  }
  const readAll = (parts: readonly WatchedPart[], maxAgeMs: number): Promise<CheckReport[]> =>
    Promise.all(parts.map((part) => part.read(maxAgeMs)))
  return {
    report: async () => {
      const found = await readAll(watched, reportAgeMs)
      const checks = found.map((report, index) =>
        watched[index]?.check.critical ? report : atWorstWarn(report),
      )
      return { status: worstOf(checks), checks }
    },
    readiness: async () => {
      const checks = isStopping ? [stopping] : await readAll(needed, readinessAgeMs)
      return { status: worstOf(checks), checks }
    },
    lookOutside,
    start: () => {
      if (outside.length === 0) return
      void lookOutside()
      timer = setInterval(() => void lookOutside(), lookOutsideEveryMs).unref()
    },
    stop: () => {
      isStopping = true
      clearInterval(timer)
    },
  }
}

const stopping: CheckReport = {
  name: 'process',
  status: 'fail',
  output: 'The process is stopping.',
  at: null,
}

interface WatchedPart {
  readonly check: HealthCheck
  /** Looks where the last look is older; several that ask at once share one. */
  look(maxAgeMs: number): Promise<void>
  /** The last finding, from a look as young as asked where a request may look at all. */
  read(maxAgeMs: number): Promise<CheckReport>
}

/** One part with what was last found of it: at most one look at it is under way at a time. */
function watch(check: HealthCheck, contextFor: () => HealthContext): WatchedPart {
  let last: CheckReport = { name: check.name, status: 'pass', output: 'Not asked yet.', at: null }
  let lookedAtMs = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | undefined
  /** What was asked and has not answered yet: it is waited for again rather than asked again. */
  let asked: Promise<Finding> | undefined
  const run = async (): Promise<void> => {
    const ctx = contextFor()
    asked ??= ask(check, ctx).finally(() => {
      asked = undefined
    })
    const finding = await inTime(asked)
    last = { name: check.name, ...finding, at: ctx.now }
    lookedAtMs = performance.now()
  }
  const look = async (maxAgeMs: number): Promise<void> => {
    if (performance.now() - lookedAtMs < maxAgeMs) return
    looking ??= run().finally(() => {
      looking = undefined
    })
    await looking
  }
  return {
    check,
    look,
    read: async (maxAgeMs) => {
      if (!check.reachesOutside) await look(maxAgeMs)
      return last
    },
  }
}

/** The finding, never a failure of the look itself. */
async function ask(check: HealthCheck, ctx: HealthContext): Promise<Finding> {
  try {
    return await check.run(ctx)
  } catch (error) {
    ctx.log.warn({ err: error, check: check.name }, 'health check failed')
    return { status: 'fail', output: 'It does not answer.' }
  }
}

async function inTime(asked: Promise<Finding>): Promise<Finding> {
  let timer: NodeJS.Timeout | undefined
  const tooSlow = new Promise<Finding>((resolve) => {
    timer = setTimeout(() => {
      resolve({ status: 'fail', output: `No answer within ${lookTimeoutMs} ms.` })
    }, lookTimeoutMs)
  })
  try {
    return await Promise.race([asked, tooSlow])
  } finally {
    clearTimeout(timer)
  }
}

/** Row 33 of the contract: only what is critical makes the whole fail. */
function atWorstWarn(report: CheckReport): CheckReport {
  return report.status === 'fail' ? { ...report, status: 'warn' } : report
}

function worstOf(reports: readonly Finding[]): HealthStatus {
  const has = (status: HealthStatus): boolean => reports.some((report) => report.status === status)
  return has('fail') ? 'fail' : has('warn') ? 'warn' : 'pass'
}
