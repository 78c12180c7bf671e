import type { Clock } from './clock.ts'
import type { AppContext } from './context.ts'
import type { Pool } from './database.ts'
import { createErrorReports, type ErrorReports } from './error-reports.ts'
import { createFigures, type Figures } from './figures.ts'
import { createHealth, type Health, type HealthCheck } from './health.ts'
import type { Logger } from './log.ts'
import { createMetrics, type FigureSource, type Metrics } from './metrics.ts'

/** How the process watches itself: made once, in `app.ts`, from what the modules register. */
export interface Instruments {
  readonly health: Health
  readonly metrics: Metrics
  readonly figures: Figures
  readonly errorReports: ErrorReports
  /** The migrations that this version's code was written for, by file name. */
  readonly migrations: readonly string[]
  /** Begins what works beside the requests: timers, which keep no process alive. */
  start(): void
  /** Ends it and writes what waits. */
  stop(): Promise<void>
}

export interface InstrumentOptions {
  readonly db: Pool
  readonly clock: Clock
  readonly log: Logger
  readonly checks: readonly HealthCheck[]
  readonly sources: readonly FigureSource[]
  readonly migrations: readonly string[]
  /** A fresh context for one look at something. */
  readonly contextFor: () => AppContext
}

export function createInstruments(options: InstrumentOptions): Instruments {
  const { db, clock, log, checks, sources, migrations, contextFor } = options
  const health = createHealth(checks, contextFor)
  const figures = createFigures(sources, contextFor)
  const metrics = createMetrics(db, figures.declared)
  const errorReports = createErrorReports({ db, clock, log })
  return {
    health,
    metrics,
    figures,
    errorReports,
    migrations,
    start: () => {
      health.start()
      metrics.start()
      errorReports.start()
    },
    stop: async () => {
      health.stop()
      metrics.stop()
      await errorReports.stop()
    },
  }
}
