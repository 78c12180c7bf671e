import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { openBalancer, type Balancer } from '../../support/balancer.ts'
import { expectReply, request, signInAdmin, type Reply } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import { query, settingsOf } from '../../support/fresh-database.ts'
import { publishService } from '../../support/journey.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import {
  promote,
  requireStandby,
  rewind,
  startPair,
  type DatabaseServer,
  type Pair,
} from '../../support/standby.ts'
import { promise } from '../promise.ts'

/** One Bureau, whose way to the database is turned to the new primary as a load balancer does it. */
let pair: Pair
let primary: DatabaseServer
let standby: DatabaseServer
let way: Balancer
let bureau: Running
let token: string
let serviceId: string
let load: Load
/** The id of each order that was acknowledged, by its key. */
const acknowledged = new Map<string, string>()

const recoverWithinMs = 5000
/** A key whose request died with the old primary is free again after its lease of 30 s. */
const leaseMs = 30_000
const metricsToken = randomBytes(24).toString('hex')

beforeAll(async () => {
  pair = await startPair()
  ;({ primary, standby } = pair)
  way = await openBalancer(primary.serverUrl)
  const folder = await makeFolder()
  bureau = await startBureau({
    ...settingsOf({ ...primary, serverUrl: way.through(primary.serverUrl) }, folder),
    REQUEST_TIMEOUT_MS: '3000',
    METRICS_TOKEN: metricsToken,
  })
  serviceId = await publishService(bureau.url, await signInAdmin(bureau.url))
}, startTimeoutMs)
beforeEach(async () => {
  token = await signInAdmin(bureau.url)
  load = startBuyers(8)
}, startTimeoutMs)
afterEach(() => load.stop(), startTimeoutMs)

afterAll(async () => {
  const { exitCode } = bureau.child
  const lastWords = bureau.output().slice(-3000)
  await cleanUp()
  await way.close()
  await pair.close()
  expect(exitCode, lastWords).toBeNull()
}, startTimeoutMs)

promise(
  29,
  'a primary killed under load loses no order that was acknowledged',
  async (proof) => {
    const windows: Window[] = []
    for (let kill = 0; kill < 3; kill += 1) {
      await untilMore(20 + Math.floor(proof.random() * 40))
      windows.push(await failOver())
      await untilMore(20)
      await restorePair()
    }
    await load.stop()
    const outside = refusals().filter(({ at }) => !windows.some((one) => isWithin(one, at)))
    expect(outside).toEqual([])
    await expectAcknowledgedOn(primary)
    proof.measured(`${windows.length} kills of the primary under 8 buyers`)
    proof.measured(`${acknowledged.size} orders acknowledged, 0 missing, 0 twice`)
    proof.measured(
      `${refusals().length} refusals, all within ${recoverWithinMs} ms of a new primary`,
    )
  },
  { timeoutMs: 300_000 },
)

promise(
  30,
  'pool, jobs, notices and caches are back within 5 s of the new primary',
  async (proof) => {
    await untilMore(20)
    const { turnedAt } = await failOver()
    const left = (): number => recoverWithinMs - (performance.now() - turnedAt)
    const since = (): string => `${Math.round(performance.now() - turnedAt)} ms`
    const placed = await eventually(() => order(), { withinMs: left() })
    proof.measured(`an order after ${since()}`)
    await eventually(() => expectMailOf(standby, placed), { withinMs: left() })
    proof.measured(`a job after ${since()}`)
    await eventually(expectReplyFromMemory, { withinMs: left() })
    proof.measured(`the cache after ${since()}`)
    await load.stop()
    // What the old name of the job queue held is given free after half a minute.
    await eventually(() => expectMailOfAll(standby), { withinMs: 2 * leaseMs })
    proof.measured(`each of ${acknowledged.size} orders has its one mail`)
    expect(bureau.child.exitCode).toBeNull()
    await restorePair()
  },
  { timeoutMs: 200_000 },
)

