import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { modules } from '../../src/modules/index.ts'
import { limitPolicies } from '../../src/platform/limits.ts'
import { startTestApp, testPassword, type Reply, type TestApp } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'
import { openWire, sendRaw } from '../support/wire.ts'

/** Where tokens come from: it has all the room that tests need. */
let app: TestApp
/** Gives one call a window for everything. */
let strict: TestApp
/** Gives six a minute by default, and one of whatever is tighter. */
let narrow: TestApp
/** Two nodes with the limits of a business. */
let nodes: readonly [TestApp, TestApp]

const endpoints = modules.flatMap((module) => module.endpoints)

beforeAll(async () => {
  app = await startTestApp()
  const trustProxy = ['loopback', '10.0.0.0/8']
  strict = await startTestApp({ beside: app, rateLimitScale: 0.0001, trustProxy })
  narrow = await startTestApp({ beside: app, rateLimitScale: 0.01, trustProxy })
  nodes = [
    await startTestApp({ beside: app, rateLimitScale: 1, trustProxy }),
    await startTestApp({ beside: app, rateLimitScale: 1, trustProxy }),
  ]
})
afterAll(async () => {
  for (const node of [...nodes, narrow, strict, app]) await node.close()
})

let addresses = 0

/** Somebody who has not been here before. */
function stranger(): Record<string, string> {
  addresses += 1
  return { 'x-forwarded-for': `203.0.${addresses >> 8}.${addresses & 255}` }
}

function expectRefusal({ status, headers, body }: Reply, policy: string): void {
  expect([status, body.code, body.violatedPolicies]).toEqual([429, 'rate_limited', [policy]])
  expect(headers.get('content-type')).toBe('application/problem+json')
  expect(headers.get('ratelimit-policy')).toMatch(new RegExp(`^"${policy}";q=\\d+;w=\\d+$`))
  expect(headers.get('ratelimit')).toMatch(new RegExp(`^"${policy}";r=0;t=\\d+$`))
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
}

describe('every route', () => {
  test('takes a policy that there is, or the default', () => {
    expect(endpoints.length).toBeGreaterThan(30)
    for (const { method, path, contract } of endpoints) {
      const policy = contract.limit ?? 'default'
      expect([method, path, policy in limitPolicies]).toEqual([method, path, true])
    }
  })

  test('429 for the call after the last, with headers and problem document', async () => {
    for (const { method, path, contract } of endpoints) {
      const policy = contract.limit ?? 'default'
      const headers = stranger()
      const route = `${method} ${path.replaceAll(/:\w+/g, 'x')}` as 'GET /'
      const ask = () => strict.request(route, { headers })
      const first = await ask()
      // Counted once: a second point would have refused the first call already.
      expect([method, path, first.status === 429]).toEqual([method, path, false])
      expect(first.headers.get('ratelimit')).toMatch(new RegExp(`^"${policy}";r=0;t=\\d+$`))
      expectRefusal(await ask(), policy)
    }
  })

  test.each([
    ['an address with nothing behind it', 'GET /api/nothing', 404],
    ['one outside the API', 'POST /nothing/at/all', 404],
    ['a method that is not known there', 'DELETE /api/services', 405],
    ['an address that cannot be read', 'GET /api/services/%zz', 400],
    ['HEAD', 'HEAD /api/services', 200],
    ['the start page', 'GET /', 302],
    ['the documentation', 'GET /docs/', 200],
    ['a file of the documentation', 'GET /docs/static/swagger-ui.css', 200],
    ['the description', 'GET /api/openapi.json', 200],
    ['a preflight', 'OPTIONS /api/orders', 204],
    ['a preflight of nothing', 'OPTIONS /api/nothing', 204],
  ] as const)('429 for %s', async (_what, route, status) => {
    const headers = {
      ...stranger(),
      origin: 'https://shop.example',
      'access-control-request-method': 'POST',
    }
    const first = await strict.request(route, { headers })
    expect([first.status, first.headers.get('ratelimit')?.slice(0, 13)]).toEqual([
      status,
      '"default";r=0',
    ])
    const second = await strict.request(route, { headers })
    if (route.startsWith('HEAD')) expect(second.status).toBe(429)
    else expectRefusal(second, 'default')
    // A window over, everything is as at first.
    strict.advance(61_000)
    expect((await strict.request(route, { headers })).status).toBe(status)
  })

  test('429 tells a browser of another origin what is left', async () => {
    const headers = { ...stranger(), origin: 'https://shop.example' }
    await strict.request('GET /api/services', { headers })
    const refused = await strict.request('GET /api/services', { headers })
    expect(refused.status).toBe(429)
    expect(refused.headers.get('access-control-allow-origin')).toBe('https://shop.example')
    expect(refused.headers.get('access-control-expose-headers')).toContain('RateLimit')
  })
})

