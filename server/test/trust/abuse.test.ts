import { afterAll, beforeAll, expect } from 'vitest'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { modules } from '../../src/modules/index.ts'
import { limitPolicies, type LimitPolicyName } from '../../src/platform/limits.ts'
import { startTestApp, testPassword, type Reply, type TestApp } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'
import { pdf } from '../support/sample-files.ts'
import { upload } from '../support/upload.ts'
import { openWire, sendRaw } from '../support/wire.ts'
import { promise } from './promise.ts'

const endpoints = modules.flatMap((module) => module.endpoints)
const scale = 0.02

/** Where tokens come from: it has all the room that tests need. */
let app: TestApp
/** A fiftieth of every limit, behind a proxy that is trusted: an address is what it says. */
let narrow: TestApp

beforeAll(async () => {
  app = await startTestApp()
  narrow = await startTestApp({ beside: app, rateLimitScale: scale, trustProxy: ['loopback'] })
})
afterAll(async () => {
  await narrow.close()
  await app.close()
})

let addresses = 0

/** Somebody who has not been here before. */
function stranger(): Record<string, string> {
  addresses += 1
  return { 'x-forwarded-for': `198.51.${addresses >> 8}.${addresses & 255}` }
}

promise(76, 'each route counts, and ends in 429', async (proof) => {
  let calls = 0
  for (const endpoint of endpoints) {
    const policy = endpoint.contract.limit ?? 'default'
    const points = Math.max(1, Math.floor(limitPolicies[policy].points * scale))
    // Probes and webhooks may come by the hundred each minute, and are counted like the rest.
    const rounds = Math.min(points, 30)
    const headers = stranger()
    const route = routeOf(endpoint)
    for (let call = 1; call <= rounds; call += 1) {
      const reply = await narrow.request(route, { headers })
      expect([route, reply.status < 429]).toEqual([route, true])
      expect(reply.headers.get('ratelimit-policy')).toBe(
        `"${policy}";q=${points};w=${limitPolicies[policy].windowSeconds}`,
      )
      expect(reply.headers.get('ratelimit')).toMatch(`"${policy}";r=${points - call};t=`)
    }
    calls += rounds
    if (rounds < points) continue
    expectRefusal(await narrow.request(route, { headers }), policy)
  }
  const tighter = [
    'auth',
    'checkout',
    'upload',
    'contactByAddress',
    'guestCheckoutByEmail',
  ] as const
  for (const name of tighter) expect(perMinute(name)).toBeLessThan(perMinute('default') / 5)
  proof.measured(`${endpoints.length} routes, ${calls} calls counted one by one, then 429`)
})

promise(76, 'what mails, hashes, pays or uploads is tighter', async (proof) => {
  const tight: Readonly<Record<string, LimitPolicyName>> = {
    'POST /api/auth/login': 'auth',
    'POST /api/auth/admin/login': 'auth',
    'POST /api/auth/register': 'registerByAddress',
    'POST /api/auth/password/forgot': 'forgotByAddress',
    'POST /api/auth/password/reset': 'verifyByAddress',
    'POST /api/auth/email/verify': 'verifyByAddress',
    'POST /api/checkout/process': 'checkout',
    'POST /api/documents/upload': 'upload',
  }
  for (const [route, policy] of Object.entries(tight)) {
    const found = endpoints.find(({ method, path }) => `${method} ${path}` === route)
    expect([route, found?.contract.limit]).toEqual([route, policy])
    expect(perMinute(policy)).toBeLessThanOrEqual(perMinute('default') / 10)
  }
  // The others are counted by the use-case, whose refusal looks the same.
  const contact = { name: 'Ada', email: 'ada@example.com' }
  const business = await startTestApp({ beside: app, rateLimitScale: 1, trustProxy: ['loopback'] })
  try {
    const headers = stranger()
    const write = () =>
      business.request('POST /api/crm', {
        headers,
        body: { subject: 'A question', description: 'About a company', contact },
      })
    for (let call = 0; call < 5; call += 1) expect((await write()).status).toBe(201)
    expectRefusal(await write(), 'contactByAddress')
    const token = await app.as('admin')
    const mail = { to: 'ada@example.com', subject: 'Hello', text: 'Hello' }
    const replies = await Promise.all(
      Array.from({ length: 70 }, () =>
        business.request('POST /api/notifications/email', { token, body: mail }),
      ),
    )
    const sent = replies.filter(({ status }) => status === 202)
    expect(sent.length).toBe(limitPolicies.composedMailByAccount.points)
    for (const reply of replies) {
      if (reply.status !== 202) expectRefusal(reply, 'composedMailByAccount')
    }
    proof.measured(
      `${Object.keys(tight).length} routes by address; contact form 5 an hour, mails ${sent.length} ` +
        'of 70 at once',
    )
  } finally {
    await business.close()
  }
})

