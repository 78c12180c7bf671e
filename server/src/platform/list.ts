import { maxTotal, type Page, type PageRequest, type Position, type Sort } from '../kernel/page.ts'
import type { Db } from './database.ts'
import { joinSql, nothing, sql, type Sql } from './sql.ts'

/**
 * A keyset list as a value: which columns, which sorts and which filters. One statement is composed
 * of the parts that a request needs, so that each combination has a plan of its own.
 */
export interface ListDefinition<Filters extends object> {
  readonly columns: Sql
  readonly from: Sql
  /** Holds for every reader of the list. */
  readonly where?: Sql
  readonly id: Sql
  readonly sorts: Readonly<Record<string, SortColumn>>
  readonly filters: {
    readonly [Name in keyof Filters]-?: (value: NonNullable<Filters[Name]>) => Sql
  }
}

export interface SortColumn {
  readonly column: Sql
  /** What the cursor's value is read as, such as `timestamptz`. */
  readonly type: Sql
  /** Nulls stand last both ways; the statement then needs one more comparison. */
  readonly nullable?: boolean
}

export interface ListQuery<Filters extends object> {
  readonly page: PageRequest
  readonly filters: Filters
}

/**
 * One page and where the next begins: one statement, and one more with `count` or where a page goes
 * over from the rows that have a value to those that have none.
 */
export async function fetchPage<Row extends object, Filters extends object>(
  db: Db,
  list: ListDefinition<Filters>,
  { page, filters }: ListQuery<Filters>,
): Promise<Page<Row>> {
  const wanted = wantedRows(list, filters)
  const [rows, total] = await Promise.all([
    fetchRows<Row, Filters>(db, list, { wanted, page }),
    page.count ? countRows(db, list, wanted.matching) : undefined,
  ])
  const data = rows.slice(0, page.limit)
  const last = rows.length > page.limit ? data.at(-1) : undefined
  return {
    data: data.map(({ rowId: _id, rowSort: _sort, ...row }) => row as unknown as Row),
    next: last ? toPosition(last) : null,
    ...total,
  }
}

/** The conditions of the filters that were given. */
export function conditionsOf<Filters extends object>(
  list: ListDefinition<Filters>,
  filters: Filters,
): Sql[] {
  const given = (Object.keys(list.filters) as (keyof Filters)[]).flatMap((name) => {
    const value = filters[name]
    return value === undefined || value === null ? [] : [list.filters[name](value)]
  })
  return list.where ? [list.where, ...given] : given
}

/** Which rows a list is asked for. */
interface WantedRows {
  readonly matching: readonly Sql[]
  /**
   * Present where these are found by a search index: what the other filters demand. The planner
   * would read all rows in the order of the sort, hoping to meet some of the few that match soon.
   */
  readonly beside?: readonly Sql[]
}

function wantedRows<Filters extends object>(
  list: ListDefinition<Filters>,
  filters: Filters,
): WantedRows {
  const { q, ...others } = filters as Filters & { readonly q?: unknown }
  const matching = conditionsOf(list, filters)
  if (typeof q !== 'string') return { matching }
  const beside = conditionsOf(list, others as Filters)
  if (isIndexable(q)) return { matching, beside }
  // A search that no index serves is one through the newest alone.
  const { column } = sortColumnOf(list, { field: 'createdAt', direction: 'desc' })
  const newest = sql`select ${list.id} from ${list.from} ${whereAll(beside)}
    order by ${column} desc, ${list.id} desc limit ${searchedUnindexed}`
  return { matching: [...matching, sql`${list.id} = any(array(${newest}))`] }
}

/**
 * A search looks for its rows first: where they are few they are sorted by themselves, and where
 * they are many they are met soon in the order of the sort. One of the two parts is empty always.
 */
function composeWanted<Filters extends object>(
  list: ListDefinition<Filters>,
  { matching, beside }: WantedRows,
  page: PageRequest,
): Sql {
  if (!beside) return composePage(list, matching, page)
  const few = sql`(select count(*) <= ${fewMatches} from found)`
  const theFew = [...beside, sql`${list.id} = any(array(select id from found))`, few]
  return sql`with found as materialized (
      select ${list.id} as id from ${list.from} ${whereAll(matching)} limit ${fewMatches + 1})
    (${composePage(list, theFew, page)})
    union all
    (${composePage(list, [...matching, sql`not ${few}`], page)})`
}

