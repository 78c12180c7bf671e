import { connect } from 'node:net'
import { once } from 'node:events'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { withDatabase } from '../../../test/support/global-setup.ts'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'

const patience = { timeout: 15_000, interval: 20 }

let app: TestApp
let aheadMs = 0
const measure = performance.now.bind(performance)

beforeAll(async () => {
  vi.spyOn(performance, 'now').mockImplementation(() => measure() + aheadMs)
  app = await startTestApp()
})
afterAll(async () => {
  await app.close()
  vi.restoreAllMocks()
})

/** Asks as if it were much later: what was found before is too old to be told again. */
function askLater(
  route: Parameters<TestApp['request']>[0],
  { of = app, token }: { of?: TestApp; token?: string } = {},
): Promise<Reply> {
  aheadMs += 5000
  return of.request(route, token === undefined ? {} : { token })
}

describe('GET /livez', () => {
  test('200 without asking anybody', async () => {
    const before = app.db.statementCount()
    const { status, body } = await app.request('GET /livez')
    expect([status, body]).toEqual([200, { status: 'pass' }])
    expect(app.db.statementCount()).toBe(before)
  })
})

describe('GET /readyz', () => {
  test('200 while database, schema and keys are there', async () => {
    const { status, body, headers } = await app.request('GET /readyz')
    expect([status, body]).toEqual([200, { status: 'pass' }])
    expect(headers.get('cache-control')).toBe('no-store')
  })

  test('200 a hundred times costs a few statements: looks are shared', async () => {
    const before = app.db.statementCount()
    const replies = await Promise.all(Array.from({ length: 100 }, () => app.request('GET /readyz')))
    expect(replies.every(({ status }) => status === 200)).toBe(true)
    expect(app.db.statementCount() - before).toBeLessThan(20)
  })

  test('503 while a migration of this version is missing, and 200 again after it', async () => {
    const [row] = await app.sql(`delete from schema_migrations
      where name = (select max(name) from schema_migrations) returning name, checksum, applied_at`)
    const { status, body, headers } = await askLater('GET /readyz')
    expect([status, body]).toEqual([503, { status: 'fail' }])
    expect(headers.get('retry-after')).toBe('5')
    await app.sql(
      'insert into schema_migrations (name, checksum, applied_at) values ($1, $2, $3)',
      [row?.['name'], row?.['checksum'], row?.['applied_at']],
    )
    expect((await askLater('GET /readyz')).status).toBe(200)
  })

  test('200 with a newer schema: two versions run side by side during an update', async () => {
    await app.sql("insert into schema_migrations values ('9999_later.sql', 'x', now())")
    try {
      expect((await askLater('GET /readyz')).status).toBe(200)
    } finally {
      await app.sql("delete from schema_migrations where name = '9999_later.sql'")
    }
  })

  test('503 within its bound while the database only hangs, then 200', async () => {
    const client = new pg.Client({ connectionString: app.database.ownerUrl })
    await client.connect()
    await client.query('begin')
    await client.query('lock table schema_migrations in access exclusive mode')
    try {
      const startedAt = measure()
      expect((await askLater('GET /readyz')).status).toBe(503)
      expect(measure() - startedAt).toBeLessThan(4000)
      expect((await app.request('GET /livez')).status).toBe(200)
    } finally {
      await client.query('rollback')
      await client.end()
    }
    await expect.poll(async () => (await askLater('GET /readyz')).status, patience).toBe(200)
  })

  test('503 while there is no key to sign tokens with that other nodes would find', async () => {
    const other = await startTestApp()
    try {
      await other.as('admin')
      expect((await other.request('GET /readyz')).status).toBe(200)
      await other.sql('delete from signing_keys')
      expect((await askLater('GET /readyz', { of: other })).status).toBe(503)
    } finally {
      await other.close()
    }
  })

  test('503 by a connection that is still open while the process stops', async () => {
    const other = await startTestApp()
    const socket = connect(Number(new URL(other.url).port), '127.0.0.1')
    let received = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => (received += chunk))
    await once(socket, 'connect')
    socket.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n')
    const ended = once(socket, 'close')
    // The connection has begun to send, so that it is waited for.
    await expect.poll(() => connectionCount(other), patience).toBeGreaterThan(0)
    const closing = other.close()
    await expect
      .poll(async () => (await other.app.instruments.health.readiness()).status, patience)
      .toBe('fail')
    socket.write('\r\n')
    await ended
    expect(received).toMatch(/^HTTP\/1\.1 503 /)
    expect(received).toMatch(/^connection: close/im)
    expect(received).toContain('{"status":"fail"}')
    await closing
  })
})

