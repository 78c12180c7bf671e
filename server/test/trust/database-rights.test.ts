import { randomBytes } from 'node:crypto'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { migrate } from '../../src/platform/migrate.ts'
import { cloneDatabase, type TestDatabase } from '../support/database.ts'
import { query } from '../support/fresh-database.ts'
import { withDatabase } from '../support/global-setup.ts'
import { repository } from '../support/sources.ts'
import { promise } from './promise.ts'

let database: TestDatabase
/** As the process that answers requests is connected. */
let serving: pg.Client
let tables: readonly Table[]

interface Table {
  readonly name: string
  readonly column: string
}

beforeAll(async () => {
  database = await cloneDatabase()
  serving = new pg.Client({ connectionString: database.serverUrl })
  await serving.connect()
  tables = await query<Table>(
    database.ownerUrl,
    `select c.oid::regclass::text as name, quote_ident(min(a.attname)) as column
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text !~ '^(pg_|information_)'
     group by c.oid order by 1`,
  )
}, 120_000)
afterAll(async () => {
  await serving.end()
  await database.drop()
})

/** The SQLSTATE of a statement that is undone; undefined where it went through. */
async function refusalOf(client: pg.Client, statement: string): Promise<string | undefined> {
  // These two are for nobody within a transaction.
  const isAlone = /^(create database|alter system)/.test(statement)
  await client.query(isAlone ? 'select' : 'begin')
  try {
    await client.query(statement)
    return undefined
  } catch (error) {
    return (error as pg.DatabaseError).code
  } finally {
    await client.query(isAlone ? 'select' : 'rollback')
  }
}

async function faultsOf(client: pg.Client, statements: readonly string[]): Promise<string[]> {
  const faults: string[] = []
  for (const statement of statements) {
    const code = await refusalOf(client, statement)
    if (code !== permissionDenied) faults.push(`${code ?? 'done'}: ${statement}`)
  }
  return faults
}

const permissionDenied = '42501'

const ofTable = ({ name, column }: Table): string[] => [
  `drop table ${name} cascade`,
  `truncate ${name}`,
  `alter table ${name} add column intruder text`,
  `alter table ${name} drop column ${column}`,
  `alter table ${name} rename to taken_over`,
  `alter table ${name} disable trigger all`,
  `alter table ${name} disable row level security`,
  `alter table ${name} owner to current_user`,
  `create index on ${name} (${column})`,
  `create trigger intruder before insert on ${name} execute function suppress_redundant_updates_trigger()`,
  `create policy intruder on ${name} using (true)`,
  `create rule intruder as on delete to ${name} do instead nothing`,
  `comment on table ${name} is 'taken over'`,
]

const ofDatabase: readonly string[] = [
  'create table intruder (id text)',
  'create table graphile_worker.intruder (id text)',
  'create view intruder as select 1',
  'create sequence intruder',
  `create function intruder() returns void language sql as ''`,
  "create type intruder as enum ('a')",
  'create schema intruder',
  'drop schema graphile_worker cascade',
  'drop schema public cascade',
  'create extension file_fdw',
  'drop extension pg_trgm cascade',
  'create role intruder',
  'alter role current_user superuser',
  'alter role current_user createrole',
  'alter database postgres rename to taken_over',
  'create database intruder',
  "copy (select 1) to program 'true'",
  "copy (select 1) to '/tmp/intruder'",
  "select pg_read_file('postgresql.conf')",
  "select pg_ls_dir('.')",
  "select lo_import('/etc/passwd')",
  'alter system set log_statement = none',
  'set session authorization bureau_owner',
  'set role bureau_owner',
  'select pg_reload_conf()',
  'create event trigger intruder on ddl_command_start execute function pg_notify()',
]

const ofRecords: readonly string[] = [
  `update events set type = 'order.paid'`,
  `update events set data = '{}' where false`,
  'delete from events',
  'delete from events where false',
  'truncate events',
  'select * from events for update',
  `merge into events as kept using events as given on false when matched then delete`,
  `insert into events (root_id, id, root_version, type, at, actor_kind, data)
   values ('r', 'i', 1, 't', now(), 'system', '{}')
   on conflict (root_id, id) do update set type = 't'`,
  `insert into schema_migrations values ('0099_identity.sql', '', now())`,
  `update schema_migrations set checksum = ''`,
  'delete from schema_migrations',
]

