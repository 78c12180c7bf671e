import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { decimalsOf, isCurrency, maxAmount } from '../../src/kernel/money.ts'
import { booksAgree } from '../journeys/books.ts'
import {
  bookMoney,
  bought,
  chargesOf,
  offer,
  openShop,
  payAgain,
  price,
  readOrder,
  settleAll,
  type Shop,
} from '../journeys/shop.ts'
import { startTestApp, type Reply, type TestApp } from '../support/app.ts'
import { promise } from './promise.ts'
import { askProvider, listAtProvider } from './provider.ts'

let app: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  shop = await openShop(app)
})

afterEach(async () => {
  await settleAll(shop)
  await booksAgree(app)
})

afterAll(async () => {
  await app.close()
})

promise(6, 'no member of a request can say what is charged', async (proof) => {
  const { token } = await app.asCustomer('ada')
  const item = { serviceId: shop.serviceId, quantity: 1 }
  const stated = { amount: 1, currency: 'GBP' }
  const lies: Record<string, unknown>[] = [
    ...['amount', 'unitPrice', 'price', 'total', 'subtotal', 'discount', 'tax', 'paid'].flatMap(
      (member) => [{ [member]: 1 }, { [member]: stated }],
    ),
    { currency: 'JPY' },
    { status: 'confirmed' },
    { paymentStatus: 'paid' },
    { payment: { status: 'succeeded', amount: stated } },
    { lines: [{ ...item, unitPrice: stated, total: stated }] },
  ]
  const placed = await app.request('POST /api/orders', { token, body: { items: [item] } })
  const bodies = (lie: object): [`POST /${string}`, object][] => [
    ['POST /api/orders', { items: [item], ...lie }],
    ['POST /api/orders', { items: [{ ...item, ...lie }] }],
    ['POST /api/checkout/process', { items: [item], ...lie }],
    ['POST /api/checkout/process', { items: [{ ...item, ...lie }] }],
    ['POST /api/checkout/process', { orderId: placed.body.id, ...lie }],
  ]
  const asked = lies.flatMap(bodies)
  for (const [route, body] of asked) {
    const reply = await app.request(route, { token, body })
    expect(reply.status, JSON.stringify([route, body, reply.body])).toBe(400)
  }
  expect(await listAtProvider(app, 'payment_intents')).toEqual([])
  const payer = { orderId: placed.body.id, payer: { token } }
  const paid = await payAgain(shop, payer, { paymentMethod: 'pm_card_visa' })
  expect(paid.status).toBe(201)
  expect(chargesOf(shop, placed.body.id)).toMatchObject([{ amount: price, currency: 'gbp' }])
  proof.measured(`${asked.length} requests with a price or a state of their own: each 400`)
})

promise(6, 'what is charged is what the catalogue says the basket costs', async (proof) => {
  const services = await Promise.all([offer(shop, 1250), offer(shop, 99), offerWithOptions()])
  const item = fc.record({
    nth: fc.integer({ min: 0, max: 2 }),
    quantity: fc.integer({ min: 1, max: 9 }),
    speed: fc.constantFrom('slow', 'fast', undefined),
  })
  const numRuns = 10
  await fc.assert(
    fc.asyncProperty(fc.array(item, { minLength: 1, maxLength: 4 }), async (items) => {
      const { token } = await app.asCustomer('ada')
      const costs = items.map(({ nth, quantity, speed }) => {
        const delta = nth === 2 ? { slow: -500, fast: 2500, none: 0 }[speed ?? 'none'] : 0
        return quantity * (([1250, 99, 3000][nth] ?? 0) + delta)
      })
      const total = costs.reduce((sum, cost) => sum + cost, 0)
      const { status, body } = await app.request('POST /api/checkout/process', {
        token,
        body: {
          items: items.map(({ nth, quantity, speed }) => ({
            serviceId: services[nth],
            quantity,
            ...(nth === 2 && speed ? { options: { speed } } : {}),
          })),
          paymentMethod: 'pm_card_visa',
        },
      })
      expect(status, JSON.stringify(body)).toBe(201)
      expect(body.order.total).toEqual({ amount: total, currency: 'GBP' })
      expect(body.order.lines.map((line: Reply['body']) => line.total.amount)).toEqual(costs)
      expect(chargesOf(shop, body.order.id)).toMatchObject([{ amount: total, currency: 'gbp' }])
    }),
    { seed: proof.seed, numRuns },
  )
  proof.measured(`${numRuns} random baskets: the charge is the sum of the catalogue's prices`)
})

