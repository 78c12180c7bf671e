import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import pg from 'pg'
import { startTestApp, type Reply, type TestApp } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'
import { openWire, sendRaw, type Wire } from '../support/wire.ts'
import { withDatabase } from '../support/global-setup.ts'

/** Two nodes on one database; the second hears of changes by a wire that can fail. */
let app: TestApp
let other: TestApp
let wire: Wire
let token: string

const price = { amount: 14_900, currency: 'GBP' }

beforeAll(async () => {
  app = await startTestApp()
  wire = await openWire(app.database.serverUrl)
  other = await startTestApp({ beside: app, noticesUrl: wire.url })
})
beforeEach(async () => {
  token = await app.as('admin')
  await eventually(() => expect([isFresh(app), isFresh(other)]).toEqual([true, true]))
  for (const node of [app, other]) await untilKept(node, '/api/services?limit=2')
})
afterAll(async () => {
  await other.close()
  await wire.close()
  await app.close()
})

function isFresh(node: TestApp): boolean {
  return node.ports.invalidation.isFresh()
}

async function read(node: TestApp, address: string, headers = {}): Promise<Reply> {
  return await node.request(`GET ${address}` as 'GET /', { headers })
}

async function write(method: string, address: string, body?: unknown): Promise<Reply> {
  const reply = await app.request(`${method} ${address}` as 'POST /', {
    token,
    ...(body === undefined ? {} : { body }),
  })
  expect(reply.status).toBeLessThan(300)
  return reply
}

async function publish(name: string, more = {}): Promise<{ id: string; slug: string }> {
  return (await write('POST', '/api/services', { name, price, status: 'active', ...more })).body
}

/** What a read costs the database. */
async function statementsOf(node: TestApp, work: () => Promise<unknown>): Promise<number> {
  const before = node.db.statementCount()
  await work()
  return node.db.statementCount() - before
}

/** A node hears of its own writes too, and forgets once more what it has loaded since. */
async function untilKept(node: TestApp, address: string): Promise<void> {
  await eventually(async () => {
    expect(await statementsOf(node, () => read(node, address))).toBe(0)
  })
}

