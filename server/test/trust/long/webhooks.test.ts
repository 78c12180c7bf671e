import { startSandbox } from '@bureau/stripe-sandbox'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { present } from '../../../src/kernel/assert.ts'
import { minuteMs } from '../../../src/kernel/time.ts'
import { settlePayment } from '../../../src/modules/checkout/usecases/settle-payment.ts'
import { findPayment } from '../../../src/modules/payments/index.ts'
import { booksAgree } from '../../journeys/books.ts'
import {
  bought,
  openShop,
  payInBrowser,
  price,
  readOrder,
  settleAll,
  type Purchase,
  type Shop,
} from '../../journeys/shop.ts'
import { startTestApp, webhookSecret, type TestApp } from '../../support/app.ts'
import { eventually } from '../../support/eventually.ts'
import { makeFreshDatabase, query, settingsOf } from '../../support/fresh-database.ts'
import { cleanUp, makeFolder, startBureau } from '../../support/process.ts'
import { openWire } from '../../support/wire.ts'
import { promise } from '../promise.ts'
import { askProvider } from '../provider.ts'
import { deliver, eventAbout, eventsOf, idOf, outcomeOf, signatureOf } from '../signed-events.ts'

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
  await cleanUp()
  await app.close()
})

const stages = ['created', 'processing', 'payment_failed', 'succeeded'] as const
type Stage = (typeof stages)[number]

promise(
  21,
  'all 24 orders of the four events end in paid, and nothing moves back',
  async (proof) => {
    const orders = permutationsOf(stages)
    expect(orders).toHaveLength(24)
    app.sandbox.pauseWebhooks()
    const ends = new Set<string>()
    for (const order of orders) {
      const { purchase, tell } = await liveThroughAll()
      for (const stage of order) await tell(stage)
      ends.add(await endOf(purchase))
    }
    expect([...ends]).toEqual([
      JSON.stringify(['confirmed', 'paid', price, 'succeeded', 'new', ['order.confirmed']]),
    ])
    proof.measured(`${orders.length} orders of 4 events: ${ends.size} end state, paid`)
  },
  { timeoutMs: 300_000 },
)

promise(
  21,
  'nor do the looks at the object, each as old as its event',
  async (proof) => {
    const ctx = app.systemContext()
    app.sandbox.pauseWebhooks()
    const ends = new Set<string>()
    let steps = 0
    for (const order of permutationsOf(stages)) {
      const { purchase, looks } = await liveThroughAll()
      let isPaid = false
      for (const stage of order) {
        const row = await findPayment(ctx.db, purchase.orderId, purchase.payment.id)
        const seen = present(looks.get(stage), stage)
        await settlePayment(ctx, present(row, 'the payment'), { seen })
        isPaid ||= stage === 'succeeded'
        const now = await readOrder(shop, purchase.orderId)
        expect([now.paymentStatus === 'paid', now.status === 'confirmed'], order.join()).toEqual([
          isPaid,
          isPaid,
        ])
        steps += 1
      }
      await app.runJobs()
      ends.add(await endOf(purchase))
    }
    expect(ends.size).toBe(1)
    proof.measured(`24 orders of 4 looks of their time: ${steps} steps, none back, 1 end state`)
  },
  { timeoutMs: 300_000 },
)

