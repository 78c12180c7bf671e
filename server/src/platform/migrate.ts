import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { runMigrations as migrateJobQueue } from 'graphile-worker'
import pg from 'pg'
import { silentJobLogger } from './jobs.ts'
import { Refusal } from '../kernel/refusal.ts'

export interface MigrateOptions {
  /** The role that owns the schema. */
  readonly ownerUrl: string
  /** The role that serves: it gets what it needs and not more. */
  readonly serverUrl: string
  readonly directory: string
  readonly progress: (message: string) => void
  /** The migrations of a backup: its rows are loaded at the schema that they were written in. */
  readonly restoring?: readonly string[]
}

export interface MigrateReport {
  readonly applied: readonly string[]
  /** False where one role does both: triggers then guard the events, and DDL is not refused. */
  readonly rolesApart: boolean
}

/** Any number that no other program on this database uses: the lock that two starters share. */
export const migrationLockKey = 7_262_837_001

/** A table that stands from the beginning of a restore until its rows are there. */
export const unfinishedRestore = 'unfinished_restore'

/**
 * Brings the database to the newest schema: forward only, each file in one transaction with its
 * record, under an advisory lock. A second starter waits and then finds nothing to do; a crash in
 * the middle leaves the files before it applied and the one it met untouched.
 */
export async function migrate(options: MigrateOptions): Promise<MigrateReport> {
  const client = new pg.Client({
    connectionString: options.ownerUrl,
    application_name: 'bureau migrate',
  })
  // The statement that meets a lost connection says so; without a listener the process would end.
  client.on('error', () => undefined)
  await client.connect()
  try {
    // Advisory locks are a hint only (a second coordinator may grant it twice); the primary key of
    // schema_migrations is what makes a file run once.
    await client.query('select pg_advisory_lock($1)', [migrationLockKey])
    if (!options.restoring) await refuseUnfinishedRestore(client)
    await client.query(`create table if not exists schema_migrations (
      name text collate "C" primary key, checksum text not null, applied_at timestamptz not null)`)
    const applied = await applyFiles(client, options)
    await migrateJobQueue({
      connectionString: options.ownerUrl,
      logger: silentJobLogger,
    })
    // In one transaction, so that a process that serves meanwhile never sees a right taken away.
    await client.query('begin')
    const rolesApart = await grantToServer(client, options)
    await client.query('commit')
    return { applied, rolesApart }
  } finally {
    await client.end()
  }
}

/** What a restore left half done would look like a business that has lost everything. */
async function refuseUnfinishedRestore(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ found: boolean }>(
    'select to_regclass($1) is not null as found',
    [unfinishedRestore],
  )
  if (rows[0]?.found === true) {
    throw new Refusal('A restore into this database was not finished: run the restore again.')
  }
}

/** The migrations of this version, in their order. */
export async function listMigrations(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((file) => file.endsWith('.sql')).toSorted()
}

/** What a migration's text was when it was applied. */
export async function checksumOfMigration(directory: string, file: string): Promise<string> {
  return checksumOf(await readFile(path.join(directory, file), 'utf8'))
}

function checksumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** The statements of a file: they end with a semicolon at the end of a line. */
export function splitStatements(text: string): string[] {
  const statements: string[] = []
  let current = ''
  let inBody = false
  for (const line of text.split('\n')) {
    if (!inBody && /^\s*(--.*)?$/.test(line)) continue
    current += `${line}\n`
    // A function's body stands between two lines with `$$`.
    if ((line.match(/\$\$/g) ?? []).length % 2 === 1) inBody = !inBody
    if (!inBody && /;\s*(--.*)?$/.test(line)) {
      statements.push(current.trim())
      current = ''
    }
  }
  if (current.trim() !== '') statements.push(current.trim())
  return statements
}

async function applyFiles(
  client: pg.Client,
  { directory, progress, restoring }: MigrateOptions,
): Promise<string[]> {
  const known = await client.query<{ name: string; checksum: string }>(
    'select name, checksum from schema_migrations',
  )
  const checksums = new Map(known.rows.map(({ name, checksum }) => [name, checksum]))
  const all = await listMigrations(directory)
  const files = restoring ? all.filter((file) => restoring.includes(file)) : all
  const unknown = [...checksums.keys()].filter((name) => !files.includes(name))
  if (unknown.length > 0) {
    throw new Refusal(
      `The database has migrations that this version does not know (${unknown.join(', ')}): ` +
        'start the version that made them, or a newer one.',
    )
  }
  const applied: string[] = []
  for (const file of files) {
    const text = await readFile(path.join(directory, file), 'utf8')
    const checksum = checksumOf(text)
    const before = checksums.get(file)
    if (before !== undefined && before !== checksum) {
      throw new Refusal(`Migration ${file} was changed after it had been applied here.`)
    }
    if (before !== undefined) continue
    progress(`migration ${file}`)
    await applyFile(client, file, { text, checksum })
    applied.push(file)
  }
  return applied
}

