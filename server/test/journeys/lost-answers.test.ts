import type { Fault } from '@bureau/stripe-sandbox'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { hourMs, minuteMs, secondMs } from '../../src/kernel/time.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'
import { booksAgree } from './books.ts'
import {
  bookMoney,
  bought,
  buy,
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
  type Purchase,
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
type Trouble = Omit<Fault, 'operation'>
const troubles: [string, Trouble][] = [
  // Twice, because Stripe's package repeats a call by itself when its connection was closed.
  ['is lost on the way there', { effect: 'cut', when: 'before', times: 2 }],
  ['is lost on the way back', { effect: 'cut', when: 'after', times: 2 }],
  ['fails with 500 before anything happened', { effect: 'answer', when: 'before', status: 500 }],
  [
    'fails with a 500 that the provider keeps under the key',
    { effect: 'answer', when: 'before', status: 500, kept: true },
  ],
  [
    'fails with a kept 500 although it happened',
    { effect: 'answer', when: 'after', status: 500, kept: true },
  ],
  ['is limited with 429', { effect: 'answer', when: 'before', status: 429 }],
]

describe.each(troubles)('a call that %s', (name, trouble) => {
  const strike = (operation: string): void => app.sandbox.setFaults([{ operation, ...trouble }])

  test('to create an intent: 503, and the same key makes the one order', async () => {
    strike('payment_intents.create')
    const key = `a-purchase-that-${name.replaceAll(' ', '-')}`
    const first = await buy(shop, { key, paymentMethod: 'pm_card_visa' })
    expect([first.status, first.body.code]).toEqual([503, 'payment_provider_unavailable'])
    expect(first.headers.get('retry-after')).toMatch(/^\d+$/)
    const orders = await countOrders()
    const second = await buy(shop, { key, paymentMethod: 'pm_card_visa' })
    expect(second.status, JSON.stringify(second.body)).toBe(201)
    expect(second.body.order.paymentStatus).toBe('paid')
    expect(await countOrders()).toBe(orders)
  })

  test('to open a hosted page: the next try opens one, also with other addresses', async () => {
    const purchase = await bought(shop)
    strike('checkout.sessions.create')
    const first = await payAgain(shop, purchase, { mode: 'hosted' })
    expect(first.status).toBe(503)
    const second = await payAgain(shop, purchase, {
      mode: 'hosted',
      successUrl: 'https://shop.example/thanks',
    })
    expect(second.status, JSON.stringify([first.body, second.body])).toBe(201)
    await payOnPage(second.body.payment.url, goodCard)
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test('to confirm: another try never charges twice', async () => {
    const purchase = await bought(shop)
    strike('payment_intents.confirm')
    const first = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(first.status).toBe(503)
    await payUntilPaid(purchase, 'pm_card_mastercard')
    expect(chargesOf(shop, purchase.orderId)).toHaveLength(1)
  })

  test('to confirm: the same key answers the order, paid once', async () => {
    const { orderId, payer } = await bought(shop)
    strike('payment_intents.confirm')
    const request = {
      ...payer,
      headers: { 'idempotency-key': `an-order-paid-by-a-call-that-${name.replaceAll(' ', '-')}` },
      body: { orderId, paymentMethod: 'pm_card_visa' },
    }
    const first = await app.request('POST /api/checkout/process', request)
    expect([first.status, first.body.code]).toEqual([503, 'payment_provider_unavailable'])
    const second = await app.request('POST /api/checkout/process', request)
    expect(second.status, JSON.stringify(second.body)).toBe(201)
    expect(second.body).toMatchObject({
      order: { id: orderId, status: 'confirmed', paymentStatus: 'paid' },
      payment: { status: 'succeeded' },
    })
    const third = await app.request('POST /api/checkout/process', request)
    expect(third.headers.get('idempotent-replayed')).toBe('true')
    expect(third.body).toEqual(second.body)
    expect(chargesOf(shop, orderId)).toHaveLength(1)
  })

  test('to cancel: the order that was cancelled has no payment left to pay', async () => {
    const purchase = await bought(shop)
    strike('payment_intents.cancel')
    await changeStatus(shop, purchase.orderId, { status: 'cancelled' })
    await settleAll(shop)
    const { payments } = await readOrder(shop, purchase.orderId)
    expect(payments).toMatchObject([{ status: 'canceled' }])
  })

  test('to change the amount: the rest is charged, no more', async () => {
    const purchase = await bought(shop)
    strike('payment_intents.update')
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    await settleAll(shop)
    await payUntilPaid(purchase, 'pm_card_visa')
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amount: price - 5000 }])
  })

  test('to refund: the money goes back once', async () => {
    const purchase = await bought(shop, { paymentMethod: 'pm_card_visa' })
    strike('refunds.create')
    const asked = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, 4900)
    expect(asked.status).toBe(201)
    await settleAll(shop)
    app.advance(5 * minuteMs)
    await runScheduled(shop, 'reconcile-payments')
    const order = await readOrder(shop, purchase.orderId)
    expect(order.refunds).toMatchObject([{ status: 'succeeded' }])
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amountRefunded: 4900 }])
  })
})

