import { parseCronItems } from 'graphile-worker'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { dayMs, hourMs, minuteMs, secondMs } from '../../../src/kernel/time.ts'
import { openMail, type Mail } from '../../../src/platform/mail.ts'
import { booksAgree } from '../../journeys/books.ts'
import {
  bought,
  changeStatus,
  chargesOf,
  confirm,
  openShop,
  payAgain,
  payInBrowser,
  readOrder,
  runScheduled,
  settleAll,
  type Purchase,
  type Shop,
} from '../../journeys/shop.ts'
import { startTestApp, type TestApp } from '../../support/app.ts'
import { startMailServer, type MailServer } from '../../support/mail-server.ts'
import { promise } from '../promise.ts'

let mails: MailServer
let app: TestApp
let beside: TestApp
let shop: Shop

const sender = { name: 'Fairwater', address: 'office@fairwater.example' }

beforeAll(async () => {
  mails = await startMailServer()
  const mail = (): Mail => openMail({ url: mails.url, sender })
  app = await startTestApp({ mail: mail() })
  beside = await startTestApp({ beside: app, mail: mail() })
  shop = await openShop(app)
})

afterEach(async () => {
  app.sandbox.setChaos({ seed: 0 })
  app.sandbox.setFaults([])
  await settleAll(shop)
  await booksAgree(app)
})

afterAll(async () => {
  await beside.close()
  await app.close()
  await mails.close()
})

/** Money that comes when nobody looks, and how long after the order. */
const silentPayments: readonly {
  readonly what: string
  readonly afterMs: number
  begin(): Promise<Purchase>
  pay(purchase: Purchase): unknown
}[] = [
  {
    what: 'a card in the browser at once',
    afterMs: 0,
    begin: () => bought(shop, { as: 'ada' }),
    pay: ({ payment }) => payInBrowser(shop, payment.clientSecret, 'pm_card_visa'),
  },
  {
    what: 'a card on the hosted page after half a day',
    afterMs: 12 * hourMs,
    begin: () => bought(shop, { mode: 'hosted' }),
    pay: ({ payment }) => app.sandbox.paySession(payment.providerRef),
  },
  {
    what: 'a card in a browser that was left open for 20 hours',
    afterMs: 20 * hourMs,
    begin: () => bought(shop, { as: 'ada' }),
    pay: ({ payment }) => payInBrowser(shop, payment.clientSecret, 'pm_card_visa'),
  },
  {
    what: 'a card for an order of three days, which does not expire',
    afterMs: 3 * dayMs,
    begin: () => orderedBefore('ada'),
    pay: ({ payment }) => payInBrowser(shop, payment.clientSecret, 'pm_card_visa'),
  },
  {
    what: 'a bank debit that takes four days',
    afterMs: 4 * dayMs,
    begin: () => bought(shop, { as: 'ada', paymentMethod: 'pm_bacsDebit_success' }),
    pay: ({ payment }) => app.sandbox.settlePayment(payment.providerRef),
  },
]

promise(
  10,
  'no webhook ever comes and nobody asks: the schedule finds each payment within five minutes',
  async (proof) => {
    app.sandbox.setChaos({ seed: proof.seed, webhooks: { drop: 1 } })
    const begun: ((typeof silentPayments)[number] & { purchase: Purchase })[] = []
    for (const one of silentPayments) begun.push({ ...one, purchase: await one.begin() })
    const startedAt = app.now().getTime()
    const waits: number[] = []
    for (const { what, afterMs, purchase, pay } of begun) {
      const dueAt = startedAt + afterMs + Math.floor(proof.random() * minuteMs)
      // The last looks before the money comes are as young as they are on any day.
      pass(Math.max(0, dueAt - 4 * minuteMs - app.now().getTime()))
      await passMinutes(4)
      await pay(purchase)
      const paidAt = app.now().getTime()
      await passMinutes(5, () => isPaid(purchase))
      const waitedMs = app.now().getTime() - paidAt
      expect(await isPaid(purchase), what).toBe(true)
      expect(waitedMs, what).toBeLessThanOrEqual(5 * minuteMs)
      waits.push(waitedMs)
    }
    expect(app.sandbox.listDeliveries(1000).filter(({ state }) => state !== 'dropped')).toEqual([])
    const longest = Math.ceil(Math.max(...waits) / secondMs)
    proof.measured(`${waits.length} silent payments, the last found after ${longest} s`)
  },
)

