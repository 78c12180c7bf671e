import { createHash } from 'node:crypto'
import { invalidCursor, invalidInputAt } from '../kernel/errors.ts'
import type { PageRequest, Page, Position, Sort } from '../kernel/page.ts'
import type { Secrets } from '../platform/secrets.ts'
import type { ListContract } from './endpoint.ts'

export const defaultLimit = 20
export const maxLimit = 100

/** The query members of every list, read apart from its filters. */
export interface ListQueryMembers {
  readonly limit?: number
  readonly cursor?: string
  readonly sort?: string
  readonly count?: boolean
}

/** What a cursor holds: it is worth something only with the same sort and the same filters. */
interface CursorContent {
  readonly s: string
  readonly f: string
  readonly p: Position
}

/** Reads limit, sort and cursor; 400 for a sort that is not offered or a cursor of another list. */
export function readPage(
  secrets: Secrets,
  { sorts, defaultSort }: ListContract,
  { route, query }: { route: string; query: ListQueryMembers & Record<string, unknown> },
): PageRequest {
  const { limit = defaultLimit, cursor, count = false } = query
  const sortText = query.sort ?? (isSearch(query, sorts) ? 'relevance' : defaultSort)
  const sort = readSort(sortText, sorts)
  const after =
    cursor === undefined
      ? null
      : readCursor(secrets, cursor, { s: sortText, f: hashFilters(route, query) })
  return { limit, sort, after, count }
}

/** The reply of a list: its rows and the signed cursor of the next page. */
export function writePage(
  secrets: Secrets,
  page: Page<unknown>,
  { route, request, query }: { route: string; request: PageRequest; query: ListQueryMembers },
): Record<string, unknown> {
  const { next, ...rest } = page
  const { field, direction } = request.sort
  const content = (position: Position): CursorContent => ({
    s: direction === 'desc' ? `-${field}` : field,
    f: hashFilters(route, query),
    p: position,
  })
  return { ...rest, nextCursor: next === null ? null : signCursor(secrets, content(next)) }
}

function isSearch(query: Record<string, unknown>, sorts: readonly string[]): boolean {
  return query['q'] !== undefined && sorts.includes('relevance')
}

function readSort(text: string, sorts: readonly string[]): Sort {
  const field = text.replace(/^-/, '')
  if (!sorts.includes(field)) {
    throw invalidInputAt({
      pointer: '/query/sort',
      code: 'enum',
      message: `must be one of ${sorts.join(', ')}, with - before it for descending`,
    })
  }
  return { field, direction: text.startsWith('-') ? 'desc' : 'asc' }
}

function signCursor(secrets: Secrets, content: CursorContent): string {
  const text = Buffer.from(JSON.stringify(content)).toString('base64url')
  return withSignature(secrets, text)
}

function withSignature(secrets: Secrets, text: string): string {
  return `${text}.${secrets.sign('cursor', text).slice(0, signatureLength)}`
}

/** 132 bits of the signature are plenty for something that only names a place in a list. */
const signatureLength = 22

function readCursor(
  secrets: Secrets,
  cursor: string,
  expected: { s: string; f: string },
): Position {
  const text = cursor.slice(0, -signatureLength - 1)
  if (cursor !== withSignature(secrets, text)) throw invalidCursor()
  // The signature proves that this process family wrote the text.
  const content = JSON.parse(Buffer.from(text, 'base64url').toString()) as CursorContent
  if (content.s !== expected.s || content.f !== expected.f) {
    throw invalidCursor({ detail: 'The cursor was made with another sort or other filters.' })
  }
  return content.p
}

const notFilters = new Set(['limit', 'cursor', 'sort', 'count'])

function hashFilters(route: string, query: object): string {
  const filters = Object.entries(query)
    .filter(([name, value]) => !notFilters.has(name) && value !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  const text = JSON.stringify([route, filters])
  return createHash('sha256').update(text).digest('base64url').slice(0, 12)
}