describe('a change of the amount that had no answer', () => {
  test('and arrives later is repeated before the next one', async () => {
    const purchase = await bought(shop)
    await loseChange(purchase, 3000)
    await arriveLate(purchase, price - 3000)
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 2000)
    // One run of the jobs is enough, as a browser may pay at any time.
    await app.runJobs()
    await expectRest(purchase, price - 5000)
  })

  test('and is seen to have arrived gives the next one another key', async () => {
    const purchase = await bought(shop)
    await loseChange(purchase, 3000)
    await arriveLate(purchase, price - 3000)
    expect((await confirm(shop, purchase)).body.code).toBe('payment_not_completed')
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 2000)
    await app.runJobs()
    await expectRest(purchase, price - 5000)
  })

  test('nor was looked up before the process died is looked up first', async () => {
    const purchase = await bought(shop)
    app.sandbox.setFaults([
      { operation: 'payment_intents.update', effect: 'cut', when: 'after', times: 100 },
      { operation: 'payment_intents.retrieve', effect: 'cut', times: 100 },
    ])
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 3000)
    await app.runJobs()
    app.sandbox.setFaults([])
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 2000)
    app.advance(31 * secondMs)
    await app.runJobs()
    await expectRest(purchase, price - 5000)
  })

  test.each(troubles)('because it %s charges no card until it has one', async (_name, trouble) => {
    const purchase = await bought(shop)
    const always = { ...trouble, times: 100 }
    app.sandbox.setFaults([{ operation: 'payment_intents.update', ...always }])
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 3000)
    await app.runJobs()
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 2000)
    // Some of these reach the provider: then the rest is charged, otherwise nothing is.
    for (let nth = 0; nth < 3; nth += 1) {
      await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
      for (const { amount } of chargesOf(shop, purchase.orderId)) expect(amount).toBe(price - 5000)
    }
    app.sandbox.setFaults([])
    await payUntilPaid(purchase, 'pm_card_visa')
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amount: price - 5000 }])
    await expectNoFlag(purchase)
  })

  test('but a failure, and happened later, is booked by what a browser paid of it', async () => {
    const purchase = await bought(shop)
    const failure = { effect: 'answer', when: 'before', status: 500 } as const
    app.sandbox.setFaults([{ operation: 'payment_intents.update', ...failure }])
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 3000)
    await app.runJobs()
    await changeBehind(purchase, price - 3000)
    await expectRest(purchase, price - 3000)
  })

  test('and comes after it was given up is found before a card is charged', async () => {
    const purchase = await bought(shop)
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    await settleAll(shop)
    await changeBehind(purchase, price - 3000)
    const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(paid.status, JSON.stringify(paid.body)).toBe(201)
    expect(paid.body.order.paymentStatus).toBe('paid')
    expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amount: price - 5000 }])
    await expectNoFlag(purchase)
  })

  test('and comes after it was given up is corrected within five minutes', async () => {
    const purchase = await bought(shop)
    await bookMoney(shop, `POST /api/orders/${purchase.orderId}/payments`, 5000)
    await settleAll(shop)
    await changeBehind(purchase, price - 3000)
    app.advance(5 * minuteMs)
    await runScheduled(shop, 'reconcile-payments')
    await expectRest(purchase, price - 5000)
  })
})

