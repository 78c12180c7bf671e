import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import {
  bought,
  openShop,
  payInBrowser,
  readOrder,
  settleAll,
  type Purchase,
  type Shop,
} from '../journeys/shop.ts'
import { startTestApp, webhookSecret, type Reply, type TestApp } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'
import { promise } from './promise.ts'
import { askProvider } from './provider.ts'
import {
  deliver,
  deliverAll,
  eventAbout,
  eventsOf,
  idOf,
  macOf,
  outcomeOf,
  signatureOf,
} from './signed-events.ts'

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
})

afterAll(async () => {
  await app.close()
})

/** Paid at the provider, of which Bureau has not heard: an event that is believed would show. */
async function paidUnheard(): Promise<Purchase & { readonly event: string }> {
  app.sandbox.resumeWebhooks()
  const purchase = await bought(shop, { as: 'ada' })
  await settleAll(shop)
  app.sandbox.pauseWebhooks()
  await payInBrowser(shop, purchase.payment.clientSecret, 'pm_card_visa')
  const ref = purchase.payment.providerRef
  const event = (await eventsOf(app, ref)).get('payment_intent.succeeded')
  expect(event).toBeDefined()
  return { ...purchase, event: event ?? '' }
}

async function countRows(): Promise<unknown> {
  const [row] = await app.sql(`
    select (select count(*) from provider_events) as received,
      (select count(*) from events) as events,
      (select count(*) from graphile_worker.jobs) as jobs,
      (select sum(version) from orders) as orders,
      (select md5(string_agg(p::text, '' order by id)) from payments p) as payments`)
  return row
}

promise(18, 'nothing that is not signed by the provider just now is stored', async (proof) => {
  const { event, orderId } = await paidUnheard()
  const parsed: object = JSON.parse(event)
  const { time, mac } = macOf(app, event)
  const good = `t=${time},v1=${mac}`
  const ahead = macOf(app, event, { at: 302 })
  const behind = macOf(app, event, { at: -302 })
  const signatures: Record<string, string | null> = {
    absent: null,
    empty: '',
    'no signature at all': 'nonsense',
    'of another secret': signatureOf(app, event, { secret: 'whsec_other' }),
    'of the secret without its prefix': signatureOf(app, event, { secret: 'test_bureau' }),
    'of no secret': signatureOf(app, event, { secret: '' }),
    stale: signatureOf(app, event, { at: -302 }),
    'a day old': signatureOf(app, event, { at: -86_400 }),
    'of the future': signatureOf(app, event, { at: 302 }),
    'v0 only': signatureOf(app, event, { scheme: 'v0' }),
    'without a time': `v1=${mac}`,
    'without a value': `t=${time}`,
    'an empty value': `t=${time},v1=`,
    'a shorter value': `t=${time},v1=${mac.slice(0, -1)}`,
    'a longer value': `t=${time},v1=${mac}0`,
    'another time': `t=${time - 1},v1=${mac}`,
    'a time that is no number': `t=now,v1=${mac}`,
    'a fresh time before the stale one': `t=${time},t=${behind.time},v1=${behind.mac}`,
    'a fresh time after the stale one': `t=${behind.time},t=${time},v1=${behind.mac}`,
    'a fresh time before one to come': `t=${time},t=${ahead.time},v1=${ahead.mac}`,
    'a fresh time after one to come': `t=${ahead.time},t=${time},v1=${ahead.mac}`,
  }
  const bodies: Record<string, string> = {
    'serialised again': JSON.stringify(parsed),
    'with another indentation': JSON.stringify(parsed, undefined, 4),
    'with its members in another order': JSON.stringify(
      Object.fromEntries(Object.entries(parsed).toReversed()),
      undefined,
      2,
    ),
    'with a space more': `${event} `,
    'with a line break more': `\n${event}`,
    'with another id': event.replaceAll(idOf(event), 'evt_of_nobody'),
    'empty object': '{}',
    empty: '',
  }
  const before = await countRows()
  const refuse = async (body: string | Uint8Array, signature: string | null): Promise<void> => {
    const { status, body: problem } = await deliver(app, body, signature)
    expect([status, problem.code], String(signature)).toEqual([400, 'invalid_signature'])
  }
  for (const signature of Object.values(signatures)) await refuse(event, signature)
  for (const body of Object.values(bodies)) await refuse(body, good)
  const bytes = Buffer.from(event)
  const numRuns = 100
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: bytes.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      async (at, change) => {
        const altered = Buffer.from(bytes)
        altered.writeUInt8(altered.readUInt8(at) ^ change, at)
        await refuse(altered, good)
      },
    ),
    { seed: proof.seed, numRuns },
  )
  expect(await countRows()).toEqual(before)
  expect((await readOrder(shop, orderId)).paymentStatus).toBe('unpaid')
  // The one that all of them were made of.
  expect((await deliver(app, event, good)).status).toBe(200)
  const kinds = Object.keys(signatures).length + Object.keys(bodies).length
  proof.measured(`${kinds} kinds and ${numRuns} altered bytes: each 400, no row changed`)
})

