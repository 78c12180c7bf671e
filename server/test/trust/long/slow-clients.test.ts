import { readdir, readlink } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { expectReply, request, signInAdmin } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
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
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import { pdfOfSize } from '../../support/sample-files.ts'
import {
  beSlow,
  clientsHeldBy,
  type SlowClient,
  type Slowness,
} from '../../support/slow-clients.ts'
import { promise } from '../promise.ts'

let database: FreshDatabase
let dataDir: string
let bureau: Running
let token: string
let serviceId: string
let customerToken: string
let documentKey: string

beforeAll(async () => {
  database = await makeFreshDatabase()
  dataDir = await makeFolder()
  bureau = await startBureau(settingsOf(database, dataDir))
  token = await signInAdmin(bureau.url)
  serviceId = await publishService(bureau.url, token)
  const body = { email: 'slow@example.com', password: 'seven quiet otters', name: 'Slow' }
  const entered = await expectReply(201, bureau.url, 'POST /api/auth/register', { body })
  customerToken = entered.accessToken
  documentKey = (await upload(20_000_000)).body.key
}, startTimeoutMs)
afterAll(async () => {
  await cleanUp()
  await database.drop()
}, startTimeoutMs)

const cutWithinMs = 60_000
const restsForMs = 72_000
/** How late the timers of two processes, and the reply before a rest, may be on a busy machine. */
const lateMs = 8000

/** So many of a kind, and what they do. */
type Kind = readonly [number, Slowness]