/** A process takes so many uploads of one account at once, and these two nodes share one. */
const uploadsAtOnce = 16

promise(
  76,
  'two nodes count as one what is counted by account',
  async (proof) => {
    const beside = { beside: app, rateLimitScale: 1, trustProxy: ['loopback'] }
    const nodes = [await startTestApp(beside), await startTestApp(beside)] as const
    const findings: string[] = []
    const count = async (
      policy: LimitPolicyName,
      what: string,
      call: (node: TestApp, at: number) => Promise<Reply>,
      callsAtOnce = Number.POSITIVE_INFINITY,
    ): Promise<void> => {
      const { points } = limitPolicies[policy]
      const calls = points + 20
      const replies: Reply[] = []
      while (replies.length < calls) {
        const length = Math.min(callsAtOnce, calls - replies.length)
        const begun = Array.from({ length }, (_, nth) => {
          const at = replies.length + nth
          return call(nodes[at % 2 === 0 ? 0 : 1], at)
        })
        replies.push(...(await Promise.all(begun)))
      }
      const refused = replies.filter(({ status }) => status === 429)
      expect([policy, replies.length - refused.length]).toEqual([policy, points])
      for (const { status } of replies) expect([policy, status < 500]).toEqual([policy, true])
      for (const reply of refused) expectRefusal(reply, policy)
      findings.push(`${what} ${points} of ${calls}`)
    }
    try {
      const { email } = await app.asCustomer('frank')
      await count('loginByAccount', 'wrong passwords', (node) =>
        node.request('POST /api/auth/login', {
          body: { email, password: 'wrong password here' },
          headers: stranger(),
        }),
      )
      const { token } = await app.asCustomer('grace')
      const items = [{ serviceId: 'svc_01jd8q9yg8e5v9c0m4t7k2x3za', quantity: 1 }]
      await count('checkoutByAccount', 'checkouts', (node) =>
        node.request('POST /api/checkout/process', { token, body: { items }, headers: stranger() }),
      )
      await count(
        'uploadByAccount',
        'uploads',
        (node) =>
          upload(node, { ...pdf(), bytes: Buffer.from('no pdf') }, { token, headers: stranger() }),
        uploadsAtOnce,
      )
      const customer = { email: 'Guest@Example.com', name: 'Grace' }
      await count('guestCheckoutByEmail', 'guest checkouts', (node, at) =>
        node.request('POST /api/checkout/process', {
          body: {
            items,
            customer: at % 3 ? customer : { ...customer, email: 'guest@example.COM' },
          },
          headers: stranger(),
        }),
      )
      proof.measured(`at once on two nodes: ${findings.join(', ')}`)
    } finally {
      for (const node of nodes) await node.close()
    }
  },
  { timeoutMs: 120_000 },
)

promise(76, 'the count out of reach is 503, never 500 and never a way in', async (proof) => {
  const wire = await openWire(app.database.serverUrl)
  const database = { ...app.database, serverUrl: wire.url }
  const cutOff = await startTestApp({
    beside: { ...app, database },
    rateLimitScale: 1,
    trustProxy: ['loopback'],
  })
  try {
    wire.cut()
    const statuses = new Set<number>()
    let calls = 0
    for (const endpoint of endpoints) {
      const { status, headers } = await cutOff.request(routeOf(endpoint), { headers: stranger() })
      statuses.add(status)
      calls += 1
      expect([routeOf(endpoint), status === 500]).toEqual([routeOf(endpoint), false])
      // Of a count that nobody could ask there is nothing to tell.
      expect([status, headers.has('ratelimit') || status === 503]).toEqual([status, true])
    }
    const body = { email: 'ada@customer.example', password: testPassword }
    for (let call = 0; call < 20; call += 1) {
      const reply = await cutOff.request('POST /api/auth/login', { body, headers: stranger() })
      expect([reply.status, Number(reply.headers.get('retry-after')) > 0]).toEqual([503, true])
    }
    expect((await cutOff.request('GET /livez')).status).toBe(200)
    wire.mend()
    await eventually(async () => {
      const { status } = await cutOff.request('POST /api/auth/login', { body, headers: stranger() })
      expect(status).toBe(401)
    })
    proof.measured(
      `${calls} routes without their database: ${[...statuses].toSorted().join(', ')}, no 500; ` +
        '20 logins 503 with Retry-After; 401 again when it is back',
    )
  } finally {
    await cutOff.close()
    await wire.close()
  }
})

