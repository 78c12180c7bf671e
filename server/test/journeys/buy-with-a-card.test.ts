import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { booksAgree } from './books.ts'
import {
  bookMoney,
  bought,
  buy,
  confirm,
  offer,
  openShop,
  payAgain,
  payInBrowser,
  price,
  readOrder,
  settleAll,
  type Shop,
} from './shop.ts'

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

describe('buying with a card', () => {
  test('a customer pays at once, and the case stands open', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    expect(purchase.payment.status).toBe('succeeded')
    expect(purchase.order).toMatchObject({ status: 'confirmed', paymentStatus: 'paid' })
    const confirmed = await confirm(shop, purchase)
    expect(confirmed.status).toBe(200)
    expect(confirmed.body.case).toMatchObject({ status: 'new' })
    expect(confirmed.body.case).toEqual(confirmed.body.order.case)
    const again = await confirm(shop, purchase)
    expect(again.status).toBe(200)
    expect(again.body).toEqual(confirmed.body)
  })

  test('a guest pays in the browser and comes back with the order token', async () => {
    const purchase = await bought(shop)
    expect(purchase.payment).toMatchObject({
      status: 'pending',
      clientSecret: expect.stringMatching(/^pi_.*_secret_/),
    })
    const early = await confirm(shop, purchase)
    expect([early.status, early.body.code]).toEqual([402, 'payment_not_completed'])
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    const confirmed = await confirm(shop, purchase)
    expect(confirmed.status).toBe(200)
    expect(confirmed.body.order).toMatchObject({ status: 'confirmed', paymentStatus: 'paid' })
  })

  test('a declined card is told with its decline code, and another one pays', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_chargeDeclined' })
    expect(purchase.payment).toMatchObject({
      status: 'failed',
      failure: { code: 'card_declined', declineCode: 'generic_decline' },
    })
    expect(purchase.order).toMatchObject({ status: 'pending', paymentStatus: 'failed' })
    const declined = await confirm(shop, purchase)
    expect(declined.status).toBe(402)
    expect(declined.body).toMatchObject({
      code: 'payment_not_completed',
      declineCode: 'generic_decline',
      failure: { code: 'card_declined' },
    })
    const other = await payAgain(shop, purchase, {
      paymentMethod: 'pm_card_visa_chargeDeclinedInsufficientFunds',
    })
    expect(other.body.payment.failure.declineCode).toBe('insufficient_funds')
    expect(other.body.payment.id).toBe(purchase.payment.id)
    const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(paid.status).toBe(201)
    expect(paid.body.order.paymentStatus).toBe('paid')
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test('a card that needs authentication is paid once its holder has proved it', async () => {
    const purchase = await bought(shop, {
      as: 'ada',
      paymentMethod: 'pm_card_authenticationRequired',
    })
    expect(purchase.payment.status).toBe('requires_action')
    const waiting = await confirm(shop, purchase)
    expect(waiting.status).toBe(402)
    expect(waiting.body).toMatchObject({
      code: 'payment_action_required',
      clientSecret: purchase.payment.clientSecret,
    })
    app.sandbox.finishAuthentication(purchase.payment.providerRef, 'complete')
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test('a refused authentication leaves the order payable', async () => {
    const purchase = await bought(shop, {
      as: 'ada',
      paymentMethod: 'pm_card_authenticationRequired',
    })
    app.sandbox.finishAuthentication(purchase.payment.providerRef, 'fail')
    expect((await confirm(shop, purchase)).body.code).toBe('payment_not_completed')
    const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(paid.body.order.paymentStatus).toBe('paid')
  })

  test('a bank debit is 202 while it is under way and paid by the webhook', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_bacsDebit_success' })
    expect(purchase.payment.status).toBe('processing')
    const waiting = await confirm(shop, purchase)
    expect(waiting.status).toBe(202)
    expect(waiting.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(waiting.body.case).toBeNull()
    const other = await payAgain(shop, purchase, { mode: 'hosted' })
    expect([other.status, other.body.code]).toEqual([409, 'payment_in_progress'])
    app.sandbox.settlePayment(purchase.payment.providerRef)
    await settleAll(shop)
    expect(await readOrder(shop, purchase.orderId)).toMatchObject({
      status: 'confirmed',
      paymentStatus: 'paid',
    })
  })

  test('a bank debit that fails leaves the order payable', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_bacsDebit_accountClosed' })
    app.sandbox.settlePayment(purchase.payment.providerRef)
    await settleAll(shop)
    const failed = await readOrder(shop, purchase.orderId)
    expect(failed).toMatchObject({ status: 'pending', paymentStatus: 'failed' })
    const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(paid.body.order.paymentStatus).toBe('paid')
  })

  test('what costs nothing is confirmed at once, without a payment', async () => {
    const purchase = await bought(shop, { as: 'ada', serviceId: await offer(shop, 0) })
    expect(purchase.payment).toBeNull()
    expect(purchase.order).toMatchObject({ status: 'confirmed', paymentStatus: 'paid' })
    const confirmed = await confirm(shop, purchase)
    expect([confirmed.status, confirmed.body.payment]).toEqual([200, null])
  })

  test('what the provider finds too little leaves no order and no payment open', async () => {
    const small = await offer(shop, 10)
    const buying = { as: 'small', serviceId: small, key: 'next-to-nothing' }
    // Nor is it another answer when the same is sent again, or was cut off in between.
    for (let nth = 0; nth < 3; nth += 1) {
      const { status, body } = await buy(shop, buying)
      expect([status, body.code]).toEqual([422, 'amount_too_small'])
      await app.sql('update idempotency_keys set lease_until = to_timestamp(0)')
    }
    const left = await app.sql(
      `select o.status as order, o.close_reason as reason, p.status as payment
       from payments p join orders o on o.id = p.order_id where o.total = 10`,
    )
    expect(left).toEqual([{ order: 'cancelled', reason: 'amount_too_small', payment: 'canceled' }])
  })

  test('an order that stood before stays open: it can be paid another way', async () => {
    const { token } = await app.asCustomer('small')
    const placed = await app.request('POST /api/orders', {
      token,
      body: { items: [{ serviceId: await offer(shop, 11), quantity: 1 }] },
    })
    const purchase = { orderId: placed.body.id, payer: { token } }
    const { status, body } = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect([status, body.code]).toEqual([422, 'amount_too_small'])
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ status: 'pending', payments: [{ status: 'canceled' }] })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 11)
    expect((await readOrder(shop, purchase.orderId)).status).toBe('confirmed')
  })
})

