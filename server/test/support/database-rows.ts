import { createHash } from 'node:crypto'
import type { TestApp } from './app.ts'

/** The tables that the app writes, with their schema. */
async function listTables(app: Pick<TestApp, 'sql'>): Promise<string[]> {
  const rows = await app.sql(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
     where schemaname in (current_schema(), 'graphile_worker') order by 1`,
  )
  return rows.map(({ name }) => String(name))
}

/** Which tables have a row that holds the text, in whatever column. */
export async function tablesHolding(app: Pick<TestApp, 'sql'>, text: string): Promise<string[]> {
  const found: string[] = []
  for (const table of await listTables(app)) {
    const [row] = await app.sql(
      `select exists (select 1 from ${table} as t where t::text like '%' || $1 || '%') as holds`,
      [text.replaceAll(/[\\%_]/g, '\\$&')],
    )
    if (row?.['holds'] === true) found.push(table)
  }
  return found
}

/** What is counted and locked without that anything has happened. */
const passing = /\.(rate_limits|idempotency_keys|job_processes)$/

/** Everything that is written down, a digest for each table: two are equal where nothing changed. */
export async function digestTables(app: Pick<TestApp, 'sql'>): Promise<Record<string, string>> {
  const digests: Record<string, string> = {}
  for (const table of await listTables(app)) {
    if (passing.test(table)) continue
    const rows = await app.sql(`select t::text as row from ${table} as t order by 1`)
    digests[table] = createHash('sha256').update(JSON.stringify(rows)).digest('hex')
  }
  return digests
}