async function applyFile(
  client: pg.Client,
  name: string,
  { text, checksum }: { text: string; checksum: string },
): Promise<void> {
  const record = (): Promise<unknown> =>
    client.query(
      'insert into schema_migrations (name, checksum, applied_at) values ($1, $2, now())',
      [name, checksum],
    )
  if (text.startsWith('-- no transaction')) {
    for (const statement of splitStatements(text)) await client.query(statement)
    await record()
    return
  }
  await client.query('begin')
  try {
    // A migration that cannot have its lock soon must not make the whole business wait for it.
    await client.query("set local lock_timeout = '3s'")
    for (const statement of splitStatements(text)) await client.query(statement)
    await record()
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw new Error(`Migration ${name} failed: ${String(error)}`, { cause: error })
  }
}

/** Tables that the serving role may add to and read, and never change. */
const appendOnlyTables = ['events']

/** Two roles: grants without DDL. One role: triggers hold that events are never changed. */
async function grantToServer(client: pg.Client, options: MigrateOptions): Promise<boolean> {
  const owner = await roleOf(options.ownerUrl)
  const server = await roleOf(options.serverUrl)
  if (owner === server) {
    await guardEventsByTrigger(client)
    return false
  }
  const role = pg.escapeIdentifier(server)
  const { rows } = await client.query<{ tablename: string }>(
    `select tablename from pg_tables where schemaname = current_schema()
     and tablename <> 'schema_migrations'`,
  )
  for (const { tablename } of rows) {
    const table = pg.escapeIdentifier(tablename)
    const rights = appendOnlyTables.includes(tablename)
      ? 'select, insert'
      : 'select, insert, update, delete'
    await client.query(`revoke all on ${table} from ${role}`)
    await client.query(`grant ${rights} on ${table} to ${role}`)
  }
  await client.query(`grant select on schema_migrations to ${role}`)
  const own = await client.query<{ schema: string }>('select current_schema() as schema')
  const schema = pg.escapeIdentifier(own.rows[0]?.schema ?? 'public')
  await client.query(`grant usage on all sequences in schema ${schema} to ${role}`)
  await grantJobQueue(client, server)
  return true
}

/** The queue's own tables have row security on and no policy: one for the serving role opens them. */
async function grantJobQueue(client: pg.Client, server: string): Promise<void> {
  const schema = 'graphile_worker'
  const role = pg.escapeIdentifier(server)
  await client.query(`grant usage on schema ${schema} to ${role}`)
  // Databases of before had all rights here, and so TRUNCATE too.
  await client.query(`revoke all on all tables in schema ${schema} from ${role}`)
  await client.query(
    `grant select, insert, update, delete on all tables in schema ${schema} to ${role}`,
  )
  for (const kind of ['sequences', 'functions']) {
    await client.query(`grant all on all ${kind} in schema ${schema} to ${role}`)
  }
  // Only where it is missing: a policy locks its table, which others may be working on.
  const { rows } = await client.query<{ relname: string }>(
    `select c.relname from pg_class c
     where c.relnamespace = $1::regnamespace and c.relrowsecurity and not exists (
       select 1 from pg_policy p join pg_roles r on r.oid = any (p.polroles)
       where p.polrelid = c.oid and p.polname = 'serving_role' and r.rolname = $2)`,
    [schema, server],
  )
  for (const { relname } of rows) {
    const table = `${schema}.${pg.escapeIdentifier(relname)}`
    await client.query(`drop policy if exists serving_role on ${table}`)
    await client.query(
      `create policy serving_role on ${table} to ${role} using (true) with check (true)`,
    )
  }
}

async function guardEventsByTrigger(client: pg.Client): Promise<void> {
  await client.query(`create or replace function refuse_change() returns trigger language plpgsql as
    $$ begin raise exception 'events are never changed' using errcode = '42501'; end $$`)
  await client.query(`create or replace trigger events_append_only
    before update or delete or truncate on events
    for each statement execute function refuse_change()`)
}

async function roleOf(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ role: string }>('select current_user as role')
    return rows[0]?.role ?? ''
  } finally {
    await client.end()
  }
}
