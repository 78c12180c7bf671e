import { startSandbox, type Sandbox } from '@bureau/stripe-sandbox'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { startEmbeddedDatabase } from '../../../src/platform/embedded-database/index.ts'
import { booksAgree } from '../../journeys/books.ts'
import { startTestApp, webhookSecret, type TestApp } from '../../support/app.ts'
import { startBuyers, type Buyers } from '../../support/buyers.ts'
import { request, signInAdmin } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import { admin } from '../../support/fresh-database.ts'
import { publishService } from '../../support/journey.ts'
import { anInstant, findBackends, kill } from '../../support/killing.ts'
import {
  cleanUp,
  isAlive,
  makeFolder,
  readPostmasterPid,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import { openWire, type Wire } from '../../support/wire.ts'
import { promise, type Proof } from '../promise.ts'

const rounds = { app: 50, database: 30, both: 20 }
const minuteMs = 60_000

/** One business on its embedded PostgreSQL, whose card payments outlive all that is killed. */
let dataDir: string
let sandbox: Sandbox
let wire: Wire
let bureau: Running
let serviceId: string

beforeAll(async () => {
  dataDir = await makeFolder()
  // No webhook is ever sent: what was captured and not written down is found by asking alone.
  sandbox = await startSandbox({ port: 0 })
  wire = await openWire(sandbox.url)
  bureau = await start()
  serviceId = await publishService(bureau.url, await signInAdmin(bureau.url))
}, startTimeoutMs)
afterAll(async () => {
  await cleanUp()
  await wire.close()
  await sandbox.close()
}, startTimeoutMs)

promise(
  27,
  'kill -9 during checkout loses no order and leaves no payment unrecorded',
  async (proof) => {
    const buyers = openDoors(proof)
    const startedInMs: number[] = []
    for (let round = 0; round < rounds.app; round += 1) {
      await killBureau(proof, buyers, round)
      startedInMs.push(await startAgain())
    }
    await settle(proof, buyers, rounds.app)
    proof.measured(`up again after ${median(startedInMs)} ms (median)`)
  },
  { timeoutMs: 25 * minuteMs },
)

promise(
  28,
  'kill -9 of PostgreSQL loses nothing, and Bureau goes on without a restart',
  async (proof) => {
    const buyers = openDoors(proof)
    const { pid } = bureau.child
    const wellAfterMs: number[] = []
    for (let round = 0; round < rounds.database; round += 1) {
      await untilBought(buyers)
      await anInstant(() => proof.random(), 300)
      // Every other time a part of it only, after which it starts itself again.
      const victims =
        round % 2 === 0 ? [await readPostmasterPid(dataDir)] : await findBackends(dataDir)
      kill(victims[Math.floor(proof.random() * victims.length)])
      wellAfterMs.push(await untilWell())
    }
    expect([bureau.child.pid, bureau.child.exitCode]).toEqual([pid, null])
    await settle(proof, buyers, rounds.database)
    proof.measured(`well again after ${median(wellAfterMs)} ms (median)`)
    proof.measured(`at most ${Math.max(...wellAfterMs).toFixed(0)} ms`)
  },
  { timeoutMs: 20 * minuteMs },
)

promise(
  28,
  'kill -9 of both at once loses nothing',
  async (proof) => {
    const buyers = openDoors(proof)
    for (let round = 0; round < rounds.both; round += 1) {
      await untilBought(buyers)
      await anInstant(() => proof.random(), 300)
      kill(await readPostmasterPid(dataDir))
      kill(bureau.child.pid)
      await bureau.ended
      await startAgain()
    }
    await settle(proof, buyers, rounds.both)
  },
  { timeoutMs: 20 * minuteMs },
)

async function start(): Promise<Running> {
  return await startBureau({
    DATA_DIR: dataDir,
    DEMO: 'false',
    ADMIN_EMAIL: admin.email,
    ADMIN_PASSWORD: admin.password,
    STRIPE_SECRET_KEY: 'sk_test_bureau',
    STRIPE_WEBHOOK_SECRET: webhookSecret,
    STRIPE_API_BASE: wire.url,
  })
}

async function startAgain(): Promise<number> {
  bureau = await start()
  return bureau.tookMs
}

function openDoors(proof: Proof): Buyers {
  return startBuyers({
    url: () => bureau.url,
    serviceId,
    count: 4,
    random: () => proof.random(),
    patientShare: 0.5,
  })
}

async function untilBought({ bought }: Buyers): Promise<void> {
  const before = bought.length
  await eventually(() => expect(bought.length).toBeGreaterThan(before), { withinMs: minuteMs })
}

/** At any instant, and every third time at the worst: the card is charged and nobody was told. */
async function killBureau(proof: Proof, buyers: Buyers, round: number): Promise<void> {
  await untilBought(buyers)
  if (round % 3 === 2) {
    let isBroken = false
    const place = { of: 'far', at: '"status":"succeeded"', fate: 'lost' } as const
    void wire.breakAt(place).then(() => (isBroken = true))
    await eventually(() => expect(isBroken).toBe(true), { withinMs: minuteMs })
  } else await anInstant(() => proof.random(), 300)
  kill(bureau.child.pid)
  await bureau.ended
}

/** The same process takes orders again. */
async function untilWell(): Promise<number> {
  const killedAt = performance.now()
  await eventually(
    async () => {
      expect((await request(bureau.url, 'GET /readyz')).status).toBe(200)
      expect((await request(bureau.url, 'GET /api/services?q=formation')).status).toBe(200)
    },
    { withinMs: 30_000 },
  )
  return performance.now() - killedAt
}

/** Everybody goes, the books have their time, and then everything has to agree. */
async function settle(proof: Proof, buyers: Buyers, killed: number): Promise<void> {
  await buyers.leave()
  const { bought, abandoned, complaints } = buyers
  expect(complaints).toEqual([])
  const waitedMs = await untilRecorded()
  bureau.child.kill('SIGTERM')
  expect(await bureau.ended, bureau.output().slice(-2000)).toBe(0)
  const { orders, charges, swept } = await examine(buyers)
  await startAgain()
  proof.measured(`${killed} kills, ${bought.length} orders acknowledged, 0 lost`)
  proof.measured(`${charges} charges on ${orders} orders, 0 double, 0 unrecorded`)
  proof.measured(`${abandoned.length} buyers gone without an answer`)
  proof.measured(`last payment recorded ${(waitedMs / 1000).toFixed(0)} s after the end`)
  proof.measured(`${bought.length} documents with their bytes, ${swept} left-overs swept`)
}

/** Whatever the provider captured shows on its order, within the five minutes of promise 10. */
async function untilRecorded(): Promise<number> {
  const begunAt = performance.now()
  const token = await signInAdmin(bureau.url)
  for (const id of Object.keys(sandbox.audit().chargesByOrder)) {
    const leftMs = Math.max(0, 5 * minuteMs - (performance.now() - begunAt))
    await eventually(
      async () => {
        const { body } = await request(bureau.url, `GET /api/orders/${id}`, { token })
        expect([id, body.paymentStatus]).toEqual([id, 'paid'])
      },
      { withinMs: leftMs },
    )
  }
  return performance.now() - begunAt
}

interface Examined {
  readonly orders: number
  readonly charges: number
  readonly swept: number
}

/** With nobody else at it, the database, the files and the provider are compared. */
async function examine({ bought }: Buyers): Promise<Examined> {
  expect(isAlive(await readPostmasterPid(dataDir))).toBe(false)
  const { ownerUrl, serverUrl, stop } = await startEmbeddedDatabase({ dataDir })
  const documentsDirectory = path.join(dataDir, 'documents')
  const database = { ownerUrl, serverUrl, drop: async () => undefined }
  const app = await startTestApp({
    beside: { database, sandbox, documentsDirectory } as unknown as TestApp,
  })
  try {
    await app.runJobs()
    await booksAgree(app)
    const orders = await app.sql('select id, payment_status from orders')
    const paid = new Set(
      orders.filter((order) => order['payment_status'] === 'paid').map(({ id }) => id),
    )
    expect(bought.filter(({ orderId }) => !paid.has(orderId))).toEqual([])
    const doubles = await app.sql(`select c.email from orders o
      join customers c on c.id = o.customer_id group by c.email having count(*) > 1`)
    expect(doubles).toEqual([])
    const swept = await sweep(app)
    await expectDocuments(app, bought)
    const charges = Object.values(sandbox.audit().chargesByOrder).flat().length
    return { orders: orders.length, charges, swept }
  } finally {
    await app.close()
    await stop()
  }
}

/** What the hourly sweep finds once all is older than any upload takes; returns how many files. */
async function sweep(app: TestApp): Promise<number> {
  const before = await countFiles()
  app.advance(2 * 60 * minuteMs)
  const job = app.app.jobs.find(({ name }) => name === 'sweep-document-storage')
  await job?.run(app.systemContext(), {})
  return before - (await countFiles())
}

async function expectDocuments(app: TestApp, bought: Buyers['bought']): Promise<void> {
  const rows = await app.sql('select key, sha256 from documents')
  const known = new Map(rows.map(({ key, sha256 }) => [key, sha256]))
  for (const [key, sha256] of known) {
    const place = path.join(dataDir, 'documents/kept', String(key).slice(0, 2), String(key))
    const digest = createHash('sha256').update(await readFile(place))
    expect([key, digest.digest('hex')]).toEqual([key, sha256])
  }
  expect(await countFiles()).toBe(known.size)
  for (const { document } of bought) expect(known.get(document?.key)).toBe(document?.sha256)
}

async function countFiles(): Promise<number> {
  const names = await readdir(path.join(dataDir, 'documents'), {
    recursive: true,
    withFileTypes: true,
  })
  return names.filter((entry) => entry.isFile()).length
}

function median(values: readonly number[]): string {
  return (values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0).toFixed(0)
}
