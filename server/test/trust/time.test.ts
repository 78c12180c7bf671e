import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { hourMs, later, minuteMs, secondMs } from '../../src/kernel/time.ts'
import { openOrderCase } from '../../src/modules/crm/usecases/open-case.ts'
import { inTx } from '../../src/platform/context.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { promise } from './promise.ts'

let app: TestApp
let serviceId: string

beforeAll(async () => {
  app = await startTestApp()
  const { body } = await app.request('POST /api/services', {
    token: await app.as('admin'),
    body: { name: 'Filing', price: { amount: 0, currency: 'GBP' }, status: 'active' },
  })
  serviceId = body.id
})
afterAll(() => app.close())

async function signIn(): Promise<string> {
  const { body } = await app.request('POST /api/auth/login', {
    body: { email: 'clock@example.com', password: 'seven quiet otters' },
  })
  return body.accessToken
}

async function statusOf(token: string): Promise<number> {
  return (await app.request('GET /api/auth/me', { token })).status
}

promise(37, 'no token outlives its end, whichever way the clock jumps', async (proof) => {
  await app.request('POST /api/auth/register', {
    body: { email: 'clock@example.com', password: 'seven quiet otters', name: 'Clock' },
  })
  const seen: number[] = []
  const after = async (byMs: number, token: string): Promise<void> => {
    app.advance(byMs)
    seen.push(await statusOf(token))
    app.advance(-byMs)
  }
  const token = await signIn()
  for (const byMs of [0, 14 * minuteMs, -30 * secondMs]) await after(byMs, token)
  expect(seen).toEqual([200, 200, 200])
  // This node has it in memory by now: neither that nor a clock put back makes it longer.
  for (const byMs of [-hourMs, -2 * minuteMs, 15 * minuteMs, hourMs]) await after(byMs, token)
  expect(seen.slice(3)).toEqual([401, 401, 401, 401])
  app.advance(hourMs)
  const ofTheFuture = await signIn()
  app.advance(-hourMs)
  expect(await statusOf(ofTheFuture)).toBe(401)
  proof.measured('a token is good from 60 s before its issue to its end, at ± 1 h never')
})

promise(37, 'numbers rise and nothing is done twice while the clock jumps', async (proof) => {
  const numbers: number[] = []
  const token = await app.as('admin')
  for (let order = 0; order < 20; order += 1) {
    const jumpMs = Math.round((proof.random() * 2 - 1) * hourMs)
    const body = {
      items: [{ serviceId, quantity: 1 }],
      customer: { email: `jump${order}@example.com`, name: 'Jump' },
    }
    const placed = await app.request('POST /api/orders', { token, body })
    expect(placed.status, JSON.stringify(placed.body)).toBe(201)
    numbers.push(Number(String(placed.body.number).split('-')[1]))
    // Whatever is due by the new clock runs, as at its tick.
    app.advance(jumpMs)
    for (const job of app.app.jobs.filter(({ schedule }) => schedule !== null)) {
      await job.run(app.systemContext(), {})
    }
    await app.runJobs()
    app.advance(-jumpMs)
  }
  expect(numbers).toEqual(numbers.toSorted((one, other) => one - other))
  expect(new Set(numbers).size).toBe(numbers.length)
  const [state] = await app.sql(`
    select (select count(*)::int from graphile_worker.jobs) as jobs,
      (select count(*)::int from notifications where template = 'order_received') as mails`)
  expect(state).toEqual({ jobs: 0, mails: numbers.length })
  proof.measured(`${numbers.length} jumps within ± 1 h, ${numbers.length} rising numbers`)
  proof.measured('one mail an order, no job left over')
})

const zones = [
  'UTC',
  'Europe/London',
  'America/New_York',
  'America/Santiago',
  'Africa/Cairo',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Pacific/Apia',
  'Pacific/Chatham',
]

promise(
  38,
  'due dates end with the day of the business, across every change of time',
  async (proof) => {
    const admin = await app.as('admin')
    const { database } = app
    const [name] = await app.sql('select current_database() as name')
    // What the database itself takes for its time zone says nothing.
    await app.sql(`alter database ${String(name?.['name'])} set timezone to 'Asia/Kolkata'`)
    const elsewhere = await startTestApp({ beside: { ...app, database } })
    const instants = fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2031, 0, 1) })
    let runs = 0
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...zones),
          instants,
          fc.integer({ min: 0, max: 60 }),
          fc.constantFrom(app, elsewhere),
          async (timeZone, instant, turnaroundDays, node) => {
            const made = await node.request('POST /api/services', {
              token: admin,
              body: {
                name: `Due ${runs}`,
                price: { amount: 0, currency: 'GBP' },
                status: 'active',
                turnaroundDays,
              },
            })
            const order = await node.request('POST /api/orders', {
              token: admin,
              body: {
                items: [{ serviceId: made.body.id, quantity: 1 }],
                customer: { email: 'due@example.com', name: 'Due' },
              },
            })
            const context = node.systemContext()
            const at = new Date(instant)
            const system = { ...context, now: at, business: { ...context.business, timeZone } }
            await inTx(system, async (ctx) => await openOrderCase(ctx, order.body.id))
            const [row] = await app.sql('select due_at from cases where order_id = $1', [
              order.body.id,
            ])
            const dueAt = row?.['due_at'] as Date
            const day = addDays(dayIn(timeZone, at), turnaroundDays)
            expect([timeZone, dayIn(timeZone, dueAt)]).toEqual([timeZone, day])
            expect(dayIn(timeZone, later(dueAt, 1))).toBe(addDays(day, 1))
            runs += 1
          },
        ),
        { seed: proof.seed, numRuns: 40 },
      )
    } finally {
      await elsewhere.close()
    }
    proof.measured(`${runs} instants in ${zones.length} zones, two time zones of the database`)
  },
)

promise(38, 'every instant is stored with its zone and told in UTC', async (proof) => {
  const columns = await app.sql(`
    select table_name || '.' || column_name as name, data_type from information_schema.columns
    where table_schema = current_schema() and data_type like 'timestamp%'`)
  expect(columns.length).toBeGreaterThan(30)
  const local = columns.filter((column) => column['data_type'] !== 'timestamp with time zone')
  expect(local).toEqual([])
  const { body } = await app.request('GET /api/orders', { token: await app.as('admin') })
  const told = [...JSON.stringify(body).matchAll(/"\w+At":"([^"]+)"/g)].map(([, at = '']) => at)
  expect(told.length).toBeGreaterThan(0)
  expect(told.filter((at) => !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(at))).toEqual([])
  proof.measured(`${columns.length} columns with a zone, ${told.length} instants told with Z`)
})

/** `YYYY-MM-DD` as the wall calendar there shows it. */
function dayIn(timeZone: string, at: Date): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' }).format(at)
}

function addDays(day: string, days: number): string {
  const date = new Date(`${day}T00:00:00Z`)
  date.setUTCDate(date.getUTCDate() + days)
  return date.toISOString().slice(0, 10)
}
