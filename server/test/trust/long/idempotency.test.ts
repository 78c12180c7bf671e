import { startSandbox, type Sandbox } from '@bureau/stripe-sandbox'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { openShop, type Shop } from '../../journeys/shop.ts'
import { startTestApp, type TestApp } from '../../support/app.ts'
import { signInAdmin } from '../../support/client.ts'
import {
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../../support/fresh-database.ts'
import { publishService } from '../../support/journey.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  waiting,
  type Environment,
  type Running,
} from '../../support/process.ts'
import { openWire } from '../../support/wire.ts'
import { promise } from '../promise.ts'

let database: FreshDatabase
let sandbox: Sandbox
let settings: Environment
let app: TestApp
let shop: Shop

beforeAll(async () => {
  database = await makeFreshDatabase()
  sandbox = await startSandbox({ port: 0 })
  settings = {
    ...settingsOf(database, await makeFolder()),
    STRIPE_SECRET_KEY: 'sk_test_bureau',
    STRIPE_WEBHOOK_SECRET: 'whsec_test_bureau',
    STRIPE_API_BASE: sandbox.url,
  }
  app = await startTestApp()
  shop = await openShop(app)
})

afterAll(async () => {
  await cleanUp()
  await sandbox.close()
  await database.drop()
  await app.close()
})

interface Instant {
  readonly at: string
  readonly path: '/api/orders' | '/api/checkout/process'
  /** Lets the next request come as far as that instant and no further. */
  hold(): Promise<void> | void
  /** Whether one has come there. */
  isHeld(): Promise<boolean> | boolean
}

const holdMs = 20_000

const instants: readonly Instant[] = [
  {
    at: 'while the provider makes the intent',
    path: '/api/checkout/process',
    hold: () => delay('payment_intents.create', 'after'),
    isHeld: () => sandbox.counts().payment_intent === 1,
  },
  {
    at: 'before the provider charges, which it does later',
    path: '/api/checkout/process',
    hold: () => delay('payment_intents.confirm', 'before'),
    isHeld: () => sandbox.listFaults().length === 0,
  },
  {
    at: 'after the provider has charged',
    path: '/api/checkout/process',
    hold: () => delay('payment_intents.confirm', 'after'),
    isHeld: () => sandbox.counts().charge === 1,
  },
  {
    at: 'between the commit of a purchase and its reply',
    path: '/api/checkout/process',
    hold: holdReplies,
    isHeld: async () => (await countHeldReplies()) === 1,
  },
  {
    at: 'between the commit of an order and its reply',
    path: '/api/orders',
    hold: () => undefined,
    isHeld: async () => (await countHeldReplies()) === 2,
  },
]

promise(
  3,
  'a process killed at any instant: the retry answers the order that it had made',
  async (proof) => {
    const first = await startBureau(settings)
    const token = await signInAdmin(first.url)
    const serviceId = await publishService(first.url, token)
    const bodyOf = (nth: number): object => ({
      items: [{ serviceId, quantity: 1 }],
      customer: { email: `guest-${nth}@example.com`, name: 'Grace' },
    })
    const send = async ({ url }: Running, { path }: Instant, nth: number): Promise<Response> =>
      await fetch(url + path, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'idempotency-key': `a-key-that-outlives-a-crash-${nth}`,
          ...(path === '/api/orders' ? { authorization: `Bearer ${token}` } : {}),
        },
        body: JSON.stringify({
          ...bodyOf(nth),
          ...(path === '/api/orders' ? {} : { paymentMethod: 'pm_card_visa' }),
        }),
      })
    const unanswered: Promise<unknown>[] = []
    for (const [nth, instant] of instants.entries()) {
      await instant.hold()
      unanswered.push(send(first, instant, nth).catch(() => 'cut off'))
      await vi.waitFor(async () => expect(await instant.isHeld(), instant.at).toBe(true), waiting)
    }
    const made = await readOrders()
    expect(made.size).toBe(instants.length)

    first.child.kill('SIGKILL')
    expect(await first.ended).toBe('SIGKILL')
    expect(await Promise.all(unanswered)).toEqual(instants.map(() => 'cut off'))
    await letRepliesGo()

    const second = await startBureau(settings)
    const waits: number[] = []
    await Promise.all(
      instants.map(async (instant, nth) => {
        // As a client does that is told to come again: until the lease of the dead has ended.
        const body = await vi.waitFor(
          async () => {
            const reply = await send(second, instant, nth)
            const said = await reply.text()
            if (reply.status !== 201) waits.push(reply.status)
            expect(reply.status, `${instant.at}: ${said}`).toBe(201)
            return JSON.parse(said)
          },
          { timeout: 90_000, interval: 1000 },
        )
        const order = body.order ?? body
        expect(order.id, instant.at).toBe(made.get(`guest-${nth}@example.com`))
        expect(order.paymentStatus).toBe(body.order ? 'paid' : 'unpaid')
      }),
    )
    expect(waits.filter((status) => status !== 409 && status !== 503)).toEqual([])
    expect(await readOrders()).toEqual(made)
    const { chargesByOrder, doubleCharges } = sandbox.audit()
    expect(doubleCharges).toEqual([])
    expect(Object.keys(chargesByOrder)).toHaveLength(instants.length - 1)
    proof.measured(`killed at ${instants.length} instants: the same order ids, each charged once`)
  },
  { timeoutMs: 240_000 },
)

