/** The values of the last row of a page: its sort value, then its id as tie-breaker. */
export type Position = readonly (string | number | null)[]

export interface Sort {
  readonly field: string
  readonly direction: 'asc' | 'desc'
}

/** What a list is asked for, after the cursor was verified. */
export interface PageRequest {
  readonly limit: number
  readonly sort: Sort
  readonly after: Position | null
  /** Whether the client wants `total`, which costs a second statement. */
  readonly count: boolean
}

export interface Page<T> {
  readonly data: readonly T[]
  /** Where the next page begins; null on the last one. */
  readonly next: Position | null
  readonly total?: number
  readonly totalIsMore?: boolean
}

/** Totals are counted to here: beyond, a number costs more than it tells. */
export const maxTotal = 10_000

/** The same page with each row rendered. */
export function mapPage<T, U>(page: Page<T>, render: (row: T) => U): Page<U> {
  return { ...page, data: page.data.map((row) => render(row)) }
}
