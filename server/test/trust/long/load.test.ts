import { startSandbox, type Sandbox } from '@bureau/stripe-sandbox'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect } from 'vitest'
import { webhookSecret } from '../../support/app.ts'
import { request } from '../../support/client.ts'
import { cloneDatabase, type TestDatabase } from '../../support/database.ts'
import { eventually } from '../../support/eventually.ts'
import { settingsOf } from '../../support/fresh-database.ts'
import { buyAsGuest } from '../../support/journey.ts'
import {
  readFigure,
  sample,
  setStage,
  startMixedLoad,
  type Stage,
} from '../../support/mixed-load.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import { openWire, type Wire } from '../../support/wire.ts'
import { promise } from '../promise.ts'

const deadlineMs = 3000
const mebibyte = 1024 * 1024

/** A process whose ways to its database and to its payment provider can fail. */
let database: TestDatabase
let sandbox: Sandbox
let toDatabase: Wire
let toProvider: Wire
let bureau: Running
let stage: Stage
let serviceId: string

beforeAll(async () => {
  database = await cloneDatabase()
  sandbox = await startSandbox({ port: 0, webhookSecrets: [webhookSecret] })
  toDatabase = await openWire(database.serverUrl)
  toProvider = await openWire(sandbox.url)
  bureau = await startBureau({
    ...settingsOf({ ...database, serverUrl: toDatabase.url }, await makeFolder()),
    REQUEST_TIMEOUT_MS: String(deadlineMs),
    STRIPE_SECRET_KEY: 'sk_test_bureau',
    STRIPE_WEBHOOK_SECRET: webhookSecret,
    STRIPE_API_BASE: toProvider.url,
  })
  stage = await setStage(bureau.url, database.ownerUrl)
  serviceId = stage.serviceIds[0] ?? ''
}, startTimeoutMs)
afterAll(async () => {
  await cleanUp()
  await toDatabase.close()
  await toProvider.close()
  await sandbox.close()
  await database.drop()
}, startTimeoutMs)

promise(41, 'the event loop is never blocked for long, whatever is asked', async (proof) => {
  await readFigure(stage, lag)
  const load = startMixedLoad(stage, 8, () => proof.random())
  const lags = await sample({ everyMs: 3000, forMs: 36_000 }, () => readFigure(stage, lag))
  await load.stop()
  expect(load.complaints).toEqual([])
  const ordered = lags.map((seconds) => seconds * 1000).toSorted((one, other) => one - other)
  const medianMs = ordered[ordered.length >> 1] ?? Infinity
  proof.measured(`${load.count()} mixed requests by 8 clients at once`)
  proof.measured(`p99 of the event loop's delay ${medianMs.toFixed(0)} ms (median of windows)`)
  expect(medianMs).toBeLessThan(200)
})

/** Of the time since it was last read. */
const lag = 'nodejs_eventloop_lag_p99_seconds'

promise(34, 'a black-holed database costs no memory and no restart', async (proof) => {
  const { url } = bureau
  const memoryBefore = await readFigure(stage, 'process_resident_memory_bytes')
  toDatabase.swallow()
  const endsAt = performance.now() + 3 * deadlineMs
  const seen: { status: number; retryAfter: string | null; tookMs: number }[] = []
  const askers = Array.from({ length: 40 }, async (_, index) => {
    while (performance.now() < endsAt) seen.push(await askOnce(url, index))
  })
  const alive: number[] = []
  while (performance.now() < endsAt) {
    const begunAt = performance.now()
    expect((await request(url, 'GET /livez')).status).toBe(200)
    alive.push(performance.now() - begunAt)
    expect((await request(url, 'GET /readyz')).status).toBe(503)
  }
  await Promise.all(askers)
  expect(seen.filter(({ status, retryAfter }) => status !== 503 || retryAfter === null)).toEqual([])
  const longestMs = Math.max(...seen.map(({ tookMs }) => tookMs))
  expect(longestMs).toBeLessThan(deadlineMs + 3000)
  expect(toDatabase.count()).toBeLessThanOrEqual(40)

  toDatabase.mend()
  const wellAfterMs = await untilWell(url)
  const grownMiB = Math.round(
    ((await readFigure(stage, 'process_resident_memory_bytes')) - memoryBefore) / mebibyte,
  )
  expect(grownMiB).toBeLessThan(150)
  await eventually(expectPoolAtRest)
  expect(bureau.child.exitCode).toBe(null)
  proof.measured(`${seen.length} requests ended with 503 after ${longestMs.toFixed(0)} ms at most`)
  proof.measured(`/livez 200 within ${Math.max(...alive).toFixed(0)} ms, /readyz 503`)
  proof.measured(`well ${wellAfterMs.toFixed(0)} ms after it, ${grownMiB} MiB more in memory`)
})