describe('what nobody in particular asks for', () => {
  test('200 once from the database and then from memory, with the same bytes and tag', async () => {
    const { body: category } = await write('POST', '/api/services/categories', {
      name: 'Companies',
    })
    const service = await publish('Company formation', { categoryId: category.id })
    for (const address of [
      '/api/services',
      '/api/services?category=companies&limit=5&sort=-name',
      '/api/services?q=formation',
      `/api/services/${service.id}`,
      `/api/services/${service.slug}`,
      '/api/services/categories',
      `/api/services/categories/${category.id}`,
    ]) {
      const first = await read(app, address)
      await untilKept(app, address)
      let second: Reply | undefined
      const spent = await statementsOf(app, async () => (second = await read(app, address)))
      expect([address, spent, second?.status]).toEqual([address, 0, 200])
      expect(second?.body).toEqual(first.body)
      const names = ['etag', 'vary', 'cache-control', 'content-type', 'content-length']
      for (const name of [...names, 'access-control-expose-headers', 'x-content-type-options']) {
        expect([name, second?.headers.get(name)]).toEqual([name, first.headers.get(name)])
      }
      expect(second?.headers.get('etag')).toMatch(/^"[\w-]+"$/)
      expect(second?.headers.get('cache-control')).toContain('public')
      expect(second?.headers.get('ratelimit')).toMatch(/^"default";r=\d+;t=\d+$/)
      expect(second?.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
    }
  })

  test('304 from memory for whoever has it, until it changes', async () => {
    const { id } = await publish('Kept by a browser')
    for (const address of ['/api/services?limit=3', `/api/services/${id}`]) {
      await untilKept(app, address)
      const known = { 'if-none-match': (await read(app, address)).headers.get('etag') ?? '' }
      const spent = await statementsOf(app, async () => {
        const { status, headers, body } = await read(app, address, known)
        expect([status, body, headers.get('etag')]).toEqual([304, '', known['if-none-match']])
        expect(headers.get('vary')).toContain('Authorization')
      })
      expect(spent).toBe(0)
      await write('PATCH', `/api/services/${id}`, { name: `Changed after ${address}` })
      expect((await read(app, address, known)).status).toBe(200)
    }
  })

  test('200 to HEAD from memory, without a body', async () => {
    const { id } = await publish('Asked for its head')
    await untilKept(app, `/api/services/${id}`)
    const whole = await read(app, `/api/services/${id}`)
    const spent = await statementsOf(app, async () => {
      const { status, headers, body } = await app.request(`HEAD /api/services/${id}`)
      expect([status, body, headers.get('etag')]).toEqual([200, '', whole.headers.get('etag')])
      expect(headers.get('content-length')).toBe(whole.headers.get('content-length'))
    })
    expect(spent).toBe(0)
  })

  test('200 from memory whatever the order of the parameters', async () => {
    await read(app, '/api/services?limit=4&sort=name&currency=GBP')
    const again = () => read(app, '/api/services?currency=GBP&sort=name&limit=4')
    expect(await statementsOf(app, again)).toBe(0)
  })

  test('200 never for another question that is written alike', async () => {
    const ask = (question: string) =>
      sendRaw(app, `GET /api/services#${question} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    // Without the question mark these are the parameters `q` and `limit`, and then `q` and `sort`.
    expect(await ask('q=a?sort=name&limit=2')).toMatch(/^HTTP\/1\.1 200 /)
    const other = () => ask('q=a?limit=2&sort=name')
    expect(await statementsOf(app, other)).toBe(1)
  })

  test('200 with the CORS headers of the one who asks', async () => {
    await read(app, '/api/services?limit=6')
    const allowed = await read(app, '/api/services?limit=6', { origin: 'https://shop.example' })
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://shop.example')
    const foreign = await read(app, '/api/services?limit=6', { origin: 'https://evil.example' })
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull()
    expect(foreign.headers.get('vary')).toBe('Origin, Authorization')
  })

  test('200 is the same by the short way and by the framework’s', async () => {
    await untilKept(app, '/api/services?limit=5')
    const varying = ['date', 'x-request-id', 'ratelimit']
    const headersOf = ({ headers }: Reply) =>
      Object.fromEntries([...headers].filter(([name]) => !varying.includes(name)))
    const short = await read(app, '/api/services?limit=5')
    // What a stranger's page asks for takes the long way, and is told nothing of its own.
    const long = await read(app, '/api/services?limit=5', { origin: 'https://evil.example' })
    expect(headersOf(short)).toEqual(headersOf(long))
    expect(short.body).toEqual(long.body)
    for (const { headers } of [short, long]) {
      expect(headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/)
      expect(headers.get('ratelimit')).toMatch(/^"default";r=\d+;t=\d+$/)
    }
    const own = { 'x-request-id': 'my-own.1' }
    const named = await read(app, '/api/services?limit=5', own)
    expect(named.headers.get('x-request-id')).toBe('my-own.1')
  })

  test('400 for two Host headers, though the reply is in memory', async () => {
    await untilKept(app, '/api/services?limit=5')
    const ask = (hosts: string) =>
      sendRaw(app, `GET /api/services?limit=5 HTTP/1.1\r\n${hosts}Connection: close\r\n\r\n`)
    expect(await ask('Host: a\r\n')).toMatch(/^HTTP\/1\.1 200 /)
    expect(await ask('Host: a\r\nhOST: b\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  })

  test('every reply from memory is counted as a request', async () => {
    await untilKept(app, '/api/services?limit=5')
    const { metrics } = app.app.instruments
    const count = async (): Promise<number> => {
      const text = await metrics.write([])
      return Number(/^bureau_reply_cache_replies_total (\d+)$/m.exec(text)?.[1])
    }
    const before = await count()
    for (let call = 0; call < 5; call += 1) await read(app, '/api/services?limit=5')
    await read(app, '/api/services?limit=5', { origin: 'https://shop.example' })
    await eventually(async () => expect(await count()).toBe(before + 6))
  })

  test('200 for fifty at once costs one load', async () => {
    const ask = () =>
      Promise.all(Array.from({ length: 50 }, () => read(app, '/api/services?limit=9')))
    expect(await statementsOf(app, ask)).toBe(1)
    expect(app.app.replies.figures().entries).toBeGreaterThan(0)
  })

  test('400, 404 and 406 are never kept, and never answered from memory', async () => {
    const { id } = await publish('Not there yet', { status: 'draft' })
    expect((await read(app, `/api/services/${id}`)).status).toBe(404)
    await write('PATCH', `/api/services/${id}`, { status: 'active' })
    expect((await read(app, `/api/services/${id}`)).status).toBe(200)
    expect((await read(app, `/api/services/${id}`, { accept: 'text/html' })).status).toBe(406)
    expect((await read(app, '/api/services?limit=0')).status).toBe(400)
    expect((await read(app, '/api/services?limit=0')).status).toBe(400)
  })
})

describe('whoever sends a token', () => {
  test('200 past the cache, with what their role may see and nothing to keep', async () => {
    const { id } = await publish('A draft', { status: 'draft' })
    expect((await read(app, `/api/services/${id}`)).status).toBe(404)
    const ada = (await app.asCustomer('ada')).token
    for (const [asked, status] of [
      [token, 200],
      [ada, 404],
    ] as const) {
      const headers = { authorization: `Bearer ${asked}` }
      const reply = await read(app, `/api/services/${id}`, headers)
      expect([reply.status, reply.headers.get('cache-control')]).toEqual([status, 'no-store'])
      const list = () => read(app, '/api/services', headers)
      expect(await statementsOf(app, list)).toBeGreaterThan(0)
      expect(await statementsOf(app, list)).toBeGreaterThan(0)
    }
  })

  test('401 for a bad one, though the reply is in memory', async () => {
    await read(app, '/api/services')
    expect((await read(app, '/api/services', { authorization: 'Bearer no' })).status).toBe(401)
    expect((await read(app, '/api/services', { 'x-order-token': 'no' })).status).toBe(401)
  })
})

describe('on the node that answered a write', () => {
  test('200 is never what was before, for each kind of write', async () => {
    const { body: first } = await write('POST', '/api/services/categories', { name: 'First' })
    const { body: second } = await write('POST', '/api/services/categories', { name: 'Second' })
    const { id } = await publish('Written', { categoryId: first.id })
    const seen = async (): Promise<unknown[]> => {
      const [service, list, categories, category] = await Promise.all([
        read(app, `/api/services/${id}`),
        read(app, '/api/services?limit=100'),
        read(app, '/api/services/categories?limit=100'),
        read(app, `/api/services/categories/${first.id}`),
      ])
      const listed = (list.body.data as { id: string }[]).some((one) => one.id === id)
      const counts = (categories.body.data as { id: string; serviceCount: number }[])
        .filter((one) => [first.id, second.id].includes(one.id))
        .map((one) => one.serviceCount)
      return [service.status, service.body.name, listed, counts, category.body.name]
    }
    expect(await seen()).toEqual([200, 'Written', true, [1, 0], 'First'])
    await write('PATCH', `/api/services/${id}`, { name: 'Rewritten' })
    expect(await seen()).toEqual([200, 'Rewritten', true, [1, 0], 'First'])
    await write('PATCH', `/api/services/categories/${first.id}`, { name: 'Primary' })
    expect(await seen()).toEqual([200, 'Rewritten', true, [1, 0], 'Primary'])
    await write('PATCH', '/api/services/bulk/status', { ids: [id], status: 'archived' })
    expect(await seen()).toEqual([404, undefined, false, [0, 0], 'Primary'])
    await write('PATCH', `/api/services/${id}`, { status: 'active' })
    expect(await seen()).toEqual([200, 'Rewritten', true, [1, 0], 'Primary'])
    await write('DELETE', `/api/services/categories/${first.id}?moveTo=${second.id}`)
    expect(await seen()).toEqual([200, 'Rewritten', true, [1], undefined])
    await write('DELETE', '/api/services/bulk', { ids: [id] })
    expect(await seen()).toEqual([404, undefined, false, [0], undefined])
    const { id: next } = await publish('Comes new')
    expect((await read(app, '/api/services?limit=100')).body.data).toContainEqual(
      expect.objectContaining({ id: next }),
    )
    await write('DELETE', `/api/services/${next}`)
    expect((await read(app, `/api/services/${next}`)).status).toBe(404)
  })

  test('200 is never what was before, however many read at the time', async () => {
    const { id } = await publish('Read by many')
    const visits = { areOver: false }
    const visit = async (): Promise<void> => {
      while (!visits.areOver) await read(app, `/api/services/${id}`)
    }
    const visitors = Array.from({ length: 8 }, visit)
    for (let position = 1; position <= 40; position += 1) {
      const { body } = await write('PATCH', `/api/services/${id}`, { position })
      expect((await read(app, `/api/services/${id}`)).body.version).toBe(body.version)
    }
    visits.areOver = true
    await Promise.all(visitors)
  })
})

/** Reads until the change is there, and tells how long after the write's reply that was. */
async function delayOf(node: TestApp, address: string, version: number): Promise<number> {
  const answeredAt = performance.now()
  for (;;) {
    const askedAt = performance.now() - answeredAt
    const { body } = await read(node, address)
    if (body.version === version) return askedAt
    // Whoever asks later than this must see it.
    expect(askedAt).toBeLessThan(1000)
  }
}

/** A change that was just written and must be seen by the first who asks. */
async function expectNoStaleRead(id: string): Promise<void> {
  for (let position = 1; position <= 10; position += 1) {
    const { body } = await write('PATCH', `/api/services/${id}`, { position })
    expect((await read(other, `/api/services/${id}`)).body.version).toBe(body.version)
  }
}

describe('on another node', () => {
  test('200 is what was before for less than a second', async () => {
    const { id } = await publish('Read elsewhere')
    for (let position = 1; position <= 20; position += 1) {
      await untilKept(other, `/api/services/${id}`)
      const { body } = await write('PATCH', `/api/services/${id}`, { position })
      expect(await delayOf(other, `/api/services/${id}`, body.version)).toBeLessThan(1000)
    }
  })

  test('200 from memory all the same, when nothing changes', async () => {
    await read(other, '/api/services?limit=8')
    expect(await statementsOf(other, () => read(other, '/api/services?limit=8'))).toBe(0)
  })
})

describe('a node that hears of no change', () => {
  test('200 is never what was before while its connection is cut, and kept again after', async () => {
    const { id } = await publish('Cut off')
    await untilKept(other, `/api/services/${id}`)
    wire.cut()
    await eventually(() => expect(isFresh(other)).toBe(false), { withinMs: 1000 })
    await expectNoStaleRead(id)
    wire.mend()
    await eventually(() => expect(isFresh(other)).toBe(true))
    await expectOneStatementForTwo(`/api/services/${id}?`)
  })

  test('200 is never what was before once the line has been silent for a second', async () => {
    const { id } = await publish('Gone silent')
    await untilKept(other, `/api/services/${id}`)
    wire.swallow()
    await eventually(() => expect(isFresh(other)).toBe(false), { withinMs: 1500 })
    await expectNoStaleRead(id)
    wire.mend()
    await eventually(() => expect(isFresh(other)).toBe(true))
    expect((await read(other, `/api/services/${id}`)).body.name).toBe('Gone silent')
  })

  test('200 is never what was before when PostgreSQL ends the connection', async () => {
    const { id } = await publish('Ended by the database')
    await untilKept(other, `/api/services/${id}`)
    await endListening()
    // Sooner than the last heartbeat grows old: the end itself is noticed.
    await eventually(() => expect(isFresh(other)).toBe(false), { withinMs: 700 })
    await expectNoStaleRead(id)
    await eventually(() => expect(isFresh(other)).toBe(true))
  })
})

describe('what a node remembers of sessions', () => {
  test('401 after a sign-out elsewhere: within a second, and at once while cut off', async () => {
    for (const isCut of [false, true]) {
      const grace = await app.request('POST /api/auth/register', {
        body: {
          email: `grace-${isCut}@customer.example`,
          password: 'correct horse battery',
          name: 'Grace',
        },
      })
      const headers = { authorization: `Bearer ${grace.body.accessToken}` }
      const me = () => read(other, '/api/auth/me', headers)
      expect((await me()).status).toBe(200)
      await eventually(async () => expect(await statementsOf(other, me)).toBe(0))
      if (isCut) {
        wire.cut()
        await eventually(() => expect(isFresh(other)).toBe(false), { withinMs: 1000 })
      }
      const left = await app.request('POST /api/auth/logout', { headers })
      expect(left.status).toBe(204)
      expect((await read(app, '/api/auth/me', headers)).status).toBe(401)
      if (isCut) expect((await me()).status).toBe(401)
      else {
        await eventually(async () => expect((await me()).status).toBe(401), { withinMs: 1000 })
      }
      wire.mend()
    }
  })
})

/** An address that was not asked for yet is loaded once, and found in memory then. */
async function expectOneStatementForTwo(address: string): Promise<void> {
  const twice = async (): Promise<void> => {
    await read(other, address)
    await read(other, address)
  }
  expect(await statementsOf(other, twice)).toBe(1)
}

/** Every LISTEN connection of these two nodes, as an administrator might end them. */
async function endListening(): Promise<void> {
  const database = new URL(app.database.serverUrl).pathname.slice(1)
  const client = new pg.Client({
    connectionString: withDatabase(inject('cluster').superuser, database),
  })
  await client.connect()
  try {
    const { rowCount } = await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'bureau invalidation'`,
    )
    expect(rowCount).toBe(2)
  } finally {
    await client.end()
  }
}
