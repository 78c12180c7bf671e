import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { booksAgree } from './books.ts'
import {
  bookMoney,
  bought,
  chargesOf,
  openShop,
  payAgain,
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

describe('refunds', () => {
  test('50 at once never give back more than was paid', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    const replies = await Promise.all(
      Array.from({ length: 50 }, () =>
        bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, 1000),
      ),
    )
    const given = replies.filter(({ status }) => status === 201)
    expect(given).toHaveLength(14)
    for (const { status, body } of replies.filter((reply) => reply.status !== 201)) {
      expect([status, body.code]).toEqual([409, 'refund_too_large'])
    }
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ paymentStatus: 'partially_refunded' })
    expect(order.refunded.amount).toBe(14_000)
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, 900)
    await settleAll(shop)
    expect((await readOrder(shop, purchase.orderId)).paymentStatus).toBe('refunded')
    const more = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, 1)
    expect([more.status, more.body.code]).toEqual([409, 'nothing_to_refund'])
  })

  test('end at 200 of one order: each can still be read and counted', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, price)
    await app.sql(
      `insert into refunds (order_id, id, payment_id, status, amount, currency, reason, created_at,
         updated_at)
       select order_id, 'ref_' || n, id, 'succeeded', 1, 'GBP', 'test', now(), now()
       from payments, generate_series(1, 199) as n
       where order_id = $1 and provider = 'manual'`,
      [purchase.orderId],
    )
    const path = `POST /api/orders/${purchase.orderId}/refunds` as const
    expect((await bookMoney(shop, path, price - 198)).body.code).toBe('refund_too_large')
    expect((await bookMoney(shop, path, 1)).status).toBe(201)
    const last = await bookMoney(shop, path, 1)
    expect([last.status, last.body.code]).toEqual([409, 'too_many_refunds'])
    expect((await readOrder(shop, purchase.orderId)).refunded.amount).toBe(200)
  })

  test('of a payment by hand are recorded and sent to nobody', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, price)
    const asked = app.sandbox.audit().operations['refunds.create'] ?? 0
    const refund = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, price)
    expect(refund.body).toMatchObject({ status: 'succeeded', amount: { amount: price } })
    await settleAll(shop)
    expect((await readOrder(shop, purchase.orderId)).paymentStatus).toBe('refunded')
    expect(app.sandbox.audit().operations['refunds.create'] ?? 0).toBe(asked)
  })

  test('of two payments need to be told which', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    const unsaid = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, 100)
    expect([unsaid.status, unsaid.body.code]).toEqual([409, 'payment_choice_required'])
    const said = await app.request(`POST /api/orders/${purchase.orderId}/refunds`, {
      token: await app.as('finance'),
      body: {
        amount: { amount: 9900, currency: 'GBP' },
        reason: 'Asked for',
        paymentId: paid.body.payment.id,
      },
    })
    expect(said.status).toBe(201)
  })

  test('that the bank cannot carry out free their sum again', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_refundFail' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, price)
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ paymentStatus: 'paid', refunds: [{ status: 'failed' }] })
    const again = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, price)
    expect(again.status).toBe(201)
  })

  test('that take their time are pending, then succeed', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_pendingRefund' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, price)
    await settleAll(shop)
    const waiting = await readOrder(shop, purchase.orderId)
    expect(waiting).toMatchObject({ paymentStatus: 'paid', refunds: [{ status: 'pending' }] })
    const [row] = await app.sql('select provider_ref from refunds where order_id = $1', [
      purchase.orderId,
    ])
    app.sandbox.finishRefund(String(row?.['provider_ref']), 'succeed')
    await settleAll(shop)
    expect((await readOrder(shop, purchase.orderId)).paymentStatus).toBe('refunded')
  })

  test('made in the provider’s dashboard are in our books too', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    app.sandbox.refund({ paymentIntent: purchase.payment.providerRef, amount: 4000 })
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({
      paymentStatus: 'partially_refunded',
      refunds: [{ status: 'succeeded', amount: { amount: 4000 } }],
    })
    const tooMuch = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, 11_000)
    expect([tooMuch.status, tooMuch.body.code]).toEqual([409, 'refund_too_large'])
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amountRefunded: 4000 }])
  })
})

describe('disputes', () => {
  test('an open one shows on payment and order, a won one restores the state', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    const dispute = app.sandbox.openDispute(purchase.payment.providerRef)
    await settleAll(shop)
    const open = await readOrder(shop, purchase.orderId)
    expect(open.paymentStatus).toBe('disputed')
    expect(open.payments[0].dispute).toMatchObject({
      status: 'needs_response',
      amount: { amount: price, currency: 'GBP' },
      reason: 'fraudulent',
    })
    app.sandbox.endDispute(dispute.id, 'win')
    await settleAll(shop)
    const won = await readOrder(shop, purchase.orderId)
    expect(won).toMatchObject({ paymentStatus: 'paid', paid: { amount: price } })
  })

  test('a lost one keeps `disputed` and lowers what was paid', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_createDispute' })
    await settleAll(shop)
    const open = await readOrder(shop, purchase.orderId)
    expect(open.paymentStatus).toBe('disputed')
    const [row] = await app.sql('select provider_ref from disputes where order_id = $1', [
      purchase.orderId,
    ])
    app.sandbox.endDispute(String(row?.['provider_ref']), 'lose')
    await settleAll(shop)
    const lost = await readOrder(shop, purchase.orderId)
    expect(lost).toMatchObject({ paymentStatus: 'disputed', paid: { amount: 0 } })
  })
})
