/** RFC 3339 in UTC with milliseconds, as every instant on the wire. */
export function toInstant(date: Date): string {
  return date.toISOString()
}

export function toInstantOrNull(date: Date | null): string | null {
  return date === null ? null : date.toISOString()
}

export const secondMs = 1000
export const minuteMs = 60 * secondMs
export const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs

export function later(date: Date, byMs: number): Date {
  return new Date(date.getTime() + byMs)
}

/** The instant that milliseconds of other systems count from. */
export const epoch = new Date(0)