promise(18, 'a signature counts for 300 s either way', async (proof) => {
  const event = eventAbout({ id: 'pi_of_nobody', object: 'payment_intent' })
  // A second off either end: the test itself takes time.
  const statuses = []
  for (const at of [-302, -297, 0, 297, 303]) {
    statuses.push((await deliver(app, event, signatureOf(app, event, { at }))).status)
  }
  expect(statuses).toEqual([400, 200, 200, 200, 400])
  proof.measured('297 s before or ahead 200, beyond 300 s 400')
})

promise(19, 'while secrets are rotated the old and the new one are taken', async (proof) => {
  const secrets = ['whsec_the_new_one', webhookSecret]
  const rotating = await startTestApp({ beside: app, webhookSecrets: secrets })
  const rotated = await startTestApp({ beside: app, webhookSecrets: secrets.slice(0, 1) })
  try {
    const statusOf = async (node: TestApp, secret: string): Promise<number> => {
      const { event, orderId } = await paidUnheard()
      const { status } = await deliver(node, event, signatureOf(app, event, { secret }))
      await app.runJobs()
      expect((await readOrder(shop, orderId)).paymentStatus).toBe(
        status === 200 ? 'paid' : 'unpaid',
      )
      return status
    }
    for (const secret of secrets) expect(await statusOf(rotating, secret)).toBe(200)
    expect(await statusOf(rotating, 'whsec_of_a_stranger')).toBe(400)
    expect(await statusOf(rotated, 'whsec_the_new_one')).toBe(200)
    expect(await statusOf(rotated, webhookSecret)).toBe(400)
    // The provider signs with both meanwhile: one that is known is enough.
    for (const node of [app, rotating, rotated]) {
      const event = eventAbout({ id: 'pi_of_nobody', object: 'payment_intent' })
      const macs = secrets.map((secret) => `v1=${macOf(app, event, { secret }).mac}`)
      const signature = [`t=${macOf(app, event).time}`, ...macs].join()
      expect((await deliver(node, event, signature)).status).toBe(200)
    }
    proof.measured('old and new secret 200 and paid, a third 400; after the rotation the old 400')
  } finally {
    await rotated.close()
    await rotating.close()
  }
})

