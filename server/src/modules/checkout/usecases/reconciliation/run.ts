import { setTimeout as wait } from 'node:timers/promises'
import { newId } from '../../../../kernel/id.ts'
import { later, minuteMs, secondMs } from '../../../../kernel/time.ts'
import type { AppContext } from '../../../../platform/context.ts'
import { ProviderError } from '../../../../platform/stripe.ts'
import type { ReconciliationCounts } from '../../schema.ts'
import { maxKept, type NewDifference, type ReconciliationRow } from '../../sql/reconciliations.ts'

/** One comparison under way: what it looks at, and what it has found so far. */
export interface Run {
  readonly row: ReconciliationRow
  /** When it began: one that was asked for may have waited for its job. */
  readonly beganAt: Date
  /** The same on the clock that nobody sets. */
  readonly beganMs: number
  readonly counts: { -readonly [Name in keyof ReconciliationCounts]: number }
  readonly differences: NewDifference[]
  /** Whether a bound was met and something is left for another run. */
  partial: boolean
  /** How often a difference was looked at closely. */
  looks: number
  /** How many of these looks the provider did not answer. */
  failures: number
}

export function beginRun(row: ReconciliationRow, now: Date): Run {
  return {
    row,
    beganAt: now,
    beganMs: performance.now(),
    counts: { ...row.counts },
    differences: [],
    partial: false,
    looks: 0,
    failures: 0,
  }
}

/** The counts go on where no more is kept. */
export function report(run: Run, difference: Omit<NewDifference, 'id'>): void {
  run.counts.differences += 1
  if (difference.healed) run.counts.healed += 1
  if (run.differences.length >= maxKept) run.partial = true
  else run.differences.push({ id: newId('diff', run.row.startedAt), ...difference })
}

/** Well below the time for which a run holds its turn. */
const runLimitMs = 8 * minuteMs

/** Whether the run has had its time; what it has not seen is then left to another. */
export function isOver(run: Run): boolean {
  if (performance.now() - run.beganMs < runLimitMs) return false
  run.partial = true
  return true
}

/** The context with the instant of now: a run outlasts the one that its job began with. */
export function atThisMoment(ctx: AppContext, { beganAt, beganMs }: Run): AppContext {
  return { ...ctx, now: later(beganAt, performance.now() - beganMs) }
}

const maxTries = 4
const firstPauseMs = secondMs / 5

/** Reading may be repeated: a provider that is busy or out of reach is given time, bounded. */
export async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await ask()
    } catch (error) {
      const mayPass = error instanceof ProviderError && passing.has(error.kind)
      if (!mayPass || tried >= maxTries) throw error
    }
    await wait(firstPauseMs * 2 ** (tried - 1))
  }
}

const passing: ReadonlySet<string> = new Set(['busy', 'erred', 'lost'])
