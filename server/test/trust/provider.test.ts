import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect } from 'vitest'
import { stripeApiVersion } from '../../src/platform/stripe.ts'
import {
  bookMoney,
  bought,
  changeStatus,
  confirm,
  openShop,
  payAgain,
  payOnPage,
  price,
  runScheduled,
  settleAll,
  type Shop,
} from '../journeys/shop.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { repository } from '../support/sources.ts'
import { promise } from './promise.ts'
import { askProvider } from './provider.ts'

/** What Bureau asks of its provider, as the stand-in writes it down in a life with all of it. */

let app: TestApp
let shop: Shop
let folder: string
/** What Bureau asked, before a proof asks anything itself. */
let recording: string
let exchanges: Exchange[]

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'bureau-recording-'))
  const recordFile = path.join(folder, 'recording-of-all.jsonl')
  app = await startTestApp({ recordFile })
  shop = await openShop(app)
  await askForEverything()
  recording = path.join(folder, 'recording.jsonl')
  await copyFile(recordFile, recording)
  const lines = (await readFile(recording, 'utf8')).trim().split('\n')
  exchanges = lines.map((line) => JSON.parse(line) as Exchange)
})

afterAll(async () => {
  await app.close()
  await rm(folder, { recursive: true, force: true })
})

/** One line of the recording. */
interface Exchange {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly idempotencyKey: string | null
  readonly stripeVersion: string | null
  readonly requestBody: string
  /** Null where the connection was cut. */
  readonly status: number | null
  readonly replyBody: string
}

/** `<payment>:<operation>:<n>`; a refund is an operation on its payment. */
const ourKey = /^(pay_\w+):(?:create|confirm|amount|cancel|expire|refund-(ref_\w+)):\d+$/

promise(7, 'every POST has a key of our own, and no key is for two calls', async (proof) => {
  const posts = exchanges.filter(({ method }) => method === 'POST')
  const rows = await app.sql('select id from payments union all select id from refunds')
  const ours = new Set(rows.map(({ id }) => id))
  const callOf = new Map<string | null, string>()
  for (const { idempotencyKey: key, path: address, requestBody } of posts) {
    const [, payment, refund] = ourKey.exec(key ?? '') ?? []
    expect(ours, `${address}: ${key}`).toContain(payment)
    expect(ours, `${address}: ${key}`).toContain(refund ?? payment)
    const call = `${address} ${requestBody}`
    expect(callOf.get(key) ?? call, 'one key, one call').toBe(call)
    callOf.set(key, call)
  }
  const { postsWithoutKey, randomKeys } = app.sandbox.audit()
  expect([postsWithoutKey, randomKeys]).toEqual([[], []])
  // The life had repeats of lost calls in it, under the same key.
  expect(callOf.size).toBeLessThan(posts.length)
  proof.measured(`${posts.length} POSTs, ${callOf.size} keys, each of our own row and one call`)
})

/** Every call that the port to Stripe knows. */
const operations = [
  'charges.retrieve',
  'checkout.sessions.create',
  'checkout.sessions.expire',
  'checkout.sessions.retrieve',
  'disputes.list',
  'disputes.retrieve',
  'payment_intents.cancel',
  'payment_intents.confirm',
  'payment_intents.create',
  'payment_intents.list',
  'payment_intents.retrieve',
  'payment_intents.update',
  'refunds.create',
  'refunds.list',
  'refunds.retrieve',
]