promise(20, 'one event 100 times at once has one effect', async (proof) => {
  const other = await startTestApp({ beside: app })
  try {
    const { event, orderId, payment } = await paidUnheard()
    const nodes = [app, other]
    const storm = async (): Promise<void> => {
      const replies = await Promise.all(
        Array.from({ length: 100 }, async (_, nth) => {
          const signature = signatureOf(app, event, { at: -nth })
          return await deliver(nodes[nth % 2] ?? app, event, signature)
        }),
      )
      expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 200))
    }
    await storm()
    // Both nodes work it out at once, with as many others about the same payment.
    const twins = Array.from({ length: 20 }, () =>
      eventAbout({ id: payment.providerRef, object: 'payment_intent' }),
    )
    await deliverAll(other, twins)
    await Promise.all([app.runJobs(), other.runJobs()])
    await storm()
    app.sandbox.resumeWebhooks()
    await settleAll(shop)
    const [effects] = await app.sql(
      `select (select count(*)::int from provider_events where id = $2) as stored,
         (select count(*)::int from events
            where root_id = $1 and type = 'payment.succeeded') as paid,
         (select count(*)::int from events
            where root_id = $1 and type = 'order.confirmed') as confirmed,
         (select count(*)::int from cases where order_id = $1) as cases`,
      [orderId, idOf(event)],
    )
    expect(effects).toEqual({ stored: 1, paid: 1, confirmed: 1, cases: 1 })
    const mails = await app.sql('select template from notifications where about_id = $1', [orderId])
    expect(mails.map(({ template }) => template).toSorted()).toEqual([
      'order_received',
      'payment_confirmed',
    ])
    proof.measured('200 deliveries over 2 nodes and 20 twins: 200 each, 1 payment, case and mail')
  } finally {
    await other.close()
  }
})

type Stranger = (purchase: Purchase) => Promise<string>

/** Ways in which money at the provider is not the money that an order asked for. */
const strangers: Record<string, Stranger> = {
  other_amount: async ({ payment }) => {
    const route = `POST /v1/payment_intents/${payment.providerRef}` as const
    await askProvider(app, route, { amount: '100' })
    return payment.clientSecret
  },
  other_currency: async ({ payment }) => {
    const route = `POST /v1/payment_intents/${payment.providerRef}` as const
    await askProvider(app, route, { currency: 'eur' })
    return payment.clientSecret
  },
  other_object: async ({ orderId, payment }) => {
    const { body } = await askProvider(app, 'POST /v1/payment_intents', {
      amount: String(payment.amount.amount),
      currency: 'gbp',
      'metadata[order_id]': orderId,
      'metadata[payment_id]': payment.id,
    })
    return body.client_secret
  },
}

promise(22, 'money of another amount, currency or object pays nothing', async (proof) => {
  for (const [reason, pretend] of Object.entries(strangers)) {
    const purchase = await bought(shop, { as: 'ada' })
    await payInBrowser(shop, await pretend(purchase), 'pm_card_visa')
    await settleAll(shop)
    const order = await readOrder(shop, purchase.orderId)
    expect(order, reason).toMatchObject({
      status: 'pending',
      paymentStatus: 'unpaid',
      paid: { amount: 0 },
      flagged: true,
      case: null,
    })
    const flags = order.timeline.filter(({ type }: Reply['body']) => type === 'payment.flagged')
    expect(flags).toMatchObject([{ data: { reason, paymentId: purchase.payment.id } }])
    const list = await app.request('GET /api/orders?flagged=true&limit=100', {
      token: await app.as('viewer'),
    })
    expect(list.body.data.map(({ id }: Reply['body']) => id)).toContain(purchase.orderId)
  }
  proof.measured(`${Object.keys(strangers).join(', ')}: unpaid, flagged once, in the staff's list`)
})

promise(22, 'an event of another account or livemode pays nothing and is shown', async (proof) => {
  const { event, orderId } = await paidUnheard()
  const lies = [
    { account: 'acct_other' },
    { livemode: true },
    { account: 'acct_x', livemode: true },
  ]
  for (const lie of lies) {
    const changed = { ...JSON.parse(event), ...lie, id: `evt_${JSON.stringify(lie).length}` }
    const body = JSON.stringify(changed)
    expect((await deliver(app, body)).status).toBe(200)
    await app.runJobs()
    expect(await outcomeOf(app, body)).toBe('refused')
    const seen = await app.request('GET /api/events?type=provider_event.refused&limit=100', {
      token: await app.as('admin'),
    })
    expect(seen.status, JSON.stringify(seen.body)).toBe(200)
    expect(JSON.stringify(seen.body.data)).toContain(idOf(body))
  }
  expect(await readOrder(shop, orderId)).toMatchObject({
    status: 'pending',
    paymentStatus: 'unpaid',
  })
  proof.measured(`${lies.length} events about paid money, each refused and in the audit trail`)
})

