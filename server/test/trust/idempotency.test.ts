import type { Fault } from '@bureau/stripe-sandbox'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { minuteMs } from '../../src/kernel/time.ts'
import { booksAgree } from '../journeys/books.ts'
import { bought, chargesOf, openShop, price, settleAll, type Shop } from '../journeys/shop.ts'
import { startTestApp, type Reply, type RequestOptions, type TestApp } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'
import { openWire } from '../support/wire.ts'
import { promise } from './promise.ts'
import { listAtProvider, payableAtProvider } from './provider.ts'

let app: TestApp
/** A second node on the same database: keys have to hold across both. */
let other: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  other = await startTestApp({ beside: app })
  shop = await openShop(app)
})

afterEach(async () => {
  app.sandbox.setFaults([])
  await settleAll(shop)
  await booksAgree(app)
})

afterAll(async () => {
  await other.close()
  await app.close()
})

promise(1, '100 times POST /api/orders with one key place one order', async (proof) => {
  const { token, customerId } = await app.asCustomer('ada')
  const asked = withKey('one-order', { token, body: { items: basket(2), note: 'at once' } })
  const { body, given } = oneAnswer([
    ...(await storm(100, () => ['POST /api/orders', asked])),
    await app.request('POST /api/orders', asked),
  ])
  expect(body).toMatchObject({ customer: { id: customerId }, total: { amount: 2 * price } })
  expect(await ordersOf(customerId)).toEqual([body.id])
  proof.measured(`100 at once over 2 nodes: 1 order, ${given} equal answers, the others 409`)
})

promise(1, '100 times POST /api/checkout/process with one key charge once', async (proof) => {
  const { token, customerId } = await app.asCustomer('grace')
  const asked = withKey('one-charge', {
    token,
    body: { items: basket(1), paymentMethod: 'pm_card_visa' },
  })
  const { body, given } = oneAnswer([
    ...(await storm(100, () => ['POST /api/checkout/process', asked])),
    await app.request('POST /api/checkout/process', asked),
  ])
  expect(body).toMatchObject({ order: { paymentStatus: 'paid' }, payment: { status: 'succeeded' } })
  expect(await ordersOf(customerId)).toEqual([body.order.id])
  expect(await intentsOf(body.order.id)).toHaveLength(1)
  expect(chargesOf(shop, body.order.id)).toMatchObject([{ amount: price }])
  proof.measured(`100 purchases at once: 1 order, 1 intent, 1 charge, ${given} equal answers`)
})

/** What is refused before its key is looked at: numbers that would be rounded, a prototype. */
const isMalformed = /\d{16}|\de\+|__proto__/

promise(2, 'another body under the same key is refused and does nothing', async (proof) => {
  const { token, customerId } = await app.asCustomer('bob')
  const first = { items: basket(1), note: 'as I said', metadata: { from: 'the form' } }
  const ask = async (rawBody: string): Promise<Reply> =>
    await app.request('POST /api/orders', withKey('one-body', { token, rawBody }))
  const made = await ask(JSON.stringify(first))
  expect(made.status).toBe(201)
  const differing = fc
    .record(
      {
        items: fc.integer({ min: 1, max: 1000 }).map(basket),
        note: fc.string({ unit: 'grapheme-ascii', maxLength: 20 }),
        metadata: fc
          .dictionary(fc.string({ unit: 'grapheme-ascii' }), fc.jsonValue(), { maxKeys: 5 })
          .filter((metadata) => !isMalformed.test(JSON.stringify(metadata))),
      },
      { requiredKeys: ['items'] },
    )
    .filter((body) => JSON.stringify(body) !== JSON.stringify(first))
  const numRuns = 100
  await fc.assert(
    fc.asyncProperty(differing, async (body) => {
      const { status, body: problem } = await ask(JSON.stringify(body))
      expect([status, problem.code]).toEqual([422, 'idempotency_key_reused'])
      expect(JSON.stringify(problem)).not.toContain(made.body.id)
    }),
    { seed: proof.seed, numRuns },
  )
  const spaced = await ask(JSON.stringify(first, undefined, 2))
  expect([spaced.status, spaced.body]).toEqual([201, made.body])
  expect(await ordersOf(customerId)).toEqual([made.body.id])
  proof.measured(`${numRuns} other bodies: each 422, 1 order`)
})

