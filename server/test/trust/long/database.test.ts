import pg from 'pg'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { sql } from '../../../src/platform/sql.ts'
import { booksAgree } from '../../journeys/books.ts'
import { bought, buy, confirm, openShop, payAgain, payInBrowser } from '../../journeys/shop.ts'
import type { Purchase, Shop } from '../../journeys/shop.ts'
import { startTestApp, type Reply, type TestApp } from '../../support/app.ts'
import { eventually } from '../../support/eventually.ts'
import { withDatabase } from '../../support/global-setup.ts'
import { openWire, type Wire } from '../../support/wire.ts'
import { promise } from '../promise.ts'

const deadlineMs = 1500

/** Two nodes on one database: the second reaches it by a wire that can fail. */
let shop: Shop
let farShop: Shop
let wire: Wire

beforeAll(async () => {
  const app = await startTestApp()
  shop = await openShop(app)
  wire = await openWire(app.database.serverUrl)
  const database = { ...app.database, serverUrl: wire.url }
  const far = await startTestApp({
    beside: { ...app, database },
    requestTimeoutMs: deadlineMs,
  })
  farShop = { app: far, serviceId: shop.serviceId }
})
afterAll(async () => {
  wire.mend()
  await farShop.app.close()
  await wire.close()
  await shop.app.close()
})

promise(32, 'what a deadlock or a serialisation failure ends is run again', async (proof) => {
  const { app } = shop
  const strictly = await startSerializable(app)
  try {
    for (const [node, how] of [
      [shop, 'deadlock'],
      [{ ...shop, app: strictly }, 'serialisation'],
    ] as const) {
      const purchase = await buyInBrowser(shop)
      const rival = await openRival(app)
      const [first, then] = how === 'deadlock' ? ['payments', 'orders'] : ['orders', 'orders']
      const before = await countDeadlocks(app)
      await rival.query(touch(first, purchase.orderId))
      // The order is locked before its payment: the rival goes the other way round.
      const confirming = confirm(node, purchase)
      await eventually(() => expectBlocked(app))
      await rival.query(touch(then, purchase.orderId))
      await rival.query('commit')
      await rival.end()
      const { status, body } = await confirming
      expect([how, status, body.order?.paymentStatus]).toEqual([how, 200, 'paid'])
      const expected = before + (how === 'deadlock' ? 1 : 0)
      await eventually(async () => expect(await countDeadlocks(app)).toBe(expected))
    }
  } finally {
    await strictly.close()
  }
  proof.measured('1 deadlock and 1 serialisation failure met, both answered 200')
})

promise(32, 'where every try fails, the tries are few and the answer is 503', async (proof) => {
  const { app } = shop
  const token = await app.as('manager')
  for (const state of ['40001', '40P01']) {
    await asOwner(app, [
      'create sequence tries',
      'grant usage on sequence tries to bureau_server',
      `create function fail() returns trigger language plpgsql as $$ begin
         perform nextval('tries'); raise 'again' using errcode = '${state}'; end $$`,
      'create trigger fail before update on services for each row execute function fail()',
    ])
    const { status, headers } = await app.request(`PATCH /api/services/${shop.serviceId}`, {
      token,
      body: { name: 'Another name' },
    })
    const [{ tries } = {}] = await app.sql('select last_value::int as tries from tries')
    await asOwner(app, ['drop function fail() cascade', 'drop sequence tries'])
    expect([status, headers.get('retry-after'), tries]).toEqual([503, '1', 4])
  }
  proof.measured('4 tries at most, then 503 with Retry-After')
})

promise(32, 'under the strictest isolation nothing is a 500', async (proof) => {
  const { app } = shop
  const strictly = await startSerializable(app)
  try {
    const node = { ...shop, app: strictly }
    const one = await bought(shop)
    const replies = await Promise.all([
      ...Array.from({ length: 12 }, () => payAgain(node, one, { paymentMethod: 'pm_card_visa' })),
      ...Array.from({ length: 12 }, () => buy(node, { paymentMethod: 'pm_card_visa' })),
    ])
    const statuses = replies.map(({ status }) => status)
    expect(statuses.filter((status) => ![200, 201, 409, 503].includes(status))).toEqual([])
    const refused = replies.filter(({ status }) => status === 503 || status === 409)
    expect(refused.filter((reply) => isFinalRefusal(reply))).toEqual([])
    proof.measured(`24 racing checkouts, 0 × 500, ${refused.length} asked to come again`)
  } finally {
    await strictly.close()
  }
  await app.runJobs()
  await booksAgree(app)
})

/** The simple query that ends a transaction, as it stands on the wire. */
const commitMessage = 'Q\0\0\0\u000bcommit\0'

