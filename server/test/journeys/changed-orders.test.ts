import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { hourMs, minuteMs } from '../../src/kernel/time.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { booksAgree } from './books.ts'
import {
  bookMoney,
  bought,
  changeStatus,
  chargesOf,
  confirm,
  openShop,
  payAgain,
  payInBrowser,
  payOnPage,
  price,
  readOrder,
  runScheduled,
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
  app.sandbox.setFaults([])
  app.sandbox.resumeWebhooks()
  await settleAll(shop)
  await booksAgree(app)
})

afterAll(async () => {
  await app.close()
})

const goodCard = '4242424242424242'

describe('a part payment by hand', () => {
  test('lowers the amount of a live intent', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    const booked = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    expect(booked.status, JSON.stringify(booked.body)).toBe(201)
    await settleAll(shop)
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    expect((await confirm(shop, purchase)).status).toBe(200)
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amount: price - 5000 }])
    expect((await readOrder(shop, purchase.orderId)).paid.amount).toBe(price)
  })

  test('closes a live page; the next one asks for the rest', async () => {
    const purchase = await bought(shop, { as: 'ada', mode: 'hosted' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    await settleAll(shop)
    expect((await payOnPage(purchase.payment.url, goodCard)).status).not.toBe(303)
    const rest = await payAgain(shop, purchase, { mode: 'hosted' })
    expect(rest.body.payment.amount.amount).toBe(price - 5000)
    await payOnPage(rest.body.payment.url, goodCard)
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test.each([
    ['whose bank wants to see the payer', 'pm_card_authenticationRequired', 'requires_action'],
    ['whose card was declined', 'pm_card_chargeDeclined', 'failed'],
  ])('lowers the amount of an intent %s, which begins anew', async (_name, card, before) => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: card })
    expect(purchase.payment.status).toBe(before)
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    await settleAll(shop)
    const changed = await readOrder(shop, purchase.orderId)
    expect(changed.paymentStatus).toBe('partially_paid')
    const amount = { amount: price - 5000, currency: 'GBP' }
    expect(changed.payments[0]).toMatchObject({ status: 'pending', amount, failure: null })
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    expect((await confirm(shop, purchase)).status).toBe(200)
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amount: price - 5000 }])
    expect(flagsOf(await readOrder(shop, purchase.orderId))).toEqual([])
  })

  test('is recalculated by the next purchase call, before any job has run', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(paid.body.payment).toMatchObject({
      id: purchase.payment.id,
      status: 'succeeded',
      amount: { amount: price - 5000 },
    })
  })

  test('of everything ends the live payment and confirms the order', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, price)
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ status: 'confirmed', paymentStatus: 'paid' })
    expect(order.payments[0].status).toBe('canceled')
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test('that leaves less than the provider takes ends the live payment', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, price - 5)
    await settleAll(shop)
    expect((await readOrder(shop, purchase.orderId)).payments[0].status).toBe('canceled')
    const rest = await payAgain(shop, purchase)
    expect([rest.status, rest.body.code]).toEqual([422, 'amount_too_small'])
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5)
  })

  test('that crosses with a card makes an overpaid order, which is flagged', async () => {
    app.sandbox.pauseWebhooks()
    const purchase = await bought(shop, { as: 'ada' })
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    app.sandbox.resumeWebhooks()
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ paymentStatus: 'paid', paid: { amount: price + 5000 } })
    expect(flagsOf(order)).toEqual(['overpaid'])
    expect(order.flagged).toBe(true)
  })

  test('that the provider was not told of yet: a browser pays too much, which is flagged', async () => {
    app.sandbox.setFaults([{ operation: 'payment_intents.update', effect: 'cut', times: 100 }])
    const purchase = await bought(shop, { as: 'ada' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    await app.runJobs()
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    expect((await confirm(shop, purchase)).status).toBe(200)
    app.sandbox.setFaults([])
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ status: 'confirmed', paymentStatus: 'paid', flagged: true })
    expect(order.paid.amount).toBe(price + 5000)
    expect(flagsOf(order)).toEqual(['overpaid'])
    const flagged = await app.request('GET /api/orders?flagged=true&limit=1', {
      token: await app.as('finance'),
    })
    expect(flagged.body.data).toMatchObject([{ id: purchase.orderId }])
    // What is too much can be given back, and no card is asked once more.
    const again = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect([again.status, again.body.code]).toEqual([409, 'order_not_payable'])
    const refund = await app.request(`POST /api/orders/${purchase.orderId}/refunds`, {
      token: await app.as('finance'),
      body: {
        amount: { amount: 5000, currency: 'GBP' },
        reason: 'Paid twice',
        paymentId: purchase.payment.id,
      },
    })
    expect(refund.status, JSON.stringify(refund.body)).toBe(201)
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([
      { amount: price, amountRefunded: 5000 },
    ])
  })
})