promise(6, 'what is charged is worked out anew at each payment', async (proof) => {
  const serviceId = await offer(shop, 8000)
  const purchase = await bought(shop, { as: 'ada', serviceId })
  await patchService(serviceId, { price: { amount: 9000, currency: 'GBP' } })
  expect(
    (await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 3000)).status,
  ).toBe(201)
  await settleAll(shop)
  const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
  expect(paid.status, JSON.stringify(paid.body)).toBe(201)
  expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amount: 5000 }])
  const next = await bought(shop, { as: 'ada', serviceId, paymentMethod: 'pm_card_visa' })
  expect(chargesOf(shop, next.orderId)).toMatchObject([{ amount: 9000 }])
  proof.measured('80.00 placed, price then 90.00, 30.00 booked: 50.00 charged; the next 90.00')
})

/** As it stands in JSON: what no amount may be, whatever its field. */
const neverAnAmount = [
  '0.5 -0.5 1.1 99999999.5 1e-1 1e400 -1e400 9007199254740993 1e21 100000000',
  '"12" "1e2" "" "NaN" "-1" true null [] [1] {}',
].flatMap((values) => values.split(' '))

/** JSON that is none. */
const noJson = ['NaN', 'Infinity', '-Infinity', '012', '0x10', '1_000', '+1', '.5', '1.', '٣']

/** Every field that is money, or multiplies it: how to send one, and its least value. */
interface MoneyField {
  readonly least: number
  send(json: string): Promise<Reply>
}

promise(9, 'a refund whose answers are lost is given back once', async (proof) => {
  const { orderId, payment } = await bought(shop, { paymentMethod: 'pm_card_visa' })
  const lost = 6
  app.sandbox.setFaults([
    { operation: 'refunds.create', effect: 'cut', when: 'after', times: lost },
    { operation: 'webhook:*', effect: 'drop', times: 100 },
  ])
  const { body } = await bookMoney(shop, `POST /api/orders/${orderId}/refunds`, 1000)
  expect(body.status).toBe('pending')
  await settleAll(shop)
  expect(app.sandbox.listFaults().map(({ operation }) => operation)).toEqual(['webhook:*'])
  app.sandbox.setFaults([])
  const given = await listAtProvider(app, 'refunds')
  const ours = given.filter((refund) => refund.payment_intent === payment.providerRef)
  expect(ours.map(({ amount }) => amount)).toEqual([1000])
  expect(await readOrder(shop, orderId)).toMatchObject({ paymentStatus: 'partially_refunded' })
  proof.measured(`${lost} answers to one refund lost: 1 given back`)
})

promise(14, 'no field of money takes what is no integer of minor units', async (proof) => {
  const fields = await openFields()
  expect(Object.keys(fields).toSorted()).toEqual(await readMoneyFields())
  const before = await countWrites()
  let sent = 0
  for (const [name, { least, send }] of Object.entries(fields)) {
    const tooLow = [least - 1, least - 100, -(2 ** 53)].map(String)
    const fractions = Array.from({ length: 10 }, () => String(proof.random() * 1e6))
    // In an address all is text: what can be read as that very integer is right there.
    const wrong = name.startsWith('GET ')
      ? noJson.filter((text) => !(Number(text) >= 0 && Number(text) % 1 === 0))
      : noJson
    for (const json of [...neverAnAmount, ...wrong, ...tooLow, ...fractions]) {
      const { status, body } = await send(json)
      expect([status, body.code !== undefined], `${name}: ${json} ${JSON.stringify(body)}`).toEqual(
        [400, true],
      )
      sent += 1
    }
  }
  expect(await countWrites()).toEqual(before)
  const count = Object.keys(fields).length
  proof.measured(`${count} fields, ${sent} values that are no amount: each 400, nothing written`)
})

promise(14, 'an amount is kept as it was given, to the last unit', async (proof) => {
  const token = await app.as('admin')
  const amounts = fc.oneof(
    fc.integer({ min: 0, max: maxAmount }).map((amount) => ({ amount, json: String(amount) })),
    fc.integer({ min: 1, max: 9 }).map((n) => ({ amount: n * 1e6, json: `${n}e6` })),
    fc.integer({ min: 0, max: maxAmount }).map((n) => ({ amount: n, json: `${n}.0` })),
    fc.constant({ amount: 0, json: '-0' }),
    fc.constant({ amount: maxAmount, json: String(maxAmount) }),
  )
  const currencies = Intl.supportedValuesOf('currency').filter(isCurrency)
  const numRuns = 60
  await fc.assert(
    fc.asyncProperty(amounts, fc.constantFrom(...currencies), async (given, currency) => {
      const { amount, json } = given
      const { status, body } = await app.request('POST /api/services', {
        token,
        rawBody: `{"name":"A","price":{"amount":${json},"currency":"${currency}"}}`,
      })
      expect(status, JSON.stringify(body)).toBe(201)
      expect(JSON.stringify(body.price)).toBe(JSON.stringify({ amount, currency }))
      const [row] = await app.sql('select price_amount from services where id = $1', [body.id])
      expect(Number(row?.['price_amount'])).toBe(amount)
    }),
    { seed: proof.seed, numRuns },
  )
  proof.measured(`${numRuns} amounts in ${currencies.length} currencies, each kept exactly`)
})

