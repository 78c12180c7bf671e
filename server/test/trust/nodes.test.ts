import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect } from 'vitest'
import { minuteMs } from '../../src/kernel/time.ts'
import { bought, openShop, payInBrowser, runScheduled, type Shop } from '../journeys/shop.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'
import { promise } from './promise.ts'

/** Two nodes on one database, each with its own memory. */
let app: TestApp
let other: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  other = await startTestApp({ beside: app })
  shop = await openShop(app)
})
afterAll(async () => {
  await other.close()
  await app.close()
})

promise(90, 'a key that is sent to both nodes at once makes one order', async (proof) => {
  const token = await app.as('admin')
  for (let round = 0; round < 5; round += 1) {
    const key = randomBytes(12).toString('hex')
    const send = async (node: TestApp) =>
      await node.request('POST /api/orders', {
        token,
        headers: { 'idempotency-key': key },
        body: {
          items: [{ serviceId: shop.serviceId, quantity: 1 }],
          customer: { email: `${key}@example.com`, name: 'Twice' },
        },
      })
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, index) => send(index % 2 === 0 ? app : other)),
    )
    const statuses = new Set(replies.map(({ status }) => status))
    expect([...statuses].filter((status) => status !== 201 && status !== 409)).toEqual([])
    const ids = [...replies, await send(other)]
      .filter(({ status }) => status === 201)
      .map(({ body }) => body.id)
    expect(new Set(ids).size).toBe(1)
    const rows = await app.sql('select id from orders where customer_email = $1', [
      `${key}@example.com`,
    ])
    expect(rows).toHaveLength(1)
  }
  proof.measured('5 keys, 20 requests each over two nodes, one order each')
})

promise(90, 'guesses of a password are counted over both nodes', async (proof) => {
  const nodes = [
    await startTestApp({ beside: app, rateLimitScale: 1 }),
    await startTestApp({ beside: app, rateLimitScale: 1 }),
  ] as const
  try {
    const guess = async (index: number): Promise<number> => {
      const body = { email: 'guessed@example.com', password: `wrong guess number ${index}` }
      const node = nodes[index % 2] ?? nodes[0]
      return (await node.request('POST /api/auth/login', { body })).status
    }
    const statuses: number[] = []
    for (let index = 0; index < 14; index += 1) statuses.push(await guess(index))
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(10)
    expect(statuses.slice(10)).toEqual([429, 429, 429, 429])
    proof.measured('10 guesses of one account by turns, then 429 on both')
  } finally {
    for (const node of nodes) await node.close()
  }
})

promise(90, 'what one node ends or changes, the other knows within a second', async (proof) => {
  const { body } = await app.request('POST /api/auth/register', {
    body: { email: 'both@example.com', password: 'seven quiet otters', name: 'Both' },
  })
  const token: string = body.accessToken
  expect((await other.request('GET /api/auth/me', { token })).status).toBe(200)
  expect((await app.request('POST /api/auth/logout', { token })).status).toBe(204)
  await eventually(
    async () => expect((await other.request('GET /api/auth/me', { token })).status).toBe(401),
    { withinMs: 1000 },
  )
  const admin = await app.as('admin')
  const address = `/api/services/${shop.serviceId}` as const
  for (let change = 0; change < 10; change += 1) {
    // Both have it in memory when it changes.
    for (const node of [app, other]) await node.request(`GET ${address}`)
    const name = `Formation ${change}`
    await app.request(`PATCH ${address}`, { token: admin, body: { name } })
    expect((await app.request(`GET ${address}`)).body.name).toBe(name)
    await eventually(
      async () => expect((await other.request(`GET ${address}`)).body.name).toBe(name),
      { withinMs: 1000 },
    )
  }
  const purchase = await bought(shop)
  const seen = await other.request(`GET /api/orders/${purchase.orderId}`, purchase.payer)
  expect(seen.status).toBe(200)
  proof.measured(
    'a sign-out and 10 changes seen by the other within 1 s; an order token good on both',
  )
})

promise(90, 'jobs and reconciliation of two nodes have one effect', async (proof) => {
  app.sandbox.setFaults([{ operation: 'webhook:*', effect: 'drop', times: 100 }])
  const purchases = []
  for (let index = 0; index < 5; index += 1) purchases.push(await bought(shop))
  for (const { payment } of purchases) {
    await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
  }
  for (const node of [app, other]) node.advance(5 * minuteMs)
  const otherShop = { ...shop, app: other }
  await Promise.all(
    [shop, otherShop, shop, otherShop].map((one) => runScheduled(one, 'reconcile-payments')),
  )
  await Promise.all([app.runJobs(), other.runJobs(), app.runJobs(), other.runJobs()])
  await app.runJobs()
  for (const { orderId } of purchases) {
    const [counts] = await app.sql(
      `select (select count(*)::int from events
           where root_id = $1 and type = 'payment.succeeded') as paid,
         (select count(*)::int from cases where order_id = $1) as cases,
         (select count(*)::int from notifications
           where about_id = $1 and template = 'payment_confirmed') as mails`,
      [orderId],
    )
    expect(counts).toEqual({ paid: 1, cases: 1, mails: 1 })
  }
  app.sandbox.setFaults([])
  proof.measured('5 payments found by 4 reconciliations and 4 queues: one booking, case, mail each')
})