promise(
  11,
  'confirm races the webhook and the schedule on two nodes: one of each',
  async (proof) => {
    app.sandbox.setChaos({ seed: proof.seed, webhooks: { duplicate: 1, reorder: 0.3 } })
    const races = 12
    const confirmsOfOne = 10
    for (let nth = 0; nth < races; nth += 1) {
      const purchase = await bought(shop, { as: 'ada', mode: nth % 3 === 0 ? 'hosted' : 'intent' })
      const { clientSecret, providerRef } = purchase.payment
      if (nth % 3 === 0) app.sandbox.paySession(providerRef)
      else await payInBrowser(shop, clientSecret, 'pm_card_visa')
      const confirms = Array.from({ length: confirmsOfOne }, (_, turn) =>
        confirm({ ...shop, app: turn % 2 === 0 ? app : beside }, purchase),
      )
      pass(4 * minuteMs)
      const [replies] = await Promise.all([
        Promise.all(confirms),
        runScheduled(shop, 'reconcile-payments'),
        runScheduled({ ...shop, app: beside }, 'reconcile-payments'),
        app.runJobs(),
        beside.runJobs(),
      ])
      for (const { status, body } of replies) expect(status, JSON.stringify(body)).toBe(200)
      await settleAll(shop)
      await oneOfEach(purchase)
    }
    proof.measured(
      `${races} payments, ${confirmsOfOne} confirms each beside doubled webhooks on 2 nodes: ` +
        'one mail, one case, one change of status each',
    )
  },
)

/** How an order is called off, and what the money does at that very moment. */
const crossings: readonly { readonly what: string; run(): Promise<Purchase> }[] = [
  {
    what: 'a card in the browser and the office at once',
    run: async () => {
      const purchase = await bought(shop, { as: 'ada' })
      await Promise.all([
        payInBrowserIfOpen(purchase),
        changeStatus(shop, purchase.orderId, { status: 'cancelled', refund: 'full' }),
      ])
      return purchase
    },
  },
  {
    what: 'a card by the server and the office at once',
    run: async () => {
      const purchase = await bought(shop, { as: 'ada' })
      await Promise.all([
        payAgain(shop, purchase, { paymentMethod: 'pm_card_visa' }),
        cancelBeside(purchase),
      ])
      return purchase
    },
  },
  {
    what: 'the office first, and the provider has not heard of it',
    run: async () => {
      const purchase = await bought(shop)
      await changeStatus(shop, purchase.orderId, { status: 'cancelled' })
      await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
      return purchase
    },
  },
  {
    what: 'the office first, and the provider never answers that it has ended the page',
    run: async () => {
      const purchase = await bought(shop, { mode: 'hosted' })
      app.sandbox.setFaults([
        { operation: 'checkout.sessions.expire', effect: 'cut', when: 'before', times: 4 },
      ])
      await changeStatus(shop, purchase.orderId, { status: 'cancelled' })
      await app.runJobs()
      app.sandbox.paySession(purchase.payment.providerRef)
      return purchase
    },
  },
  {
    what: 'a bank debit that is decided two days after the office',
    run: async () => {
      const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_bacsDebit_success' })
      await changeStatus(shop, purchase.orderId, { status: 'cancelled' })
      await app.runJobs()
      pass(2 * dayMs)
      app.sandbox.settlePayment(purchase.payment.providerRef)
      return purchase
    },
  },
  {
    what: 'a paid order whose refund the provider refuses, as some of it went back unheard',
    run: async () => {
      app.sandbox.pauseWebhooks()
      const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
      app.sandbox.refund({ paymentIntent: purchase.payment.providerRef, amount: 1000 })
      await changeStatus(shop, purchase.orderId, { status: 'cancelled', refund: 'full' })
      await app.runJobs()
      app.sandbox.resumeWebhooks()
      return purchase
    },
  },
  {
    what: 'the expiry, and a browser that was quicker than its news',
    run: async () => {
      const purchase = await bought(shop)
      pass(25 * hourMs)
      await runScheduled(shop, 'expire-orders')
      await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
      return purchase
    },
  },
  {
    what: 'the expiry and a browser at once',
    run: async () => {
      const purchase = await bought(shop)
      pass(25 * hourMs)
      await Promise.all([runScheduled(shop, 'expire-orders'), payInBrowserIfOpen(purchase)])
      return purchase
    },
  },
]

promise(
  12,
  'an order that is called off while its money comes is given back or flagged, with and without webhooks',
  async (proof) => {
    let paid = 0
    for (const [nth, { what, run }] of [...crossings, ...crossings].entries()) {
      const isDeaf = nth >= crossings.length
      app.sandbox.setChaos({ seed: proof.seed + nth, webhooks: { drop: isDeaf ? 1 : 0 } })
      const purchase = await run()
      app.sandbox.setFaults([])
      await settleAll(shop)
      if (isDeaf) await passMinutes(5)
      await settleAll(shop)
      paid += await givenBackOrFlagged(purchase, `${what}${isDeaf ? ', without webhooks' : ''}`)
    }
    proof.measured(`${crossings.length * 2} crossings, ${paid} of them paid: 0 lost`)
  },
)

