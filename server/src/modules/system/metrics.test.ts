import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'

const metricsToken = 'a-token-that-only-the-scraper-has'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp({ metricsToken })
})
afterAll(async () => {
  await app.close()
})

const scrape = (): Promise<Reply> => app.request('GET /api/system/metrics', { token: metricsToken })

/** The samples of a scrape by name and labels. */
async function samples(): Promise<Map<string, number>> {
  const { status, body } = await scrape()
  expect(status).toBe(200)
  const lines = String(body)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ')
      return [line.slice(0, at), Number(line.slice(at + 1))]
    }),
  )
}

const seriesOf = (method: string, route: string, status: number): string =>
  'http_server_request_duration_seconds_count{' +
  `http_request_method="${method}",http_route="${route}",http_response_status_code="${status}"}`

describe('GET /api/system/metrics', () => {
  test("200 in Prometheus' text form for the metrics token and for staff with system:read", async () => {
    for (const token of [metricsToken, await app.as('admin'), await app.as('manager')]) {
      const { status, headers, body } = await app.request('GET /api/system/metrics', { token })
      expect(status).toBe(200)
      expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(body).toMatch(/^# TYPE http_server_request_duration_seconds histogram$/m)
    }
  })

  test('401 and 403 for everybody else: figures are not public', async () => {
    const { token } = await app.asCustomer('ada')
    const asked = await Promise.all([
      app.request('GET /api/system/metrics'),
      app.request('GET /api/system/metrics', { token: `${metricsToken}x` }),
      app.request('GET /api/system/metrics', { token: metricsToken.slice(1) }),
      app.request('GET /api/system/metrics', { token }),
      app.request('GET /api/system/metrics', { token: await app.as('agent') }),
    ])
    expect(asked.map(({ status }) => status)).toEqual([401, 401, 401, 403, 403])
  })

  test('401 for the metrics token anywhere else, also where staff with system:read may', async () => {
    for (const route of ['GET /api/events', 'GET /api/system/health', 'GET /api/orders'] as const) {
      expect([route, (await app.request(route, { token: metricsToken })).status]).toEqual([
        route,
        401,
      ])
    }
  })

  test('401 for any bearer where no metrics token is set', async () => {
    const other = await startTestApp({ beside: app })
    try {
      for (const token of [metricsToken, 'undefined', '']) {
        const { status } = await other.request('GET /api/system/metrics', { token })
        expect(status).toBe(401)
      }
    } finally {
      await other.close()
    }
  })

  test('406 for a client that reads neither text nor JSON', async () => {
    const ask = (accept: string): Promise<Reply> =>
      app.request('GET /api/system/metrics', { token: metricsToken, headers: { accept } })
    for (const accept of ['image/png', 'text/html']) expect((await ask(accept)).status).toBe(406)
    for (const accept of [
      'text/plain',
      'text/*',
      '*/*',
      'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1',
    ]) {
      const { status, headers } = await ask(accept)
      expect([accept, status, headers.get('content-type')]).toEqual([
        accept,
        200,
        'text/plain; version=0.0.4; charset=utf-8',
      ])
    }
    // Elsewhere text is no choice.
    expect((await app.request('GET /livez', { headers: { accept: 'text/plain' } })).status).toBe(
      406,
    )
  })

  test.each([
    ['application/json', 'json'],
    ['application/json, text/plain, */*', 'json'],
    ['text/plain;q=0.5, application/json', 'json'],
    ['application/*', 'json'],
    ['text/plain, application/json', 'text'],
    ['application/json;q=0.2, text/plain;q=0.3', 'text'],
    ['application/json;q=0, */*', 'text'],
    ['*/*', 'text'],
  ])('200 for a client that reads %s as %s', async (accept, form) => {
    const { status, headers } = await app.request('GET /api/system/metrics', {
      token: metricsToken,
      headers: { accept },
    })
    expect([status, headers.get('content-type')]).toEqual([200, expect.stringContaining(form)])
  })

  test('200 counts each request once by method, route template and status', async () => {
    const before = await samples()
    await app.request('GET /api/services/svc_01jd8q9yg8e5v9c0m4t7k2x3za')
    await app.request('GET /api/services/no-such-service')
    await app.request('DELETE /livez')
    const after = await samples()
    const added = (series: string): number => (after.get(series) ?? 0) - (before.get(series) ?? 0)
    expect(added(seriesOf('GET', '/api/services/:id', 404))).toBe(2)
    expect(added(seriesOf('DELETE', '/livez', 405))).toBe(1)
    expect(after.get('http_server_active_requests')).toBe(1)
  })

  test('200 with as many labels after a thousand hostile addresses as before', async () => {
    const hostile = ['PUT', 'GET', 'POST', 'DELETE', 'PROPFIND', 'OPTIONS'] as const
    const send = (index: number): Promise<Response> =>
      fetch(`${app.url}/${index}/${'%2e%2e'.repeat(index % 5)}/ada@example.com?x=${index}`, {
        method: hostile[index % hostile.length] ?? 'GET',
        headers: { 'x-request-id': `hostile-${index}` },
      })
    for (let index = 0; index < 12; index += 1) await (await send(index)).text()
    const broken = async (): Promise<void> => {
      await (await fetch(`${app.url}/%zz`)).text()
    }
    await broken()
    const before = await samples()
    for (let index = 0; index < 1000; index += 20) {
      await Promise.all(
        Array.from({ length: 20 }, async (_, offset) => (await send(index + offset)).text()),
      )
    }
    await broken()
    const after = await samples()
    const added = [...after.keys()].filter(
      (key) => !before.has(key) && !/^(nodejs|process)_/.test(key),
    )
    expect(added).toEqual([])
    expect(after.get(seriesOf('GET', 'unmatched', 404))).toBeGreaterThan(100)
    expect(after.get(seriesOf('GET', 'unmatched', 400))).toBeGreaterThan(1)
    expect([...after.keys()].join('\n')).not.toMatch(/hostile|example\.com|%/)
    expect(after.get('http_server_active_requests')).toBe(1)
  }, 60_000)

  test('200 names no person, no id and no address', async () => {
    const ada = await app.asCustomer('ada')
    await app.request('GET /api/auth/me', { token: ada.token })
    const { body } = await scrape()
    for (const part of [ada.email, ada.userId, ada.customerId, '@', '127.0.0.1', metricsToken]) {
      expect(body).not.toContain(part)
    }
  })

  test('200 with the pool, the event loop, the process and the job queue', async () => {
    const found = await samples()
    for (const name of [
      'bureau_database_connections',
      'bureau_database_connections_idle',
      'bureau_database_connections_max',
      'bureau_database_waiting_requests',
      'nodejs_eventloop_lag_p99_seconds',
      'process_resident_memory_bytes',
      'bureau_jobs{status="queued"}',
      'bureau_jobs{status="failed"}',
      'bureau_oldest_due_job_age_seconds',
      'bureau_undelivered_events',
    ]) {
      expect([name, Number.isFinite(found.get(name))]).toEqual([name, true])
    }
    expect(found.get('bureau_database_connections_max')).toBe(10)
    expect(found.get('bureau_figure_sources_failed')).toBe(0)
  })

  test('200 counts an event on one node only, however many there are', async () => {
    const other = await startTestApp({ beside: app, metricsToken })
    try {
      const name = 'bureau_events_total{type="category.created"}'
      await app.request('POST /api/services/categories', {
        token: await app.as('admin'),
        body: { name: 'Counted once' },
      })
      await Promise.all([app.runJobs(), other.runJobs()])
      const count = async (node: TestApp): Promise<number> => {
        const { body } = await node.request('GET /api/system/metrics', { token: metricsToken })
        const line = String(body)
          .split('\n')
          .find((text) => text.startsWith(name))
        return Number(line?.slice(name.length) ?? 0)
      }
      await expect
        .poll(async () => (await count(app)) + (await count(other)), { timeout: 15_000 })
        .toBe(1)
    } finally {
      await other.close()
    }
  })

  test('200 without the figures that cannot be read, and says how many', async () => {
    const other = await startTestApp({ metricsToken })
    try {
      for (const table of ['event_delivery', 'notifications', 'payments']) {
        await other.sql(`alter table ${table} rename to ${table}_away`)
      }
      const { body } = await other.request('GET /api/system/metrics', { token: metricsToken })
      expect(body).toMatch(/^bureau_figure_sources_failed 3$/m)
      expect(body).not.toMatch(/^bureau_(jobs|undelivered_events)[ {]/m)
      expect(body).toMatch(/^bureau_database_connections \d/m)
      const summary = await other.request('GET /api/system/metrics', {
        token: metricsToken,
        headers: { accept: 'application/json' },
      })
      expect(summary.body).toMatchObject({
        jobs: null,
        mails: null,
        today: { orders: 0, revenue: null },
        missing: 3,
      })
    } finally {
      await other.close()
    }
  })
})

describe('docs/guides/operations.md', () => {
  const page = readFileSync(
    path.resolve(import.meta.dirname, '../../../../docs/guides/operations.md'),
    'utf8',
  )

  test('names figures that a scrape has', async () => {
    const named = page.match(/\b(bureau|http_server|nodejs|process)_\w+/g) ?? []
    expect(named.length).toBeGreaterThan(10)
    const text = String((await scrape()).body)
    for (const name of named.map((one) => one.replace(/_(bucket|count|sum)$/, ''))) {
      expect(text).toMatch(new RegExp(`^# TYPE ${name} `, 'm'))
    }
  })

  test('explains every check that there is', async () => {
    const [, table = ''] = /## What each check means\n(.*?)\n## /s.exec(page) ?? []
    const explained = [...table.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name)
    const { body } = await app.request('GET /api/system/health', { token: await app.as('admin') })
    expect(explained.toSorted()).toEqual(Object.keys(body.checks).toSorted())
  })
})

describe('GET /api/system/metrics as JSON', () => {
  const summary = async (): Promise<Reply> =>
    app.request('GET /api/system/metrics', {
      token: await app.as('admin'),
      headers: { accept: 'application/json' },
    })

  test('200 with rates and quantiles of the requests of late, by route', async () => {
    for (let count = 0; count < 20; count += 1) await app.request('GET /livez')
    const { status, headers, body } = await summary()
    expect(status).toBe(200)
    expect(headers.get('content-type')).toContain('application/json')
    const route = body.requests.routes.find(
      (one: { route: string; method: string }) => one.route === '/livez' && one.method === 'GET',
    )
    expect(route.count).toBeGreaterThanOrEqual(20)
    expect(route.errorRate).toBe(0)
    expect(route.p50).toBeGreaterThan(0)
    expect(route.p50).toBeLessThanOrEqual(route.p95)
    expect(route.p95).toBeLessThanOrEqual(route.p99)
    expect(body.requests.count).toBeGreaterThanOrEqual(route.count)
    expect(body.requests.perSecond).toBeGreaterThan(0)
    expect(body.requests.active).toBe(1)
  })

  test('200 with memory, uptime, connections, jobs, mails and the day', async () => {
    const { body } = await summary()
    expect(body.process.uptimeSeconds).toBeGreaterThan(0)
    expect(body.process.residentBytes).toBeGreaterThan(body.process.heapUsedBytes)
    expect(body.process.eventLoopLagMs).toBeGreaterThanOrEqual(0)
    expect(body.database.maximum).toBe(10)
    expect(body.jobs).toMatchObject({ failed: 0, running: 0 })
    expect(body.mails).toEqual({ queued: expect.any(Number), failed: expect.any(Number) })
    expect(body.today).toEqual({ orders: expect.any(Number), revenue: expect.any(Array) })
    expect(body.missing).toBe(0)
  })
})