const host = 'Host: a\r\n'
const json = `${host}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n`
const chunks = `${host}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
const form =
  `${host}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n` +
  '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'

function slowKinds(admin: string, customer: string): Readonly<Record<string, Kind>> {
  const get = (target: string, headers = ''): string =>
    `GET ${target} HTTP/1.1\r\n${host}${headers}\r\n`
  const post = (target: string, rest: string): string => `POST ${target} HTTP/1.1\r\n${rest}`
  const livez = get('/livez')
  const slowHeader = 'GET /livez HTTP/1.1\r\nX-Slow: '
  return {
    'says nothing': [40, {}],
    'sends empty lines': [5, { drip: '\r\n' }],
    'a slow first line': [5, { drip: 'GET /livez-and-so-on-and-on' }],
    'slow headers': [40, { head: slowHeader, drip: 'a' }],
    'slow headers after a reply': [20, { head: livez + slowHeader, drip: 'a' }],
    'slow JSON': [20, { head: post('/api/services', admin + json), drip: ' ' }],
    'slow JSON of nobody': [20, { head: post('/api/auth/login', json), drip: ' ' }],
    'slow JSON for nothing': [5, { head: post('/api/nothing', json), drip: ' ' }],
    'slow JSON in chunks': [5, { head: post('/api/auth/login', chunks), drip: '1\r\n \r\n' }],
    'a slow webhook': [5, { head: post('/api/webhook/stripe', json), drip: ' ' }],
    'a slow body of a GET': [5, { head: `GET /livez HTTP/1.1\r\n${json}`, drip: ' ' }],
    // More than there is room for in one process: one account must not take all of it.
    'a slow upload': [70, { head: post('/api/documents/upload', customer + form), drip: 'a' }],
    'a slow upload of nobody': [5, { head: post('/api/documents/upload', form), drip: 'a' }],
    'a file not read': [20, { head: get(`/api/documents/${documentKey}`, admin), isDeaf: true }],
    'pages not read': [5, { head: get('/api/openapi.json').repeat(400), isDeaf: true }],
    [resting]: [10, { head: livez }],
    [trickling]: [5, { head: livez, drip: '\r\n', dripsAfter: 'HTTP/1.1 200' }],
  }
}

const resting = 'rests after a reply'
const trickling = 'sends empty lines after a reply'

async function upload(size: number) {
  const body = new FormData()
  const bytes = new Uint8Array(pdfOfSize(size).bytes)
  body.append('file', new Blob([bytes], { type: 'application/pdf' }), 'a.pdf')
  return await request(bureau.url, 'POST /api/documents/upload', { token, body })
}

interface Standing {
  readonly kind: string
  readonly client: SlowClient
  /** A connection is not taken at once by a server that is busy. */
  wasHeld: boolean
  cutAfterMs: number | undefined
}

async function beginAll(): Promise<Standing[]> {
  const bearer = (one: string): string => `Authorization: Bearer ${one}\r\n`
  const standing: Standing[] = []
  for (const [kind, [count, slowness]] of Object.entries(
    slowKinds(bearer(token), bearer(customerToken)),
  )) {
    for (let index = 0; index < count; index += 1) {
      const client = await beSlow(bureau.url, slowness)
      standing.push({ kind, client, wasHeld: false, cutAfterMs: undefined })
    }
  }
  return standing
}

/** Looks until all of them are cut; whoever never is keeps the test from its end. */
async function untilCut(standing: readonly Standing[]): Promise<void> {
  await eventually(
    async () => {
      const held = await clientsHeldBy(bureau.url)
      const now = performance.now()
      for (const one of standing) {
        if (held.has(one.client.port)) one.wasHeld = true
        else if (one.wasHeld) one.cutAfterMs ??= now - one.client.connectedAt
      }
      const left = standing.filter(({ cutAfterMs }) => cutAfterMs === undefined)
      expect(new Set(left.map(({ kind }) => kind)), 'nobody cuts them').toEqual(new Set())
    },
    { withinMs: restsForMs + 30_000 },
  )
}

interface Ordinary {
  readonly tookMs: number[]
  readonly failures: string[]
  orders: number
  uploads: number
}

/** What others do beside them, one after the other, until told to stop. */
async function goOn(ordinary: Ordinary, isOver: () => boolean): Promise<void> {
  const item = { serviceId, quantity: 1 }
  const customer = { email: 'beside@example.com', name: 'Beside' }
  const timed = async (what: string, expected: number, act: () => Promise<{ status: number }>) => {
    const startedAt = performance.now()
    const { status } = await act()
    ordinary.tookMs.push(performance.now() - startedAt)
    if (status !== expected) ordinary.failures.push(`${what}: ${status}`)
  }
  while (!isOver()) {
    const ask = (route: `${string} /${string}`, body?: unknown) => () =>
      request(bureau.url, route, { token, ...(body === undefined ? {} : { body }) })
    await timed('a page', 200, () => request(bureau.url, 'GET /api/services'))
    await timed('a list', 200, ask('GET /api/orders?limit=20'))
    await timed('an order', 201, ask('POST /api/orders', { items: [item], customer }))
    ordinary.orders += 1
    await timed('an upload', 201, () => upload(20_000))
    ordinary.uploads += 1
  }
}

promise(
  65,
  'slow clients of every kind are cut, and those beside them do not notice',
  async (proof) => {
    const standing = await beginAll()
    const ordinary: Ordinary = { tookMs: [], failures: [], orders: 0, uploads: 0 }
    const state = { isOver: false }
    const beside = Promise.all([1, 2].map(() => goOn(ordinary, () => state.isOver)))
    await untilCut(standing).finally(() => {
      state.isOver = true
      for (const { client } of standing) client.leave()
    })
    await beside
    const times = new Map<string, number[]>()
    for (const { kind, cutAfterMs = Infinity } of standing) {
      times.set(kind, [...(times.get(kind) ?? []), cutAfterMs])
    }
    const late: unknown[] = []
    let lastCutMs = 0
    for (const [kind, all] of times) {
      const mayRest = [resting, trickling].includes(kind)
      const slowestMs = Math.max(...all)
      if (slowestMs > (mayRest ? restsForMs : cutWithinMs) + lateMs) late.push([kind, slowestMs])
      if (!mayRest) lastCutMs = Math.max(lastCutMs, slowestMs)
    }
    expect(late).toEqual([])
    expect(Math.min(...(times.get(resting) ?? []))).toBeGreaterThan(restsForMs - 100)
    expect(ordinary.failures).toEqual([])
    const sorted = ordinary.tookMs.toSorted((one, other) => one - other)
    const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? Infinity
    expect(p99).toBeLessThan(1000)
    await expectNothingLeft(ordinary)
    const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`
    proof.measured(
      `${standing.length} slow clients of ${times.size} kinds, the last cut after ` +
        `${seconds(lastCutMs)}, the rest after ${seconds(Math.max(...(times.get(resting) ?? [])))}`,
    )
    proof.measured(`${sorted.length} requests beside them: p99 ${Math.round(p99)} ms, 0 refused`)
  },
  { timeoutMs: 200_000 },
)

/** No connection, no file that is open or half there, and no row but those of who was served. */
async function expectNothingLeft({ orders, uploads }: Ordinary): Promise<void> {
  const documents = path.join(dataDir, 'documents')
  await eventually(async () => {
    const places = await openFiles(bureau.child.pid)
    expect(places.filter((place) => place.startsWith(documents))).toEqual([])
  })
  expect(await readdir(path.join(documents, 'incoming'))).toEqual([])
  const [rows] = await query(
    database.superuserUrl,
    `select (select count(*)::int from orders) as orders,
      (select count(*)::int from documents) as documents,
      (select count(*)::int from services) as services`,
  )
  expect(rows).toEqual({ orders, documents: uploads + 1, services: 1 })
  await eventually(async () => {
    const health = await request(bureau.url, 'GET /api/system/health', { token })
    expect([health.status, health.body.status]).toEqual([200, 'pass'])
  })
}

/** What the descriptors of a process lead to. */
async function openFiles(pid: number | undefined): Promise<string[]> {
  const folder = `/proc/${pid}/fd`
  const links = (await readdir(folder)).map((fd) => readlink(path.join(folder, fd)))
  return (await Promise.allSettled(links)).flatMap((link) =>
    link.status === 'fulfilled' ? [link.value] : [],
  )
}