async function cancelBeside({ orderId }: Purchase): Promise<void> {
  const { status } = await beside.request(`PATCH /api/orders/${orderId}/status`, {
    token: await app.as('admin'),
    body: { status: 'cancelled', refund: 'full' },
  })
  expect(status).toBe(200)
}

/** A customer's order as the office takes it, with an intent of its first day. */
async function orderedBefore(as: string): Promise<Purchase> {
  const { token } = await app.asCustomer(as)
  const placed = await app.request('POST /api/orders', {
    token,
    body: { items: [{ serviceId: shop.serviceId, quantity: 1 }] },
  })
  const purchase = { orderId: placed.body.id, payer: { token } }
  const { body } = await payAgain(shop, purchase)
  return { ...purchase, order: body.order, payment: body.payment }
}

/** On both nodes, and at the provider, which has the clock of the first. */
function pass(byMs: number): void {
  app.advance(byMs)
  beside.advance(byMs)
}

/** Minutes go by, and each scheduled job that its declaration has for one of them runs. */
async function passMinutes(
  count: number,
  isEnough: () => Promise<boolean> = async () => false,
): Promise<void> {
  for (let nth = 0; nth < count; nth += 1) {
    if (await isEnough()) return
    pass(minuteMs - (app.now().getTime() % minuteMs))
    await runDue()
    await app.runJobs()
  }
}

async function runDue(): Promise<void> {
  const items = parseCronItems(
    app.app.jobs.flatMap(({ name, schedule }) =>
      schedule === null ? [] : [{ task: name, match: schedule, identifier: name }],
    ),
  )
  const now = app.now()
  const digest = {
    min: now.getUTCMinutes(),
    hour: now.getUTCHours(),
    date: now.getUTCDate(),
    month: now.getUTCMonth() + 1,
    dow: now.getUTCDay(),
  }
  for (const { task, match } of items) if (match(digest)) await runScheduled(shop, task)
}

async function isPaid({ orderId }: Purchase): Promise<boolean> {
  const [row] = await app.sql('select confirmed_at from orders where id = $1', [orderId])
  return row?.['confirmed_at'] !== null
}

/** A browser that may find its intent cancelled. */
async function payInBrowserIfOpen({ payment }: Purchase): Promise<void> {
  await payInBrowser(shop, payment.clientSecret, 'pm_card_visa').catch(() => undefined)
}

async function oneOfEach({ orderId }: Purchase): Promise<void> {
  const events = await app.sql(
    `select type, count(*)::int as times from events where root_id = $1 group by type`,
    [orderId],
  )
  expect(Object.fromEntries(events.map(({ type, times }) => [type, times]))).toEqual({
    'order.placed': 1,
    'payment.started': 1,
    'payment.succeeded': 1,
    'order.confirmed': 1,
  })
  const cases = await app.sql('select id from cases where order_id = $1', [orderId])
  expect(cases).toHaveLength(1)
  const { number, case: opened } = await readOrder(shop, orderId)
  const told = (words: string): number =>
    mails.mails.filter(({ raw, parsed }) => parsed.subject?.includes(words) || raw.includes(words))
      .length
  expect(told(opened.number)).toBeGreaterThan(0)
  const subjects = mails.mails
    .map(({ parsed }) => parsed.subject ?? '')
    .filter((subject) => subject.includes(number) || subject.includes(opened.number))
  expect(new Set(subjects).size, subjects.join('; ')).toBe(subjects.length)
  const rows = await app.sql(
    `select template from notifications where about_id = any($1) order by template`,
    [[orderId, opened.id]],
  )
  expect(rows.map(({ template }) => template)).toEqual([
    'case_opened',
    'order_received',
    'payment_confirmed',
  ])
}

/** 1 where money came for it, which then is with its payer again or shown to the office; else 0. */
async function givenBackOrFlagged(purchase: Purchase, what: string): Promise<number> {
  const charges = chargesOf(shop, purchase.orderId)
  const order = await readOrder(shop, purchase.orderId)
  expect(order.status, what).toBe('cancelled')
  if (charges.length === 0) return 0
  expect(charges, what).toHaveLength(1)
  const isBack = charges[0]?.amountRefunded === charges[0]?.amount
  expect([what, isBack || order.flagged]).toEqual([what, true])
  return 1
}
