import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import type { AppContext } from '../src/platform/context.ts'
import { startJobs } from '../src/platform/jobs.ts'
import { createLogger } from '../src/platform/log.ts'
import { migrate, splitStatements, type MigrateReport } from '../src/platform/migrate.ts'
import { cloneDatabase, type TestDatabase } from './support/database.ts'
import { withDatabase } from './support/global-setup.ts'

const realDirectory = path.resolve(import.meta.dirname, '../migrations')

let superuser: pg.Client
let scratch: string
const made: string[] = []

beforeAll(async () => {
  superuser = await connect(withDatabase(inject('cluster').superuser, 'postgres'))
  scratch = await mkdtemp(path.join(tmpdir(), 'bureau-migrations-'))
})
afterEach(async () => {
  for (const name of made.splice(0)) await superuser.query(`drop database ${name} with (force)`)
})
afterAll(async () => {
  await superuser.end()
  await rm(scratch, { recursive: true })
})

interface EmptyDatabase {
  readonly ownerUrl: string
  readonly serverUrl: string
}

async function makeEmptyDatabase(): Promise<EmptyDatabase> {
  const name = `empty_${randomBytes(6).toString('hex')}`
  await superuser.query(`create database ${name} owner bureau_owner`)
  made.push(name)
  const { owner, server } = inject('cluster')
  return { ownerUrl: withDatabase(owner, name), serverUrl: withDatabase(server, name) }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** Runs the work on a connection of its own. */
async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connect(url)
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function run(database: EmptyDatabase, directory: string): Promise<MigrateReport> {
  return migrate({ ...database, directory, progress: () => undefined })
}

/** The real first migration, which the rest stands on, and then these files. */
async function makeDirectory(added: Readonly<Record<string, string>>): Promise<string> {
  const directory = path.join(scratch, randomBytes(6).toString('hex'))
  await mkdir(directory)
  await copyFile(
    path.join(realDirectory, '0001_platform.sql'),
    path.join(directory, '0001_platform.sql'),
  )
  for (const [name, text] of Object.entries(added)) {
    await writeFile(path.join(directory, name), text)
  }
  return directory
}

async function tableExists(url: string, table: string): Promise<boolean> {
  return await withClient(url, async (client) => {
    const { rows } = await client.query<{ found: boolean }>(
      'select to_regclass($1) is not null as found',
      [table],
    )
    return rows[0]?.found === true
  })
}

describe('migrate', () => {
  test('applies all files once when two processes start at the same moment', async () => {
    const database = await makeEmptyDatabase()
    const reports = await Promise.all([run(database, realDirectory), run(database, realDirectory)])
    const files = (await readdir(realDirectory)).filter((file) => file.endsWith('.sql'))
    expect(reports.flatMap(({ applied }) => applied).toSorted()).toEqual(files.toSorted())
    expect(reports.map(({ rolesApart }) => rolesApart)).toEqual([true, true])
    expect((await run(database, realDirectory)).applied).toEqual([])
  })

  test('leaves nothing of a file whose second statement fails, and says which it was', async () => {
    const database = await makeEmptyDatabase()
    const broken = 'create table half (id text);\ncreate table half (id text);\n'
    const directory = await makeDirectory({ '0002_half.sql': broken })
    await expect(run(database, directory)).rejects.toThrow(/0002_half\.sql failed.*already exists/)
    expect(await tableExists(database.ownerUrl, 'half')).toBe(false)
    expect(await tableExists(database.ownerUrl, 'events')).toBe(true)
    await writeFile(path.join(directory, '0002_half.sql'), 'create table half (id text);\n')
    expect((await run(database, directory)).applied).toEqual(['0002_half.sql'])
  })

  test('survives the death of its connection in the middle of a file', async () => {
    const database = await makeEmptyDatabase()
    const slow = 'create table half (id text);\nselect pg_sleep(20);\n'
    const directory = await makeDirectory({ '0002_half.sql': slow })
    const running = run(database, directory)
    const failure = running.then(
      () => undefined,
      (error: unknown) => String(error),
    )
    const killed = async (): Promise<number | null> =>
      (
        await superuser.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where query like '%pg_sleep(20)%' and pid <> pg_backend_pid()
             and datname like 'empty_%'`,
        )
      ).rowCount
    await expect.poll(killed, { timeout: 10_000 }).toBeGreaterThan(0)
    expect(await failure).toMatch(/0002_half\.sql/)
    expect(await tableExists(database.ownerUrl, 'half')).toBe(false)
    await writeFile(path.join(directory, '0002_half.sql'), 'create table half (id text);\n')
    expect((await run(database, directory)).applied).toEqual(['0002_half.sql'])
  })

  test('refuses a database that a newer version has migrated', async () => {
    const database = await makeEmptyDatabase()
    const newer = await makeDirectory({ '0099_future.sql': 'create table future (id text);\n' })
    await run(database, newer)
    await expect(run(database, await makeDirectory({}))).rejects.toThrow(
      'The database has migrations that this version does not know (0099_future.sql): ' +
        'start the version that made them, or a newer one.',
    )
  })

  test('refuses a file that was changed after it had been applied', async () => {
    const database = await makeEmptyDatabase()
    const directory = await makeDirectory({ '0002_a.sql': 'create table a (id text);\n' })
    await run(database, directory)
    await writeFile(path.join(directory, '0002_a.sql'), 'create table a (id text, b text);\n')
    await expect(run(database, directory)).rejects.toThrow(
      'Migration 0002_a.sql was changed after it had been applied here.',
    )
  })

  test('runs a file that asks for no transaction statement by statement', async () => {
    const database = await makeEmptyDatabase()
    const directory = await makeDirectory({
      '0002_a.sql': 'create table a (id text);\n',
      '0003_index.sql': '-- no transaction\ncreate index concurrently a_id on a (id);\n',
    })
    expect((await run(database, directory)).applied).toContain('0003_index.sql')
    expect(await tableExists(database.ownerUrl, 'a_id')).toBe(true)
  })

  test('takes no right from a process that serves meanwhile', async () => {
    const database = await makeEmptyDatabase()
    await run(database, realDirectory)
    const progress = { isDone: false }
    const serving = withClient(database.serverUrl, async (client) => {
      const refusals: string[] = []
      while (!progress.isDone) {
        await client.query('select id from events limit 1').catch((error: unknown) => {
          refusals.push(String(error))
        })
      }
      return refusals
    })
    for (let round = 0; round < 3; round += 1) await run(database, realDirectory)
    progress.isDone = true
    expect(await serving).toEqual([])
  })
})

describe('splitStatements', () => {
  test('ends a statement at a semicolon that ends a line, but not within a body', () => {
    const text = [
      '-- A comment; with a semicolon;',
      "insert into a values ('x; y');",
      'create function f() returns int language sql as',
      '$$',
      'select 1;',
      'select 2;',
      '$$;',
      'select 3',
    ].join('\n')
    expect(splitStatements(text).map((statement) => statement.split('\n').length)).toEqual([
      1, 5, 1,
    ])
  })
})

describe('the serving role', () => {
  let database: TestDatabase
  let server: pg.Client

  beforeAll(async () => {
    database = await cloneDatabase()
    server = await connect(database.serverUrl)
    await server.query(insertEvent)
  })
  afterAll(async () => {
    await server.end()
    await database.drop()
  })

  test.each([
    ['drop a table', 'drop table events'],
    ['alter a table', 'alter table events add column x text'],
    ['create a table', 'create table mine (id text)'],
    ['create a schema', 'create schema mine'],
    ['make an index', 'create index mine on events (id)'],
    ['change an event', "update events set type = 'other'"],
    ['delete an event', 'delete from events'],
    ['empty the events', 'truncate events'],
    ['forge a migration', "insert into schema_migrations values ('x', 'y', now())"],
    ['switch triggers off', 'alter table events disable trigger all'],
  ])('42501: may not %s', async (_what, statement) => {
    await expect(server.query(statement)).rejects.toMatchObject({ code: '42501' })
  })

  test('may read and write what it serves', async () => {
    await server.query("insert into rate_limits values ('a', 1, now())")
    await server.query("update rate_limits set hits = 2 where key = 'a'")
    await server.query("delete from rate_limits where key = 'a'")
    const { rows } = await server.query<{ id: string }>('select id from events')
    expect(rows).toEqual([{ id: 'evt_1' }])
    const tables = await server.query<{ name: string }>(`
      select c.relname as name from pg_class c
      where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
        and not has_table_privilege(c.oid, 'select')`)
    expect(tables.rows).toEqual([])
  })

  test('adds jobs in its transaction and runs them', async () => {
    const ran: unknown[] = []
    const jobs = await startJobs({
      directUrl: database.serverUrl,
      tasks: {
        note: async (payload) => {
          ran.push(payload)
        },
      },
      jobs: [],
      contextFor: () => ({ now: new Date() }) as AppContext,
      log: createLogger('silent'),
    })
    try {
      expect(jobs.id).not.toBe('')
      await server.query('begin')
      await server.query(`select graphile_worker.add_job('note', '{"lost":true}')`)
      await server.query('rollback')
      await server.query(`select graphile_worker.add_job('note', '{"kept":true}')`)
      await expect.poll(() => ran, { timeout: 10_000 }).toEqual([{ kept: true }])
      const left = async (): Promise<number | null> =>
        (await server.query('select id from graphile_worker.jobs')).rowCount
      await expect.poll(left, { timeout: 10_000 }).toBe(0)
    } finally {
      await jobs.stop()
    }
  })
})

describe('with one role for all', () => {
  test('a trigger refuses to change, delete or empty the events', async () => {
    const { ownerUrl } = await makeEmptyDatabase()
    const report = await run({ ownerUrl, serverUrl: ownerUrl }, realDirectory)
    expect(report.rolesApart).toBe(false)
    await withClient(ownerUrl, async (client) => {
      await client.query(insertEvent)
      for (const statement of [
        "update events set type = 'other'",
        'delete from events',
        'truncate events',
      ]) {
        await expect(client.query(statement)).rejects.toMatchObject({
          code: '42501',
          message: 'events are never changed',
        })
      }
    })
    expect((await run({ ownerUrl, serverUrl: ownerUrl }, realDirectory)).applied).toEqual([])
  })
})

const insertEvent = `
  insert into events (root_id, id, root_version, type, at, actor_kind, data)
  values ('ord_1', 'evt_1', 1, 'thing.made', '2026-01-01', 'system', '{}')`
