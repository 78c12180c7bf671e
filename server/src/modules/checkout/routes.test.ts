import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  bookMoney,
  bought,
  buy,
  changeStatus,
  confirm,
  offer,
  openShop,
  payAgain,
  price,
  settleAll,
  type Shop,
} from '../../../test/journeys/shop.ts'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'

let app: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  shop = await openShop(app)
})

afterAll(async () => {
  await app.close()
})

const unknownOrder = 'ord_01jd8q9yg8e5v9c0m4t7k2x3za'
const process = 'POST /api/checkout/process'
const guest = { email: 'guest@example.com', name: 'Grace' }

function items(): object[] {
  return [{ serviceId: shop.serviceId, quantity: 1 }]
}

describe('POST /api/checkout/process', () => {
  test('201 for a guest, with a token that opens this order and no other', async () => {
    const { status, headers, body } = await buy(shop)
    expect(status).toBe(201)
    expect(headers.get('location')).toBe(`/api/orders/${body.order.id}`)
    expect(body).toMatchObject({
      order: { status: 'pending', paymentStatus: 'unpaid', customer: guest },
      payment: { provider: 'stripe', status: 'pending', amount: { amount: price }, url: null },
    })
    expect(body.payment.clientSecret).toMatch(/_secret_/)
    const { orderToken } = body
    expect((await app.request(`GET /api/orders/${body.order.id}`, { orderToken })).status).toBe(200)
    const other = await bought(shop)
    expect((await app.request(`GET /api/orders/${other.orderId}`, { orderToken })).status).toBe(404)
  })

  test('201 for a customer, without an order token', async () => {
    const { body } = await buy(shop, { as: 'ada' })
    expect(body).not.toHaveProperty('orderToken')
    expect(body.order.customer.id).toBe((await app.asCustomer('ada')).customerId)
  })

  test('201 for a declined card: the reply tells, the order stays payable', async () => {
    const { status, body } = await buy(shop, { paymentMethod: 'pm_card_chargeDeclined' })
    expect(status).toBe(201)
    expect(body.payment).toMatchObject({
      status: 'failed',
      failure: { code: 'card_declined', declineCode: 'generic_decline' },
    })
  })

  test('201 replayed with its secrets, none of which is stored', async () => {
    for (const mode of ['intent', 'hosted'] as const) {
      const key = `a-key-of-a-guest-for-${mode}`
      const first = await buy(shop, { key, mode })
      const again = await buy(shop, { key, mode })
      expect(again.headers.get('idempotent-replayed')).toBe('true')
      expect(again.body).toEqual(first.body)
      expect(again.body.orderToken).toBeTruthy()
      expect(again.body.payment.clientSecret ?? again.body.payment.url).toBeTruthy()
    }
    const kept = JSON.stringify(await app.sql('select * from idempotency_keys'))
    expect(kept).toContain('ord_')
    expect(kept).not.toMatch(/_secret_|\/c\/pay\/|"orderToken"|ord_[a-z0-9]+\.[\w-]{20}/)
  })

  test('400 for members that do not go together', async () => {
    const { orderId, payer } = await bought(shop)
    const { token } = await app.asCustomer('ada')
    const wrong: [object, object][] = [
      [{}, {}],
      [{}, { items: items() }],
      [{}, { items: items(), orderId, customer: guest }],
      [{}, { orderId, customer: guest }],
      [{ token }, { items: items(), customer: guest }],
      [payer, { items: items() }],
      [{ token }, { items: items(), mode: 'hosted', paymentMethod: 'pm_card_visa' }],
      [{ token }, { items: items(), mode: 'cash' }],
      [{ token }, { items: items(), paymentMethod: '4242424242424242' }],
      [{ token }, { items: items(), amount: 1 }],
      [{ token }, { items: [] }],
    ]
    for (const [who, body] of wrong) {
      const reply = await app.request(process, { ...who, body })
      expect([reply.status, reply.body.code], JSON.stringify(body)).toEqual([400, 'invalid_input'])
    }
  })

  test('400 for return addresses elsewhere', async () => {
    const { token } = await app.asCustomer('ada')
    const addresses = [
      'https://evil.example/',
      'https://shop.example.evil.example/',
      'https://shop.example@evil.example/',
      'http://shop.example/',
      'blob:https://shop.example/x',
      'javascript:alert(1)',
      '//shop.example/',
    ]
    for (const successUrl of addresses) {
      const body = { items: items(), mode: 'hosted', successUrl }
      const reply = await app.request(process, { token, body })
      expect([reply.status, reply.body.code], successUrl).toEqual([400, 'invalid_input'])
    }
    const body = { items: items(), mode: 'hosted', successUrl: 'https://shop.example/thanks' }
    expect((await app.request(process, { token, body })).status).toBe(201)
  })

  test('400 idempotency_key_weak for a short key without a token', async () => {
    const reply = await buy(shop, { key: 'short' })
    expect([reply.status, reply.body.code]).toEqual([400, 'idempotency_key_weak'])
  })

  test('401 for a bad token, 403 for staff, 404 for an order of somebody else', async () => {
    const body = { items: items() }
    expect((await app.request(process, { token: 'nonsense', body })).status).toBe(401)
    const staff = await app.request(process, { token: await app.as('admin'), body })
    expect([staff.status, staff.body.code]).toEqual([403, 'forbidden'])
    const { orderId } = await bought(shop, { as: 'ada' })
    const other = await app.asCustomer('other')
    const { payer } = await bought(shop)
    for (const who of [{ token: other.token }, payer, {}]) {
      expect((await app.request(process, { ...who, body: { orderId } })).status).toBe(404)
    }
    const unknown = { token: other.token, body: { orderId: unknownOrder } }
    expect((await app.request(process, unknown)).status).toBe(404)
  })

  test('409 order_not_payable for an order that is paid', async () => {
    const purchase = await bought(shop, { paymentMethod: 'pm_card_visa' })
    const again = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect([again.status, again.body.code, again.body.orderStatus]).toEqual([
      409,
      'order_not_payable',
      'confirmed',
    ])
  })

  test('422 for what is not for sale, too large or refused by the provider', async () => {
    const { token } = await app.asCustomer('ada')
    const cases: [object, string][] = [
      [
        { items: [{ serviceId: 'svc_01jd8q9yg8e5v9c0m4t7k2x3za', quantity: 1 }] },
        'service_unavailable',
      ],
      [{ items: [{ serviceId: await offer(shop, 99_999_999), quantity: 2 }] }, 'amount_too_large'],
      [{ items: items(), paymentMethod: 'pm_unknown' }, 'payment_refused'],
    ]
    for (const [body, code] of cases) {
      const reply = await app.request(process, { token, body })
      expect([reply.status, reply.body.code]).toEqual([422, code])
    }
    const [customers] = await app.sql('select count(*)::int as n from customers')
    await app.request(process, { body: { ...cases[0]?.[0], customer: guest } })
    const [after] = await app.sql('select count(*)::int as n from customers')
    expect(after).toEqual(customers)
  })

  test('429 too_many_open_orders beyond 20 of one customer, exactly, for 50 at once', async () => {
    await app.asCustomer('eager')
    const replies = await Promise.all(Array.from({ length: 50 }, () => buy(shop, { as: 'eager' })))
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(20)
    for (const { status, body, headers } of replies.filter((one) => one.status !== 201)) {
      expect([status, body.code]).toEqual([429, 'too_many_open_orders'])
      expect(headers.get('retry-after')).toMatch(/^\d+$/)
    }
  })

  test('400 mixed_currency for items of two currencies', async () => {
    const { token } = await app.asCustomer('ada')
    const other = await offer(shop, 5000, 'EUR')
    const body = { items: [...items(), { serviceId: other, quantity: 1 }] }
    const reply = await app.request(process, { token, body })
    expect([reply.status, reply.body.code]).toEqual([400, 'mixed_currency'])
  })

  test('429 rate_limited for one account that tries too often', async () => {
    const strict = await startTestApp({ beside: app, rateLimitScale: 1 })
    try {
      const { token } = await app.asCustomer('hasty')
      const replies: Reply[] = []
      for (let count = 0; count <= 61; count += 1) {
        replies.push(await strict.request(process, { token, body: { orderId: unknownOrder } }))
      }
      expect(replies[0]?.status).toBe(404)
      expect([replies.at(-1)?.status, replies.at(-1)?.body.code]).toEqual([429, 'rate_limited'])
    } finally {
      await strict.close()
    }
  })

  test('503 payments_not_configured where no cards are taken, and money by hand works', async () => {
    const closed = await startTestApp({ beside: app, payments: 'off' })
    try {
      const { token } = await app.asCustomer('ada')
      const reply = await closed.request(process, { token, body: { items: items() } })
      expect([reply.status, reply.body.code]).toEqual([503, 'payments_not_configured'])
      const order = await closed.request('POST /api/orders', { token, body: { items: items() } })
      const booked = await closed.request(`POST /api/orders/${order.body.id}/payments`, {
        token: await app.as('finance'),
        body: { amount: { amount: price, currency: 'GBP' }, reference: 'Cash' },
      })
      expect(booked.status).toBe(201)
      const paid = await closed.request(`POST /api/checkout/confirm/${order.body.id}`, { token })
      expect([paid.status, paid.body.order.paymentStatus]).toEqual([200, 'paid'])
    } finally {
      await closed.close()
    }
  })
})