promise(
  30,
  'an old primary that became a standby, or refuses writes, holds no connection fast',
  async (proof) => {
    for (const [name, demote] of demotions) {
      await untilMore(20)
      const refusedBefore = refusals().length
      await demote()
      await eventually(() => expect(refusals().length).toBeGreaterThan(refusedBefore), {
        withinMs: recoverWithinMs,
      })
      await eventually(() => expectReply(503, bureau.url, 'GET /readyz'))
      const old = primary
      way.turnTo(standby.serverUrl)
      const turnedAt = performance.now()
      const placed = await eventually(() => order(), { withinMs: recoverWithinMs })
      proof.measured(`${name}: an order after ${Math.round(performance.now() - turnedAt)} ms`)
      await eventually(() => expectMailOf(standby, placed), { withinMs: recoverWithinMs })
      await untilMore(50)
      expect(refusals().filter(({ at }) => at > turnedAt + recoverWithinMs)).toEqual([])
      // Idle connections to the old one are used no more; a pool ends them after a minute.
      await eventually(() => expectNobodyWorksOn(old), { withinMs: 70_000 })
      await restorePair()
    }
    await load.stop()
    await expectAcknowledgedOn(primary)
    proof.measured(`${acknowledged.size} orders, none on the old primary`)
  },
  { timeoutMs: 400_000 },
)

promise(
  31,
  'an old primary that comes back acknowledges nothing, and follows once it is rewound',
  async (proof) => {
    await untilMore(20)
    await failOver()
    await load.stop()
    const old = primary
    // As it was, with its belief to be the primary, and in everybody's way.
    await old.start()
    way.turnTo(old.serverUrl)
    way.endAll()
    const keys = Array.from({ length: 8 }, () => randomBytes(12).toString('hex'))
    const replies = await Promise.all(keys.map((key) => placeOrder(key)))
    expect(replies.map(({ status }) => status)).toEqual(keys.map(() => 503))
    const waiting = await query(
      old.superuserUrl,
      `select 1 from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'bureau'`,
    )
    expect(waiting.length, 'writes did reach the old primary').toBeGreaterThan(0)
    await expectAcknowledgedOn(standby)
    way.turnTo(standby.serverUrl)
    way.endAll()
    const again = await Promise.all(
      keys.map((key) => eventually(() => order(key), { withinMs: recoverWithinMs })),
    )
    keys.forEach((key, index) => acknowledged.set(key, again[index] ?? ''))
    await old.stop()
    await restorePair()
    await expectAcknowledgedOn(primary)
    await eventually(() => expectAcknowledgedOn(standby))
    proof.measured(`${keys.length} writes through the old primary, 0 acknowledged, 503 each`)
    proof.measured(`the same keys answered by the new one`)
    proof.measured(`${acknowledged.size} orders acknowledged = rows of both after the rewind`)
  },
  { timeoutMs: 200_000 },
)

interface Window {
  readonly killedAt: number
  readonly turnedAt: number
}

function isWithin({ killedAt, turnedAt }: Window, at: number): boolean {
  return at >= killedAt && at <= turnedAt + recoverWithinMs
}

/** The primary dies, the standby takes its place, and the way is turned to it. */
async function failOver(): Promise<Window> {
  const killedAt = performance.now()
  await primary.kill()
  await promote(standby)
  way.turnTo(standby.serverUrl)
  return { killedAt, turnedAt: performance.now() }
}

/** The old primary follows the new one, and the two change their names. */
async function restorePair(): Promise<void> {
  await primary.stop()
  await rewind(primary, standby)
  ;[primary, standby] = [standby, primary]
  await requireStandby(primary)
}

/** The ways by which a primary ceases to be one while connections still lead to it. */
const demotions: readonly (readonly [string, () => Promise<void>])[] = [
  [
    'restarted as a standby',
    async () => {
      await primary.stop()
      await promote(standby)
      await rewind(primary, standby)
    },
  ],
  [
    'told to refuse writes',
    async () => {
      const readOnly = 'alter system set default_transaction_read_only = on'
      await query(primary.superuserUrl, readOnly)
      await query(primary.superuserUrl, 'select pg_reload_conf()')
      await eventually(() => expect(refusals()).not.toEqual([]))
      await promote(standby)
    },
  ],
]

