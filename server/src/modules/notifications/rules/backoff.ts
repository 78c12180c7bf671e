import { dayMs, hourMs, later, minuteMs } from '../../../kernel/time.ts'

/** As long as it has waited already, it waits again: that asks ever less often, within these. */
const pauseAtLeastMs = minuteMs
const pauseAtMostMs = 4 * hourMs

/** Mail servers give up after some days too; what came later would only puzzle. */
const waitsAtMostMs = 3 * dayMs

/**
 * When a mail that was put off is tried again; undefined where it has waited long enough. One that
 * a colleague has tried again waits from then, however often it was tried before.
 */
export function nextAttempt(waitingSince: Date, now: Date): Date | undefined {
  const waitedMs = now.getTime() - waitingSince.getTime()
  const pauseMs = Math.min(Math.max(waitedMs, pauseAtLeastMs), pauseAtMostMs)
  return waitedMs + pauseMs > waitsAtMostMs ? undefined : later(now, pauseMs)
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