promise(
  4,
  'silence of the provider or of the database is not kept under the key',
  async (proof) => {
    const { token } = await app.asCustomer('ada')
    const wire = await openWire(app.database.serverUrl)
    const node = await startTestApp({
      beside: app,
      databaseUrl: wire.url,
      requestTimeoutMs: 3000,
    })
    try {
      const silences: [string, TestApp, () => void, () => void][] = [
        [
          'provider',
          app,
          () =>
            app.sandbox.setFaults([
              { operation: 'payment_intents.confirm', effect: 'delay', delayMs: 9000 },
            ]),
          () => app.sandbox.setFaults([]),
        ],
        ['database', node, wire.swallow, wire.mend],
      ]
      for (const [name, { request }, begin, end] of silences) {
        const asked = {
          token,
          headers: { 'idempotency-key': `silence-${name}` },
          body: {
            items: [{ serviceId: shop.serviceId, quantity: 1 }],
            paymentMethod: 'pm_card_visa',
          },
        }
        begin()
        const first = await request('POST /api/checkout/process', asked)
        expect([name, first.status]).toEqual([name, 503])
        expect(first.headers.get('retry-after')).toMatch(/^\d+$/)
        end()
        const second = await vi.waitFor(
          async () => {
            const reply = await request('POST /api/checkout/process', asked)
            expect(reply.status, `${name}: ${JSON.stringify(reply.body)}`).toBe(201)
            return reply
          },
          { timeout: 90_000, interval: 1000 },
        )
        expect(second.body.order.paymentStatus).toBe('paid')
      }
      const { chargesByOrder, doubleCharges } = app.sandbox.audit()
      expect([Object.keys(chargesByOrder).length, doubleCharges]).toEqual([2, []])
      proof.measured('8 s without a word of the provider, 3 s of the database: 503, then 201')
    } finally {
      await node.close()
      await wire.close()
    }
  },
  { timeoutMs: 240_000 },
)

function delay(operation: string, when: 'before' | 'after'): void {
  sandbox.setFaults([{ operation, effect: 'delay', when, delayMs: holdMs }])
}

/** The statement that keeps a reply gets no further than its beginning. */
async function holdReplies(): Promise<void> {
  await query(
    database.ownerUrl,
    `create function hold_reply() returns trigger language plpgsql
     as $$ begin perform pg_sleep(600); return new; end $$`,
  )
  await query(
    database.ownerUrl,
    `create trigger hold_reply before update on idempotency_keys for each row
     when (new.status is not null) execute function hold_reply()`,
  )
}

async function countHeldReplies(): Promise<number> {
  const [row] = await query<{ held: number }>(
    database.superuserUrl,
    `select count(*)::int as held from pg_stat_activity
     where datname = current_database() and wait_event = 'PgSleep'`,
  )
  return row?.held ?? 0
}

/** What a database does once it notices that a client is gone. */
async function letRepliesGo(): Promise<void> {
  await query(
    database.superuserUrl,
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid()`,
  )
  await query(database.ownerUrl, 'drop trigger hold_reply on idempotency_keys')
}

/** The ids of all orders, by the e-mail of who bought. */
async function readOrders(): Promise<Map<string, string>> {
  const rows = await query<{ customer_email: string; id: string }>(
    database.ownerUrl,
    'select customer_email, id from orders',
  )
  return new Map(rows.map((row) => [row.customer_email, row.id]))
}