test('429 for what is answered from memory, too', async () => {
  const visited = await startTestApp({ beside: app, rateLimitScale: 0.01 })
  try {
    await eventually(() => expect(visited.ports.invalidation.isFresh()).toBe(true))
    for (let call = 1; call <= 6; call += 1) {
      const { status, headers } = await visited.request('GET /api/services')
      expect([status, headers.get('ratelimit')?.slice(0, 13)]).toEqual([
        200,
        `"default";r=${6 - call}`,
      ])
    }
    expect(visited.app.replies.figures().hits).toBeGreaterThan(0)
    expectRefusal(await visited.request('GET /api/services'), 'default')
  } finally {
    await visited.close()
  }
})

describe('by account', () => {
  const ask = (token: string, headers = stranger()) =>
    narrow.request('GET /api/auth/me', { token, headers })

  test('429 after the last call of an account, from whatever address it comes', async () => {
    const { token } = await app.asCustomer('ada')
    for (let call = 1; call <= 6; call += 1) {
      const { status, headers } = await ask(token)
      expect([status, headers.get('ratelimit')?.slice(0, 13)]).toEqual([
        200,
        `"default";r=${6 - call}`,
      ])
    }
    expectRefusal(await ask(token), 'default')
  })

  test('200 for each of many behind one address, and for visitors beside them', async () => {
    const office = stranger()
    for (const name of ['bob', 'carol', 'dan']) {
      const { token } = await app.asCustomer(name)
      for (let call = 1; call <= 6; call += 1) expect((await ask(token, office)).status).toBe(200)
      expect((await ask(token, office)).status).toBe(429)
    }
    expect((await ask(await app.as('agent'), office)).status).toBe(200)
    expect((await narrow.request('GET /api/services', { headers: office })).status).toBe(200)
  })

  test('429 for whoever tries tokens; who is signed in beside them goes on', async () => {
    const headers = stranger()
    const { token } = await app.asCustomer('erin')
    const wrong = await ask('no.such.token', headers)
    expect([wrong.status, wrong.headers.get('ratelimit')?.slice(0, 17)]).toEqual([
      401,
      '"failedToken";r=0',
    ])
    for (let call = 0; call < 3; call += 1) {
      expectRefusal(await ask('no.such.token', headers), 'failedToken')
      expect((await ask(token, headers)).status).toBe(200)
    }
    expect((await ask(token)).status).toBe(200)
    expect((await narrow.request('GET /api/services', { headers })).status).toBe(200)
  })
})

describe('the token of an order', () => {
  test('429 where tokens were tried, before it is looked at', async () => {
    const headers = stranger()
    const ask = (orderToken: string) => narrow.request('GET /api/orders', { orderToken, headers })
    const unknown = 'ord_01jd8q9yg8e5v9c0m4t7k2x3za.no-signature'
    expect((await ask(unknown)).status).toBe(401)
    const before = narrow.db.statementCount()
    expectRefusal(await ask(unknown), 'failedToken')
    expect(narrow.db.statementCount()).toBe(before)
  })
})

describe('what is refused for another reason', () => {
  /** Refused as it should be, until there is nothing left. */
  async function expectCounted(
    ask: () => Promise<number>,
    { refusal, times }: { refusal: number; times: number },
  ): Promise<void> {
    const seen: number[] = []
    for (let call = 0; call <= times; call += 1) seen.push(await ask())
    expect(seen).toEqual([...Array<number>(times).fill(refusal), 429])
  }

  test('429 in place of 406, though it comes with a token', async () => {
    const { token } = await app.asCustomer('heidi')
    const headers = { ...stranger(), accept: 'text/html' }
    const ask = async () => (await narrow.request('GET /api/auth/me', { token, headers })).status
    await expectCounted(ask, { refusal: 406, times: 6 })
  })

  test.each([
    ['two Host headers', 'Host: other.example'],
    ['two tokens', 'Authorization: Bearer a\r\nX-Order-Token: b'],
  ])('429 in place of 400, for %s', async (_what, line) => {
    const address = stranger()['x-forwarded-for']
    const request =
      `GET /api/auth/me HTTP/1.1\r\nHost: a\r\n${line}\r\n` +
      `X-Forwarded-For: ${address}\r\nConnection: close\r\n\r\n`
    const ask = async () => Number((await sendRaw(narrow, request)).slice(9, 12))
    await expectCounted(ask, { refusal: 400, times: 6 })
  })
})

