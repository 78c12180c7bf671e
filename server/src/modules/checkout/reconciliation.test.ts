import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { booksAgree } from '../../../test/journeys/books.ts'
import {
  bookMoney,
  bought,
  changeStatus,
  chargesOf,
  openShop,
  payInBrowser,
  payOnPage,
  price,
  readOrder,
  runScheduled,
  settleAll,
  type Purchase,
  type Shop,
} from '../../../test/journeys/shop.ts'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import { dayMs, hourMs, minuteMs } from '../../kernel/time.ts'

let app: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  shop = await openShop(app)
})

afterEach(async () => {
  app.sandbox.setFaults([])
  await settleAll(shop)
  // What one test has made is too old for the next one's three days.
  app.advance(4 * dayMs)
})

afterAll(async () => {
  await app.close()
})

const report = 'GET /api/system/reconciliation'
const list = 'GET /api/system/reconciliation/differences'
const start = 'POST /api/system/reconciliation'

async function read(route: `GET /${string}`): Promise<Reply['body']> {
  const { status, body } = await app.request(route, { token: await app.as('viewer') })
  expect(status, JSON.stringify(body)).toBe(200)
  return body
}

/** One comparison from being asked for to its report. */
async function compare(body: object = {}): Promise<Reply['body']> {
  app.advance(10 * minuteMs)
  const asked = await app.request(start, { token: await app.as('finance'), body })
  expect(asked.status, JSON.stringify(asked.body)).toBe(202)
  await app.runJobs()
  const found = await read(report)
  expect(found.runs[0]).toMatchObject({ id: asked.body.id })
  return found
}

/** What the latest comparison found, healed or not. */
async function found(): Promise<Reply['body'][]> {
  return (await read(`${list}?limit=100`)).data
}

function loseWebhooks(): void {
  app.sandbox.setFaults([{ operation: 'webhook:*', effect: 'drop', times: 10_000 }])
}

/** An intent of somebody with the same account, or of books that are not these. */
async function makeIntent(metadata: Record<string, string>): Promise<string> {
  const key = `made-elsewhere-${String(app.sandbox.counts().payment_intent)}`
  const fields = Object.entries(metadata).map(([name, value]) => [`metadata[${name}]`, value])
  const response = await fetch(`${app.sandbox.url}/v1/payment_intents`, {
    method: 'POST',
    headers: {
      authorization: 'Bearer sk_test_bureau',
      'content-type': 'application/x-www-form-urlencoded',
      'idempotency-key': key,
    },
    body: new URLSearchParams([
      ['amount', '700'],
      ['currency', 'gbp'],
      ['confirm', 'true'],
      ['payment_method', 'pm_card_visa'],
      ['return_url', 'https://shop.example/back'],
      ...(fields as [string, string][]),
    ]),
  })
  const { id } = (await response.json()) as { id: string }
  expect([response.status, typeof id]).toEqual([200, 'string'])
  return id
}

async function readIntent(id: string): Promise<{ metadata: Record<string, string> }> {
  const response = await fetch(`${app.sandbox.url}/v1/payment_intents/${id}`, {
    headers: { authorization: 'Bearer sk_test_bureau' },
  })
  return (await response.json()) as { metadata: Record<string, string> }
}

async function paid(): Promise<Purchase> {
  return await bought(shop, { paymentMethod: 'pm_card_visa' })
}

describe('GET /api/system/reconciliation', () => {
  test('200 before anything was compared says so', async () => {
    expect(await read(report)).toEqual({
      latest: null,
      latestWide: null,
      differences: [],
      runs: [],
      output: expect.stringContaining('Nothing has been compared yet'),
    })
    expect(await read(`${list}?count=true`)).toMatchObject({ data: [], total: 0 })
  })

  test('200 where both sides agree, with what was compared and what is not ours', async () => {
    await paid()
    await bought(shop, { mode: 'hosted' })
    await bought(shop, { paymentMethod: 'pm_card_chargeDeclined' })
    const given = await paid()
    await bookMoney(shop, `POST /api/orders/${given.orderId}/refunds`, 900)
    const disputed = await paid()
    app.sandbox.openDispute(disputed.payment.providerRef)
    await makeIntent({})
    await settleAll(shop)
    const { latest, differences, output } = await compare()
    expect(latest).toMatchObject({
      scope: 'requested',
      status: 'completed',
      partial: false,
      output: null,
      counts: { payments: 4, refunds: 1, disputes: 1, foreign: 1, differences: 0, healed: 0 },
    })
    expect(latest.counts.orders).toBeGreaterThanOrEqual(5)
    expect(differences).toEqual([])
    expect(output).toContain('agree')
    await booksAgree(app)
  })

  test('401 for nobody, 403 for who may not see payments', async () => {
    for (const route of [report, list] as const) {
      expect((await app.request(route)).status).toBe(401)
      for (const token of [await app.as('agent'), (await app.asCustomer('ada')).token]) {
        expect((await app.request(route, { token })).status).toBe(403)
      }
    }
  })
})