function connectionCount({ app: { http } }: TestApp): Promise<number> {
  return new Promise((resolve, reject) => {
    http.server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
  })
}

describe('GET /api/system/health', () => {
  test('200 with the status alone for the public, customers and staff without system:read', async () => {
    const { token } = await app.asCustomer('ada')
    for (const options of [{}, { token }, { token: await app.as('agent') }]) {
      const { status, body, headers } = await app.request('GET /api/system/health', options)
      expect(status).toBe(200)
      expect(Object.keys(body)).toEqual(['status'])
      expect(headers.get('content-type')).toContain('application/health+json')
    }
  })

  test('200 with every part for staff with system:read', async () => {
    const { status, body } = await app.request('GET /api/system/health', {
      token: await app.as('admin'),
      headers: { accept: 'application/health+json' },
    })
    expect(status).toBe(200)
    expect(Object.keys(body.checks)).toEqual(
      expect.arrayContaining(['database', 'migrations', 'clock', 'jobs', 'keys']),
    )
    for (const [name, [check]] of Object.entries<[Record<string, unknown>]>(body.checks)) {
      expect([name, check['status']]).toEqual([name, expect.stringMatching(/^(pass|warn)$/)])
    }
    expect(body.checks.database[0]).toMatchObject({ status: 'pass', observedUnit: 'ms' })
  })

  test('200 warn, never fail, for jobs that failed for good and for a wrong clock', async () => {
    await app.sql(`select graphile_worker.add_job('no-such-task', max_attempts => 1)`)
    await app.sql(`update graphile_worker._private_jobs set attempts = max_attempts`)
    app.advance(60_000)
    const { status, body } = await askLater('GET /api/system/health', {
      token: await app.as('admin'),
    })
    expect([status, body.status, body.checks.jobs[0].status]).toEqual([200, 'warn', 'warn'])
    expect(body.checks.jobs[0].output).toContain('status=failed')
    expect(body.checks.clock[0]).toMatchObject({ status: 'warn', observedUnit: 'ms' })
    expect(body.checks.clock[0].observedValue).toBeGreaterThan(50_000)
    await app.sql('delete from graphile_worker._private_jobs')
    app.advance(-60_000)
  })

  test('503 fail while the database is down, and 200 by itself when it is back', async () => {
    const name = new URL(app.database.serverUrl).pathname.slice(1)
    const superuser = new pg.Client({
      connectionString: withDatabase(inject('cluster').superuser, 'postgres'),
    })
    await superuser.connect()
    try {
      await superuser.query(`alter database ${name} with allow_connections false`)
      await superuser.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
        [name],
      )
      const { status, body, headers } = await askLater('GET /api/system/health')
      expect([status, body]).toEqual([503, { status: 'fail' }])
      expect(headers.get('content-type')).toContain('application/health+json')
      expect(headers.get('retry-after')).toBe('5')
      expect((await askLater('GET /readyz')).status).toBe(503)
      expect((await app.request('GET /livez')).status).toBe(200)
    } finally {
      await superuser.query(`alter database ${name} with allow_connections true`)
      await superuser.end()
    }
    await expect
      .poll(async () => (await askLater('GET /api/system/health')).status, patience)
      .toBe(200)
    expect((await askLater('GET /readyz')).status).toBe(200)
  })
})
