import { dayMs, hourMs, later, minuteMs } from '../../../kernel/time.ts'

/** After each attempt that the server put off, how long until the next; the last one repeats. */
const pausesMs = [
  minuteMs,
  2 * minuteMs,
  5 * minuteMs,
  15 * minuteMs,
  30 * minuteMs,
  hourMs,
  2 * hourMs,
  4 * hourMs,
]

/** Mail servers give up after some days too; what came later would only puzzle. */
const waitsAtMostMs = 3 * dayMs

/** When a mail that was put off is tried again; undefined where it has waited long enough. */
export function nextAttempt(
  { attempts, waitingSince }: { attempts: number; waitingSince: Date },
  now: Date,
): Date | undefined {
  const pauseMs = pausesMs[Math.min(attempts, pausesMs.length) - 1] ?? minuteMs
  const next = later(now, pauseMs)
  return next.getTime() - waitingSince.getTime() > waitsAtMostMs ? undefined : next
}

/** A mail that has waited since before this is not sent any more. */
export function tooOldBefore(now: Date): Date {
  return later(now, -waitsAtMostMs)
}

/** Longer than an attempt can take: whoever sends it still after that has died. */
export const leaseMs = 2 * minuteMs

/**
 * Many try another card at once: the mail about the first one waits, and is dropped if the order is
 * paid by then.
 */
export const paymentFailedWaitMs = 10 * minuteMs

/** What a mail said is kept this long. */
export const textKeptMs = 90 * dayMs
/** That there was a mail is kept this long. */
export const rowKeptMs = 400 * dayMs
