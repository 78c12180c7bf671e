import { afterAll, beforeAll, expect } from 'vitest'
import { expectReply, signInAdmin } from '../../support/client.ts'
import {
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../../support/fresh-database.ts'
import { buyAsGuest, publishService } from '../../support/journey.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import { promise } from '../promise.ts'

/** The clocks of three machines on one database: behind UTC, on it, three quarters off an hour. */
const zones = ['America/New_York', 'UTC', 'Pacific/Chatham'] as const

let database: FreshDatabase
let nodes: Running[]

beforeAll(async () => {
  database = await makeFreshDatabase()
  nodes = []
  for (const TZ of zones) {
    const own = { TZ, TIME_ZONE: 'Europe/London', PAYMENTS: 'sandbox', LOG_LEVEL: 'info' }
    nodes.push(await startBureau({ ...settingsOf(database, await makeFolder()), ...own }))
  }
}, 3 * startTimeoutMs)
afterAll(async () => {
  await cleanUp()
  await database.drop()
}, startTimeoutMs)

/** Instants as clients write them, among them hours that a change of time skips or has twice. */
const instants = [
  '2026-03-08T07:30:00.000Z',
  '2026-03-08T02:30:00.000Z',
  '2026-11-01T05:30:00.000Z',
  '2026-11-01T06:30:00.000Z',
  '2026-04-04T13:45:00.000Z',
  '2026-09-26T14:15:00.000Z',
  '2028-02-29T23:59:59.999Z',
  '2000-01-01T00:00:00.123Z',
]

promise(
  38,
  'processes in three time zones store and answer the same instants',
  async (proof) => {
    const [first] = nodes
    const token = await signInAdmin(first?.url ?? '')
    const serviceId = await publishService(first?.url ?? '', token)
    const addresses: string[] = [
      '/api/orders',
      '/api/crm',
      '/api/events?limit=100',
      '/api/customers',
    ]
    for (const [index, { url }] of nodes.entries()) {
      const before = Date.now()
      const { order } = await buyAsGuest(url, serviceId, `zone${index}`)
      const after = Date.now()
      const at = Date.parse(order.createdAt as string)
      expect([zones[index], at >= before - 1000 && at <= after + 1000]).toEqual([
        zones[index],
        true,
      ])
      addresses.push(`/api/orders/${order.id}`, `/api/orders?createdFrom=${order.createdAt}`)
      for (const instant of instants) {
        const body = {
          subject: `Due ${instant}`,
          description: 'When?',
          kind: 'case',
          dueAt: instant,
        }
        const contact = { email: 'due@example.com', name: 'Due' }
        const made = await expectReply(201, url, 'POST /api/crm', {
          token,
          body: { ...body, contact },
        })
        expect([zones[index], made.dueAt]).toEqual([zones[index], instant])
        addresses.push(`/api/crm/${made.id}`)
      }
    }
    let told = 0
    for (const address of addresses) {
      const replies = await Promise.all(
        nodes.map(
          async ({ url }) => await expectReply(200, url, `GET ${address as '/'}`, { token }),
        ),
      )
      const [one, ...others] = replies.map((reply) => JSON.stringify(reply))
      for (const other of others) expect([address, other]).toEqual([address, one])
      told += one?.match(/"\w+At":"[^"]+Z"/g)?.length ?? 0
    }
    await expectStored()
    const local = nodes.flatMap(({ output }) => output().match(/"time":"[^"]*"/g) ?? [])
    expect(local.length).toBeGreaterThan(nodes.length)
    expect(local.filter((time) => !/^"time":"\d{4}-\d\d-\d\dT[\d:.]+Z"$/.test(time))).toEqual([])
    proof.measured(`${told} instants in ${addresses.length} replies alike from ${zones.join(', ')}`)
    proof.measured(`${instants.length} due dates in hours that change, stored as they were sent`)
  },
  { timeoutMs: 120_000 },
)

/** In the database itself, whatever its clients think: as sent, and each order just now. */
async function expectStored(): Promise<void> {
  const rows = await query<{ subject: string; due: string }>(
    database.superuserUrl,
    `select subject, to_char(due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as due
      from cases where subject like 'Due %'`,
  )
  expect(rows).toHaveLength(instants.length * zones.length)
  expect(rows.filter(({ subject, due }) => subject !== `Due ${due}`)).toEqual([])
  const [orders] = await query(
    database.superuserUrl,
    `select count(*)::int as orders, count(distinct cases.due_at)::int as due,
        bool_and(orders.created_at between now() - interval '2 minutes' and now()) as recent
      from orders join cases on cases.order_id = orders.id`,
  )
  // All of them end with the same day of the business, unless midnight came between.
  expect(orders).toEqual({ orders: zones.length, due: 1, recent: true })
}