describe('what a purchase costs the database', () => {
  test('buying and confirming stay within their number of statements', async () => {
    const warm = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    await confirm(shop, warm)
    await settleAll(shop)
    app.sandbox.pauseWebhooks()
    const before = app.db.statementCount()
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    const between = app.db.statementCount()
    await confirm(shop, purchase)
    const confirming = app.db.statementCount() - between
    app.sandbox.resumeWebhooks()
    // BEGIN and COMMIT of the five transactions around the two calls to the provider included.
    expect(between - before).toBeLessThanOrEqual(52)
    expect(confirming).toBeLessThanOrEqual(2)
  })
})

describe('the same purchase many times at once', () => {
  test('100 requests with one Idempotency-Key make one order and one intent', async () => {
    const before = app.sandbox.counts().payment_intent
    const key = 'one-and-the-same-purchase-of-grace'
    const replies = await Promise.all(
      Array.from({ length: 100 }, () => buy(shop, { key, paymentMethod: 'pm_card_visa' })),
    )
    const answered = replies.filter(({ status }) => status === 201)
    const waiting = replies.filter(({ status }) => status === 409)
    expect(answered.length).toBeGreaterThan(0)
    expect(answered.length + waiting.length).toBe(100)
    for (const { body } of waiting) expect(body.code).toBe('idempotency_in_progress')
    const replay = await buy(shop, { key, paymentMethod: 'pm_card_visa' })
    expect(replay.headers.get('idempotent-replayed')).toBe('true')
    for (const { body } of answered) expect(body).toEqual(replay.body)
    expect(app.sandbox.counts().payment_intent).toBe(before + 1)
    const orders = await app.sql('select id from orders where customer_name = $1 and total = $2', [
      'Grace',
      price,
    ])
    expect(orders.filter(({ id }) => id === replay.body.order.id)).toHaveLength(1)
  })

  test('20 requests for one order share one intent', async () => {
    const before = app.sandbox.counts().payment_intent
    const { token } = await app.asCustomer('ada')
    const placed = await app.request('POST /api/orders', {
      token,
      body: { items: [{ serviceId: shop.serviceId, quantity: 1 }] },
    })
    const purchase = { orderId: placed.body.id, payer: { token } }
    const replies = await Promise.all(Array.from({ length: 20 }, () => payAgain(shop, purchase)))
    for (const { status, body } of replies) expect(status, JSON.stringify(body)).toBe(201)
    expect(new Set(replies.map(({ body }) => body.payment.providerRef)).size).toBe(1)
    expect(app.sandbox.counts().payment_intent).toBe(before + 1)
    const cards = await Promise.all(
      Array.from({ length: 20 }, () => payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })),
    )
    expect(cards.some(({ status }) => status === 201)).toBe(true)
    for (const { status } of cards) expect([201, 409]).toContain(status)
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test('50 confirmations race the webhook: one payment, one case, one event of each', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    const [replies] = await Promise.all([
      Promise.all(Array.from({ length: 50 }, () => confirm(shop, purchase))),
      settleAll(shop),
    ])
    for (const { status, body } of replies) expect(status, JSON.stringify(body)).toBe(200)
    const events = await app.sql(
      'select type, count(*)::int as events from events where root_id = $1 group by type',
      [purchase.orderId],
    )
    expect(Object.fromEntries(events.map(({ type, events: n }) => [type, n]))).toEqual({
      'order.placed': 1,
      'payment.started': 1,
      'payment.succeeded': 1,
      'order.confirmed': 1,
    })
  })
})
