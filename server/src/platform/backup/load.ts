import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { unfinishedRestore } from '../migrate.ts'
import { connectForCopies } from './connection.ts'
import { loadJobs } from './jobs.ts'
import type { Manifest } from './manifest.ts'

export type TargetState =
  /** Nothing is there, not even a schema. */
  | 'blank'
  /** The schema, and a business that has not begun, or one whose restore was cut short. */
  | 'empty'
  | 'in use'
  /** Somebody else's tables. */
  | 'foreign'

/** Every fact of a business is announced by an event: without one it has not begun. */
export async function inspectTarget(ownerUrl: string): Promise<TargetState> {
  return await withConnection(ownerUrl, async (client) => {
    const { rows } = await client.query<{ tables: string[] }>(
      `select coalesce(array_agg(tablename::text), '{}') as tables from pg_tables
       where schemaname = current_schema()`,
    )
    const tables = rows[0]?.tables ?? []
    if (tables.length === 0) return 'blank'
    if (!tables.includes('schema_migrations') && !tables.includes(unfinishedRestore)) {
      return 'foreign'
    }
    if (!tables.includes('events')) return 'empty'
    const { rowCount } = await client.query('select from events limit 1')
    return rowCount === 0 ? 'empty' : 'in use'
  })
}

/** From here on no Bureau starts on this database until the rows are loaded. */
export async function markUnfinished(ownerUrl: string): Promise<void> {
  await withConnection(ownerUrl, async (client) => {
    await client.query(`create table if not exists ${unfinishedRestore} ()`)
  })
}

/**
 * Loads all rows into tables of the same schema in one transaction, which also takes away the mark:
 * a crash leaves no row. `open` gives the file of a table, or that of the jobs.
 */
export async function loadRows(
  ownerUrl: string,
  manifest: Manifest,
  open: { table: (name: string) => Promise<Readable>; jobs: () => Promise<Readable> },
): Promise<void> {
  await withConnection(ownerUrl, async (client) => {
    await client.query('begin')
    await clearMigratedRows(client, manifest)
    for (const { name, columns, rows } of manifest.tables) {
      const list = columns.map((column) => pg.escapeIdentifier(column)).join(', ')
      const copy = copyFrom(`copy ${pg.escapeIdentifier(name)} (${list}) from stdin`)
      const stream = client.query(copy)
      await pipeline(await open.table(name), stream)
      if (stream.rowCount !== rows) throw new Error(`${name}: ${stream.rowCount} rows of ${rows}`)
    }
    for (const [name, value] of Object.entries(manifest.sequences)) {
      if (value === null) continue
      await client.query('select setval($1::regclass, $2)', [pg.escapeIdentifier(name), value])
    }
    const jobs = await loadJobs(client, await open.jobs(), manifest.jobs.lastId)
    if (jobs !== manifest.jobs.count) throw new Error(`${jobs} jobs of ${manifest.jobs.count}`)
    await client.query(`drop table ${unfinishedRestore}`)
    await client.query('commit')
    // Without it the first queries would be planned as for tables of a few rows.
    await client.query('analyze')
  })
}

/** Some tables get a row from their migration, and the backup has it as it was later. */
async function clearMigratedRows(client: pg.Client, { tables }: Manifest): Promise<void> {
  for (const { name } of tables.toReversed()) {
    const table = pg.escapeIdentifier(name)
    const { rowCount } = await client.query(`select from ${table} limit 1`)
    // Where there is nothing, nothing is deleted: the events refuse to be told so.
    if (rowCount !== 0) await client.query(`delete from ${table}`)
  }
}

async function withConnection<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connectForCopies(url, 'bureau restore')
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
