import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { booksAgree } from '../../../test/journeys/books.ts'
import {
  bookMoney,
  bought,
  chargesOf,
  openShop,
  payInBrowser,
  price,
  readOrder,
  settleAll,
  type Shop,
} from '../../../test/journeys/shop.ts'
import { startTestApp, webhookSecret, type Reply, type TestApp } from '../../../test/support/app.ts'
import { present } from '../../kernel/assert.ts'
import { findPayment } from '../payments/index.ts'
import { settlePayment } from './usecases/settle-payment.ts'

let app: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  shop = await openShop(app)
})

afterAll(async () => {
  await app.close()
})

let events = 0

/** An event as the provider sends it; only its signature has to be right. */
function eventAbout(object: { id: string; object: string }, more: object = {}): string {
  events += 1
  return JSON.stringify({
    id: `evt_test_${events}`,
    object: 'event',
    type: 'payment_intent.succeeded',
    livemode: false,
    created: Math.floor(app.now().getTime() / 1000),
    data: { object },
    ...more,
  })
}

function sign(
  body: string,
  { secret = webhookSecret, ageSeconds = 0, scheme = 'v1' } = {},
): string {
  const at = Math.floor(app.now().getTime() / 1000) - ageSeconds
  const mac = createHmac('sha256', secret).update(`${at}.${body}`).digest('hex')
  return `t=${at},${scheme}=${mac}`
}

async function send(body: string, signature: string | undefined): Promise<Reply> {
  return await app.request('POST /api/webhook/stripe', {
    rawBody: body,
    headers: signature === undefined ? {} : { 'stripe-signature': signature },
  })
}

async function outcomes(): Promise<Record<string, unknown>> {
  const rows = await app.sql(`select id, outcome from provider_events where id like 'evt_test_%'`)
  return Object.fromEntries(rows.map(({ id, outcome }) => [String(id), outcome]))
}