describe('POST /api/checkout/confirm/:orderId', () => {
  test('200 by id and by number, with the case', async () => {
    const { order, orderId, payer } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    for (const id of [orderId, order.number]) {
      const reply = await app.request(`POST /api/checkout/confirm/${id}`, { ...payer })
      expect(reply.status).toBe(200)
      expect(reply.body.case.number).toMatch(/^C-\d+$/)
    }
  })

  test('402 with what the payer needs next, and 409 where nothing was started', async () => {
    const action = await bought(shop, { paymentMethod: 'pm_card_authenticationRequired' })
    const required = await confirm(shop, action)
    expect([required.status, required.body.code]).toEqual([402, 'payment_action_required'])
    expect(required.body.clientSecret).toBe(action.payment.clientSecret)
    const { token } = await app.asCustomer('ada')
    const { body } = await app.request('POST /api/orders', { token, body: { items: items() } })
    const nothing = await confirm(shop, { orderId: body.id, payer: { token } })
    expect([nothing.status, nothing.body.code]).toEqual([409, 'payment_not_started'])
  })

  test('422 payment_refused where the provider does not know the payment', async () => {
    const purchase = await bought(shop)
    const rename = 'update payments set provider_ref = $1 where order_id = $2'
    await app.sql(rename, ['pi_unknown', purchase.orderId])
    const reply = await confirm(shop, purchase)
    expect([reply.status, reply.body.code]).toEqual([422, 'payment_refused'])
    await app.sql(rename, [purchase.payment.providerRef, purchase.orderId])
    expect((await confirm(shop, purchase)).body.code).toBe('payment_not_completed')
  })

  test('409 order_not_payable for a cancelled order', async () => {
    const purchase = await bought(shop)
    await changeStatus(shop, purchase.orderId, { status: 'cancelled' })
    const reply = await confirm(shop, purchase)
    expect([reply.status, reply.body.code]).toEqual([409, 'order_not_payable'])
  })

  test('401, 403 for staff, 404', async () => {
    const { orderId } = await bought(shop, { as: 'ada' })
    expect((await app.request(`POST /api/checkout/confirm/${orderId}`)).status).toBe(401)
    const staff = { token: await app.as('admin') }
    expect((await app.request(`POST /api/checkout/confirm/${orderId}`, staff)).status).toBe(403)
    const { payer } = await bought(shop)
    expect((await confirm(shop, { orderId, payer })).status).toBe(404)
    expect((await confirm(shop, { orderId: unknownOrder, payer })).status).toBe(404)
  })
})