/** So many at most are sorted by themselves; what matches more often is met soon in any order. */
const fewMatches = 1000

/** The newest rows in which a `q` is looked for that has no three letters or digits in a row. */
const searchedUnindexed = 10_000

/**
 * That the text, which is lower case, holds what is looked for. It has to be written as its trigram
 * index is; `%`, `_` and `\` are characters like any other to the person who searches.
 */
export function contains(text: Sql, wanted: string): Sql {
  return sql`${text} like lower(${`%${wanted.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`})`
}

/** Whether a trigram index finds it: three letters or digits in a row are the least. */
function isIndexable(wanted: string): boolean {
  return /[\p{L}\p{N}]{3}/u.test(wanted)
}

/** The statement of one page, one row longer than asked: that row tells whether another follows. */
export function composePage<Filters extends object>(
  list: ListDefinition<Filters>,
  conditions: readonly Sql[],
  { limit, sort, after }: PageRequest,
): Sql {
  const column = sortColumnOf(list, sort)
  const all = after ? [...conditions, beyond(list, column, { sort, after })] : conditions
  const order =
    sort.direction === 'asc'
      ? sql`${column.column} asc nulls last, ${list.id} asc`
      : column.nullable
        ? sql`${column.column} desc nulls last, ${list.id} desc`
        : sql`${column.column} desc, ${list.id} desc`
  return sql`select ${list.columns}, ${list.id} as row_id, ${column.column} as row_sort
    from ${list.from} ${whereAll(all)} order by ${order} limit ${limit + 1}`
}

/**
 * Rows without a value stand last. A condition that takes them in with the others would hide the
 * index from the planner, so they are a statement of their own when the others have run out.
 */
async function fetchRows<Row extends object, Filters extends object>(
  db: Db,
  list: ListDefinition<Filters>,
  { wanted, page }: { wanted: WantedRows; page: PageRequest },
): Promise<(Row & KeyOfRow)[]> {
  const rows = await db.many<Row & KeyOfRow>(composeWanted(list, wanted, page))
  const { column, nullable } = sortColumnOf(list, page.sort)
  const isAmongValues = page.after !== null && page.after[0] !== null
  if (!nullable || !isAmongValues || rows.length > page.limit) return rows
  const isNull = sql`${column} is null`
  const valueless = {
    matching: [...wanted.matching, isNull],
    ...(wanted.beside && { beside: [...wanted.beside, isNull] }),
  }
  const rest = { ...page, after: null, limit: page.limit - rows.length }
  return [...rows, ...(await db.many<Row & KeyOfRow>(composeWanted(list, valueless, rest)))]
}

interface KeyOfRow {
  rowId: string
  rowSort: string | number | Date | null
}

function toPosition({ rowId, rowSort }: KeyOfRow): Position {
  return [rowSort instanceof Date ? rowSort.toISOString() : rowSort, rowId]
}

function sortColumnOf<Filters extends object>(
  list: ListDefinition<Filters>,
  sort: Sort,
): SortColumn {
  const column = list.sorts[sort.field]
  if (!column) throw new Error(`the list has no sort ${sort.field}`)
  return column
}

/** The rows after the last one of the page before, in the order of the sort. */
function beyond<Filters extends object>(
  list: ListDefinition<Filters>,
  { column, type }: SortColumn,
  { sort, after }: { sort: Sort; after: Position },
): Sql {
  const [value, id] = after
  const comparison = sort.direction === 'asc' ? sql`>` : sql`<`
  if (value === null) return sql`(${column} is null and ${list.id} ${comparison} ${id})`
  return sql`(${column}, ${list.id}) ${comparison} (${value}::${type}, ${id})`
}

function whereAll(conditions: readonly Sql[]): Sql {
  return conditions.length > 0 ? sql`where ${joinSql(conditions, ' and ')}` : nothing
}

async function countRows<Filters extends object>(
  db: Db,
  list: ListDefinition<Filters>,
  conditions: readonly Sql[],
): Promise<{ total: number; totalIsMore?: true }> {
  const { count } = await db.one<{ count: number }>(sql`
    select count(*) from (
      select 1 from ${list.from} ${whereAll(conditions)} limit ${maxTotal + 1}) as counted`)
  return count > maxTotal ? { total: maxTotal, totalIsMore: true } : { total: count }
}