promise(
  34,
  'a black-holed payment provider ends in 503, and the key goes on',
  async (proof) => {
    const key = `black-hole-${randomUUID()}`
    const buy = async (): Promise<Response> =>
      await fetch(`${bureau.url}/api/checkout/process`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({
          items: [{ serviceId, quantity: 1 }],
          customer: { email: `${key}@example.com`, name: 'Grace' },
          paymentMethod: 'pm_card_visa',
        }),
      })
    toProvider.swallow()
    const begunAt = performance.now()
    const first = await buy()
    const tookMs = performance.now() - begunAt
    expect([first.status, first.headers.get('retry-after')]).toEqual([
      503,
      expect.stringMatching(/^[1-5]$/),
    ])
    expect(tookMs).toBeLessThan(deadlineMs + 3000)
    toProvider.mend()
    const mendedAt = performance.now()
    const { order } = await eventually(
      async () => {
        const reply = await buy()
        const body = (await reply.json()) as { order: { id: string; paymentStatus: string } }
        expect([reply.status, body.order?.paymentStatus]).toEqual([201, 'paid'])
        return body
      },
      { withinMs: 60_000 },
    )
    const { chargesByOrder, doubleCharges } = sandbox.audit()
    expect([chargesByOrder[order.id]?.length, doubleCharges]).toEqual([1, []])
    proof.measured(`the provider silent: 503 after ${tookMs.toFixed(0)} ms`)
    proof.measured(
      `the same key paid ${((performance.now() - mendedAt) / 1000).toFixed(1)} s after it, 1 charge`,
    )
  },
  { timeoutMs: 120_000 },
)

promise(
  35,
  '2000 clients at once, and 1000 that hang up, leave the pool at rest',
  async (proof) => {
    const { url } = bureau
    // A request of several statements waits in the queue for each.
    toDatabase.slow(5)
    const seen = await Promise.all(Array.from({ length: 2000 }, (_, index) => askOnce(url, index)))
    const answered = seen.filter(({ status }) => status === 200 || status === 201).length
    const refused = seen.filter(({ status, retryAfter }) => status === 503 && retryAfter !== null)
    expect(answered + refused.length).toBe(2000)
    expect(answered).toBeGreaterThan(0)
    expect(refused.length).toBeGreaterThan(0)
    const aborted = await Promise.allSettled(
      Array.from({ length: 1000 }, () =>
        fetch(`${url}/api/services?q=${randomUUID()}`, { signal: AbortSignal.timeout(100) }),
      ),
    )
    const hungUp = aborted.filter(({ status }) => status === 'rejected').length
    expect(hungUp).toBeGreaterThan(500)
    toDatabase.mend()
    await eventually(expectPoolAtRest, { withinMs: 20_000 })
    await untilWell(url)
    expect(bureau.child.exitCode).toBe(null)
    proof.measured(`2000 at once: ${answered} answered, ${refused.length} × 503 with Retry-After`)
    proof.measured(`${hungUp} hung up; connections in use and waiting: 0`)
  },
  { timeoutMs: 180_000 },
)

interface Answered {
  readonly status: number
  readonly retryAfter: string | null
  readonly tookMs: number
}

/** Something that needs the database: now a read, now a purchase. */
async function askOnce(url: string, index: number): Promise<Answered> {
  const begunAt = performance.now()
  const reply =
    index % 4 === 0
      ? await fetch(`${url}/api/checkout/process`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            items: [{ serviceId, quantity: 1 }],
            customer: { email: `${randomUUID()}@example.com`, name: 'Grace' },
          }),
        })
      : await fetch(`${url}/api/services?q=${randomUUID()}`)
  await reply.arrayBuffer()
  const retryAfter = reply.headers.get('retry-after')
  return { status: reply.status, retryAfter, tookMs: performance.now() - begunAt }
}

/** Gives how long it took, which is five seconds at most. */
async function untilWell(url: string): Promise<number> {
  const begunAt = performance.now()
  await eventually(
    async () => {
      expect((await request(url, 'GET /readyz')).status).toBe(200)
      await buyAsGuest(url, serviceId, randomUUID())
    },
    { withinMs: 5000 },
  )
  return performance.now() - begunAt
}

async function expectPoolAtRest(): Promise<void> {
  const [all = NaN, idle = NaN, max = NaN, waiting = NaN] = await Promise.all(
    ['connections', 'connections_idle', 'connections_max', 'waiting_requests'].map((name) =>
      readFigure(stage, `bureau_database_${name}`),
    ),
  )
  // Whoever reads the figures may hold connections for them.
  expect({ waiting, busy: Math.max(0, all - idle - figuresRead) }).toEqual({ waiting: 0, busy: 0 })
  expect(all).toBeLessThanOrEqual(max)
}

const figuresRead = 4