promise(
  24,
  'webhooks are answered within a second while nothing can be worked out',
  async (proof) => {
    const database = await makeFreshDatabase()
    const sandbox = await startSandbox({ port: 0 })
    const clock = { now: () => new Date() }
    try {
      // Whoever works an event out waits for the provider, which says nothing.
      sandbox.setFaults([
        { operation: 'payment_intents.*', effect: 'delay', delayMs: 600_000, times: 1_000_000 },
      ])
      const { url } = await startBureau({
        ...settingsOf(database, await makeFolder()),
        STRIPE_SECRET_KEY: 'sk_test_bureau',
        STRIPE_WEBHOOK_SECRET: webhookSecret,
        STRIPE_API_BASE: sandbox.url,
      })
      const events = Array.from({ length: 1000 }, (_, nth) =>
        eventAbout({ id: `pi_${nth}`, object: 'payment_intent' }),
      )
      // The first one after a start waits until the provider's package is loaded, and is no load.
      const left = events.slice(0, 1)
      const tookMs: number[] = []
      const sendAll = async (): Promise<void> => {
        for (let body = left.pop(); body !== undefined; body = left.pop()) {
          const begun = performance.now()
          const headers = {
            'content-type': 'application/json',
            'stripe-signature': signatureOf(clock, body),
          }
          const reply = await fetch(`${url}/api/webhook/stripe`, { method: 'POST', headers, body })
          await reply.arrayBuffer()
          tookMs.push(performance.now() - begun)
          expect(reply.status).toBe(200)
        }
      }
      await sendAll()
      const firstMs = Math.round(tookMs.splice(0)[0] ?? Number.NaN)
      left.push(...events.slice(1))
      const connections = 32
      await Promise.all(Array.from({ length: connections }, sendAll))
      const [stored] = await query(
        database.ownerUrl,
        `select count(*)::int as events, count(processed_at)::int as done from provider_events`,
      )
      expect(stored).toEqual({ events: events.length, done: 0 })
      const sorted = tookMs.toSorted((a, b) => a - b)
      const p99 = present(sorted[Math.floor(sorted.length * 0.99)], 'p99')
      expect(p99).toBeLessThan(1000)
      proof.measured(
        `${events.length} events over ${connections} connections, 0 worked out: p50 ` +
          `${Math.round(present(sorted[Math.floor(sorted.length / 2)], 'p50'))} ms, p99 ${Math.round(p99)} ms, ` +
          `the first after the start ${firstMs} ms`,
      )
    } finally {
      await cleanUp()
      await sandbox.close()
      await database.drop()
    }
  },
  { timeoutMs: 240_000 },
)

promise(
  25,
  'with the database cut off events are refused, and all are stored in the end',
  async (proof) => {
    const app = await startTestApp()
    const shop = await openShop(app)
    const wire = await openWire(app.database.serverUrl)
    const node = await startTestApp({ beside: app, databaseUrl: wire.url, requestTimeoutMs: 2000 })
    const { sandbox } = app
    try {
      const purchases = await Promise.all(Array.from({ length: 30 }, async () => bought(shop)))
      await settleAll(shop)
      const before = new Set(sandbox.listDeliveries(1000).map(({ id }) => id))
      const ours = () => sandbox.listDeliveries(1000).filter(({ id }) => !before.has(id))
      const attempts = () => ours().flatMap(({ log }) => log)
      const moreAttempts = async (count: number): Promise<void> => {
        const sofar = attempts().length
        const isDone = () =>
          attempts().length > sofar + count || ours().every(({ state }) => state === 'delivered')
        await eventually(() => expect(isDone()).toBe(true), { withinMs: 60_000 })
      }
      // The provider waits longer each time: that time passes at once.
      const hurry = (): void => {
        for (const clock of [app, node]) clock.advance(minuteMs)
      }
      const acknowledgedAreStored = async (): Promise<void> => {
        // Read before the table: what is acknowledged meanwhile is not asked for.
        const acknowledged = ours().filter(({ log }) => log.some(({ status }) => status === 200))
        const rows = await app.sql('select id from provider_events')
        const stored = new Set(rows.map(({ id }) => id))
        expect(acknowledged.filter(({ id }) => !stored.has(id))).toEqual([])
      }
      sandbox.setWebhook(`${node.url}/api/webhook/stripe`, [webhookSecret])
      wire.cut()
      for (const { payment } of purchases) {
        await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
      }
      await moreAttempts(40)
      expect(new Set(attempts().map(({ status }) => status))).toEqual(new Set([503]))
      // Black-holed and cut off again, in the middle of what it is told.
      for (const fail of [wire.swallow, wire.cut]) {
        wire.mend()
        hurry()
        await moreAttempts(5)
        fail()
        hurry()
        await moreAttempts(8)
        await acknowledgedAreStored()
      }
      wire.mend()
      hurry()
      await sandbox.webhooksSettled(120_000)
      await acknowledgedAreStored()
      expect(ours().filter(({ state }) => state !== 'delivered')).toEqual([])
      // Into the black hole no answer may come in time: that is no acknowledgement either.
      const refused = attempts().filter(({ status }) => status !== 200)
      expect(refused.filter(({ status }) => status !== null && status !== 503)).toEqual([])
      await settleAll(shop)
      for (const { orderId } of purchases) {
        expect((await readOrder(shop, orderId)).paymentStatus).toBe('paid')
      }
      await booksAgree(app)
      proof.measured(
        `${ours().length} events, ${refused.length} × refused while cut off, 0 acknowledged unstored, ` +
          `${purchases.length} of ${purchases.length} paid`,
      )
    } finally {
      await node.close()
      await wire.close()
      await app.close()
    }
  },
  { timeoutMs: 300_000 },
)

