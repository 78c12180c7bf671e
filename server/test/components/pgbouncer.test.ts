import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../support/process.ts'
import { expectReply, request, signInAdmin } from '../support/client.ts'
import {
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../support/fresh-database.ts'
import { buyAsGuest, liveOrder, publishService } from '../support/journey.ts'

/** Sessions that the pooler keeps to one database. */
const poolSize = 4

describe('PgBouncer in transaction mode', () => {
  let database: FreshDatabase
  let nodes: Running[]
  const addressOf = (index: number): string => nodes[index % nodes.length]?.url ?? ''

  beforeAll(async () => {
    database = await makeFreshDatabase()
    const environment = {
      ...settingsOf(database, ''),
      DATABASE_URL: database.pooledUrl,
      DATABASE_DIRECT_URL: database.serverUrl,
      DATABASE_NAMED_STATEMENTS: 'off',
    }
    const start = async (): Promise<Running> =>
      startBureau({ ...environment, DATA_DIR: await makeFolder() })
    nodes = [await start(), await start()]
  }, startTimeoutMs)
  afterAll(async () => {
    await cleanUp()
    await database.drop()
  }, startTimeoutMs)

  test('carries an order from the basket to its completion', async () => {
    const order = await liveOrder(addressOf(0), await signInAdmin(addressOf(0)))
    expect(order).toMatchObject({ status: 'completed', paymentStatus: 'paid' })
  })

  test('serves 20 buyers at once on fewer sessions, to each an order and a case', async () => {
    const serviceId = await publishService(addressOf(0), await signInAdmin(addressOf(0)))
    const buyers = Array.from({ length: 20 }, (_, index) => index)
    const bought = await Promise.all(
      buyers.map((index) => buyAsGuest(addressOf(index), serviceId, `buyer-${index}`)),
    )
    const confirmed = await Promise.all(
      bought.map(({ order, orderToken }, index) =>
        expectReply(200, addressOf(index + 1), `POST /api/checkout/confirm/${order.id}`, {
          orderToken,
        }),
      ),
    )
    for (const reply of confirmed) {
      expect(reply).toMatchObject({ order: { paymentStatus: 'paid' }, case: { status: 'new' } })
    }
    expect(new Set(confirmed.map((reply) => reply.case.id)).size).toBe(buyers.length)
    const [sessions] = await query(
      database.superuserUrl,
      `select count(*)::int as pooled from pg_stat_activity
       where datname = current_database() and application_name = 'bureau'`,
    )
    expect(sessions?.['pooled']).toBeGreaterThan(0)
    expect(sessions?.['pooled']).toBeLessThanOrEqual(poolSize)
  })

  test('leaves the jobs their direct way: all that was announced is done', async () => {
    await eventually(async () => {
      const [open] = await query(
        database.superuserUrl,
        `select (select count(*)::int from provider_events) as heard,
           (select count(*)::int from provider_events where processed_at is null) as unheard,
           (select count(*)::int from event_delivery) as unannounced`,
      )
      expect(open).toEqual({ heard: expect.any(Number), unheard: 0, unannounced: 0 })
      expect(open?.['heard']).toBeGreaterThan(0)
    })
    const failed = await query(
      database.superuserUrl,
      'select task_identifier, last_error from graphile_worker.jobs where last_error is not null',
    )
    expect(failed).toEqual([])
  })

  test('leaves LISTEN its direct way: both nodes hear, and a sign-out on one ends it on both', async () => {
    await expect(hearNodes(database.serverUrl, nodes.length)).resolves.toBe(nodes.length)
    const token = await signInAdmin(addressOf(0))
    for (const { url } of nodes) await expectReply(200, url, 'GET /api/auth/me', { token })
    await expectReply(204, addressOf(0), 'POST /api/auth/admin/logout', { token })
    await eventually(
      async () => {
        expect((await request(addressOf(1), 'GET /api/auth/me', { token })).status).toBe(401)
      },
      { withinMs: 1000 },
    )
  })

  test('is nothing that either node complains of', () => {
    for (const { output } of nodes) {
      expect(output()).not.toMatch(/prepared statement|invalidation connection|"level":(50|60)/)
    }
  })
})

/** Until so many nodes have sent their heartbeat; gives how many were heard. */
async function hearNodes(url: string, count: number): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  const heard = new Set<string>()
  client.on('notification', ({ payload }) => heard.add(payload?.split(' ')[1] ?? ''))
  await client.connect()
  try {
    await client.query('listen bureau_invalidation')
    await eventually(() => expect(heard.size).toBeGreaterThanOrEqual(count))
    return heard.size
  } finally {
    await client.end()
  }
}