promise(33, 'a connection cut at COMMIT leaves one order under its key', async (proof) => {
  const { app } = farShop
  const before = await countOrders(app)
  let refused = 0
  let replayed = 0
  for (const fate of ['lost', 'heard'] as const) {
    for (let nth = 1; nth <= 3; nth += 1) {
      const key = `cut-at-commit-${fate}-${nth}-${'x'.repeat(20)}`
      const broken = wire.breakAt({ of: 'near', at: commitMessage, fate, nth })
      const buying = { key, paymentMethod: 'pm_card_visa' }
      const first = await buy(farShop, buying)
      await broken
      expect([first.status, first.headers.get('retry-after')]).toEqual([503, '1'])
      refused += 1
      const { status, body, headers } = await eventually(async () => {
        const reply = await buy(farShop, buying)
        // A step of the payment that nobody ended is looked up after its lease.
        if (reply.status === 409) app.advance(31_000)
        expect([reply.status, reply.body.code]).toEqual([201, undefined])
        return reply
      })
      if (headers.get('idempotent-replayed') !== null) replayed += 1
      const rows = await app.sql(
        `select o.id, o.payment_status from idempotency_keys k
           join orders o on o.id = k.resource_id
           where k.resource_id = $1`,
        [body.order.id],
      )
      expect([status, rows]).toEqual([201, [{ id: body.order.id, payment_status: 'paid' }]])
    }
  }
  // All that there are: one that no key leads to would be a second for the same request.
  expect((await countOrders(app)) - before).toBe(refused)
  await shop.app.runJobs()
  await booksAgree(app)
  proof.measured(`${refused} commits cut (3 answered to nobody, 3 lost), ${refused} orders`)
  proof.measured(`${replayed} replays`)
})

promise(34, 'in a black hole every request ends by its deadline with 503', async (proof) => {
  const { app } = farShop
  const token = (await app.asCustomer('ada')).token
  const manager = await shop.app.as('manager')
  wire.swallow()
  const waited = await Promise.all(
    Array.from({ length: 24 }, async (_, index) => {
      const begunAt = performance.now()
      const reply = await [
        () => app.request('GET /api/orders', { token }),
        () => app.request('GET /api/crm', { token: manager }),
        () => buy(farShop, { key: `black-hole-${index}-${'x'.repeat(20)}` }),
        () => app.request('GET /api/services?q=formation'),
      ][index % 4]?.()
      expect([reply?.status, reply?.headers.get('retry-after')]).toEqual([503, '1'])
      return performance.now() - begunAt
    }),
  )
  expect(Math.max(...waited)).toBeLessThan(deadlineMs + 1500)
  expect((await app.request('GET /livez')).status).toBe(200)
  expect((await app.request('GET /readyz')).status).toBe(503)
  wire.mend()
  const tookMs = await untilWell(farShop, 5000)
  await eventually(() => expectPoolAtRest(app))
  proof.measured(`24 requests ended with 503 after ${Math.max(...waited).toFixed(0)} ms at most`)
  proof.measured(`well ${tookMs.toFixed(0)} ms after the black hole`)
})

promise(34, 'what is lost on the way and comes later is answered all the same', async (proof) => {
  const { app } = farShop
  const token = (await app.asCustomer('ada')).token
  wire.slow(40)
  const slow = await app.request('GET /api/orders', { token })
  wire.hold()
  const held = Array.from({ length: 12 }, () => app.request('GET /api/orders', { token }))
  await eventually(() => expect(app.db.driver.idleCount).toBe(0))
  wire.mend()
  const statuses = [slow, ...(await Promise.all(held))].map(({ status }) => status)
  expect(new Set(statuses)).toEqual(new Set([200]))
  proof.measured('12 requests held up and 1 delayed by 40 ms each way, all answered 200')
})

promise(
  34,
  'connections that died without a word cost one deadline, not one each',
  async (proof) => {
    const { app } = farShop
    const token = (await app.asCustomer('ada')).token
    const ask = () => app.request('GET /api/orders', { token })
    await Promise.all(Array.from({ length: 30 }, ask))
    await eventually(() => expectPoolAtRest(app))
    const dead = app.db.driver.idleCount
    expect(dead).toBeGreaterThan(4)
    wire.strand()
    expect((await ask()).status).toBe(503)
    await untilWell(farShop, 5000)
    const statuses = (await Promise.all(Array.from({ length: 30 }, ask))).map(
      ({ status }) => status,
    )
    expect(new Set(statuses)).toEqual(new Set([200]))
    await eventually(() => expectPoolAtRest(app))
    proof.measured(`${dead} dead connections, 1 request ended with 503`)
  },
)

