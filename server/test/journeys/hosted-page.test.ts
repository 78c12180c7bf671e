import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { hourMs } from '../../src/kernel/time.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { booksAgree } from './books.ts'
import {
  bought,
  confirm,
  openShop,
  payAgain,
  payInBrowser,
  payOnPage,
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
  app.sandbox.resumeWebhooks()
  await settleAll(shop)
  await booksAgree(app)
})

afterAll(async () => {
  await app.close()
})

const goodCard = '4242424242424242'
const declinedCard = '4000000000000002'

describe('buying on the hosted page', () => {
  test('paid there, the order is confirmed through the webhook alone', async () => {
    const purchase = await bought(shop, { mode: 'hosted' })
    expect(purchase.payment).toMatchObject({ status: 'pending', clientSecret: null })
    expect(purchase.payment.url).toMatch(/^http/)
    const back = await payOnPage(purchase.payment.url, goodCard)
    expect(back.status).toBe(303)
    expect(back.headers.get('location')).toBe('http://localhost:3000/?checkout=success')
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ status: 'confirmed', paymentStatus: 'paid' })
    expect(order.case).toMatchObject({ status: 'new' })
    expect(order.timeline.map(({ type }: { type: string }) => type).toSorted()).toEqual([
      'order.confirmed',
      'order.placed',
      'payment.started',
      'payment.succeeded',
    ])
  })

  test('a card declined there is shown, and the next one pays', async () => {
    const purchase = await bought(shop, { mode: 'hosted' })
    await payOnPage(purchase.payment.url, declinedCard)
    await settleAll(shop)
    expect(await readOrder(shop, purchase.orderId)).toMatchObject({ paymentStatus: 'failed' })
    const declined = await confirm(shop, purchase)
    expect(declined.body).toMatchObject({
      code: 'payment_not_completed',
      declineCode: 'generic_decline',
    })
    await payOnPage(purchase.payment.url, goodCard)
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test('a bank debit begun there is 202, and paid once it arrives', async () => {
    const purchase = await bought(shop, { mode: 'hosted' })
    const intent = app.sandbox.paySession(purchase.payment.providerRef, {
      paymentMethod: 'pm_bacsDebit_success',
    })
    expect((await confirm(shop, purchase)).status).toBe(202)
    app.sandbox.settlePayment(intent.id)
    await settleAll(shop)
    expect(await readOrder(shop, purchase.orderId)).toMatchObject({ paymentStatus: 'paid' })
  })

  test('a bank debit begun there that fails ends the attempt, and another may begin', async () => {
    const purchase = await bought(shop, { mode: 'hosted' })
    const intent = app.sandbox.paySession(purchase.payment.providerRef, {
      paymentMethod: 'pm_bacsDebit_insufficientFunds',
    })
    await settleAll(shop)
    app.sandbox.settlePayment(intent.id)
    const failed = await confirm(shop, purchase)
    expect(failed.body).toMatchObject({
      code: 'payment_not_completed',
      declineCode: 'insufficient_funds',
    })
    const again = await payAgain(shop, purchase, { mode: 'hosted' })
    expect(again.body.payment.id).not.toBe(purchase.payment.id)
    await payOnPage(again.body.payment.url, goodCard)
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test('a page that has run out is replaced by another', async () => {
    const purchase = await bought(shop, { mode: 'hosted' })
    const same = await payAgain(shop, purchase, { mode: 'hosted' })
    expect(same.body.payment).toMatchObject({ id: purchase.payment.id, url: purchase.payment.url })
    app.advance(22.5 * hourMs)
    const fresh = await payAgain(shop, purchase, { mode: 'hosted' })
    expect(fresh.status).toBe(201)
    expect(fresh.body.payment.id).not.toBe(purchase.payment.id)
    await payOnPage(fresh.body.payment.url, goodCard)
    expect((await confirm(shop, purchase)).status).toBe(200)
  })
})

describe('changing from one way of paying to the other', () => {
  test('hosted to card: the page is closed, the card pays', async () => {
    const purchase = await bought(shop, { mode: 'hosted' })
    const paid = await payAgain(shop, purchase, { mode: 'intent', paymentMethod: 'pm_card_visa' })
    expect(paid.body.order.paymentStatus).toBe('paid')
    const late = await payOnPage(purchase.payment.url, goodCard)
    expect(late.status).not.toBe(303)
    const { payments } = await readOrder(shop, purchase.orderId)
    expect(payments.map(({ status }: { status: string }) => status)).toEqual([
      'canceled',
      'succeeded',
    ])
  })

  test('card to hosted and back: one live payment at each time', async () => {
    const purchase = await bought(shop)
    const hosted = await payAgain(shop, purchase, { mode: 'hosted' })
    const back = await payAgain(shop, purchase, { mode: 'intent' })
    expect([hosted.status, back.status]).toEqual([201, 201])
    await payInBrowser(shop, back.body.payment.clientSecret, 'pm_card_visa')
    expect((await confirm(shop, purchase)).status).toBe(200)
    const { payments } = await readOrder(shop, purchase.orderId)
    expect(payments.map(({ status }: { status: string }) => status)).toEqual([
      'canceled',
      'canceled',
      'succeeded',
    ])
  })

  test('hosted to card after the page was paid: that wins', async () => {
    app.sandbox.pauseWebhooks()
    const purchase = await bought(shop, { mode: 'hosted' })
    await payOnPage(purchase.payment.url, goodCard)
    const late = await payAgain(shop, purchase, { mode: 'intent', paymentMethod: 'pm_card_visa' })
    expect([late.status, late.body.code]).toEqual([409, 'order_not_payable'])
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test('card to hosted after the card was charged in the browser: that wins', async () => {
    app.sandbox.pauseWebhooks()
    const purchase = await bought(shop)
    await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
    const late = await payAgain(shop, purchase, { mode: 'hosted' })
    expect([late.status, late.body.code]).toEqual([409, 'order_not_payable'])
    expect((await confirm(shop, purchase)).status).toBe(200)
  })

  test('both at once leave one live payment', async () => {
    const purchase = await bought(shop)
    const modes = Array.from({ length: 10 }, (_, index) => (index % 2 ? 'hosted' : 'intent'))
    const replies = await Promise.all(modes.map((mode) => payAgain(shop, purchase, { mode })))
    for (const { status } of replies) expect([201, 409]).toContain(status)
    const { payments } = await readOrder(shop, purchase.orderId)
    const open = payments.filter(({ status }: { status: string }) => status !== 'canceled')
    expect(open.length).toBeLessThanOrEqual(1)
    const paid = await payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' })
    expect(paid.body.order.paymentStatus).toBe('paid')
  })
})