describe('whose address counts', () => {
  /** What is left after a call by way of these proxies. */
  async function leftFor(node: TestApp, forwardedFor: string): Promise<number> {
    const headers = { 'x-forwarded-for': forwardedFor }
    const reply = await node.request('GET /api/nothing', { headers })
    return Number(/;r=(\d+)/.exec(reply.headers.get('ratelimit') ?? '')?.[1])
  }

  test('is the last one that no trusted proxy has, whatever else the client wrote', async () => {
    expect(await leftFor(narrow, '198.51.100.1')).toBe(5)
    expect(await leftFor(narrow, '192.0.2.7, 198.51.100.1')).toBe(4)
    expect(await leftFor(narrow, '192.0.2.8, 198.51.100.1, 10.1.2.3')).toBe(3)
    expect(await leftFor(narrow, '192.0.2.9, 198.51.100.1, 10.1.2.3, 10.9.9.9')).toBe(2)
    expect(await leftFor(narrow, '198.51.100.1, 192.0.2.10')).toBe(5)
  })

  test('is the same by whatever port a proxy says that the client came', async () => {
    expect(await leftFor(narrow, '198.51.100.9:50001')).toBe(5)
    expect(await leftFor(narrow, '198.51.100.9:50002')).toBe(4)
    expect(await leftFor(narrow, '198.51.100.9')).toBe(3)
  })

  test('is the network of 64 bits for IPv6', async () => {
    expect(await leftFor(narrow, '2001:db8:5:6::1')).toBe(5)
    expect(await leftFor(narrow, '2001:db8:5:6:7:8:9:a')).toBe(4)
    expect(await leftFor(narrow, '2001:db8:5:7::1')).toBe(5)
  })

  test('is that of the connection where no proxy is trusted', async () => {
    const bare = await startTestApp({ beside: app, rateLimitScale: 0.01 })
    try {
      expect(await leftFor(bare, '198.51.100.1')).toBe(5)
      expect(await leftFor(bare, '198.51.100.2')).toBe(4)
      expect(await leftFor(bare, '127.0.0.1, 198.51.100.3')).toBe(3)
    } finally {
      await bare.close()
    }
  })

  test('is that of the connection where the one who connects is no trusted proxy', async () => {
    const elsewhere = await startTestApp({
      beside: app,
      rateLimitScale: 0.01,
      trustProxy: ['10.0.0.0/8'],
    })
    try {
      expect(await leftFor(elsewhere, '198.51.100.1')).toBe(5)
      expect(await leftFor(elsewhere, '198.51.100.2')).toBe(4)
    } finally {
      await elsewhere.close()
    }
  })
})

describe('two nodes', () => {
  /** Sends the calls to both nodes in turn, all at once, and counts the replies that were no 429. */
  async function countAdmitted(
    calls: number,
    call: (node: TestApp, index: number) => Promise<Reply>,
  ): Promise<number> {
    const replies = await Promise.all(
      Array.from({ length: calls }, (_, index) => call(nodes[index % 2 === 0 ? 0 : 1], index)),
    )
    for (const { status, body } of replies) {
      if (status === 429) expect(body.code).toBe('rate_limited')
      else expect(status).toBeLessThan(500)
    }
    return replies.filter(({ status }) => status !== 429).length
  }

  const signIn = (node: TestApp, email: string, headers: Record<string, string>) =>
    node.request('POST /api/auth/login', { body: { email, password: 'wrong password' }, headers })

  test('give one account ten wrong passwords between them, from anywhere', async () => {
    const { email } = await app.asCustomer('frank')
    expect(await countAdmitted(30, (node) => signIn(node, email, stranger()))).toBe(10)
    const last = await nodes[1].request('POST /api/auth/login', {
      body: { email, password: testPassword },
      headers: stranger(),
    })
    expectRefusal(last, 'loginByAccount')
  })

  test('give one address fifty wrong passwords between them, for any accounts', async () => {
    const headers = stranger()
    const call = (node: TestApp, index: number) => signIn(node, `x${index}@y.example`, headers)
    expect(await countAdmitted(70, call)).toBe(50)
  })

  test('give one account its checkouts between them', async () => {
    const { token } = await app.asCustomer('grace')
    const body = { items: [{ serviceId: 'svc_01jd8q9yg8e5v9c0m4t7k2x3za', quantity: 1 }] }
    const admitted = await countAdmitted(80, (node) =>
      node.request('POST /api/checkout/process', { token, body, headers: stranger() }),
    )
    expect(admitted).toBe(limitPolicies.checkoutByAccount.points)
  })
})

test('503 where the shared count cannot be asked; what each process counts goes on', async () => {
  const wire = await openWire(app.database.serverUrl)
  const database = { ...app.database, serverUrl: wire.url }
  const cutOff = await startTestApp({ beside: { ...app, database }, rateLimitScale: 0.01 })
  try {
    wire.cut()
    const body = { email: 'ada@customer.example', password: testPassword }
    await eventually(async () => {
      cutOff.advance(61_000)
      const { status, headers } = await cutOff.request('POST /api/auth/login', { body })
      expect([status, headers.get('retry-after')]).toEqual([503, '1'])
    })
    const again = await cutOff.request('POST /api/auth/login', { body })
    expect([again.status, again.body.violatedPolicies]).toEqual([429, ['auth']])
    expect((await cutOff.request('GET /livez')).status).toBe(200)
  } finally {
    await cutOff.close()
    await wire.close()
  }
})

test('a request that is no HTTP at all is refused and harms nobody', async () => {
  const answer = await sendRaw(strict, 'this is no HTTP\r\n\r\n')
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
})