describe('a provider that cannot be reached', () => {
  test('confirm answers 503, and the truth once it is back', async () => {
    const purchase = await bought(shop)
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    app.sandbox.setFaults([{ operation: 'payment_intents.retrieve', effect: 'cut', times: 2 }])
    app.sandbox.pauseWebhooks()
    const dark = await confirm(shop, purchase)
    expect([dark.status, dark.body.code]).toEqual([503, 'payment_provider_unavailable'])
    expect((await confirm(shop, purchase)).status).toBe(200)
  })
})

describe('webhooks that never come', () => {
  test('the reconciliation finds the payment within five minutes', async () => {
    app.sandbox.setFaults([{ operation: 'webhook:*', effect: 'drop', times: 100 }])
    const intent = await bought(shop)
    const hosted = await bought(shop, { mode: 'hosted' })
    await payInBrowser(shop, intent.payment.clientSecret, 'pm_card_visa')
    await payOnPage(hosted.payment.url, goodCard)
    app.advance(5 * minuteMs)
    await runScheduled(shop, 'reconcile-payments')
    for (const { orderId } of [intent, hosted]) {
      expect(await readOrder(shop, orderId)).toMatchObject({
        status: 'confirmed',
        paymentStatus: 'paid',
      })
    }
  })

  test('nor is a payment of many hours found later than that', async () => {
    app.sandbox.setFaults([{ operation: 'webhook:*', effect: 'drop', times: 100 }])
    const { orderId, payment } = await bought(shop)
    app.advance(20 * hourMs)
    await runScheduled(shop, 'reconcile-payments')
    await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
    app.advance(5 * minuteMs)
    await runScheduled(shop, 'reconcile-payments')
    expect((await readOrder(shop, orderId)).paymentStatus).toBe('paid')
  })

  test('one payment that the provider does not know holds up no other', async () => {
    app.sandbox.setFaults([{ operation: 'webhook:*', effect: 'drop', times: 100 }])
    const lost = await bought(shop)
    await app.sql('update payments set provider_ref = $1 where order_id = $2', [
      'pi_unknown',
      lost.orderId,
    ])
    const paid = await bought(shop)
    await payInBrowser(shop, paid.payment.clientSecret, 'pm_card_visa')
    app.advance(5 * minuteMs)
    await runScheduled(shop, 'reconcile-payments')
    expect((await readOrder(shop, paid.orderId)).paymentStatus).toBe('paid')
    const stale = await app.sql(
      `select id from payments where order_id = $1 and checked_at < now() - interval '1 minute'`,
      [lost.orderId],
    )
    expect(stale).toEqual([])
  })
})

