import { afterAll, beforeAll, expect } from 'vitest'
import { openShop, type Shop } from '../../journeys/shop.ts'
import { startTestApp, type Reply, type TestApp } from '../../support/app.ts'
import { promise } from '../promise.ts'

/** 1000 calls, so many of them at the same moment. */
const calls = 1000
const atOnce = 50
const slow = { timeoutMs: 300_000 }

let app: TestApp
/** The same business with the limits that it has without load tests. */
let strict: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  strict = await startTestApp({ beside: app, rateLimitScale: 1, trustProxy: ['loopback'] })
  shop = await openShop(app)
})
afterAll(async () => {
  await strict.close()
  await app.close()
})

promise(
  77,
  '1000 unpaid orders by one customer',
  async (proof) => {
    const { token, customerId } = await app.asCustomer('hoarder')
    const items = [{ serviceId: shop.serviceId, quantity: 1 }]
    const replies = await hammer((at) =>
      app.request(at % 2 === 0 ? 'POST /api/orders' : 'POST /api/checkout/process', {
        token,
        body: { items },
      }),
    )
    const placed = replies.filter(({ status }) => status === 201)
    expect(placed.length).toBe(20)
    for (const { status, body, headers } of replies) {
      if (status === 201) continue
      expect([status, body.code]).toEqual([429, 'too_many_open_orders'])
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
    const [orders] = await app.sql(
      'select count(*)::int as count from orders where customer_id = $1',
      [customerId],
    )
    expect(orders?.['count']).toBe(20)
    const intents = Object.values(app.sandbox.audit().chargesByOrder).length
    proof.measured(`${calls} calls, ${atOnce} at once: 20 orders, ${calls - 20} times 429`)
    expect(intents).toBeLessThanOrEqual(20)
  },
  slow,
)

promise(
  77,
  '1000 checkouts of one open order',
  async (proof) => {
    const { token } = await app.asCustomer('patient')
    const items = [{ serviceId: shop.serviceId, quantity: 1 }]
    const { body } = await app.request('POST /api/orders', { token, body: { items } })
    let address = 0
    const replies = await hammer(() => {
      address += 1
      const headers = { 'x-forwarded-for': `198.51.${address >> 8}.${address & 255}` }
      return strict.request('POST /api/checkout/process', {
        token,
        headers,
        body: { orderId: body.id },
      })
    })
    const admitted = replies.filter(({ status }) => status !== 429)
    for (const { status } of admitted) expect(status).toBeLessThan(500)
    const [intents] = await app.sql(
      'select count(*)::int as count from payments where order_id = $1',
      [body.id],
    )
    // A minute may end in between, and another begin.
    expect(admitted.length).toBeLessThanOrEqual(60 * Math.ceil(slow.timeoutMs / 60_000))
    expect(intents?.['count']).toBe(1)
    proof.measured(`${calls} calls from ${calls} addresses: ${admitted.length} admitted, 1 intent`)
  },
  slow,
)

promise(
  77,
  '1000 orders of guests with one e-mail, or from one address',
  async (proof) => {
    const items = [{ serviceId: shop.serviceId, quantity: 1 }]
    const guest = (email: string, address: string) => () =>
      strict.request('POST /api/checkout/process', {
        headers: { 'x-forwarded-for': address },
        body: { items, customer: { email, name: 'Guest' } },
      })
    const oneEmail = await hammer((at) =>
      guest('victim@example.com', `198.18.${at >> 8}.${at & 255}`)(),
    )
    expect(countOf(oneEmail, 201)).toBe(20)
    expect(countOf(oneEmail, 429)).toBe(calls - 20)
    const startedAt = performance.now()
    const oneAddress = await hammer((at) => guest(`guest${at}@example.com`, '192.0.2.200')())
    const minutes = Math.ceil((performance.now() - startedAt) / 60_000) + 1
    expect(countOf(oneAddress, 201)).toBeLessThanOrEqual(60 * minutes)
    expect(countOf(oneAddress, 201) + countOf(oneAddress, 429)).toBe(calls)
    const [mails] = await app.sql(
      `select count(*)::int as count from orders where customer_email = 'victim@example.com'`,
    )
    expect(mails?.['count']).toBe(20)
    proof.measured(
      `one e-mail from ${calls} addresses: 20 orders; one address with ${calls} e-mails: ` +
        `${countOf(oneAddress, 201)} in ${minutes} windows of a minute; all else 429`,
    )
  },
  slow,
)

function countOf(replies: readonly Reply[], wanted: number): number {
  return replies.filter(({ status }) => status === wanted).length
}

async function hammer(call: (at: number) => Promise<Reply>): Promise<Reply[]> {
  const replies: Reply[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < calls; at = next++) replies.push(await call(at))
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return replies
}