promise(2, 'another user or path under the same key is served apart', async (proof) => {
  const key = 'a-key-that-many-happen-to-send'
  const { token: eve, ...eveIs } = await app.asCustomer('eve')
  const { token: mallory, ...malloryIs } = await app.asCustomer('mallory')
  const body = { items: basket(1) }
  const orders = [
    await app.request('POST /api/orders', withKey(key, { token: eve, body })),
    await other.request('POST /api/orders', withKey(key, { token: mallory, body })),
    await app.request('POST /api/checkout/process', withKey(key, { token: eve, body })),
    await other.request('POST /api/checkout/process', withKey(key, { token: mallory, body })),
  ].map((reply) => {
    expect([reply.status, reply.headers.get('idempotent-replayed')]).toEqual([201, null])
    return reply.body.order ?? reply.body
  })
  expect(orders.map(({ customer }) => customer.id)).toEqual([
    eveIs.customerId,
    malloryIs.customerId,
    eveIs.customerId,
    malloryIs.customerId,
  ])
  expect(new Set(orders.map(({ id }) => id)).size).toBe(4)
  // One path with two ids in it: the key of the first says nothing of the second.
  const token = await app.as('admin')
  const noted = []
  for (const { id } of orders) {
    const patched = withKey(key, { token, body: { note: 'seen' } })
    noted.push((await app.request(`PATCH /api/orders/${id}`, patched)).body.id)
  }
  expect(noted).toEqual(orders.map(({ id }) => id))
  proof.measured('1 key of 2 customers on 2 paths, and on 4 ids: 8 answers, each its own')
})

promise(2, 'a guest never gets the answer of another guest, nor of a token', async (proof) => {
  const key = 'twenty-characters-or-more'
  const ask = async (who: RequestOptions, more: object): Promise<Reply> =>
    await app.request(
      'POST /api/checkout/process',
      withKey(key, { ...who, body: { items: basket(1), ...more } }),
    )
  const grace = { customer: { email: 'grace@example.com', name: 'Grace' } }
  const first = await ask({}, grace)
  expect(first.status).toBe(201)
  const strangers = [
    await ask({}, { customer: { email: 'eve@example.com', name: 'Grace' } }),
    await ask({}, { customer: { email: 'grace@example.com', name: 'Eve' } }),
    await ask({}, { ...grace, mode: 'hosted' }),
  ]
  for (const { status, body } of strangers) {
    expect([status, body.code]).toEqual([422, 'idempotency_key_reused'])
    expect(JSON.stringify(body)).not.toMatch(/ord_|pi_|_secret_|grace@/)
  }
  const known = await ask({ token: (await app.asCustomer('eve')).token }, {})
  expect(known.status).toBe(201)
  expect(known.body.order.id).not.toBe(first.body.order.id)
  // Two holders of order tokens say the same under the same key: each hears of their own case.
  const second = await bought(shop)
  const holders = [
    { orderToken: first.body.orderToken, orderId: first.body.order.id },
    {
      orderToken: 'orderToken' in second.payer ? second.payer.orderToken : '',
      orderId: second.orderId,
    },
  ]
  const cases = []
  for (const { orderToken, orderId } of holders) {
    const body = { subject: 'When?', description: 'When will it be done?' }
    const { status, body: opened } = await app.request(
      'POST /api/crm',
      withKey(key, { orderToken, body }),
    )
    expect(status, JSON.stringify(opened)).toBe(201)
    expect(opened.orderId).toBe(orderId)
    cases.push(opened.id)
  }
  expect(new Set(cases).size).toBe(2)
  proof.measured('1 key: 3 other guests 422, a customer and 2 order tokens each their own')
})

const lost: Omit<Fault, 'operation'>[] = [
  { effect: 'answer', when: 'before', status: 429 },
  { effect: 'answer', when: 'before', status: 409 },
  { effect: 'answer', when: 'before', status: 500 },
  { effect: 'answer', when: 'after', status: 503, kept: true },
  // Twice, because Stripe's package repeats a call by itself when its connection was closed.
  { effect: 'cut', when: 'before', times: 2 },
  { effect: 'cut', when: 'after', times: 2 },
]