promise(35, 'beyond a bounded queue it is 503, and nothing leaks', async (proof) => {
  const { app } = farShop
  const token = (await app.asCustomer('ada')).token
  // What a node remembers of sessions counts again once it hears of changes again.
  await eventually(async () => {
    const before = app.db.statementCount()
    await app.request('GET /api/orders', { token })
    expect(app.db.statementCount() - before).toBe(1)
  })
  wire.slow(40)
  // At one go and past the web server: what no deadline ends can only be refused by the queue.
  const flood = Array.from({ length: 600 }, () => app.db.one(sql`select 1 as one`))
  const { waitingCount: waiting } = app.db.driver
  expect(waiting).toBe(500)
  await Promise.allSettled(flood)
  const replies = await Promise.all(
    Array.from({ length: 700 }, () => app.request('GET /api/orders', { token })),
  )
  const refused = replies.filter(({ status }) => status === 503)
  const answered = replies.filter(({ status }) => status === 200)
  expect(refused.length + answered.length).toBe(700)
  expect(refused.length).toBeGreaterThan(0)
  expect(answered.length).toBeGreaterThan(0)
  expect(refused.filter((reply) => reply.headers.get('retry-after') === null)).toEqual([])

  const aborted = await Promise.allSettled(
    Array.from({ length: 200 }, () => abortedRequest(app, token)),
  )
  expect(aborted.filter(({ status }) => status === 'fulfilled')).toEqual([])
  wire.mend()
  await eventually(() => expectPoolAtRest(app))
  await untilWell(farShop, 5000)
  proof.measured(`700 at once on 10 connections: ${answered.length} answered, rest 503`)
  proof.measured(`of 600 statements at one go ${waiting} waited, on 10 connections`)
  proof.measured('after 200 aborted requests the pool is at rest')
})

async function countOrders(app: TestApp): Promise<number> {
  const [{ orders } = {}] = await app.sql('select count(*)::int as orders from orders')
  return Number(orders)
}

function expectPoolAtRest({ db: { driver } }: TestApp): void {
  const { totalCount, idleCount, waitingCount } = driver
  expect({ waitingCount, busy: totalCount - idleCount }).toEqual({ waitingCount: 0, busy: 0 })
  expect(totalCount).toBeLessThanOrEqual(10)
}

/** Until a read and a purchase go through, and the node says that it is ready. */
async function untilWell(at: Shop, withinMs: number): Promise<number> {
  const mendedAt = performance.now()
  await eventually(
    async () => {
      expect((await at.app.request('GET /readyz')).status).toBe(200)
      expect((await buy(at)).status).toBe(201)
    },
    { withinMs },
  )
  return performance.now() - mendedAt
}

async function abortedRequest({ url }: TestApp, token: string): Promise<Response> {
  return await fetch(`${url}/api/orders`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(30),
  })
}

/** A payment that the provider has and we have not heard of. */
async function buyInBrowser(at: Shop): Promise<Purchase> {
  const purchase = await bought(at)
  await payInBrowser(at, purchase.payment.clientSecret, 'pm_card_visa')
  return purchase
}

/** 409 and 503 say when to come again; nothing else may be said in the end. */
function isFinalRefusal({ status, headers, body }: Reply): boolean {
  if (status === 409 && body.code === 'order_not_payable') return false
  return headers.get('retry-after') === null
}

/** Locks the rows as an update does. */
function touch(table: string, orderId: string): string {
  const column = table === 'orders' ? 'id' : 'order_id'
  return `update ${table} set ${column} = ${column} where ${column} = '${orderId}'`
}

/** A session in a transaction that waits out any deadlock, so that it is never the victim. */
async function openRival({ database }: TestApp): Promise<pg.Client> {
  const name = new URL(database.ownerUrl).pathname.slice(1)
  const url = withDatabase(inject('cluster').superuser, name)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`set deadlock_timeout = '60s'; begin`)
  return client
}

async function expectBlocked(app: TestApp): Promise<void> {
  const [{ blocked } = {}] = await app.sql(`select count(*)::int as blocked from pg_locks
    where not granted and pid <> pg_backend_pid()`)
  expect(blocked).toBe(1)
}

async function countDeadlocks(app: TestApp): Promise<number> {
  const [{ deadlocks } = {}] = await app.sql(
    `select deadlocks::int from pg_stat_database where datname = current_database()`,
  )
  return Number(deadlocks)
}

/** A node whose every transaction is serialisable. */
async function startSerializable(app: TestApp): Promise<TestApp> {
  const url = new URL(app.database.serverUrl)
  url.searchParams.set('options', '-c default_transaction_isolation=serializable')
  return await startTestApp({
    beside: { ...app, database: { ...app.database, serverUrl: url.toString() } },
  })
}

async function asOwner({ database }: TestApp, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: database.ownerUrl })
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}