describe('POST /api/orders/:id/payments', () => {
  const record = async (id: string, body: object): Promise<Reply> =>
    await app.request(`POST /api/orders/${id}/payments`, { token: await app.as('finance'), body })
  const sum = (amount: number, currency = 'GBP') => ({ amount: { amount, currency } })

  test('201 with the payment; 20 at once never take more than is due', async () => {
    const { orderId } = await bought(shop)
    const replies = await Promise.all(
      Array.from({ length: 20 }, () =>
        bookMoney(shop, `POST /api/orders/${orderId}/payments`, 1000),
      ),
    )
    const taken = replies.filter(({ status }) => status === 201)
    expect(taken).toHaveLength(14)
    expect(taken[0]?.headers.get('location')).toBe(`/api/orders/${orderId}`)
    const refused = replies.find(({ status }) => status !== 201)
    expect(refused?.body).toMatchObject({ code: 'overpayment', outstanding: { amount: 900 } })
  })

  test('400, 409 and 422 for what cannot be booked', async () => {
    const { orderId } = await bought(shop)
    const reference = 'Transfer'
    expect((await record(orderId, { ...sum(0), reference })).status).toBe(400)
    expect((await record(orderId, { ...sum(0.5), reference })).status).toBe(400)
    expect((await record(orderId, sum(100))).status).toBe(400)
    expect((await record(orderId, { ...sum(price + 1), reference })).body.code).toBe('overpayment')
    expect((await record(orderId, { ...sum(1, 'EUR'), reference })).body.code).toBe(
      'wrong_currency',
    )
    await changeStatus(shop, orderId, { status: 'cancelled' })
    expect((await record(orderId, { ...sum(1), reference })).body.code).toBe('order_not_payable')
  })

  test('401, 403 and 404', async () => {
    const { orderId } = await bought(shop)
    const body = { ...sum(1), reference: 'Transfer' }
    expect((await app.request(`POST /api/orders/${orderId}/payments`, { body })).status).toBe(401)
    for (const token of [await app.as('agent'), (await app.asCustomer('ada')).token]) {
      const reply = await app.request(`POST /api/orders/${orderId}/payments`, { token, body })
      expect(reply.status).toBe(403)
    }
    expect((await record(unknownOrder, body)).status).toBe(404)
  })
})

