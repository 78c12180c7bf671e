import type { Context } from './context.ts'
import { resourceMissing } from './errors.ts'
import type { FormValue } from './form.ts'
import { integer, integerBetween, record, text, type Values } from './parameters.ts'
import type { Records } from './records.ts'

/** The parameters of every list of the API. */
export const pageParameters = {
  ending_before: text,
  limit: integerBetween(1, 100),
  starting_after: text,
}

const rangeReader = record({ gt: integer, gte: integer, lt: integer, lte: integer })

export interface CreatedRange {
  gt?: number | undefined
  gte?: number | undefined
  lt?: number | undefined
  lte?: number | undefined
}

/** `created=1700000000` or `created[gte]=…`, in Unix seconds. */
export function createdRange(value: FormValue, name: string): CreatedRange {
  if (typeof value !== 'string') return rangeReader(value, name)
  const second = integer(value, name)
  return { gte: second, lte: second }
}

/** The records of a kind newest first: all, or those of one payment intent. */
export function listedFor<K extends 'charge' | 'checkout.session' | 'dispute' | 'refund'>(
  { store }: Context,
  kind: K,
  intentId: string | undefined,
): Iterable<Records[K]> {
  if (intentId === undefined) return store.newestFirst(kind)
  return store.having(kind, 'payment_intent', intentId).toReversed()
}

export interface PageRequest extends Values<typeof pageParameters> {
  readonly created?: CreatedRange | undefined
}

export interface Page<T> {
  object: 'list'
  data: T[]
  has_more: boolean
  url: string
}

/** One page of records that come newest first, ten unless told. */
export function listPage<T extends { id: string; created?: number }>(
  records: Iterable<T>,
  url: string,
  request: PageRequest,
  matches: (record: T) => boolean = () => true,
): Page<T> {
  const limit = request.limit ?? 10
  const inPage = (record: T) => matches(record) && isWithin(record.created, request.created)
  const { ending_before: endingBefore, starting_after: startingAfter } = request
  if (endingBefore !== undefined) {
    return pageBefore(records, url, { cursor: endingBefore, inPage, limit })
  }
  const data: T[] = []
  let started = startingAfter === undefined
  for (const record of records) {
    if (started && inPage(record)) data.push(record)
    if (record.id === startingAfter) started = true
    if (data.length > limit) break
  }
  if (!started) throw resourceMissing('object', startingAfter ?? '', 'starting_after')
  return { object: 'list', data: data.slice(0, limit), has_more: data.length > limit, url }
}

interface Span<T> {
  cursor: string
  inPage: (record: T) => boolean
  limit: number
}

/** The page that ends just before the cursor: the nearest ones to it, still newest first. */
function pageBefore<T extends { id: string }>(
  records: Iterable<T>,
  url: string,
  span: Span<T>,
): Page<T> {
  const newer: T[] = []
  let found = false
  let dropped = false
  for (const record of records) {
    if (record.id === span.cursor) {
      found = true
      break
    }
    if (!span.inPage(record)) continue
    newer.push(record)
    if (newer.length > span.limit) {
      newer.shift()
      dropped = true
    }
  }
  if (!found) throw resourceMissing('object', span.cursor, 'ending_before')
  return { object: 'list', data: newer, has_more: dropped, url }
}

function isWithin(created: number | undefined, range: CreatedRange | undefined): boolean {
  if (range === undefined || created === undefined) return true
  const { gt, gte, lt, lte } = range
  return (
    (gt === undefined || created > gt) &&
    (gte === undefined || created >= gte) &&
    (lt === undefined || created < lt) &&
    (lte === undefined || created <= lte)
  )
}