/** Buyers that ask with the same key until they have their order. */
interface Load {
  readonly refused: Refusal[]
  stop(): Promise<void>
}

interface Refusal {
  readonly at: number
  readonly status: number
  readonly code: string
}

function startBuyers(count: number): Load {
  const refused: Refusal[] = []
  const state = { isStopped: false }
  const buy = async (): Promise<void> => {
    while (!state.isStopped) {
      const key = randomBytes(12).toString('hex')
      const id = await eventually(
        async () => {
          const { status, body } = await placeOrder(key)
          if (status === 201) return body.id
          refused.push({ at: performance.now(), status, code: body.code })
          throw new Error(`${status} ${body.code}`)
        },
        { withinMs: 2 * leaseMs },
      )
      acknowledged.set(key, id)
    }
  }
  const buyers = Promise.all(Array.from({ length: count }, buy))
  const stop = async (): Promise<void> => {
    state.isStopped = true
    await buyers
  }
  return { refused, stop }
}

/** Without those that only wait for the end of a lease. */
function refusals(): Refusal[] {
  return load.refused.filter(({ code }) => code !== 'idempotency_in_progress')
}

async function untilMore(count: number): Promise<void> {
  const wanted = acknowledged.size + count
  await eventually(() => expect(acknowledged.size).toBeGreaterThanOrEqual(wanted), {
    withinMs: 2 * leaseMs,
  })
}

/** Asked for once; its customer is named by its key. */
async function placeOrder(key: string): Promise<Reply> {
  const items = [{ serviceId, quantity: 1 }]
  const customer = { email: `${key}@example.com`, name: key }
  return await request(bureau.url, 'POST /api/orders', { token, key, body: { items, customer } })
}

/** An order that has to be acknowledged; gives its id. */
async function order(key = randomBytes(12).toString('hex')): Promise<string> {
  const { status, body } = await placeOrder(key)
  expect(status, JSON.stringify(body)).toBe(201)
  acknowledged.set(key, body.id)
  return body.id
}

/** Every key has the one order that was acknowledged, and nothing else is there. */
async function expectAcknowledgedOn(server: DatabaseServer): Promise<void> {
  const rows = await query<{ id: string; key: string }>(
    server.ownerUrl,
    `select id, split_part(customer_email, '@', 1) as key from orders`,
  )
  const found = rows.map(({ id, key }) => `${key} ${id}`).toSorted()
  expect(found).toEqual([...acknowledged].map(([key, id]) => `${key} ${id}`).toSorted())
}

/** The mail of an order is written by a job that hears of it. */
async function expectMailOf(server: DatabaseServer, id: string): Promise<void> {
  const mails = await query(server.ownerUrl, `select 1 from notifications where about_id = '${id}'`)
  expect(mails).toHaveLength(1)
}

async function expectMailOfAll(server: DatabaseServer): Promise<void> {
  const unlike = await query(
    server.ownerUrl,
    `select o.id from orders o left join notifications n on n.about_id = o.id
     group by o.id having count(n.id) <> 1`,
  )
  expect(unlike).toEqual([])
}

async function expectReplyFromMemory(): Promise<void> {
  const count = async (): Promise<number> => {
    const figures = await expectReply(200, bureau.url, 'GET /api/system/metrics', {
      token: metricsToken,
    })
    return Number(/^bureau_reply_cache_replies_total (\d+)$/m.exec(figures)?.[1])
  }
  const before = await count()
  for (let call = 0; call < 3; call += 1) await expectReply(200, bureau.url, 'GET /api/services')
  expect(await count()).toBeGreaterThan(before)
}

/** Not even to listen. */
async function expectNobodyWorksOn(server: DatabaseServer): Promise<void> {
  const sessions = await query(
    server.superuserUrl,
    `select application_name from pg_stat_activity where application_name like 'bureau%'`,
  )
  expect(sessions).toEqual([])
}
