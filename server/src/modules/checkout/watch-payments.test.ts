import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  bookMoney,
  bought,
  confirm,
  offer,
  openShop,
  payInBrowser,
  price,
  settleAll,
  type Shop,
} from '../../../test/journeys/shop.ts'
import { startTestApp, type TestApp } from '../../../test/support/app.ts'
import { present } from '../../kernel/assert.ts'
import { dayMs, hourMs } from '../../kernel/time.ts'
import type { Finding } from '../../platform/health.ts'
import type { Reading } from '../../platform/metrics.ts'
import { modules } from '../index.ts'

let app: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  shop = await openShop(app)
})

afterEach(async () => {
  app.sandbox.setFaults([])
  await settleAll(shop)
})

afterAll(async () => {
  await app.close()
})

/** The check as the health report runs it, without the report's short memory. */
async function check(of: TestApp = app): Promise<Finding> {
  const found = modules
    .flatMap(({ checks }) => checks ?? [])
    .find(({ name }) => name === 'payments')
  return await present(found, 'the check of the payments').run(of.systemContext())
}

async function read(name: string): Promise<readonly Reading[]> {
  const sources = modules.flatMap(({ figures }) => figures ?? [])
  const source = sources.find(({ figures }) => figures.some((figure) => figure.name === name))
  const readings = await present(source, name).read(app.systemContext())
  return readings.filter(({ figure }) => figure === name)
}

async function valueOf(name: string, label?: string): Promise<number | undefined> {
  const readings = await read(name)
  return readings.find(({ labels }) => label === Object.values(labels ?? {})[0])?.value
}

describe('the check of the payments', () => {
  test('passes while all is well, and where no cards are taken', async () => {
    await bought(shop, { paymentMethod: 'pm_card_visa' })
    expect(await check()).toEqual({ status: 'pass' })
    const closed = await startTestApp({ beside: app, payments: 'off' })
    try {
      const output = expect.stringContaining('No card payments')
      expect(await check(closed)).toEqual({ status: 'pass', output })
    } finally {
      await closed.close()
    }
  })

  test('warns once the provider did not answer, until it does', async () => {
    const purchase = await bought(shop)
    app.sandbox.setFaults([{ operation: 'payment_intents.retrieve', effect: 'cut', times: 2 }])
    expect((await confirm(shop, purchase)).status).toBe(503)
    expect(await check()).toMatchObject({ status: 'warn', observedUnit: 's ago' })
    await confirm(shop, purchase)
    expect(await check()).toEqual({ status: 'pass' })
  })

  test('warns of events that wait and of books that differ', async () => {
    await app.sql(
      `insert into provider_events (id, type, object_kind, object_id, livemode, received_at)
       values ('evt_stuck', 'payment_intent.succeeded', 'payment_intent', 'pi_stuck', false, $1)`,
      [new Date(app.now().getTime() - hourMs)],
    )
    expect(await check()).toMatchObject({ status: 'warn', observedUnit: 's' })
    expect(await valueOf('bureau_oldest_waiting_webhook_event_age_seconds')).toBeGreaterThan(3599)
    expect(await valueOf('bureau_webhook_events', 'waiting')).toBe(1)
    await app.sql(`delete from provider_events where id = 'evt_stuck'`)
    await app.sql(
      `insert into reconciliations (id, scope, status, window_from, window_to, counts, version,
         started_at)
       values
         ('rec_1', 'wide', 'completed', now() - interval '35 days', now(), '{}', 2,
           now() - interval '1 hour'),
         ('rec_2', 'recent', 'completed', now(), now(), '{}', 2, now())`,
    )
    expect(await check()).toEqual({ status: 'pass' })
    await app.sql(
      `insert into reconciliation_differences (reconciliation_id, id, kind, object, provider_ref,
         healed, created_at)
       values ('rec_1', 'diff_1', 'missing_here', 'payment', 'pi_1', false, now()),
         ('rec_2', 'diff_2', 'missing_here', 'payment', 'pi_1', false, now()),
         ('rec_1', 'diff_3', 'missing_here', 'refund', 're_1', false, now()),
         ('rec_2', 'diff_4', 'missing_here', 'refund', 're_2', true, now())`,
    )
    // What only the night could find counts too, and what both have found counts once.
    expect(await check()).toMatchObject({ status: 'warn', observedValue: 2 })
    expect(await valueOf('bureau_open_ledger_differences')).toBe(2)
    await app.sql('delete from reconciliation_differences')
    await app.sql('delete from reconciliations')
  })
})

describe('the figures of a day', () => {
  test('are orders by their state and money by its currency, of today alone', async () => {
    app.advance(2 * dayMs)
    expect(await read('bureau_revenue_today_minor_units')).toEqual([
      { figure: 'bureau_revenue_today_minor_units', value: 0, labels: { currency: 'GBP' } },
    ])
    expect(await valueOf('bureau_orders_today', 'confirmed')).toBe(0)
    const waiting = await bought(shop)
    const paid = await bought(shop, { paymentMethod: 'pm_card_visa' })
    await bookMoney(shop, `POST /api/orders/${paid.orderId}/refunds`, 900)
    await bookMoney(shop, `POST /api/orders/${waiting.orderId}/payments`, 400)
    await bought(shop, {
      serviceId: await offer(shop, 5000, 'EUR'),
      paymentMethod: 'pm_card_visa',
    })
    await settleAll(shop)
    expect(await valueOf('bureau_orders_today', 'confirmed')).toBe(2)
    expect(await valueOf('bureau_orders_today', 'pending')).toBe(1)
    expect(await valueOf('bureau_revenue_today_minor_units', 'GBP')).toBe(price - 900 + 400)
    expect(await valueOf('bureau_revenue_today_minor_units', 'EUR')).toBe(5000)
    expect(await valueOf('bureau_webhook_events', 'settled')).toBeGreaterThan(0)
    // What was begun yesterday and is paid today is money of today.
    app.advance(dayMs)
    await payInBrowser(shop, waiting.payment.clientSecret, 'pm_card_visa')
    await settleAll(shop)
    expect(await valueOf('bureau_orders_today', 'confirmed')).toBe(0)
    expect(await valueOf('bureau_revenue_today_minor_units', 'GBP')).toBe(price - 400)
    expect(await valueOf('bureau_revenue_today_minor_units', 'EUR')).toBeUndefined()
  })
})