promise(8, 'the stand-in takes every request, and none with a word more', async (proof) => {
  expect(Object.keys(app.sandbox.audit().operations).toSorted()).toEqual(operations)
  const problems = exchanges.filter(({ status }) => status !== null && status >= 400)
  const types = problems.map(({ replyBody }) => JSON.parse(replyBody).error.type)
  // A card was declined and a failure was set; nothing was wrong with a request.
  expect(new Set(types)).toEqual(new Set(['api_error', 'card_error']))
  const { body: events } = await askProvider(app, 'GET /v1/events?limit=1')
  expect(events.data[0].api_version).toBe(stripeApiVersion)
  expect(new Set(exchanges.map(({ stripeVersion }) => stripeVersion))).toEqual(
    new Set([stripeApiVersion]),
  )
  const addresses = new Map(exchanges.map((one) => [`${one.method} ${one.path}`, one]))
  for (const { method, path: address, query, requestBody } of addresses.values()) {
    const isPost = method === 'POST'
    const form = new URLSearchParams(isPost ? requestBody : query)
    form.append('not_of_stripe', '1')
    const asked = isPost ? `POST ${address}` : `GET ${address}?${form.toString()}`
    const { status, body } = await askProvider(
      app,
      asked as `POST /v1/${string}`,
      isPost ? Object.fromEntries(form) : undefined,
    )
    expect([status, body.error?.code], asked).toEqual([400, 'parameter_unknown'])
  }
  proof.measured(
    `${exchanges.length} requests of ${operations.length} operations: none refused, each refused ` +
      'with an unknown parameter',
  )
})

promise(
  8,
  'every request and reply fits Stripe’s description, where it is at hand',
  async (proof) => {
    const stripe = path.resolve(repository, '../shared/stripe')
    const files = existsSync(stripe) ? await readdir(stripe) : []
    const description = files.find((file) => /^spec3.*\.json/.test(file))
    const fixtures = files.find((file) => /^fixtures3.*\.json/.test(file))
    if (description === undefined || fixtures === undefined) {
      expect(exchanges.length).toBeGreaterThan(40)
      proof.measured('Stripe’s description is not beside the checkout: not compared with it')
      return
    }
    const program = path.join(repository, 'stripe-sandbox/dist/conformance/main.js')
    const given = [description, fixtures].map((file) => path.join(stripe, file))
    const { stdout } = await promisify(execFile)(process.execPath, [
      program,
      ...given,
      '--recording',
      recording,
      '--at-least',
      '40',
    ])
    const [, fitting] = /(\d+) exchanges, 0 problems/.exec(stdout) ?? []
    expect(fitting, stdout).toBeDefined()
    proof.measured(`${fitting} exchanges against Stripe’s own description: 0 misfits`)
  },
)

/** A life of a shop in which every operation of the port to Stripe is needed. */
async function askForEverything(): Promise<void> {
  const { sandbox } = app
  const paid = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
  await bookMoney(shop, `POST /api/orders/${paid.orderId}/refunds`, 1000)
  sandbox.refund({ paymentIntent: paid.payment.providerRef, amount: 500 })
  sandbox.openDispute(paid.payment.providerRef)

  const declined = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_chargeDeclined' })
  await payAgain(shop, declined, { paymentMethod: 'pm_card_visa' })

  const onPage = await bought(shop, { as: 'ada', mode: 'hosted' })
  await payOnPage(onPage.payment.url, '4242424242424242')
  await confirm(shop, onPage)

  const changed = await bought(shop, { as: 'ada' })
  await bookMoney(shop, `POST /api/orders/${changed.orderId}/payments`, price - 5000)
  await settleAll(shop)
  await payAgain(shop, changed, { mode: 'hosted' })
  await payAgain(shop, changed, { mode: 'intent' })
  for (const trouble of [
    { effect: 'answer', when: 'before', status: 500 },
    { effect: 'cut', when: 'before', times: 2 },
  ] as const) {
    sandbox.setFaults([{ operation: 'payment_intents.confirm', ...trouble }])
    await payAgain(shop, changed, { paymentMethod: 'pm_card_visa' })
  }
  await payAgain(shop, changed, { paymentMethod: 'pm_card_visa' })

  const given = await bought(shop, { as: 'ada' })
  await changeStatus(shop, given.orderId, { status: 'cancelled' })
  await settleAll(shop)
  await runScheduled(shop, 'reconcile-payments')
  await runScheduled(shop, 'reconcile-ledger')
}