describe('a process that died in the middle of a call', () => {
  test('after the card was charged: the next look finds it paid', async () => {
    const purchase = await bought(shop)
    app.sandbox.pauseWebhooks()
    await leaveStep(purchase, 'confirm')
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    const early = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect([early.status, early.body.code]).toEqual([409, 'payment_in_progress'])
    app.advance(31 * secondMs)
    const later = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect([later.status, later.body.code]).toEqual([409, 'order_not_payable'])
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test.each(['pm_card_visa', 'pm_card_chargeDeclined', 'pm_bacsDebit_success'])(
    'before the reply was kept: the key goes on with the same order, no card is tried again (%s)',
    async (paymentMethod) => {
      const key = `a-purchase-that-nobody-heard-of-${paymentMethod}`
      const first = await buy(shop, { key, paymentMethod })
      await forgetReplies()
      const second = await buy(shop, { key, paymentMethod })
      expect(second.status, JSON.stringify(second.body)).toBe(201)
      expect(second.headers.get('idempotent-replayed')).toBeNull()
      expect(second.body.order.id).toBe(first.body.order.id)
      expect(second.body.payment).toEqual(first.body.payment)
      expect(second.body.orderToken).toBe(first.body.orderToken)
      if (paymentMethod === 'pm_bacsDebit_success') {
        app.sandbox.settlePayment(first.body.payment.providerRef)
      }
    },
  )

  test('nor could look: the same key waits, then answers the paid order', async () => {
    const { orderId, payer } = await bought(shop)
    app.sandbox.pauseWebhooks()
    app.sandbox.setFaults([
      { operation: 'payment_intents.confirm', effect: 'cut', when: 'after', times: 2 },
      { operation: 'payment_intents.retrieve', effect: 'cut', times: 2 },
    ])
    const request = {
      ...payer,
      headers: { 'idempotency-key': 'an-order-paid-by-a-call-that-nobody-saw' },
      body: { orderId, paymentMethod: 'pm_card_visa' },
    }
    const lost = await app.request('POST /api/checkout/process', request)
    expect(lost.status).toBe(503)
    const early = await app.request('POST /api/checkout/process', request)
    expect([early.status, early.body.code]).toEqual([409, 'payment_in_progress'])
    app.advance(31 * secondMs)
    const later = await app.request('POST /api/checkout/process', request)
    expect(later.status, JSON.stringify(later.body)).toBe(201)
    expect(later.body.order).toMatchObject({ id: orderId, paymentStatus: 'paid' })
    expect(later.body.payment.status).toBe('succeeded')
    expect(chargesOf(shop, orderId)).toHaveLength(1)
  })

  test('after it paid an order that stood: the same key answers the paid order', async () => {
    const { orderId, payer } = await bought(shop)
    const request = {
      ...payer,
      headers: { 'idempotency-key': 'an-order-that-is-paid-later' },
      body: { orderId, paymentMethod: 'pm_card_visa' },
    }
    const first = await app.request('POST /api/checkout/process', request)
    await forgetReplies()
    const second = await app.request('POST /api/checkout/process', request)
    expect(second.status, JSON.stringify(second.body)).toBe(201)
    expect(second.headers.get('location')).toBe(`/api/orders/${orderId}`)
    expect(second.body.order.paymentStatus).toBe('paid')
    expect(second.body.payment).toEqual(first.body.payment)
  })

  test('after an order was cancelled and given back: the same key answers the order', async () => {
    const { orderId } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    const request = {
      token: await app.as('admin'),
      headers: { 'idempotency-key': 'a-cancellation-that-nobody-heard-of' },
      body: { status: 'cancelled', refund: 'full' },
    }
    await app.request(`PATCH /api/orders/${orderId}/status`, request)
    await forgetReplies()
    const second = await app.request(`PATCH /api/orders/${orderId}/status`, request)
    expect(second.status, JSON.stringify(second.body)).toBe(200)
    expect(second.body).toMatchObject({ id: orderId, status: 'cancelled' })
  })

  test('503 where no cards are taken any more and the order is still to be paid', async () => {
    const key = 'a-purchase-before-cards-were-given-up'
    await buy(shop, { key })
    await forgetReplies()
    const closed = await startTestApp({ beside: app, payments: 'off' })
    try {
      const reply = await buy({ ...shop, app: closed }, { key })
      expect([reply.status, reply.body.code]).toEqual([503, 'payments_not_configured'])
    } finally {
      await closed.close()
    }
  })

  test('before its object was created: it is created later, or given up within the day', async () => {
    const purchase = await bought(shop)
    await app.sql(
      `update payments set provider_ref = null, intent_ref = null, client_secret = null, attempt = 0
       where order_id = $1`,
      [purchase.orderId],
    )
    app.advance(2 * hourMs)
    const again = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(again.status).toBe(201)
    expect(again.body.payment.id).not.toBe(purchase.payment.id)
    expect(again.body.order.paymentStatus).toBe('paid')
  })
})

describe('events in any order, many times', () => {
  test('delayed, doubled and swapped webhooks end in the same books', async () => {
    app.sandbox.setFaults([
      { operation: 'webhook:payment_intent.succeeded', effect: 'delay', delayMs: 300 },
      { operation: 'webhook:payment_intent.*', effect: 'duplicate', times: 20 },
      { operation: 'webhook:payment_intent.processing', effect: 'reorder', times: 5 },
      { operation: 'webhook:charge.*', effect: 'reorder', times: 5 },
    ])
    const card = await bought(shop, { paymentMethod: 'pm_card_visa' })
    const debit = await bought(shop, { paymentMethod: 'pm_bacsDebit_success' })
    app.sandbox.settlePayment(debit.payment.providerRef)
    await settleAll(shop)
    for (const { orderId } of [card, debit]) {
      const order = await readOrder(shop, orderId)
      expect(order).toMatchObject({ status: 'confirmed', paymentStatus: 'paid' })
      const types = order.timeline.map(({ type }: { type: string }) => type)
      expect(types.filter((type: string) => type === 'payment.succeeded')).toHaveLength(1)
    }
  })
})

/** A part payment by hand, of which the provider does not hear. */
async function loseChange({ orderId }: Purchase, amount: number): Promise<void> {
  // However often Stripe's package repeats it by itself.
  app.sandbox.setFaults([{ operation: 'payment_intents.update', effect: 'cut', times: 100 }])
  await bookMoney(shop, `POST /api/orders/${orderId}/payments`, amount)
  await app.runJobs()
  app.sandbox.setFaults([])
}

/** The request that was lost on its way, as the network delivers it after all. */
async function arriveLate({ payment }: Purchase, amount: number): Promise<void> {
  const [row] = await app.sql('select attempt, next_amount from payments where id = $1', [
    payment.id,
  ])
  expect(Number(row?.['next_amount'])).toBe(amount)
  await sendChange(payment.providerRef, amount, `${payment.id}:amount:${String(row?.['attempt'])}`)
}

/** A change of which our books know nothing. */
async function changeBehind({ payment }: Purchase, amount: number): Promise<void> {
  await sendChange(payment.providerRef, amount, `${payment.id}:amount:given-up`)
}

async function sendChange(intent: string, amount: number, key: string): Promise<void> {
  const response = await fetch(`${app.sandbox.url}/v1/payment_intents/${intent}`, {
    method: 'POST',
    headers: {
      authorization: 'Bearer sk_test_bureau',
      'content-type': 'application/x-www-form-urlencoded',
      'idempotency-key': key,
    },
    body: new URLSearchParams({ amount: String(amount) }),
  })
  expect(response.status).toBe(200)
}

/** The rest is what a browser pays, and nothing was flagged on the way. */
async function expectRest(purchase: Purchase, amount: number): Promise<void> {
  await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
  expect((await confirm(shop, purchase)).status).toBe(200)
  expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amount }])
  await expectNoFlag(purchase)
}

