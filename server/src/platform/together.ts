import { toCamelCase, type Db } from './database.ts'
import { joinSql, sql, type Sql } from './sql.ts'

/** The rows of a query, to be read with those of others. */
export interface Part<Row extends object> {
  readonly query: Sql
  /** Which members are instants: JSON, in which rows come together, knows them as text only. */
  readonly instants: {
    readonly [Name in keyof Row as Date extends Row[Name] ? Name : never]-?: true
  }
  /** Never there: what the compiler reads the rows' type from. */
  readonly row?: Row
}

type AnyPart = Omit<Part<object>, 'row'>
type RowsOf<Parts> = {
  readonly [Name in keyof Parts]: Parts[Name] extends { readonly row?: infer Row } ? Row[] : never
}

/** Several lists by one statement: each as its query alone would give it, all of one instant. */
export async function fetchTogether<Parts extends Readonly<Record<string, AnyPart>>>(
  db: Db,
  parts: Parts,
): Promise<RowsOf<Parts>> {
  const named = Object.entries(parts)
  const lists = named.map(
    ([, { query }]) => sql`(select coalesce(json_agg(part), '[]'::json) from (${query}) as part)`,
  )
  const { found } = await db.one<{ found: Record<string, unknown>[][] }>(
    sql`select json_build_array(${joinSql(lists, ', ')}) as found`,
  )
  return Object.fromEntries(
    named.map(([name, { instants }], nth) => [
      name,
      (found[nth] ?? []).map((row) => readRow(row, instants)),
    ]),
  ) as RowsOf<Parts>
}

function readRow(
  row: Readonly<Record<string, unknown>>,
  instants: object,
): Record<string, unknown> {
  const read: Record<string, unknown> = {}
  for (const [column, value] of Object.entries(row)) {
    const name = toCamelCase(column)
    read[name] = name in instants && typeof value === 'string' ? new Date(value) : value
  }
  return read
}