promise(
  26,
  '99 events are worked out beside a poison one, which stands among the failed jobs',
  async (proof) => {
    const admin = await app.as('admin')
    const poisoned = await bought(shop, { mode: 'hosted' })
    const purchases = await Promise.all(Array.from({ length: 99 }, async () => bought(shop)))
    await settleAll(shop)
    app.sandbox.pauseWebhooks()
    // A page whose session is not known here, so that its news cannot be understood.
    const intent = app.sandbox.paySession(poisoned.payment.providerRef)
    const know = 'update payments set provider_ref = $1 where order_id = $2'
    await app.sql(know, [null, poisoned.orderId])
    const poison = eventAbout({ id: intent.id, object: 'payment_intent' })
    expect((await deliver(app, poison)).status).toBe(200)
    await Promise.all(
      purchases.map(async ({ payment }) => {
        await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
        const event = eventAbout({ id: payment.providerRef, object: 'payment_intent' })
        expect((await deliver(app, event)).status).toBe(200)
      }),
    )
    // Its 25 tries take days: each is made at once.
    for (let attempt = 1; attempt <= 25; attempt += 1) {
      await app.runJobs()
      await app.sql('update graphile_worker._private_jobs set run_at = now()')
    }
    const paid = await app.sql(
      `select count(*)::int as orders from orders where payment_status = 'paid' and id = any($1)`,
      [purchases.map(({ orderId }) => orderId)],
    )
    expect(paid).toEqual([{ orders: 99 }])
    const list = await app.request('GET /api/system/jobs?status=failed', { token: admin })
    expect(list.body.data).toMatchObject([
      { task: 'handle-provider-event', status: 'failed', attempts: 25 },
    ])
    expect(list.body.data[0].lastError).toContain('does not know its session')
    expect(await outcomeOf(app, poison)).toBe(null)
    // Once what was wrong is mended, somebody lets it run again.
    await app.sql(know, [poisoned.payment.providerRef, poisoned.orderId])
    const retried = await app.request(`POST /api/system/jobs/${list.body.data[0].id}/retry`, {
      token: admin,
    })
    expect(retried.status).toBe(202)
    await app.runJobs()
    expect([idOf(poison), await outcomeOf(app, poison)]).toEqual([idOf(poison), 'settled'])
    expect((await readOrder(shop, poisoned.orderId)).paymentStatus).toBe('paid')
    proof.measured('99 done, 1 failed after 25 tries in GET /api/system/jobs, done once retried')
  },
  { timeoutMs: 300_000 },
)

/** A payment that was processed by a bank, failed and was then paid with a card. */
async function liveThroughAll() {
  const purchase = await bought(shop)
  const ref: string = purchase.payment.providerRef
  const { stripe } = app.systemContext()
  const confirm = async (paymentMethod: string): Promise<void> => {
    const { status, body } = await askProvider(app, `POST /v1/payment_intents/${ref}/confirm`, {
      payment_method: paymentMethod,
      return_url: 'https://shop.example/back',
    })
    expect(status, JSON.stringify(body)).toBe(200)
  }
  const acts: Record<Stage, () => unknown> = {
    created: () => undefined,
    processing: async () => await confirm('pm_bacsDebit_success'),
    payment_failed: () => app.sandbox.settlePayment(ref, 'fail'),
    succeeded: async () => await confirm('pm_card_visa'),
  }
  const looks = new Map<Stage, Awaited<ReturnType<typeof stripe.retrievePayment>>>()
  for (const stage of stages) {
    await acts[stage]()
    looks.set(stage, await stripe.retrievePayment(ref))
  }
  const events = await eventsOf(app, ref)
  const tell = async (stage: Stage): Promise<void> => {
    const event = present(events.get(`payment_intent.${stage}`), stage)
    expect((await deliver(app, event)).status).toBe(200)
    await app.runJobs()
  }
  return { purchase, looks, tell }
}

async function endOf({ orderId }: Purchase): Promise<string> {
  const order = await readOrder(shop, orderId)
  const types = order.timeline.map(({ type }: { type: string }) => type)
  const confirmed = types.filter((type: string) => type === 'order.confirmed')
  const { status, paymentStatus, paid } = order
  const parts = [paid.amount, order.payments[0].status, order.case?.status, confirmed]
  return JSON.stringify([status, paymentStatus, ...parts])
}

function permutationsOf<T>(things: readonly T[]): T[][] {
  if (things.length === 0) return [[]]
  return things.flatMap((first, at) =>
    permutationsOf(things.toSpliced(at, 1)).map((rest) => [first, ...rest]),
  )
}