promise(4, 'a failure of the provider is not kept under the key', async (proof) => {
  const { token, customerId } = await app.asCustomer('lin')
  const operations = ['payment_intents.create', 'payment_intents.confirm']
  const troubles = operations.flatMap((operation) => lost.map((fault) => ({ operation, ...fault })))
  for (const [nth, trouble] of troubles.entries()) {
    app.sandbox.setFaults([trouble])
    const body = { items: basket(1), paymentMethod: 'pm_card_visa' }
    const asked = withKey(`trouble-${nth}`, { token, body })
    const first = await app.request('POST /api/checkout/process', asked)
    expect([first.status, first.body.code], JSON.stringify(trouble)).toEqual([
      503,
      'payment_provider_unavailable',
    ])
    expect(first.headers.get('retry-after')).toMatch(/^\d+$/)
    const second = await app.request('POST /api/checkout/process', asked)
    expect(second.status, JSON.stringify([trouble, second.body])).toBe(201)
    expect(second.body.order.paymentStatus).toBe('paid')
    expect(chargesOf(shop, second.body.order.id)).toHaveLength(1)
  }
  expect(await ordersOf(customerId)).toHaveLength(troubles.length)
  proof.measured(`${troubles.length} × 429, 409, 5xx or silence: 503, then 201 with the same key`)
})

promise(4, 'nor is a refusal for what is different a moment later', async (proof) => {
  const { token } = await app.asCustomer('lin')
  const admin = await app.as('admin')
  const status = async (to: string): Promise<Reply> =>
    await app.request(`PATCH /api/services/${shop.serviceId}`, {
      token: admin,
      body: { status: to },
    })
  const asked = withKey('not-yet-for-sale', { token, body: { items: basket(1) } })
  await status('archived')
  const refused = await app.request('POST /api/orders', asked)
  expect([refused.status, refused.body.code]).toEqual([422, 'service_unavailable'])
  await status('active')
  expect((await app.request('POST /api/orders', asked)).status).toBe(201)
  proof.measured('a 422 under a key, then 201')
})

promise(4, 'a failure of the database is not kept under the key', async (proof) => {
  const wire = await openWire(app.database.serverUrl)
  const node = await startTestApp({ beside: app, databaseUrl: wire.url })
  try {
    const { token, customerId } = await app.asCustomer('kim')
    const body = { items: basket(1), paymentMethod: 'pm_card_visa' }
    const asked = withKey('cut-off-at-once', { token, body })
    const buy = async (): Promise<Reply> => await node.request('POST /api/checkout/process', asked)
    wire.cut()
    const first = await buy()
    expect(first.status, JSON.stringify(first.body)).toBe(503)
    expect(first.headers.get('retry-after')).toMatch(/^\d+$/)
    wire.mend()
    const second = await eventually(async () => {
      const reply = await buy()
      expect(reply.status, JSON.stringify(reply.body)).toBe(201)
      return reply
    })
    expect(await ordersOf(customerId)).toEqual([second.body.order.id])

    // While the provider has the money already: neither the answer nor the key can be written.
    const made = countAsked('payment_intents.confirm')
    app.sandbox.setFaults([
      { operation: 'payment_intents.confirm', effect: 'delay', when: 'after', delayMs: 1000 },
    ])
    const late = withKey('cut-off-in-the-middle', { token, body })
    const pending = node.request('POST /api/checkout/process', late)
    await eventually(() => expect(countAsked('payment_intents.confirm')).toBe(made + 1))
    wire.cut()
    expect((await pending).status).toBe(503)
    wire.mend()
    // As much time passes as its lease and its step at the provider are held for the dead.
    node.advance(minuteMs)
    const again = await eventually(async () => {
      const reply = await node.request('POST /api/checkout/process', late)
      expect(reply.status, JSON.stringify(reply.body)).toBe(201)
      return reply
    })
    expect(again.body.order.paymentStatus).toBe('paid')
    expect(chargesOf(shop, again.body.order.id)).toHaveLength(1)
    expect(await ordersOf(customerId)).toHaveLength(2)
    proof.measured('database cut off before and in the middle: 503, then 201, 1 order each')
  } finally {
    await node.close()
    await wire.close()
  }
})