describe('what is compared', () => {
  test('a payment whose webhook was lost is taken in: the order is paid and has its case', async () => {
    loseWebhooks()
    const card = await bought(shop)
    const hosted = await bought(shop, { mode: 'hosted' })
    await payInBrowser(shop, card.payment.clientSecret, 'pm_card_visa')
    await payOnPage(hosted.payment.url, '4242424242424242')
    const { latest, differences } = await compare()
    expect(latest.counts).toMatchObject({ payments: 2, differences: 2, healed: 2 })
    expect(differences).toEqual([])
    const healed = await found()
    for (const { orderId } of [card, hosted]) {
      const order = await readOrder(shop, orderId)
      expect(order).toMatchObject({ status: 'confirmed', paymentStatus: 'paid' })
      expect(order.case).not.toBeNull()
      expect(healed.find((one) => one.orderId === orderId)).toMatchObject({
        kind: 'status_differs',
        object: 'payment',
        objectId: order.payments[0].id,
        ours: { status: 'pending', amount: { amount: price, currency: 'GBP' } },
        theirs: { status: 'succeeded', amount: { amount: price, currency: 'GBP' } },
        healed: true,
        suggestion: expect.stringContaining('Nothing is left to do'),
      })
    }
    await booksAgree(app)
  })

  test('refunds of the dashboard and their later states are taken in', async () => {
    const purchase = await paid()
    await settleAll(shop)
    loseWebhooks()
    app.sandbox.refund({ paymentIntent: purchase.payment.providerRef, amount: 4000 })
    const waiting = app.sandbox.refund({
      paymentIntent: purchase.payment.providerRef,
      amount: 500,
      status: 'pending',
    })
    // One look settles all refunds of a payment.
    expect((await compare()).latest.counts).toMatchObject({
      refunds: 2,
      differences: 1,
      healed: 1,
    })
    expect((await readOrder(shop, purchase.orderId)).refunds).toHaveLength(2)
    expect((await readOrder(shop, purchase.orderId)).refunded.amount).toBe(4000)
    app.sandbox.finishRefund(waiting.id, 'succeed')
    expect((await compare()).latest.counts).toMatchObject({ refunds: 2, healed: 1 })
    expect(await found()).toMatchObject([
      {
        kind: 'status_differs',
        object: 'refund',
        providerRef: waiting.id,
        ours: { status: 'pending' },
        theirs: { status: 'succeeded', amount: { amount: 500 } },
      },
    ])
    expect((await readOrder(shop, purchase.orderId)).refunded.amount).toBe(4500)
    await booksAgree(app)
  })

  test('disputes and their ends are taken in', async () => {
    const purchase = await paid()
    await settleAll(shop)
    loseWebhooks()
    const { id } = app.sandbox.openDispute(purchase.payment.providerRef)
    expect((await compare()).latest.counts).toMatchObject({ disputes: 1, healed: 1 })
    expect((await readOrder(shop, purchase.orderId)).paymentStatus).toBe('disputed')
    app.sandbox.endDispute(id, 'lose')
    await compare()
    const order = await readOrder(shop, purchase.orderId)
    expect(order).toMatchObject({ paymentStatus: 'disputed', paid: { amount: 0 } })
    expect(await found()).toMatchObject([{ object: 'dispute', theirs: { status: 'lost' } }])
    // What the dispute took cannot be given back as well.
    const more = await bookMoney(shop, `POST /api/orders/${purchase.orderId}/refunds`, 1)
    expect([more.status, more.body.code]).toEqual([409, 'nothing_to_refund'])
  })

  test.each([
    ['amount', `amount = amount - 100`, `amount = amount + 100`, 'amount_differs'],
    ['currency', `currency = 'EUR'`, `currency = 'GBP'`, 'currency_differs'],
    ['state', `status = 'canceled'`, `status = 'succeeded'`, 'status_differs'],
  ])('another %s stays open and changes nothing', async (_name, wrong, right, kind) => {
    const { orderId, payment } = await paid()
    await settleAll(shop)
    await app.sql(`update payments set ${wrong} where order_id = $1`, [orderId])
    app.advance(10 * minuteMs)
    await runScheduled(shop, 'reconcile-ledger')
    const { latest, differences, output } = await read(report)
    expect(latest).toMatchObject({ scope: 'recent', counts: { differences: 1, healed: 0 } })
    expect(output).toContain('1 of the differences')
    expect(differences).toMatchObject([
      { kind, object: 'payment', orderId, providerRef: payment.providerRef, healed: false },
    ])
    await app.sql(`update payments set ${right} where order_id = $1`, [orderId])
    await app.sql(`update orders set paid = total, payment_status = 'paid' where id = $1`, [
      orderId,
    ])
  })

  test('money that names an order which is not in the books stays open', async () => {
    const unknown = 'ord_01jd8q9yg8e5v9c0m4t7k2x3za'
    const id = await makeIntent({ order_id: unknown, payment_id: 'pay_unknown' })
    app.sandbox.refund({ paymentIntent: id, amount: 100 })
    const { differences } = await compare()
    expect(differences.map(({ object }: { object: string }) => object).toSorted()).toEqual([
      'payment',
      'refund',
    ])
    for (const one of differences) {
      expect(one).toMatchObject({ kind: 'missing_here', orderId: unknown, ours: null })
    }
  })

  test('what another installation made on the same account is none of ours', async () => {
    const { orderId, payment } = await paid()
    const own = await readIntent(payment.providerRef)
    expect(own.metadata).toMatchObject({ order_id: orderId, payment_id: payment.id })
    expect(own.metadata['installation']).toMatch(/^[\w-]{16}$/)
    const theirs = { order_id: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za', payment_id: 'pay_theirs' }
    const id = await makeIntent({ ...theirs, installation: 'another' })
    app.sandbox.refund({ paymentIntent: id, amount: 100 })
    app.sandbox.openDispute(id)
    const { latest, differences } = await compare()
    expect(latest.counts).toMatchObject({ payments: 1, foreign: 3, differences: 0 })
    expect(differences).toEqual([])
  })

  test('what names our own payment is ours, whatever its mark: the key may have changed', async () => {
    const { orderId, payment } = await paid()
    const names = { order_id: orderId, payment_id: payment.id }
    const id = await makeIntent({ ...names, installation: 'before the key was another' })
    const { differences } = await compare()
    expect(differences).toMatchObject([{ kind: 'missing_here', orderId, providerRef: id }])
  })

  test('a second object of one attempt is shown where it took money', async () => {
    const { orderId, payment } = await paid()
    const id = await makeIntent({ order_id: orderId, payment_id: payment.id })
    const { differences } = await compare()
    expect(differences).toMatchObject([
      { kind: 'missing_here', object: 'payment', orderId, providerRef: id },
    ])
  })

  test('what the provider does not know, or was never sent, stays open', async () => {
    const purchase = await paid()
    await settleAll(shop)
    const of = [purchase.orderId]
    await app.sql(
      `insert into refunds (order_id, id, payment_id, status, amount, currency, reason,
         provider_ref, created_at, updated_at, checked_at)
       select order_id, made.id, payments.id, made.status, 5, 'GBP', 'test', made.ref,
         created_at - made.ago, updated_at, to_timestamp(5e9)
       from payments, (values ('ref_gone', 'succeeded', 're_gone', interval '0'),
         ('ref_unsent', 'pending', null, interval '2 hours')) as made (id, status, ref, ago)
       where order_id = $1`,
      of,
    )
    await app.sql(
      `update payments set provider_ref = 'pi_gone', intent_ref = 'pi_gone' where order_id = $1`,
      of,
    )
    await compare()
    const all = (await found()).filter(({ orderId }) => orderId === purchase.orderId)
    const missing = all.filter(({ kind }) => kind === 'missing_at_provider')
    expect(missing.map(({ object, providerRef }) => [object, providerRef])).toEqual(
      expect.arrayContaining([
        ['payment', 'pi_gone'],
        ['refund', 're_gone'],
        ['refund', null],
      ]),
    )
    expect(missing).toHaveLength(3)
    for (const one of missing) expect(one).toMatchObject({ theirs: null, healed: false })
    await app.sql('delete from refunds where order_id = $1', of)
  })

  test('more than one page of the provider’s is read', async () => {
    const { payment, orderId } = await paid()
    await settleAll(shop)
    loseWebhooks()
    for (let nth = 0; nth < 130; nth += 1) {
      app.sandbox.refund({ paymentIntent: payment.providerRef, amount: 1 })
    }
    const { latest } = await compare()
    // The first look takes all refunds of the payment in: the others agree by then.
    expect(latest.counts).toMatchObject({ refunds: 130, differences: 1, healed: 1 })
    expect((await readOrder(shop, orderId)).refunded.amount).toBe(130)
  })

  test('an order that shows something else than its ledger is shown and not repaired', async () => {
    const { orderId } = await paid()
    await app.sql('update orders set paid = paid - 1, payment_status = $2 where id = $1', [
      orderId,
      'partially_paid',
    ])
    app.advance(10 * minuteMs)
    await runScheduled(shop, 'reconcile-whole-ledger')
    const { latest, differences } = await read(report)
    expect(latest).toMatchObject({ scope: 'wide', status: 'completed' })
    const drift = differences.find((one: { orderId: string }) => one.orderId === orderId)
    expect(drift).toMatchObject({
      kind: 'ledger_differs',
      object: 'order',
      ours: { status: 'partially_paid', amount: { amount: price - 1 }, refunded: { amount: 0 } },
      theirs: { status: 'paid', amount: { amount: price } },
      healed: false,
    })
    expect((await readOrder(shop, orderId)).paid.amount).toBe(price - 1)
    const isShown = async (): Promise<boolean> =>
      (await read(report)).differences.some((one: { orderId: string }) => one.orderId === orderId)
    // The look of an hour cannot find it, and must not hide it.
    app.advance(hourMs)
    await runScheduled(shop, 'reconcile-ledger')
    expect(await isShown()).toBe(true)
    expect((await read(report)).output).toContain('are open')
    // Nor does the next night forget it where its look through the orders is past this one.
    await app.sql(`update reconciliation_turns set order_cursor = 'ord_zzz'`)
    await runScheduled(shop, 'reconcile-whole-ledger')
    expect(await isShown()).toBe(true)
    await app.sql('update orders set paid = paid + 1, payment_status = $2 where id = $1', [
      orderId,
      'paid',
    ])
    await runScheduled(shop, 'reconcile-whole-ledger')
    expect(await isShown()).toBe(false)
  })

  test('an event that nobody could work out for an hour is shown', async () => {
    await app.sql(
      `insert into provider_events (id, type, object_kind, object_id, livemode, received_at)
       values ('evt_stuck', 'payment_intent.succeeded', 'payment_intent', 'pi_stuck', false, $1)`,
      [new Date(app.now().getTime() - 2 * hourMs)],
    )
    await compare()
    await app.sql(`delete from provider_events where id = 'evt_stuck'`)
    expect(await found()).toMatchObject([
      { kind: 'not_processed', object: 'event', objectId: 'evt_stuck', providerRef: 'pi_stuck' },
    ])
  })

  test('what is only on its way is no difference, also while people are buying', async () => {
    const [runs] = await Promise.all([
      (async () => {
        for (let nth = 0; nth < 5; nth += 1) await runScheduled(shop, 'reconcile-ledger')
        return (await read(report)).runs.slice(0, 5)
      })(),
      Promise.all(Array.from({ length: 10 }, () => paid())),
    ])
    for (const run of runs) {
      expect(run).toMatchObject({ status: 'completed', counts: { differences: 0 } })
    }
  })
})

describe('two nodes at once', () => {
  test('what all of them find goes into the books once', async () => {
    loseWebhooks()
    const card = await bought(shop)
    const refunded = await paid()
    const disputed = await paid()
    const cancelled = await bought(shop)
    await changeStatus(shop, cancelled.orderId, { status: 'cancelled' })
    for (const { payment } of [card, cancelled]) {
      await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
    }
    app.sandbox.refund({ paymentIntent: refunded.payment.providerRef, amount: 1000 })
    app.sandbox.openDispute(disputed.payment.providerRef)
    const other = await startTestApp({ beside: app })
    try {
      app.advance(10 * minuteMs)
      other.advance(app.now().getTime() - other.now().getTime())
      const nodes = [shop, { ...shop, app: other }]
      const names = ['reconcile-ledger', 'reconcile-whole-ledger', 'reconcile-payments']
      await Promise.all(nodes.flatMap((node) => names.map((name) => runScheduled(node, name))))
      expect((await read(report)).runs[0].status).toBe('completed')
    } finally {
      await other.close()
    }
    await settleAll(shop)
    expect((await compare()).latest.counts).toMatchObject({ differences: 0 })
    const once = async ({ orderId }: Purchase, type: string): Promise<void> => {
      const events = await app.sql('select id from events where root_id = $1 and type = $2', [
        orderId,
        type,
      ])
      expect(events, type).toHaveLength(1)
    }
    await once(card, 'payment.succeeded')
    await once(refunded, 'refund.updated')
    await once(disputed, 'dispute.updated')
    await once(cancelled, 'refund.requested')
    expect(chargesOf(shop, cancelled.orderId)).toMatchObject([{ amountRefunded: price }])
    expect((await readOrder(shop, refunded.orderId)).refunded.amount).toBe(1000)
    expect((await readOrder(shop, card.orderId)).case).not.toBeNull()
  })
})

describe('GET /api/system/reconciliation/differences', () => {
  test('200 page by page, by kind and state, of the latest run or another', async () => {
    const purchases = []
    for (let nth = 0; nth < 3; nth += 1) purchases.push(await bought(shop))
    loseWebhooks()
    for (const { payment } of purchases) {
      await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
    }
    const { latest: first } = await compare()
    const { latest: second } = await compare()
    expect(second.counts.differences).toBe(0)
    expect(await found()).toEqual([])
    const of = `${list}?reconciliationId=${first.id}` as const
    const whole = await read(`${of}&count=true&healed=true&kind=status_differs&object=payment`)
    expect(whole).toMatchObject({ total: 3, nextCursor: null })
    expect((await read(`${of}&healed=false`)).data).toEqual([])
    expect((await read(`${of}&object=refund`)).data).toEqual([])
    for (const sort of ['createdAt', '-createdAt']) {
      const ids: string[] = []
      let cursor: string | null = ''
      do {
        const query = `${of}&limit=1&sort=${sort}` as const
        const page: Reply['body'] = await read(cursor ? `${query}&cursor=${cursor}` : query)
        ids.push(...page.data.map(({ id }: { id: string }) => id))
        cursor = page.nextCursor
      } while (cursor !== null)
      expect(ids.toSorted()).toEqual(whole.data.map(({ id }: { id: string }) => id).toSorted())
    }
  })

  test('400 for filters that the list does not have', async () => {
    const token = await app.as('finance')
    for (const query of ['kind=odd', 'healed=perhaps', 'reconciliationId=ord_1', 'order=1']) {
      const reply = await app.request(`${list}?${query}`, { token })
      expect([reply.status, reply.body.code], query).toEqual([400, 'invalid_input'])
    }
  })
})

describe('POST /api/system/reconciliation', () => {
  test('202 for one of 20 who ask at once, 409 reconciliation_running for the others', async () => {
    const token = await app.as('finance')
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => app.request(start, { token, body: { days: 1 } })),
    )
    const [accepted, ...more] = replies.filter(({ status }) => status === 202)
    expect(more).toEqual([])
    expect(accepted?.body).toMatchObject({ status: 'running', scope: 'requested' })
    const refused = replies.filter(({ status }) => status !== 202)
    for (const { status, body, headers } of refused) {
      expect([status, body.code]).toEqual([409, 'reconciliation_running'])
      expect(headers.get('retry-after')).toMatch(/^\d+$/)
    }
    // Nor does the clock begin another beside it.
    await runScheduled(shop, 'reconcile-ledger')
    expect((await read(report)).runs[0]).toMatchObject({ id: accepted?.body.id, status: 'running' })
    await app.runJobs()
    const { latest } = await read(report)
    expect(latest).toMatchObject({ id: accepted?.body.id, status: 'completed', version: 2 })
    const span = Date.parse(latest.window.to) - Date.parse(latest.window.from)
    expect(span).toBe(dayMs)
    const events = await app.sql('select type from events where root_id = $1 order by 1', [
      latest.id,
    ])
    expect(events.map(({ type }) => type)).toEqual([
      'reconciliation.finished',
      'reconciliation.started',
    ])
  })

  test('202 once for one Idempotency-Key, also after a crash', async () => {
    const request = {
      token: await app.as('finance'),
      headers: { 'idempotency-key': 'compare-now' },
      body: {},
    }
    const first = await app.request(start, request)
    const second = await app.request(start, request)
    expect(second.headers.get('idempotent-replayed')).toBe('true')
    expect(second.body).toEqual(first.body)
    await app.sql(
      'update idempotency_keys set status = null, reply = null, lease_until = to_timestamp(0)',
    )
    const third = await app.request(start, request)
    expect([third.status, third.body.id]).toEqual([202, first.body.id])
  })

  test('202 and its whole turn, though its job had to wait longer than that', async () => {
    const token = await app.as('finance')
    const { body: asked } = await app.request(start, { token, body: {} })
    app.advance(20 * minuteMs)
    await app.runJobs()
    const { latest } = await read(report)
    expect(latest).toMatchObject({ id: asked.id, status: 'completed' })
    const waitedMs = Date.parse(latest.finishedAt) - Date.parse(latest.startedAt)
    expect(waitedMs).toBeGreaterThanOrEqual(20 * minuteMs)
  })

  test('202 once the turn of a run that died is over; that run is shown as failed', async () => {
    const token = await app.as('finance')
    const lost = await app.request(start, { token, body: {} })
    await app.sql('delete from graphile_worker._private_jobs')
    app.advance(16 * minuteMs)
    const { latest, runs } = await compare()
    expect(latest.status).toBe('completed')
    expect(runs[1]).toMatchObject({
      id: lost.body.id,
      status: 'failed',
      output: expect.stringContaining('process'),
    })
  })

  test('a provider that is busy for a moment is given time; one that is down ends the run', async () => {
    const busy = { effect: 'answer', when: 'before', status: 429 } as const
    app.sandbox.setFaults([{ operation: 'payment_intents.list', ...busy }])
    expect((await compare()).latest.status).toBe('completed')
    app.sandbox.setFaults([{ operation: '*', effect: 'cut', times: 100 }])
    const { runs, output } = await compare()
    expect(runs[0]).toMatchObject({
      status: 'failed',
      output: 'The payment provider did not answer.',
    })
    expect(output).toContain('The last comparison failed. The payment provider did not answer.')
    app.sandbox.setFaults([])
    expect((await compare()).latest.status).toBe('completed')
  })

  test('one object that cannot be looked at holds up no other', async () => {
    loseWebhooks()
    const purchases = [await bought(shop), await bought(shop)]
    for (const { payment } of purchases) {
      await payInBrowser(shop, payment.clientSecret, 'pm_card_visa')
    }
    const erring = { effect: 'answer', when: 'before', status: 500 } as const
    app.sandbox.setFaults([{ operation: 'payment_intents.retrieve', ...erring, times: 4 }])
    const { latest } = await compare()
    expect(latest).toMatchObject({ status: 'completed', partial: true, counts: { healed: 1 } })
    expect((await compare()).latest).toMatchObject({ partial: false, counts: { healed: 1 } })
    for (const { orderId } of purchases) expect(chargesOf(shop, orderId)).toHaveLength(1)
  })

  test('202 without card payments: only our own books are compared, and it says so', async () => {
    const closed = await startTestApp({ beside: app, payments: 'off' })
    closed.advance(app.now().getTime() - closed.now().getTime())
    try {
      const token = await app.as('finance')
      expect((await closed.request(start, { token, body: {} })).status).toBe(202)
      await closed.runJobs()
      const { body } = await closed.request(report, { token })
      expect(body.latest).toMatchObject({
        status: 'completed',
        counts: { payments: 0, refunds: 0, disputes: 0 },
        output: expect.stringContaining('No card payments'),
      })
      expect(body.latest.counts.orders).toBeGreaterThan(0)
      expect(body.output).toContain('No card payments')
    } finally {
      await closed.close()
    }
  })

  test('400, 401 and 403', async () => {
    const token = await app.as('finance')
    for (const body of [{ days: 0 }, { days: 91 }, { days: '3' }, { from: 'yesterday' }]) {
      const reply = await app.request(start, { token, body })
      expect([reply.status, reply.body.code], JSON.stringify(body)).toEqual([400, 'invalid_input'])
    }
    expect((await app.request(start, { body: {} })).status).toBe(401)
    for (const role of ['viewer', 'agent'] as const) {
      expect((await app.request(start, { token: await app.as(role), body: {} })).status).toBe(403)
    }
  })

  test('runs of long ago are forgotten with what they found', async () => {
    app.advance(100 * dayMs)
    await compare()
    await runScheduled(shop, 'prune-reconciliations')
    const rows = await app.sql('select id from reconciliations')
    expect(rows).toHaveLength(1)
    const left = await app.sql(
      'select id from reconciliation_differences where reconciliation_id <> $1',
      [rows[0]?.['id']],
    )
    expect(left).toEqual([])
  })
})
