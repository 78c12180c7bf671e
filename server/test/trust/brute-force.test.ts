import { afterAll, beforeAll, expect } from 'vitest'
import { minuteMs } from '../../src/kernel/time.ts'
import { startTestApp, testPassword, type Reply, type TestApp } from '../support/app.ts'
import { promise } from './promise.ts'

/** Two nodes that count as they do for a business, and one beside them whose limits are wide. */
let app: TestApp
let nodes: readonly [TestApp, TestApp]

beforeAll(async () => {
  app = await startTestApp()
  const trustProxy = ['127.0.0.1']
  nodes = [
    await startTestApp({ beside: app, rateLimitScale: 1 }),
    await startTestApp({ beside: app, rateLimitScale: 1, trustProxy }),
  ]
}, 120_000)
afterAll(async () => {
  for (const node of nodes) await node.close()
  await app.close()
})

/** What whoever guesses may write so that each guess seems to come from somewhere else. */
const forgedHeaders = [
  'x-forwarded-for',
  'x-real-ip',
  'x-client-ip',
  'x-originating-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'x-cluster-client-ip',
  'x-remote-addr',
]

interface Guess {
  readonly email: string
  readonly password: string
  readonly at: TestApp
  /** Whether a proxy that we believe stands before the node: it adds who really called. */
  readonly throughProxy: boolean
}

async function guess({ email, password, at, throughProxy }: Guess): Promise<Reply> {
  const somewhere = `203.0.113.${Math.floor(Math.random() * 250)}`
  const headers = Object.fromEntries(forgedHeaders.map((name) => [name, somewhere]))
  return await at.request('POST /api/auth/login', {
    body: { email, password },
    headers: {
      ...headers,
      forwarded: `for=${somewhere}`,
      ...(throughProxy ? { 'x-forwarded-for': `${somewhere}, 198.51.100.7` } : {}),
    },
  })
}

async function forgetTheRouteLimit(): Promise<void> {
  for (const node of nodes) await node.ports.limits.forget('auth', '127.0.0.1')
}

/** A hundred guesses over both nodes, in batches, with the e-mail spelt in ever other ways. */
async function guessHundredTimes(email: string): Promise<Reply[]> {
  const replies: Reply[] = []
  for (let batch = 0; batch < 10; batch += 1) {
    const guesses = Array.from({ length: 10 }, (_, index) =>
      guess({
        email: index % 3 === 0 ? email.toUpperCase() : email,
        password: `a guess, number ${batch * 10 + index}`,
        at: nodes[index % 2 === 0 ? 0 : 1],
        throughProxy: false,
      }),
    )
    replies.push(...(await Promise.all(guesses)))
    await forgetTheRouteLimit()
  }
  return replies
}

const countOf = (replies: readonly Reply[], status: number): number =>
  replies.filter((reply) => reply.status === status).length

promise(
  50,
  'guessing one password ends after ten tries, on all nodes, known or not',
  async (proof) => {
    const ada = await app.asCustomer('ada')
    for (const email of [ada.email, 'nobody@customer.example']) {
      const replies = await guessHundredTimes(email)
      expect([countOf(replies, 401), countOf(replies, 429)]).toEqual([10, 90])
      const refused = replies.filter(({ status }) => status === 429)
      for (const { headers, body } of refused) {
        expect(Number(headers.get('retry-after'))).toBeGreaterThan(600)
        expect([body.code, body.violatedPolicies]).toEqual(['rate_limited', ['loginByAccount']])
      }
      // The words of a refusal tell nothing of whether there is such a login either.
      const words = new Set(refused.map(({ body: { detail, title } }) => `${title} ${detail}`))
      expect([...words]).toEqual(['Too many requests. Too many requests.'])
    }
    for (const at of nodes) {
      const right = { email: ada.email, password: testPassword, at, throughProxy: false }
      expect((await guess(right)).status, 'the right password too').toBe(429)
      const me = await at.request('GET /api/auth/me', { token: ada.token })
      expect(me.status, 'whoever is signed in works on').toBe(200)
    }
    for (const each of [app, ...nodes]) each.advance(16 * minuteMs)
    const later = { email: ada.email, password: testPassword, at: nodes[0], throughProxy: false }
    expect((await guess(later)).status, 'and it does not last').toBe(200)
    proof.measured('of 100 guesses on 2 nodes 10 were looked at, 90 had 429; well again in 16 min')
  },
)

promise(50, 'guessing over many accounts ends after fifty, also all at once', async (proof) => {
  const bob = await app.asCustomer('bob')
  const findings: string[] = []
  for (const [way, at, throughProxy] of [
    ['straight', nodes[0], false],
    ['by the proxy', nodes[1], true],
  ] as const) {
    await forgetTheRouteLimit()
    // As many as the route lets through in a minute.
    const guesses = Array.from({ length: 60 }, (_, index) => {
      const email = `account${index}@${way.length}.example`
      return guess({ email, password: 'spring in the air', at, throughProxy })
    })
    const replies = await Promise.all(guesses)
    const [looked, refused] = [countOf(replies, 401), countOf(replies, 429)]
    expect([way, looked, looked + refused]).toEqual([way, 50, 60])
    findings.push(`${way} ${looked} of 60`)
    const right = { email: bob.email, password: testPassword, at, throughProxy }
    expect([way, (await guess(right)).status]).toEqual([way, 429])
    const me = await at.request('GET /api/auth/me', { token: bob.token })
    expect(me.status).toBe(200)
  }
  proof.measured(`looked at: ${findings.join(', ')} guesses at once`)
})
