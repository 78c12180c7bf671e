import { startSandbox, type Sandbox } from '@bureau/stripe-sandbox'
import { afterAll, beforeAll, expect } from 'vitest'
import { webhookSecret } from '../../support/app.ts'
import { cloneDatabase, type TestDatabase } from '../../support/database.ts'
import { settingsOf } from '../../support/fresh-database.ts'
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
import { promise } from '../promise.ts'

const minuteMs = 60_000
const mebibyte = 1024 * 1024
/** 30 is what is promised; a run of all promises takes a shorter look. */
const minutes = Number(process.env['BUREAU_TRUST_SOAK_MINUTES'] ?? 3)
const heapMiB = 300

let database: TestDatabase
let sandbox: Sandbox
let bureau: Running
let stage: Stage

beforeAll(async () => {
  database = await cloneDatabase()
  sandbox = await startSandbox({ port: 0, webhookSecrets: [webhookSecret] })
  bureau = await startBureau({
    ...settingsOf(database, await makeFolder()),
    NODE_OPTIONS: `--max-old-space-size=${heapMiB}`,
    STRIPE_SECRET_KEY: 'sk_test_bureau',
    STRIPE_WEBHOOK_SECRET: webhookSecret,
    STRIPE_API_BASE: sandbox.url,
  })
  sandbox.setWebhook(`${bureau.url}/api/webhook/stripe`, [webhookSecret])
  stage = await setStage(bureau.url, database.ownerUrl)
}, startTimeoutMs)
afterAll(async () => {
  await cleanUp()
  await sandbox.close()
  await database.drop()
}, startTimeoutMs)

promise(
  42,
  'memory is flat under mixed load in a heap of 300 MB',
  async (proof) => {
    const load = startMixedLoad(stage, 8, () => proof.random())
    const samples = await sample({ everyMs: 1000, forMs: minutes * minuteMs }, readMemory)
    await load.stop()
    expect(load.complaints).toEqual([])
    expect(bureau.child.exitCode).toBe(null)

    // Right after a collection stands what is really held. The first third warms up.
    const heap = lowsOf(samples.map(({ heapBytes }) => heapBytes))
    const resident = lowsOf(samples.map(({ residentBytes }) => residentBytes))
    const heapGrowth = growthOf(heap)
    const residentGrowth = growthOf(resident)
    proof.measured(`${load.count()} requests in ${minutes} min`)
    proof.measured(`heap ${toMiB(heap.at(0))} to ${toMiB(heap.at(-1))} MiB, ${trend(heapGrowth)}`)
    proof.measured(
      `resident ${toMiB(resident.at(0))} to ${toMiB(resident.at(-1))} MiB, ${trend(residentGrowth)}`,
    )
    expect(heapGrowth).toBeLessThan(allowedGrowth(load.count(), 10 * mebibyte))
    expect(residentGrowth).toBeLessThan(allowedGrowth(load.count(), 60 * mebibyte))
  },
  { timeoutMs: (minutes + 5) * minuteMs },
)

interface Memory {
  readonly heapBytes: number
  readonly residentBytes: number
}

async function readMemory(): Promise<Memory> {
  const [heapBytes, residentBytes] = await Promise.all([
    readFigure(stage, 'nodejs_heap_size_used_bytes'),
    readFigure(stage, 'process_resident_memory_bytes'),
  ])
  return { heapBytes, residentBytes }
}

const windows = 12

/** The lowest value of each of twelve stretches of the last two thirds. */
function lowsOf(values: readonly number[]): number[] {
  const settled = values.slice(Math.floor(values.length / 3))
  const length = Math.ceil(settled.length / windows)
  return Array.from({ length: windows }, (_, index) =>
    Math.min(...settled.slice(index * length, (index + 1) * length)),
  ).filter((low) => Number.isFinite(low))
}

/** From the first to the last value along the line that fits all of them best (least squares). */
function growthOf(values: readonly number[]): number {
  const count = values.length
  const meanAt = (count - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / count
  const rise = values.reduce((sum, value, at) => sum + (at - meanAt) * (value - mean), 0)
  const spread = values.reduce((sum, _, at) => sum + (at - meanAt) ** 2, 0)
  return (rise / spread) * (count - 1)
}

/** Noise of collections, and 64 bytes a request: what leaks holds on to far more than that. */
function allowedGrowth(requests: number, noiseBytes: number): number {
  return noiseBytes + ((64 * requests) / 3) * 2
}

function toMiB(bytes = 0): string {
  return (bytes / mebibyte).toFixed(0)
}

function trend(bytes: number): string {
  return `${bytes < 0 ? '-' : '+'}${toMiB(Math.abs(bytes))} MiB along the trend`
}