describe('an order that was begun to be paid very many times', () => {
  test('still shows the attempt that paid it', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    await app.sql(
      `insert into payments (order_id, id, provider, mode, status, amount, currency, created_at,
         updated_at)
       select order_id, 'pay_' || n, 'stripe', 'intent', 'canceled', amount, currency,
         created_at + make_interval(secs => n), created_at
       from payments, generate_series(1, 1500) as n where order_id = $1`,
      [purchase.orderId],
    )
    const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(paid.status, JSON.stringify(paid.body).slice(0, 300)).toBe(201)
    expect(paid.body.order.paymentStatus).toBe('paid')
    expect((await confirm(shop, purchase)).status).toBe(200)
  })
})

describe('cancelling', () => {
  test('an unpaid order ends its live payment', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    expect((await changeStatus(shop, purchase.orderId, { status: 'cancelled' })).status).toBe(200)
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order.payments[0].status).toBe('canceled')
    const late = await confirm(shop, purchase)
    expect([late.status, late.body.code]).toEqual([409, 'order_not_payable'])
    const again = await payAgain(shop, purchase)
    expect([again.status, again.body.code]).toEqual([409, 'order_not_payable'])
  })

  test('races a card: the money goes back by itself and is flagged', async () => {
    app.sandbox.pauseWebhooks()
    const purchase = await bought(shop, { as: 'ada' })
    await changeStatus(shop, purchase.orderId, { status: 'cancelled' })
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    app.sandbox.resumeWebhooks()
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ status: 'cancelled', paymentStatus: 'refunded' })
    expect(flagsOf(order)).toEqual(['paid_after_cancel'])
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amountRefunded: price }])
  })

  test('a paid order with `refund: full` gives everything back', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    const unsaid = await changeStatus(shop, purchase.orderId, { status: 'cancelled' })
    expect([unsaid.status, unsaid.body.code]).toEqual([400, 'refund_required'])
    const cancelled = await changeStatus(shop, purchase.orderId, {
      status: 'cancelled',
      refund: 'full',
    })
    expect(cancelled.status).toBe(200)
    expect(cancelled.body.refunds).toMatchObject([{ status: 'pending', amount: { amount: price } }])
    await settleAll(shop)
    expect(await readOrder(shop, purchase.orderId)).toMatchObject({
      status: 'cancelled',
      paymentStatus: 'refunded',
    })
  })

  test('a paid order with `refund: none` keeps the money', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    await changeStatus(shop, purchase.orderId, { status: 'cancelled', refund: 'none' })
    await settleAll(shop)
    expect(await readOrder(shop, purchase.orderId)).toMatchObject({
      status: 'cancelled',
      paymentStatus: 'paid',
      refunds: [],
    })
  })

  test('an order paid by hand and by card records the one and sends the other back', async () => {
    const purchase = await bought(shop, { as: 'ada' })
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 4900)
    await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    await changeStatus(shop, purchase.orderId, { status: 'cancelled', refund: 'full' })
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ paymentStatus: 'refunded', refunded: { amount: price } })
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amountRefunded: 10_000 }])
  })
})

describe('orders that nobody pays in time', () => {
  test('are cancelled, and their live payment ends', async () => {
    const purchase = await bought(shop, { as: 'late' })
    app.advance(24 * hourMs + minuteMs)
    await runScheduled(shop, 'expire-orders')
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order.status).toBe('cancelled')
    expect(order.payments[0].status).toBe('canceled')
  })

  test('race a card: paid in the end, or cancelled and given back', async () => {
    const purchases = [bought(shop), bought(shop), bought(shop), bought(shop)]
    const waiting = await Promise.all(purchases)
    app.advance(24 * hourMs + minuteMs)
    await Promise.all([
      runScheduled(shop, 'expire-orders'),
      ...waiting.map(({ payment }) => payInBrowser(shop, payment.clientSecret, 'pm_card_visa')),
      ...waiting.map((purchase) => confirm(shop, purchase)),
    ])
    await settleAll(shop)
    for (const { orderId } of waiting) {
      const order = await readOrder(shop, orderId)
      const outcome = `${order.status} ${order.paymentStatus}`
      expect(['confirmed paid', 'cancelled refunded']).toContain(outcome)
    }
  })

  test('are left alone while the bank has the money, and when they were placed directly', async () => {
    const debit = await bought(shop, { as: 'ada', paymentMethod: 'pm_bacsDebit_success' })
    const { token } = await app.asCustomer('ada')
    const direct = await app.request('POST /api/orders', {
      token,
      body: { items: [{ serviceId: shop.serviceId, quantity: 1 }] },
    })
    app.advance(48 * hourMs)
    await runScheduled(shop, 'expire-orders')
    expect((await readOrder(shop, debit.orderId)).status).toBe('pending')
    expect((await readOrder(shop, direct.body.id)).status).toBe('pending')
    app.sandbox.settlePayment(debit.payment.providerRef)
  })
})

function flagsOf(order: { timeline: { type: string; data: { reason?: string } }[] }): string[] {
  return order.timeline.flatMap(({ type, data }) =>
    type === 'payment.flagged' ? [data.reason ?? ''] : [],
  )
}
