import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../support/process.ts'
import { signInAdmin } from '../support/client.ts'
import {
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../support/fresh-database.ts'
import { liveOrder } from '../support/journey.ts'

describe("Debian's PostgreSQL with two roles", () => {
  let database: FreshDatabase
  let bureau: Running
  beforeAll(async () => {
    database = await makeFreshDatabase()
    bureau = await startBureau(settingsOf(database, await makeFolder()))
  }, startTimeoutMs)
  afterAll(async () => {
    await cleanUp()
    await database.drop()
  }, startTimeoutMs)

  test('is one that we did not bring, 15 or newer', async () => {
    const [row] = await query(
      database.serverUrl,
      `select version(), current_setting('server_version_num')::int as number`,
    )
    expect(row?.['version']).toContain('Debian')
    expect(row?.['number']).toBeGreaterThanOrEqual(150_000)
  })

  test('holds a schema that the owner role made and owns, all of it', async () => {
    const owners = await query(
      database.ownerUrl,
      `select distinct pg_get_userbyid(c.relowner) as owner from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('public', 'graphile_worker')`,
    )
    expect(owners).toEqual([{ owner: 'bureau_owner' }])
    const [applied] = await query(
      database.ownerUrl,
      'select count(*)::int as files from schema_migrations',
    )
    expect(applied?.['files']).toBeGreaterThan(5)
    expect(bureau.output()).not.toContain('schema changes are not held apart')
  })

  test.each([
    'create table intruder (id text)',
    'alter table orders add column intruder text',
    'drop table orders',
    'create index intruder on orders (id)',
    "update events set type = 'order.forged'",
    'delete from events',
    'truncate events',
    "update schema_migrations set checksum = 'forged'",
  ])('refuses the serving role: %s', async (statement) => {
    await expect(query(database.serverUrl, statement)).rejects.toMatchObject({ code: '42501' })
  })

  test('carries an order from the basket to its completion', async () => {
    const order = await liveOrder(bureau.url, await signInAdmin(bureau.url))
    expect(order).toMatchObject({ status: 'completed', paymentStatus: 'paid' })
  })

  test(
    'takes the next start as it is, with nothing left to migrate',
    async () => {
      bureau.child.kill('SIGTERM')
      expect(await bureau.ended).toBe(0)
      bureau = await startBureau(settingsOf(database, await makeFolder()))
      expect(bureau.output()).not.toContain('migration 00')
      await signInAdmin(bureau.url)
    },
    startTimeoutMs,
  )
})
