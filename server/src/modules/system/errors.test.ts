import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../../../test/support/app.ts'
import { notFound, unavailable } from '../../kernel/errors.ts'

let app: TestApp
let admin: string

beforeAll(async () => {
  app = await startTestApp()
  admin = await app.as('admin')
})
afterAll(async () => {
  await app.close()
})

const list = (query = '') => app.request(`GET /api/system/errors${query}`, { token: admin })

/** Something goes wrong that nobody expected: a table is not there. */
async function without(table: string, work: () => Promise<void>): Promise<void> {
  await app.sql(`alter table ${table} rename to ${table}_away`)
  try {
    await work()
  } finally {
    await app.sql(`alter table ${table}_away rename to ${table}`)
  }
}

const failingRoute = 'GET /api/services/svc_01jd8q9yg8e5v9c0m4t7k2x3za'

describe('GET /api/system/errors', () => {
  test('401 and 403 for everybody without system:read', async () => {
    const { token } = await app.asCustomer('ada')
    const asked = await Promise.all([
      app.request('GET /api/system/errors'),
      app.request('GET /api/system/errors', { token }),
      app.request('GET /api/system/errors', { token: await app.as('agent') }),
    ])
    expect(asked.map(({ status }) => status)).toEqual([401, 403, 403])
  })

  test('200 groups what comes from one place, with count, times, request and stack', async () => {
    expect((await list()).body).toEqual({ data: [], nextCursor: null })
    await without('services', async () => {
      for (let count = 0; count < 3; count += 1) {
        const { status } = await app.request(failingRoute, {
          token: admin,
          headers: { 'x-request-id': `failing-${count}` },
        })
        expect(status).toBe(500)
        app.advance(1000)
      }
    })
    const { body } = await list()
    expect(body.data).toHaveLength(1)
    const [group] = body.data
    expect(group).toMatchObject({
      fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/),
      kind: 'request',
      name: 'error',
      code: '42P01',
      place: 'GET /api/services/:id',
      count: 3,
      lastRequestId: 'failing-2',
    })
    expect(Date.parse(group.lastSeenAt) - Date.parse(group.firstSeenAt)).toBeGreaterThan(1900)
    expect(group.stack.join('\n')).toMatch(/at \S+ \(modules\/catalog\/sql\//)
    // Paths of the machine, messages and what was asked for stay in the log.
    expect(JSON.stringify(body)).not.toMatch(/node_modules|svc_01jd|does not exist|\/work\//)
  })

  test('200 adds up what comes later and on another node', async () => {
    const other = await startTestApp({ beside: app })
    try {
      const [before] = (await list()).body.data
      await without('services', async () => {
        await Promise.all([
          app.request(failingRoute, { token: admin }),
          other.request(failingRoute, { token: admin }),
        ])
      })
      await other.app.instruments.errorReports.flush()
      const [after] = (await list()).body.data
      expect(after.fingerprint).toBe(before.fingerprint)
      expect(after.count).toBe(before.count + 2)
      expect(after.firstSeenAt).toBe(before.firstSeenAt)
    } finally {
      await other.close()
    }
  })

  test('200 with what a job met, by its name', async () => {
    const job = app.app.jobs.find(({ name }) => name === 'expire-orders')
    await without('orders', async () => {
      await expect(job?.run(app.systemContext(), {})).rejects.toThrow()
    })
    const { body } = await list('?kind=job')
    expect(body.data).toHaveLength(1)
    expect(body.data[0]).toMatchObject({ kind: 'job', place: 'expire-orders', code: '42P01' })
  })

  test('200 without what nobody could help: a part that is down is told by health', async () => {
    const { errorReports } = app.app.instruments
    const before = (await list('?kind=job')).body
    const place = { kind: 'job', place: 'deliver-mail', requestId: 'job-1' } as const
    errorReports.report(unavailable({ facts: { reason: 'connection refused' } }), place)
    expect((await list('?kind=job')).body).toEqual(before)
    // Refused by a rule of ours, where nobody but us asked, is a fault all the same.
    errorReports.report(notFound(), place)
    expect((await list('?kind=job')).body.data).toHaveLength(before.data.length + 1)
  })

  test('200 with the frames alone, though what an error quotes looks like one', async () => {
    const forged = 'refused:\n    at Ada Lovelace, 12 High Street (/server/src/modules/x.ts:1:1)'
    app.app.instruments.errorReports.report(new RangeError(forged), {
      kind: 'listener',
      place: 'send-mail',
      requestId: null,
    })
    const { body } = await list('?kind=listener')
    expect(body.data[0]).toMatchObject({ name: 'RangeError', place: 'send-mail' })
    expect(JSON.stringify(body)).not.toMatch(/Ada|modules\/x/)
  })

  test('200 by kind and by when it was last seen, by count too, page by page', async () => {
    const all = (await list()).body.data
    expect(all.length).toBeGreaterThan(1)
    const first = (await list('?limit=1')).body
    const second = (await list(`?limit=1&cursor=${first.nextCursor}`)).body
    expect([first.data[0], second.data[0]]).toEqual(all.slice(0, 2))
    const counts = (await list('?sort=-count')).body.data.map(
      ({ count }: { count: number }) => count,
    )
    expect(counts).toEqual(counts.toSorted((one: number, other: number) => other - one))
    const later = new Date(app.now().getTime() + 60_000).toISOString()
    expect((await list(`?since=${later}`)).body.data).toEqual([])
    const since = (await list(`?since=${all[0].lastSeenAt}`)).body.data
    expect(since.length).toBeGreaterThan(0)
    expect(since.length).toBeLessThan(all.length)
  })

  test('400 for a kind that there is not', async () => {
    const { status, body } = await list('?kind=ghost')
    expect([status, body.code]).toEqual([400, 'invalid_input'])
  })

  test('nothing is lost while the table cannot be written, and no request suffers', async () => {
    const [before] = (await list('?kind=request')).body.data
    const role = decodeURIComponent(new URL(app.database.serverUrl).username)
    await app.sql(`revoke insert, update on unexpected_errors from ${role}`)
    await without('services', async () => {
      for (let count = 0; count < 4; count += 1) {
        expect((await app.request(failingRoute, { token: admin })).status).toBe(500)
      }
    })
    await app.app.instruments.errorReports.flush()
    expect((await list('?kind=request')).body.data[0].count).toBe(before.count)
    await app.sql(`grant insert, update on unexpected_errors to ${role}`)
    expect((await list('?kind=request')).body.data[0].count).toBe(before.count + 4)
  })

  test('a storm of different faults stays bounded in memory', async () => {
    const { errorReports } = app.app.instruments
    for (let index = 0; index < 5000; index += 1) {
      errorReports.report(Object.assign(new Error(`storm ${index}`), { name: `Storm${index}` }), {
        kind: 'process',
        place: null,
        requestId: null,
      })
    }
    await errorReports.flush()
    const [row] = await app.sql("select count(*) from unexpected_errors where kind = 'process'")
    expect(Number(row?.['count'])).toBe(200)
    expect(JSON.stringify(await app.sql('select stack from unexpected_errors'))).not.toContain(
      'storm',
    )
  })

  test('what has not come again for three months is forgotten', async () => {
    app.advance(91 * 24 * 3600 * 1000)
    const job = app.app.jobs.find(({ name }) => name === 'prune-platform')
    await job?.run(app.systemContext(), {})
    expect(await app.sql('select id from unexpected_errors')).toEqual([])
  })
})
