import type { ErrorReports } from './error-reports.ts'
import type { Logger } from './log.ts'

export interface Witness {
  readonly log: Logger
  readonly errorReports: ErrorReports
}

/**
 * What nobody caught leaves the process in a state that nobody knows: it is written down, and the
 * process ends with 1. Returns what takes the handler away again.
 */
export function recordUncaught({ log, errorReports }: Witness): () => void {
  const onUncaught = (error: unknown): void => {
    log.fatal({ err: error }, 'uncaught error')
    errorReports.report(error, { kind: 'process', place: null, requestId: null })
    void errorReports.stop().finally(() => process.exit(1))
  }
  // Node raises a rejection that nobody handles here too.
  process.once('uncaughtException', onUncaught)
  return () => process.off('uncaughtException', onUncaught)
}