promise(23, 'events about what is not ours are acknowledged and done with', async (proof) => {
  const paidElsewhere = async (metadata: Record<string, string>): Promise<string> => {
    const { body } = await askProvider(app, 'POST /v1/payment_intents', {
      amount: '500',
      currency: 'gbp',
      confirm: 'true',
      payment_method: 'pm_card_visa',
      return_url: 'https://shop.example/back',
      ...metadata,
    })
    expect(body.status).toBe('succeeded')
    return body.id
  }
  const { orderId } = await bought(shop, { as: 'ada' })
  const intents = [
    await paidElsewhere({}),
    await paidElsewhere({ 'metadata[order_id]': 'of another program' }),
    await paidElsewhere({
      'metadata[order_id]': 'ord_01jd8q9yg8e5v9c0m4t7k2x3zb',
      'metadata[payment_id]': 'pay_01jd8q9yg8e5v9c0m4t7k2x3zb',
    }),
    await paidElsewhere({ 'metadata[order_id]': orderId, 'metadata[payment_id]': 'pay_of_nobody' }),
  ]
  for (const paymentIntent of intents) {
    app.sandbox.refund({ paymentIntent, amount: 100 })
    app.sandbox.openDispute(paymentIntent)
  }
  const nowhere = ['payment_intent', 'checkout.session', 'refund', 'dispute', 'charge'].map(
    (object) => eventAbout({ id: `${object}_of_nobody`, object }),
  )
  await deliverAll(app, nowhere)
  await settleAll(shop)
  for (const event of nowhere) expect(await outcomeOf(app, event)).toBe('refused')
  const rows = await app.sql('select outcome, type from provider_events where received_at > $1', [
    new Date(0),
  ])
  expect(rows.filter(({ outcome }) => outcome === null)).toEqual([])
  const refused = rows.filter(({ outcome }) => outcome === 'refused').length
  // Its payment, its refund and its dispute, at the least.
  expect(refused).toBeGreaterThanOrEqual(nowhere.length + 3 * intents.length)
  expect(await readOrder(shop, orderId)).toMatchObject({ paymentStatus: 'unpaid', refunds: [] })
  proof.measured(`${refused} events about 9 unknown objects: 200, refused, none waits or fails`)
})

promise(23, 'what the provider cannot tell now is asked again, bounded', async (proof) => {
  const { event, orderId } = await paidUnheard()
  app.sandbox.setFaults([
    {
      operation: 'payment_intents.retrieve',
      effect: 'answer',
      when: 'before',
      status: 500,
      times: 3,
    },
  ])
  expect((await deliver(app, event)).status).toBe(200)
  await app.runJobs()
  const key = `handle-provider-event:${idOf(event)}`
  await eventually(async () => {
    const [job] = await app.sql(
      `select attempts, max_attempts, run_at > now() as later
       from graphile_worker.jobs where key = $1`,
      [key],
    )
    expect(job).toEqual({ attempts: 1, max_attempts: 25, later: true })
  })
  expect(await outcomeOf(app, event)).toBe(null)
  app.sandbox.resumeWebhooks()
  await settleAll(shop)
  expect(await outcomeOf(app, event)).toBe('settled')
  expect((await readOrder(shop, orderId)).paymentStatus).toBe('paid')
  proof.measured('3 failures of the provider: asked again later, of 25 times at most, then paid')
})