async function expectNoFlag({ orderId }: Purchase): Promise<void> {
  const { paid, flagged, timeline } = await readOrder(shop, orderId)
  expect([paid.amount, flagged]).toEqual([price, false])
  const types = timeline.map(({ type }: { type: string }) => type)
  expect(types).not.toContain('payment.flagged')
}

async function payUntilPaid(purchase: Purchase, paymentMethod: string): Promise<void> {
  await eventually(async () => {
    await payAgain(shop, purchase, { paymentMethod })
    const { status, body } = await confirm(shop, purchase)
    expect(status, JSON.stringify(body)).toBe(200)
  })
}

async function countOrders(): Promise<number> {
  const [row] = await app.sql('select count(*)::int as orders from orders')
  return Number(row?.['orders'])
}

/** As a killed process leaves it: the intention written, the outcome not. */
async function leaveStep({ orderId }: Purchase, step: string): Promise<void> {
  await app.sql('update payments set step = $1, step_at = $2 where order_id = $3', [
    step,
    app.now(),
    orderId,
  ])
}

/** As a process leaves its keys that was killed between the fact and the reply. */
async function forgetReplies(): Promise<void> {
  await app.sql(
    'update idempotency_keys set status = null, reply = null, lease_until = to_timestamp(0)',
  )
}