promise(14, 'a currency has the decimals with which it is charged', async (proof) => {
  const taken: string[] = []
  for (const currency of Intl.supportedValuesOf('currency')) {
    const { body } = await askProvider(app, 'POST /v1/payment_intents', {
      amount: String(maxAmount + 1),
      currency,
    })
    // Stripe's words: "Amount must be no more than 999999.99 GBP".
    const [, digits] = /no more than \d+(?:\.(\d+))? /.exec(body.error.message) ?? []
    const isTaken = body.error.code === 'amount_too_large'
    if (!isTaken || !isCurrency(currency)) continue
    expect([currency, decimalsOf(currency)]).toEqual([currency, digits?.length ?? 0])
    taken.push(currency)
  }
  expect(taken.length).toBeGreaterThan(100)
  for (const [currency, decimals] of [
    ['JPY', 0],
    ['GBP', 2],
    ['HUF', 2],
    ['KWD', 3],
  ] as const) {
    expect([currency, decimalsOf(currency)]).toEqual([currency, decimals])
    expect(taken).toContain(currency)
  }
  proof.measured(`${taken.length} currencies: as many decimals as the provider charges`)
})

promise(14, 'JPY, KWD and BHD are charged to the unit or refused, never rounded', async (proof) => {
  const amount = fc.oneof(
    fc.integer({ min: 0, max: 200 }),
    fc.integer({ min: 0, max: maxAmount }),
    fc.integer({ min: 0, max: Math.floor(maxAmount / 10) }).map((tens) => tens * 10),
  )
  const numRuns = 15
  const charged = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(amount, fc.constantFrom('JPY', 'KWD', 'BHD'), async (amount, currency) => {
      const serviceId = await offer(shop, amount, currency)
      const { status, body } = await app.request('POST /api/checkout/process', {
        body: {
          items: [{ serviceId, quantity: 1 }],
          // Everybody buys once: what is refused stays open, and of those one may have 20.
          customer: { email: 'guest@example.com', name: 'Grace' },
          paymentMethod: 'pm_card_visa',
        },
      })
      if (status !== 201) {
        // Less than the provider takes, or fils that are not tens.
        const isYen = currency === 'JPY'
        expect([status, body.code]).toEqual([422, isYen ? 'amount_too_small' : 'payment_refused'])
        expect(isYen ? amount < 50 : amount % 10 !== 0).toBe(true)
        return
      }
      expect(body.order.total).toEqual({ amount, currency })
      expect(chargesOf(shop, body.order.id)).toMatchObject(
        amount === 0 ? [] : [{ amount, currency: currency.toLowerCase() }],
      )
      charged.set(currency, (charged.get(currency) ?? 0) + 1)
    }),
    { seed: proof.seed, numRuns },
  )
  proof.measured(`${numRuns} purchases: ${sumOf([...charged.values()])} charged exactly, rest 422`)
})

promise(15, 'an order placed keeps its lines whatever becomes of the catalogue', async (proof) => {
  const changes: [string, (serviceId: string) => Promise<Reply>][] = [
    ['price', async (id) => await patchService(id, { price: { amount: 600, currency: 'GBP' } })],
    ['currency', async (id) => await patchService(id, { price: { amount: 600, currency: 'EUR' } })],
    [
      'name',
      async (id) => await patchService(id, { name: 'Other', slug: `other-${id.slice(-8)}` }),
    ],
    ['options', async (id) => await patchService(id, { options: [] })],
    ['deltas', async (id) => await patchService(id, { options: [speedOption(9, 9)] })],
    ['archived', async (id) => await patchService(id, { status: 'archived' })],
    ['deleted', async (id) => await asAdmin(`DELETE /api/services/${id}`)],
    ['bulk', async (id) => await asAdmin('DELETE /api/services/bulk', { ids: [id] })],
  ]
  for (const [nth, [name, change]] of changes.entries()) {
    const serviceId = await offerWithOptions()
    const { token } = await app.asCustomer('ada')
    const items = [{ serviceId, quantity: 2, options: { speed: 'fast' } }]
    // By turns placed only, and with its payment begun.
    const route = nth % 2 === 0 ? 'POST /api/orders' : 'POST /api/checkout/process'
    const placed = await app.request(route, { token, body: { items } })
    const { id, lines, total } = placed.body.order ?? placed.body
    expect([placed.status, total]).toEqual([201, { amount: 11_000, currency: 'GBP' }])
    expect((await change(serviceId)).status, name).toBeLessThan(300)
    const purchase = { orderId: id, payer: { token } }
    const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(paid.status, name).toBe(201)
    expect(chargesOf(shop, id)).toMatchObject([{ amount: 11_000, currency: 'gbp' }])
    const seen = await app.request(`GET /api/orders/${id}`, { token })
    expect([seen.body.lines, seen.body.total], name).toEqual([lines, total])
  }
  proof.measured(`${changes.length} changes of the catalogue: lines, total and charge stay`)
})