promise(59, 'the serving role has no right over any table but to its rows', async (proof) => {
  expect(tables.length).toBeGreaterThan(30)
  const statements = tables.flatMap(ofTable)
  expect(await faultsOf(serving, statements)).toEqual([])
  const rights = await query<{ name: string; right: string }>(
    database.serverUrl,
    `select c.oid::regclass::text as name, r as right
     from pg_class c, unnest(array['truncate', 'references', 'trigger']) as r
     where c.relkind in ('r', 'p', 'v', 'm', 'f')
       and c.relnamespace::regnamespace::text !~ '^(pg_|information_)'
       and has_table_privilege(c.oid, r)`,
  )
  expect(rights).toEqual([])
  proof.measured(`${tables.length} tables, ${statements.length} statements, all 42501`)
})

promise(
  59,
  'the serving role makes nothing, owns nothing and leads to no other role',
  async (proof) => {
    const routines = await query<{ name: string }>(
      database.ownerUrl,
      `select p.oid::regprocedure::text as name from pg_proc p
     where p.pronamespace::regnamespace::text in ('graphile_worker', current_schema()::text)
       and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e')`,
    )
    expect(routines.length).toBeGreaterThan(3)
    const changed = routines.flatMap(({ name }) => [
      `drop routine ${name}`,
      `alter routine ${name} security definer`,
    ])
    expect(await faultsOf(serving, [...ofDatabase, ...changed])).toEqual([])
    const [role] = await query(
      database.serverUrl,
      `select rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication,
       (select count(*)::int from pg_auth_members where member = r.oid) as memberships,
       (select count(*)::int from pg_class where relowner = r.oid) as tables,
       (select count(*)::int from pg_proc where proowner = r.oid) as routines
     from pg_roles r where rolname = current_user`,
    )
    expect(role).toEqual({
      rolsuper: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolbypassrls: false,
      rolreplication: false,
      memberships: 0,
      tables: 0,
      routines: 0,
    })
    const definers = await query(
      database.ownerUrl,
      `select p.oid::regprocedure::text as name from pg_proc p
     where p.prosecdef and p.pronamespace::regnamespace::text !~ '^(pg_catalog|information_)'`,
    )
    expect(definers, 'no function lends its owner’s rights').toEqual([])
    proof.measured(`${ofDatabase.length + changed.length} statements, all 42501`)
  },
)

promise(
  59,
  'what has happened is added to and never changed, nor what was migrated',
  async (proof) => {
    expect(await faultsOf(serving, ofRecords)).toEqual([])
    const added = `insert into events (root_id, id, root_version, type, at, actor_kind, data)
    values ('r', 'i', 1, 't', now(), 'system', '{}')`
    expect(await refusalOf(serving, added)).toBeUndefined()
    expect(await refusalOf(serving, 'select * from events')).toBeUndefined()
    proof.measured(`${ofRecords.length} statements, all 42501; adding and reading go on`)
  },
)

promise(59, 'where one role does all, triggers keep what has happened', async (proof) => {
  const { owner, superuser } = inject('cluster')
  const name = `one_role_${randomBytes(6).toString('hex')}`
  await query(superuser, `create database ${name} owner bureau_owner`)
  const url = withDatabase(owner, name)
  const directory = path.join(repository, 'server/migrations')
  try {
    const report = await migrate({
      ownerUrl: url,
      serverUrl: url,
      directory,
      progress: () => undefined,
    })
    expect(report.rolesApart).toBe(false)
    await query(
      url,
      `insert into events (root_id, id, root_version, type, at, actor_kind, data)
      values ('r', 'i', 1, 't', now(), 'system', '{}')`,
    )
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const changes = ofRecords.filter((text) =>
      /^(update|delete|truncate|merge|insert) .*events/.test(text),
    )
    const faults = await faultsOf(client, [...changes, 'truncate events cascade'])
    // A second migration must not lose the triggers, and hands them on to later versions.
    await migrate({ ownerUrl: url, serverUrl: url, directory, progress: () => undefined })
    const again = await faultsOf(client, changes)
    await client.end()
    expect([...faults, ...again]).toEqual([])
    expect(await query(url, 'select type from events')).toEqual([{ type: 't' }])
    proof.measured(`${changes.length + 1} statements, all 42501, before and after a second start`)
  } finally {
    await query(superuser, `drop database ${name} with (force)`)
  }
})