describe('POST /api/orders/:id/refunds', () => {
  test('201 with the refund as the provider answered it, once for one key', async () => {
    const { orderId } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    const send = async (): Promise<Reply> =>
      await app.request(`POST /api/orders/${orderId}/refunds`, {
        token: await app.as('finance'),
        headers: { 'idempotency-key': 'give-it-back' },
        body: { amount: { amount: 4900, currency: 'GBP' }, reason: 'Late' },
      })
    const first = await send()
    expect(first.body).toMatchObject({ status: 'succeeded', amount: { amount: 4900 } })
    expect(first.headers.get('location')).toBe(`/api/orders/${orderId}`)
    expect((await send()).body).toEqual(first.body)
    await settleAll(shop)
    const { body } = await app.request(`GET /api/orders/${orderId}`, {
      token: await app.as('viewer'),
    })
    expect(body.refunds).toEqual([first.body])
  })

  test('400, 401, 403, 404, 409 and 422', async () => {
    const { orderId } = await bought(shop)
    const path = `POST /api/orders/${orderId}/refunds` as const
    const body = { amount: { amount: 1, currency: 'GBP' }, reason: 'Late' }
    expect((await app.request(path, { body })).status).toBe(401)
    expect((await app.request(path, { token: await app.as('agent'), body })).status).toBe(403)
    const token = await app.as('finance')
    const unknown = `POST /api/orders/${unknownOrder}/refunds` as const
    expect((await app.request(unknown, { token, body })).status).toBe(404)
    expect((await app.request(path, { token, body })).body.code).toBe('nothing_to_refund')
    const zero = { ...body, amount: { amount: 0, currency: 'GBP' } }
    expect((await app.request(path, { token, body: zero })).status).toBe(400)
    const euros = { ...body, amount: { amount: 1, currency: 'EUR' } }
    expect((await app.request(path, { token, body: euros })).body.code).toBe('wrong_currency')
  })
})
