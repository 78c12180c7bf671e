import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { migrationLockKey } from '../migrate.ts'
import { Refusal } from '../../kernel/refusal.ts'
import { compile, type Sql } from '../sql.ts'
import { holdBytes, releaseBytes } from './bytes-hold.ts'
import { connectForCopies } from './connection.ts'
import { jobsQuery } from './jobs.ts'
import type { AppliedMigration } from './manifest.ts'

/** The business as it was at one instant, however long it takes to read it. */
export interface Snapshot {
  readonly postgresql: string
  readonly migrations: readonly AppliedMigration[]
  /** All that are to be kept, each after those that it refers to. */
  readonly tables: readonly SnapshotTable[]
  /** The rows in PostgreSQL's own text format; `count` is right once they are read. */
  copyTable(table: SnapshotTable): RowCopy
  copyJobs(): RowCopy
  /** Read after the rows: a number that is given twice would be worse than one that is left out. */
  readSequences(): Promise<Record<string, number | null>>
  readLastJobId(): Promise<number>
  /**
   * Ends the snapshot, so that the database can clean up again, and gives the bytes that its rows
   * name. They are held until all of them are read.
   */
  releaseRows(): AsyncGenerator<NamedBytes>
}

export interface SnapshotTable {
  readonly name: string
  /** Without those that PostgreSQL works out by itself. */
  readonly columns: readonly string[]
}

export interface RowCopy {
  readonly rows: AsyncIterable<Uint8Array>
  count(): number
}

/** What a row says of bytes that lie outside of the database. */
export interface NamedBytes {
  readonly id: string
  readonly key: string
  readonly size: number
  readonly sha256: string
}

/** Their rows are about processes that run, or are made by the migrations. */
const tablesLeftOut = ['schema_migrations', 'job_processes']

/**
 * Reads one snapshot while others write. `namedBytes` selects `NamedBytes`. Throws Refusal where
 * another backup is under way, or there is nothing to back up.
 */
export async function readSnapshot<T>(
  ownerUrl: string,
  namedBytes: Sql,
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const guard = await connectForCopies(ownerUrl, 'bureau backup')
  const reader = await connectForCopies(ownerUrl, 'bureau backup')
  try {
    await guard.query("set lock_timeout = '2s'")
    await holdBytes(guard).catch(refuseWhereLocked('Another backup of this business is under way.'))
    // No migration may change a table between the snapshot and the lock on it.
    await guard
      .query('select pg_advisory_lock_shared($1)', [migrationLockKey])
      .catch(refuseWhereLocked('The schema is being changed: try again when that is done.'))
    const snapshot = await beginSnapshot(reader, namedBytes)
    await guard.query('select pg_advisory_unlock_shared($1)', [migrationLockKey])
    const outcome = await work(snapshot)
    if (!(await releaseBytes(guard))) throw new Error('the bytes of documents were not held')
    return outcome
  } finally {
    await reader.end()
    await guard.end()
  }
}

function refuseWhereLocked(sentence: string): (error: unknown) => never {
  return (error) => {
    throw error instanceof pg.DatabaseError && error.code === '55P03'
      ? new Refusal(sentence)
      : error
  }
}

async function beginSnapshot(client: pg.Client, namedBytes: Sql): Promise<Snapshot> {
  await client.query('begin isolation level repeatable read read only')
  // Rows that a policy hides would be missing without a word.
  await client.query('set local row_security = off')
  const migrations = await listApplied(client)
  const tables = await listTables(client)
  const names = tables.map(({ name }) => pg.escapeIdentifier(name))
  await client.query(`lock table ${names.join(', ')} in access share mode`)
  await client.query(
    `declare named_bytes no scroll cursor with hold for ${compile(namedBytes).text}`,
  )
  const version = await client.query<{ server_version: string }>('show server_version')
  return {
    postgresql: version.rows[0]?.server_version ?? '',
    migrations,
    tables,
    copyTable: ({ name, columns }) => {
      const list = columns.map((column) => pg.escapeIdentifier(column)).join(', ')
      return copy(client, `copy ${pg.escapeIdentifier(name)} (${list}) to stdout`)
    },
    copyJobs: () => copy(client, `copy (${jobsQuery}) to stdout`),
    readSequences: () => readSequences(client),
    readLastJobId: async () => {
      const { rows } = await client.query<{ id: number | null }>(
        `select pg_sequence_last_value(
           pg_get_serial_sequence('graphile_worker._private_jobs', 'id')::regclass) as id`,
      )
      return rows[0]?.id ?? 0
    },
    releaseRows: () => releaseRows(client),
  }
}

function copy(client: pg.Client, statement: string): RowCopy {
  const stream = client.query(copyTo(statement))
  return { rows: stream, count: () => stream.rowCount }
}

async function listApplied(client: pg.Client): Promise<AppliedMigration[]> {
  const { rows } = await client.query<{ found: boolean }>(
    `select to_regclass('schema_migrations') is not null as found`,
  )
  if (rows[0]?.found !== true) throw new Refusal('There is no Bureau in this database.')
  const applied = await client.query<AppliedMigration>(
    'select name, checksum from schema_migrations order by name',
  )
  return applied.rows
}

async function listTables(client: pg.Client): Promise<SnapshotTable[]> {
  const { rows } = await client.query<SnapshotTable & { refers_to: string[] }>(
    `select c.relname as name,
       (select array_agg(a.attname::text order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '')
         as columns,
       (select coalesce(array_agg(distinct r.relname::text), '{}') from pg_constraint f
        join pg_class r on r.oid = f.confrelid
        where f.conrelid = c.oid and f.contype = 'f' and f.confrelid <> f.conrelid) as refers_to
     from pg_class c
     where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
       and c.relname <> all ($1::text[])
     order by c.relname`,
    [tablesLeftOut],
  )
  return inOrderOfReference(rows).map(({ name, columns }) => ({ name, columns }))
}

/** Each after those that it refers to, so that its rows find theirs when they are loaded. */
function inOrderOfReference<T extends { name: string; refers_to: string[] }>(
  tables: readonly T[],
): T[] {
  const ordered: T[] = []
  const waiting = new Map(tables.map((table) => [table.name, table]))
  while (waiting.size > 0) {
    const ready = [...waiting.values()].filter(
      ({ refers_to: refersTo }) => !refersTo.some((name) => waiting.has(name)),
    )
    if (ready.length === 0)
      throw new Error(`tables refer to each other: ${[...waiting.keys()].join()}`)
    for (const table of ready) waiting.delete(table.name)
    ordered.push(...ready)
  }
  return ordered
}

async function readSequences(client: pg.Client): Promise<Record<string, number | null>> {
  const { rows } = await client.query<{ name: string; last_value: number | null }>(
    `select sequencename as name, last_value from pg_sequences
     where schemaname = current_schema() order by sequencename`,
  )
  return Object.fromEntries(rows.map(({ name, last_value: lastValue }) => [name, lastValue]))
}

const fetchSize = 500

/** The list stays with the server: there may be more documents than fit into memory. */
async function* releaseRows(client: pg.Client): AsyncGenerator<NamedBytes> {
  await client.query('commit')
  for (;;) {
    const { rows } = await client.query<NamedBytes>(`fetch ${fetchSize} from named_bytes`)
    yield* rows
    if (rows.length < fetchSize) return
  }
}