describe('POST /api/webhook/stripe', () => {
  test('200 for a signed event, stored once however often it comes', async () => {
    const body = eventAbout({ id: 'pi_nobody_knows', object: 'payment_intent' })
    const signature = sign(body)
    const replies = await Promise.all(Array.from({ length: 100 }, () => send(body, signature)))
    for (const reply of replies)
      expect(reply).toMatchObject({ status: 200, body: { received: true } })
    const { id } = JSON.parse(body) as { id: string }
    expect(await app.sql('select id from provider_events where id = $1', [id])).toHaveLength(1)
    await app.runJobs()
    // Nobody's object: acknowledged, shown in the audit trail, never tried again.
    expect(await outcomes()).toMatchObject({ [id]: 'refused' })
    expect(await app.sql('select type from events where root_id = $1', [id])).toEqual([
      { type: 'provider_event.refused' },
    ])
  })

  test('400 invalid_signature for all that is not signed by the provider just now', async () => {
    const body = eventAbout({ id: 'pi_x', object: 'payment_intent' })
    const good = sign(body)
    const signatures = [
      undefined,
      '',
      'nonsense',
      sign(body, { secret: 'whsec_other' }),
      sign(body, { ageSeconds: 301 }),
      sign(body, { ageSeconds: -302 }),
      sign(body, { scheme: 'v0' }),
      good.replace(/^t=\d+/, 't=1'),
      good.replace(/^t=\d+,/, ''),
    ]
    for (const signature of signatures) {
      const reply = await send(body, signature)
      expect([reply.status, reply.body.code], signature).toEqual([400, 'invalid_signature'])
    }
    expect((await send(`${body} `, good)).status).toBe(400)
    expect((await send(JSON.stringify(JSON.parse(body), undefined, 2), good)).status).toBe(400)
    const { id } = JSON.parse(body) as { id: string }
    expect(await outcomes()).not.toHaveProperty(id)
  })

  test('200 for types that are not handled: stored and acknowledged', async () => {
    const body = eventAbout({ id: 'cus_1', object: 'customer' }, { type: 'customer.created' })
    expect((await send(body, sign(body))).status).toBe(200)
    await app.runJobs()
    const { id } = JSON.parse(body) as { id: string }
    expect(await outcomes()).toMatchObject({ [id]: 'ignored' })
  })

  test('the payload is only a hint: what it says of the state is not believed', async () => {
    const { orderId, payment } = await bought(shop)
    const lie = { id: payment.providerRef, object: 'payment_intent', status: 'succeeded' }
    const body = eventAbout(lie)
    await send(body, sign(body))
    await settleAll(shop)
    expect(await readOrder(shop, orderId)).toMatchObject({
      status: 'pending',
      paymentStatus: 'unpaid',
    })
  })

  test('events of another account or of live money pay nothing and are shown', async () => {
    const { orderId, payment } = await bought(shop)
    app.sandbox.pauseWebhooks()
    await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
    const object = { id: payment.providerRef, object: 'payment_intent' }
    for (const more of [{ account: 'acct_other' }, { livemode: true }]) {
      const body = eventAbout(object, more)
      expect((await send(body, sign(body))).status).toBe(200)
      await app.runJobs()
      const { id } = JSON.parse(body) as { id: string }
      expect(await outcomes()).toMatchObject({ [id]: 'refused' })
    }
    expect((await readOrder(shop, orderId)).paymentStatus).toBe('unpaid')
    app.sandbox.resumeWebhooks()
    await settleAll(shop)
    expect((await readOrder(shop, orderId)).paymentStatus).toBe('paid')
    await booksAgree(app)
  })

  test.each([
    ['amount', `update payments set amount = amount - 100`, 'other_amount'],
    ['currency', `update payments set currency = 'EUR'`, 'other_currency'],
    ['state', `update payments set status = 'canceled'`, 'paid_after_end'],
    ['object', `update payments set provider_ref = 'pi_other'`, 'other_object'],
  ])('a payment of another %s pays nothing and is flagged, once', async (_name, change, reason) => {
    const { orderId, payment } = await bought(shop)
    app.sandbox.pauseWebhooks()
    await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
    await app.sql(`${change} where order_id = $1`, [orderId])
    app.sandbox.resumeWebhooks()
    await settleAll(shop)
    const again = eventAbout({ id: payment.providerRef, object: 'payment_intent' })
    await send(again, sign(again))
    await settleAll(shop)
    const order = await readOrder(shop, orderId)
    expect(order).toMatchObject({ status: 'pending', paymentStatus: 'unpaid', case: null })
    const flags = order.timeline.filter(({ type }: { type: string }) => type === 'payment.flagged')
    expect(flags).toMatchObject([{ data: { reason } }])
  })

  test('what our books did not take in cannot be given back in them', async () => {
    const { orderId, payment } = await bought(shop)
    app.sandbox.pauseWebhooks()
    await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
    await app.sql('update payments set amount = amount - 100 where order_id = $1', [orderId])
    app.sandbox.refund({ paymentIntent: payment.providerRef, amount: 500 })
    app.sandbox.resumeWebhooks()
    await settleAll(shop)
    expect(await readOrder(shop, orderId)).toMatchObject({ paymentStatus: 'unpaid', refunds: [] })
  })

  test('more refunds than fit on one page of the provider are all taken in', async () => {
    const { orderId, payment } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    app.sandbox.setFaults([{ operation: 'webhook:*', effect: 'drop', times: 1000 }])
    for (let nth = 0; nth < 101; nth += 1) {
      app.sandbox.refund({ paymentIntent: payment.providerRef, amount: 1 })
    }
    await app.sandbox.webhooksSettled()
    app.sandbox.setFaults([])
    const [charge] = chargesOf(shop, orderId)
    const object = { id: charge?.charge ?? '', object: 'charge' }
    const body = eventAbout(object, { type: 'charge.refunded' })
    await send(body, sign(body))
    await settleAll(shop)
    expect((await readOrder(shop, orderId)).refunded.amount).toBe(101)
  })

  test('a dispute whose answer is due at another time is news', async () => {
    const { orderId, payment } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    const dispute = app.sandbox.openDispute(payment.providerRef)
    await settleAll(shop)
    const read = async (): Promise<unknown> =>
      (await readOrder(shop, orderId)).payments[0].dispute.dueBy
    const due = await read()
    await app.sql('update disputes set due_by = null where order_id = $1', [orderId])
    const object = { id: dispute.id, object: 'dispute' }
    const body = eventAbout(object, { type: 'charge.dispute.updated' })
    await send(body, sign(body))
    await settleAll(shop)
    expect(due).toEqual(expect.any(String))
    expect(await read()).toBe(due)
  })

  test('a look from before the amount was changed neither flags nor brings it back', async () => {
    const { orderId, payment } = await bought(shop)
    const ctx = app.systemContext()
    const seen = await ctx.stripe.retrievePayment(payment.providerRef)
    await bookMoney(shop, `POST /api/orders/${orderId}/payments`, 5000)
    await settleAll(shop)
    const row = await findPayment(ctx.db, orderId, payment.id)
    await settlePayment(ctx, present(row, 'the payment'), { seen })
    const order = await readOrder(shop, orderId)
    expect(order.payments[0].amount.amount).toBe(price - 5000)
    const types = order.timeline.map(({ type }: { type: string }) => type)
    expect(types).not.toContain('payment.flagged')
  })

  test('one event that cannot be worked out blocks no other, stays visible and can be retried', async () => {
    const poisoned = await bought(shop, { mode: 'hosted' })
    const purchases = await Promise.all(Array.from({ length: 99 }, () => bought(shop)))
    await settleAll(shop)
    // A page whose session is not known here, so that its news cannot be understood.
    const ref = poisoned.payment.providerRef
    app.sandbox.pauseWebhooks()
    const intent = app.sandbox.paySession(ref)
    const forget = 'update payments set provider_ref = $1 where order_id = $2'
    await app.sql(forget, [null, poisoned.orderId])
    const bad = eventAbout({ id: intent.id, object: 'payment_intent' })
    await send(bad, sign(bad))
    await Promise.all(
      purchases.map(async ({ payment }) => {
        await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
        const body = eventAbout({ id: payment.providerRef, object: 'payment_intent' })
        await send(body, sign(body))
      }),
    )
    await app.runJobs()
    for (const { orderId } of purchases) {
      expect((await readOrder(shop, orderId)).paymentStatus).toBe('paid')
    }
    const { id } = JSON.parse(bad) as { id: string }
    const failed = `select id, attempts, last_error from graphile_worker.jobs where key = $1`
    const key = `handle-provider-event:${id}`
    const [job] = await app.sql(failed, [key])
    expect(job).toMatchObject({ last_error: expect.stringContaining('session') })
    expect(Number(job?.['attempts'])).toBeGreaterThan(0)
    expect(await outcomes()).toMatchObject({ [id]: null })
    // Its last try is over: nobody but a person begins it again.
    await app.sql(
      `update graphile_worker._private_jobs set attempts = max_attempts, run_at = now()
       where id = $1`,
      [job?.['id']],
    )
    await app.sql(forget, [ref, poisoned.orderId])
    await app.runJobs()
    expect(await outcomes()).toMatchObject({ [id]: null })
    expect(await app.sql(failed, [key])).toMatchObject([{ attempts: 25 }])
    await app.sql('select graphile_worker.reschedule_jobs(array[$1::bigint], now(), null, 0)', [
      job?.['id'],
    ])
    await app.runJobs()
    expect(await outcomes()).toMatchObject({ [id]: 'settled' })
    expect((await readOrder(shop, poisoned.orderId)).paymentStatus).toBe('paid')
    app.sandbox.resumeWebhooks()
    await settleAll(shop)
  })

  test('503 payments_not_configured where no cards are taken', async () => {
    const closed = await startTestApp({ beside: app, payments: 'off' })
    try {
      const reply = await closed.request('POST /api/webhook/stripe', { rawBody: '{}' })
      expect([reply.status, reply.body.code]).toEqual([503, 'payments_not_configured'])
    } finally {
      await closed.close()
    }
  })
})