promise(16, 'disputes move state and history, won, lost or only asked about', async (proof) => {
  const ends = { win: ['paid', 'won', price], lose: ['disputed', 'lost', 0] } as const
  for (const [end, [paymentStatus, status, paid]] of Object.entries(ends)) {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    const dispute = app.sandbox.openDispute(purchase.payment.providerRef)
    await settleAll(shop)
    const open = await readOrder(shop, purchase.orderId)
    expect(open).toMatchObject({
      paymentStatus: 'disputed',
      payments: [{ dispute: { status: 'needs_response', amount: { amount: price } } }],
    })
    app.sandbox.endDispute(dispute.id, end as keyof typeof ends)
    await settleAll(shop)
    const ended = await readOrder(shop, purchase.orderId)
    expect(ended).toMatchObject({ paymentStatus, paid: { amount: paid }, status: 'confirmed' })
    expect(ended.payments[0].dispute.status).toBe(status)
    expect(entriesOf(ended, 'dispute.updated').map(({ data }) => data.status)).toEqual([
      'needs_response',
      status,
    ])
    // What the bank has taken back cannot be given back once more.
    const refund = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, price)
    expect(refund.status, JSON.stringify(refund.body)).toBe(end === 'win' ? 201 : 409)
  }
  proof.measured('opened and won: paid again; opened and lost: 0 paid, nothing left to refund')
})

promise(16, 'refunds made at the provider are in state and history', async (proof) => {
  const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
  const { token } = await app.asCustomer('ada')
  const states: unknown[] = []
  for (const amount of [4000, 900, price - 4900]) {
    app.sandbox.refund({ paymentIntent: purchase.payment.providerRef, amount })
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    states.push([order.paymentStatus, order.refunded.amount])
  }
  expect(states).toEqual([
    ['partially_refunded', 4000],
    ['partially_refunded', 4900],
    ['refunded', price],
  ])
  const seen = await app.request(`GET /api/orders/${purchase.orderId}`, { token })
  expect(entriesOf(seen.body, 'refund.updated').map(({ data }) => data.amount)).toEqual([
    4000,
    900,
    price - 4900,
  ])
  const more = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, 1)
  expect([more.status, more.body.code]).toEqual([409, 'nothing_to_refund'])
  proof.measured('3 refunds in the dashboard: 3 entries the customer sees, refunded in full')
})

function sumOf(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0)
}

/** Oldest first. */
function entriesOf(order: Reply['body'], type: string): Reply['body'][] {
  return order.timeline.filter((entry: Reply['body']) => entry.type === type).toReversed()
}

function speedOption(slow: number, fast: number): object {
  const choices = [
    { key: 'slow', name: 'Slow', priceDelta: slow },
    { key: 'fast', name: 'Fast', priceDelta: fast },
  ]
  return { key: 'speed', name: 'Speed', required: false, choices }
}

/** A service of 30.00 that may be slow for 5.00 less or fast for 25.00 more. */
async function offerWithOptions(): Promise<string> {
  const { body } = await asAdmin('POST /api/services', {
    name: 'With options',
    price: { amount: 3000, currency: 'GBP' },
    status: 'active',
    options: [speedOption(-500, 2500)],
  })
  return body.id
}

async function asAdmin(route: `${string} /${string}`, body?: unknown): Promise<Reply> {
  return await app.request(route, {
    token: await app.as('admin'),
    ...(body === undefined ? {} : { body }),
  })
}

async function patchService(serviceId: string, change: object): Promise<Reply> {
  return await asAdmin(`PATCH /api/services/${serviceId}`, change)
}