/** What a client may write to seem somebody else. */
const forgeries = [
  'X-Forwarded-For',
  'X-Real-IP',
  'True-Client-IP',
  'CF-Connecting-IP',
  'X-Client-IP',
  'X-Cluster-Client-IP',
  'Fastly-Client-IP',
  'X-Originating-IP',
  'X-Remote-Addr',
  'Forwarded',
]

promise(74, 'no header makes a client somebody else, but a trusted proxy’s', async (proof) => {
  const own = { beside: app, rateLimitScale: scale }
  const bare = await startTestApp(own)
  const foreign = await startTestApp({ ...own, trustProxy: ['10.0.0.0/8'] })
  const { points } = limitPolicies.auth
  const allowed = Math.floor(points * scale)
  try {
    const admitted = async (node: TestApp, headersOf: (call: number) => string[]) => {
      node.advance(3_600_000)
      let count = 0
      for (let call = 1; call <= allowed + 10; call += 1) {
        const body = '{"email":"nobody@example.com"}'
        const answer = await sendRaw(
          node,
          ['POST /api/auth/login HTTP/1.1', 'Host: a', 'Content-Type: application/json']
            .concat(
              headersOf(call),
              `Content-Length: ${body.length}`,
              'Connection: close',
              '',
              body,
            )
            .join('\r\n'),
        )
        if (!answer.startsWith('HTTP/1.1 429')) count += 1
      }
      return count
    }
    const address = (call: number) => `203.0.113.${call}`
    for (const name of forgeries) {
      const value = (call: number) =>
        name === 'Forwarded' ? `for=${address(call)}` : address(call)
      for (const node of [bare, foreign]) {
        expect([name, await admitted(node, (call) => [`${name}: ${value(call)}`])]).toEqual([
          name,
          allowed,
        ])
      }
      // Behind a proxy that is trusted only what the proxy itself wrote counts.
      const behind = await admitted(narrow, (call) =>
        name === 'X-Forwarded-For'
          ? [`${name}: ${address(call)}, 192.0.2.1`]
          : [`${name}: ${value(call)}`, 'X-Forwarded-For: 192.0.2.1'],
      )
      expect([name, behind]).toEqual([name, allowed])
    }
    const honest = await admitted(narrow, (call) => [`X-Forwarded-For: ${address(call)}`])
    expect(honest).toBe(allowed + 10)
    proof.measured(
      `${forgeries.length} headers, ${allowed + 10} calls each by three ways: ${allowed} admitted; ` +
        `${honest} clients of a trusted proxy are ${honest}`,
    )
  } finally {
    await foreign.close()
    await bare.close()
  }
})

promise(74, 'the session list shows the address of the connection', async (proof) => {
  const { email } = await app.asCustomer('henry')
  const seenAt = async (node: TestApp): Promise<unknown[]> => {
    const headers = { 'x-forwarded-for': '203.0.113.77', forwarded: 'for=203.0.113.78' }
    const body = { email, password: testPassword }
    const login = await node.request('POST /api/auth/login', { body, headers })
    expect(login.status).toBe(200)
    const rows = await app.sql('select address from sessions order by created_at desc limit 1')
    return rows.map(({ address }) => address)
  }
  const bare = await seenAt(app)
  expect(bare).toEqual(['127.0.0.1'])
  expect(await seenAt(narrow)).toEqual(['203.0.113.77'])
  proof.measured('forged address kept out of the record; that of a trusted proxy is in it')
})

function routeOf({ method, path }: Endpoint): `${string} /${string}` {
  return `${method} ${path.replaceAll(/:\w+/g, 'x')}` as `GET /${string}`
}

function perMinute(name: LimitPolicyName): number {
  const { points, windowSeconds } = limitPolicies[name]
  return (points * 60) / windowSeconds
}

function expectRefusal({ status, headers, body }: Reply, policy: string): void {
  expect([status, body.code, body.violatedPolicies]).toEqual([429, 'rate_limited', [policy]])
  expect(headers.get('content-type')).toBe('application/problem+json')
  expect(headers.get('ratelimit')).toMatch(new RegExp(`^"${policy}";r=0;t=\\d+$`))
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
}