promise(5, '20 checkouts of one order at once share one intent', async (proof) => {
  const purchase = await place('ida')
  const replies = await storm(20, (nth) => [
    'POST /api/checkout/process',
    withKey(`click-${nth}`, { ...purchase.payer, body: { orderId: purchase.orderId } }),
  ])
  const given = replies.filter(({ status }) => status === 201)
  const told = replies.filter(({ status }) => status !== 201)
  expect(given.length).toBeGreaterThan(0)
  expect(new Set(given.map(({ body }) => body.payment.providerRef)).size).toBe(1)
  expect(
    told.map(({ body }) => body.code).filter((code) => code !== 'payment_in_progress'),
  ).toEqual([])
  expect(await intentsOf(purchase.orderId)).toHaveLength(1)
  expect(await payableAtProvider(app, purchase.orderId)).toHaveLength(1)
  proof.measured(`20 at once over 2 nodes: 1 intent, ${given.length} × 201 with it`)
})

promise(5, '20 at once of both modes, some with cards, leave one to pay or paid', async (proof) => {
  const rounds = 3
  for (let round = 0; round < rounds; round += 1) {
    const purchase = await place('ida')
    const wishes = [{ mode: 'intent' }, { mode: 'hosted' }, { paymentMethod: 'pm_card_visa' }]
    const withCards = round > 0
    const replies = await storm(20, () => {
      const wish = wishes[Math.floor(proof.random() * (withCards ? 3 : 2))]
      return [
        'POST /api/checkout/process',
        { ...purchase.payer, body: { orderId: purchase.orderId, ...wish } },
      ]
    })
    expect(replies.filter(({ status }) => status >= 500)).toEqual([])
    await settleAll(shop)
    const charges = chargesOf(shop, purchase.orderId)
    const payable = await payableAtProvider(app, purchase.orderId)
    expect(charges.length + payable.length).toBeLessThanOrEqual(1)
    const live = await app.sql(
      `select id from payments where order_id = $1 and status not in ('succeeded', 'canceled')`,
      [purchase.orderId],
    )
    expect(live.length).toBe(payable.length)
  }
  proof.measured(`${rounds} × 20 of both modes and cards: never more than 1 to pay or paid`)
})

/** The request with its key. */
function withKey(key: string, options: RequestOptions): RequestOptions {
  return { ...options, headers: { 'idempotency-key': key } }
}

function basket(quantity: number): object[] {
  return [{ serviceId: shop.serviceId, quantity }]
}

type Asking = readonly [route: `POST /${string}`, options: RequestOptions]

/** Many requests at once, by turns to both nodes. */
async function storm(times: number, ask: (nth: number) => Asking): Promise<Reply[]> {
  const asked = Array.from({ length: times }, (_, nth) => ask(nth))
  return await Promise.all(
    asked.map(async (asking, nth) => await (nth % 2 === 0 ? app : other).request(...asking)),
  )
}

/** The one body of all replies that are 201; the others were told to come again. */
function oneAnswer(replies: readonly Reply[]): { body: Reply['body']; given: number } {
  const given = replies.filter(({ status }) => status === 201)
  const told = replies.filter(({ status }) => status !== 201)
  expect(told.length, 'requests at once').toBeGreaterThan(0)
  for (const { status, body, headers } of told) {
    expect([status, body.code]).toEqual([409, 'idempotency_in_progress'])
    expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
  }
  expect(new Set(given.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  return { body: given[0]?.body, given: given.length }
}

/** Orders that stand and were announced, oldest first. */
async function ordersOf(customerId: string): Promise<unknown[]> {
  const rows = await app.sql(
    `select o.id from orders o join events e on e.root_id = o.id and e.type = 'order.placed'
     where o.customer_id = $1 order by o.id`,
    [customerId],
  )
  return rows.map(({ id }) => id)
}

async function intentsOf(orderId: string): Promise<unknown[]> {
  const intents = await listAtProvider(app, 'payment_intents')
  return intents.filter(({ metadata }) => metadata.order_id === orderId)
}

/** An order without a payment. */
async function place(name: string): Promise<{ orderId: string; payer: { token: string } }> {
  const { token } = await app.asCustomer(name)
  const { status, body } = await app.request('POST /api/orders', {
    token,
    body: { items: basket(1) },
  })
  expect(status, JSON.stringify(body)).toBe(201)
  return { orderId: body.id, payer: { token } }
}

function countAsked(operation: string): number {
  return app.sandbox.audit().operations[operation] ?? 0
}
