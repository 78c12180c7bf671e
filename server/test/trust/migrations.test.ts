import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { migrate } from '../../src/platform/migrate.ts'
import { startTestApp } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'
import { makeFreshDatabase, query, type FreshDatabase } from '../support/fresh-database.ts'
import { promise } from './promise.ts'

const realDirectory = path.resolve(import.meta.dirname, '../../migrations')
let directory: string
let database: FreshDatabase

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'bureau-migrations-'))
  await cp(realDirectory, directory, { recursive: true })
  database = await makeFreshDatabase()
})
afterAll(async () => {
  await database.drop()
  await rm(directory, { recursive: true })
})

async function run(): Promise<readonly string[]> {
  const { ownerUrl, serverUrl } = database
  return (await migrate({ ownerUrl, serverUrl, directory, progress: () => undefined })).applied
}

promise(43, 'six instances that start at once apply each file once', async (proof) => {
  const reports = await Promise.all(Array.from({ length: 6 }, run))
  const files = await readdir(directory)
  expect(reports.flat().toSorted()).toEqual(files.toSorted())
  expect(reports.filter((applied) => applied.length > 0)).toHaveLength(1)
  proof.measured(`6 instances, one of them applied all ${files.length} files`)
})

promise(
  43,
  'a crash half way leaves nothing of its file, and the next run does it',
  async (proof) => {
    const file = path.join(directory, '9001_platform_slow.sql')
    const slow = `create table half (id text);\nselect pg_sleep(60), '${randomBytes(4).toString('hex')}';\n`
    await writeFile(file, slow)
    const crashed = run().then(
      () => 'done',
      (error: unknown) => String(error),
    )
    // A second one waits for the first, and must not take its place half way.
    const waiting = eventually(async () => {
      const sleeping = await query(
        inject('cluster').superuser,
        `select pid from pg_stat_activity where query like '%pg_sleep(60)%'
         and datname = '${new URL(database.ownerUrl).pathname.slice(1)}'`,
      )
      expect(sleeping).toHaveLength(1)
      return Number(sleeping[0]?.['pid'])
    })
    const pid = await waiting
    await writeFile(file, 'create table half (id text);\n')
    const second = run()
    await query(inject('cluster').superuser, `select pg_terminate_backend(${pid})`)
    expect(await crashed).toMatch(/9001_platform_slow\.sql/)
    expect(await second).toEqual(['9001_platform_slow.sql'])
    expect(await run()).toEqual([])
    proof.measured(
      'one killed in its file, the one that waited did it once, the third found nothing',
    )
  },
)

promise(43, 'a version that serves goes on beside the schema of the next', async (proof) => {
  const app = await startTestApp()
  try {
    await app.sql('alter table orders add column next_version text')
    await app.sql('alter table services add column next_version jsonb')
    await app.sql(
      `insert into schema_migrations (name, checksum, applied_at)
       values ('9002_orders_next.sql', 'next', now())`,
    )
    expect((await app.request('GET /readyz')).status).toBe(200)
    const token = await app.as('admin')
    const service = await app.request('POST /api/services', {
      token,
      body: { name: 'Beside', price: { amount: 100, currency: 'GBP' }, status: 'active' },
    })
    const placed = await app.request('POST /api/orders', {
      token,
      body: {
        items: [{ serviceId: service.body.id, quantity: 1 }],
        customer: { email: 'beside@example.com', name: 'Beside' },
      },
    })
    expect([service.status, placed.status]).toEqual([201, 201])
    const health = await app.request('GET /api/system/health', { token })
    expect(health.body.checks.migrations[0].status).toBe('pass')
    proof.measured('with two columns and a migration of the next version: ready, an order placed')
  } finally {
    await app.close()
  }
})