async function openFields(): Promise<Record<string, MoneyField>> {
  const admin = await app.as('admin')
  const { token } = await app.asCustomer('grace')
  const { orderId } = await bought(shop, { as: 'grace' })
  const paid = await bought(shop, { as: 'grace', paymentMethod: 'pm_card_visa' })
  await settleAll(shop)
  const send =
    (route: `${string} /${string}`, sender: string, body: object) =>
    async (json: string): Promise<Reply> =>
      await app.request(route, {
        token: sender,
        rawBody: JSON.stringify(body).replace('"here"', json),
      })
  const here = { amount: 'here', currency: 'GBP' }
  const base = { amount: 100, currency: 'GBP' }
  const choice = { key: 'a', name: 'A', priceDelta: 'here' }
  const options = [{ key: 'a', name: 'A', required: false, choices: [choice] }]
  const service = `/api/services/${shop.serviceId}` as const
  const item = { serviceId: shop.serviceId, quantity: 'here' }
  const orders = '/api/orders/{id}'
  return {
    'POST /api/services /price/amount': {
      least: 0,
      send: send('POST /api/services', admin, { name: 'A', price: here }),
    },
    'POST /api/services /options/*/choices/*/priceDelta': {
      least: -100,
      send: send('POST /api/services', admin, { name: 'A', price: base, options }),
    },
    'PATCH /api/services/{id} /price/amount': {
      least: 0,
      send: send(`PATCH ${service}`, admin, { price: here }),
    },
    'PATCH /api/services/{id} /options/*/choices/*/priceDelta': {
      least: -price,
      send: send(`PATCH ${service}`, admin, { options }),
    },
    'POST /api/orders /items/*/quantity': {
      least: 1,
      send: send('POST /api/orders', token, { items: [item] }),
    },
    'POST /api/checkout/process /items/*/quantity': {
      least: 1,
      send: send('POST /api/checkout/process', token, { items: [item] }),
    },
    [`POST ${orders}/payments /amount/amount`]: {
      least: 1,
      send: send(`POST /api/orders/${orderId}/payments`, admin, { amount: here, reference: 'x' }),
    },
    [`POST ${orders}/refunds /amount/amount`]: {
      least: 1,
      send: send(`POST /api/orders/${paid.orderId}/refunds`, admin, { amount: here, reason: 'x' }),
    },
    ...Object.fromEntries(
      ['priceMin', 'priceMax'].map((name) => [
        `GET /api/services ?${name}`,
        {
          least: 0,
          send: async (json: string) =>
            await app.request(`GET /api/services?${name}=${encodeURIComponent(json)}`),
        },
      ]),
    ),
  }
}

/** The fields of the API's description that are money or a quantity of it. */
async function readMoneyFields(): Promise<string[]> {
  const { body: document } = await app.request('GET /api/openapi.json')
  const found = new Set<string>()
  const look = (operation: string, given: Reply['body'], pointer: string): void => {
    const schema = given?.$ref ? resolve(document, given.$ref) : given
    if (schema === undefined || schema === null || pointer.length > 200) return
    const name = pointer.split('/').at(-1) ?? ''
    if (schema.type === 'integer' && /^(amount|priceDelta|quantity|price\w+)$/.test(name)) {
      found.add(`${operation} ${pointer}`)
    }
    for (const one of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])]) {
      look(operation, one, pointer)
    }
    for (const [key, one] of Object.entries(schema.properties ?? {})) {
      look(operation, one, `${pointer}/${key}`)
    }
    if (schema.items) look(operation, schema.items, `${pointer}/*`)
  }
  for (const [address, methods] of Object.entries<Reply['body']>(document.paths)) {
    for (const [method, described] of Object.entries<Reply['body']>(methods)) {
      const operation = `${method.toUpperCase()} ${address}`
      for (const { schema } of Object.values<Reply['body']>(described.requestBody?.content ?? {})) {
        look(operation, schema, '')
      }
      for (const { name, in: place, schema } of described.parameters ?? []) {
        if (place === 'query' && /price|amount/i.test(name)) {
          expect(schema.type, `${operation} ?${name}`).toBe('integer')
          found.add(`${operation} ?${name}`)
        }
      }
    }
  }
  return [...found].toSorted()
}

function resolve(document: Reply['body'], reference: string): Reply['body'] {
  return reference
    .split('/')
    .slice(1)
    .reduce((place, key) => place?.[key], document)
}

async function countWrites(): Promise<unknown> {
  const [row] = await app.sql(`
    select (select count(*) from events) as events, (select count(*) from services) as services,
      (select sum(version) from services) as versions, (select count(*) from orders) as orders,
      (select count(*) from payments) as payments, (select count(*) from refunds) as refunds`)
  return row
}
