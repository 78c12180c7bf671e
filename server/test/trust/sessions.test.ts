import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import type { StaffRole } from '../../src/kernel/permissions.ts'
import { secondMs } from '../../src/kernel/time.ts'
import { createStaffUser } from '../../src/modules/identity/index.ts'
import { startTestApp, testPassword, type Reply, type TestApp } from '../support/app.ts'
import { codeOf } from '../support/authenticator.ts'
import { eventually } from '../support/eventually.ts'
import { mailedTokenFor } from '../support/mailed-token.ts'
import { openWire, type Wire } from '../support/wire.ts'
import { promise } from './promise.ts'

/** The node that answers, another one, and one whose notices come by a wire that can fail. */
let app: TestApp
let node: TestApp
let far: TestApp
let wire: Wire

beforeAll(async () => {
  app = await startTestApp()
  wire = await openWire(app.database.serverUrl)
  node = await startTestApp({ beside: app })
  far = await startTestApp({ beside: app, noticesUrl: wire.url })
}, 120_000)
afterAll(async () => {
  await far.close()
  await node.close()
  await wire.close()
  await app.close()
})

/** Somebody who is signed in. */
interface SignedIn {
  readonly email: string
  readonly password: string
  readonly userId: string
  readonly token: string
  readonly cookie: string
}

let people = 0

async function customer(): Promise<SignedIn> {
  const email = `person${(people += 1)}@customer.example`
  const body = { email, password: testPassword, name: 'Ada' }
  return signedIn(await app.request('POST /api/auth/register', { body }), body)
}

async function colleague(role: StaffRole = 'agent'): Promise<SignedIn> {
  const email = `person${(people += 1)}@staff.example`
  const body = { email, password: testPassword, name: 'Sam', role }
  await createStaffUser(app.systemContext(), body)
  return await signInAgain(body, 'staff')
}

async function signInAgain(
  { email, password }: Pick<SignedIn, 'email' | 'password'>,
  audience: 'customer' | 'staff' = 'customer',
): Promise<SignedIn> {
  const path = audience === 'customer' ? '/api/auth/login' : '/api/auth/admin/login'
  const body = { email, password }
  return signedIn(await app.request(`POST ${path}`, { body }), body)
}

function signedIn(reply: Reply, who: Pick<SignedIn, 'email' | 'password'>): SignedIn {
  expect([200, 201]).toContain(reply.status)
  const { accessToken: token, user } = reply.body
  return {
    email: who.email,
    password: who.password,
    userId: user.id,
    token,
    cookie: cookieOf(reply),
  }
}

function cookieOf({ headers }: Reply): string {
  return headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

async function statusOf(token: string, at: TestApp): Promise<number> {
  return (await at.request('GET /api/auth/me', { token })).status
}

async function refresh(cookie: string, at: TestApp = app): Promise<Reply> {
  const path = cookie.startsWith('bureau_admin') ? '/api/auth/admin/refresh' : '/api/auth/refresh'
  return await at.request(`POST ${path}`, { headers: { cookie } })
}

interface Ending {
  /** Whose tokens are worth nothing from then on, and whose go on. */
  readonly dies: readonly SignedIn[]
  readonly lives: readonly SignedIn[]
  end(): Promise<Reply>
}

/** Each way in which a token becomes unusable before its time. */
const endings: Readonly<Record<string, () => Promise<Ending>>> = {
  'signing out': async () => {
    const ada = await customer()
    const other = await signInAgain(ada)
    const end = () => app.request('POST /api/auth/logout', { token: ada.token })
    return { dies: [ada], lives: [other], end }
  },
  'signing out with the cookie alone': async () => {
    const ada = await customer()
    const end = () => app.request('POST /api/auth/logout', { headers: { cookie: ada.cookie } })
    return { dies: [ada], lives: [], end }
  },
  'signing out as staff': async () => {
    const sam = await colleague()
    const end = () => app.request('POST /api/auth/admin/logout', { token: sam.token })
    return { dies: [sam], lives: [], end }
  },
  'signing another device out': async () => {
    const ada = await customer()
    const other = await signInAgain(ada)
    const { body } = await app.request('GET /api/auth/sessions', { token: other.token })
    const { id } = body.data.find(({ current }: { current: boolean }) => !current)
    const end = () => app.request(`DELETE /api/auth/sessions/${id}`, { token: other.token })
    return { dies: [ada], lives: [other], end }
  },
  'signing all other devices out': async () => {
    const ada = await customer()
    const other = await signInAgain(ada)
    const end = () => app.request('DELETE /api/auth/sessions', { token: other.token })
    return { dies: [ada], lives: [other], end }
  },
  'a new password': async () => {
    const ada = await customer()
    const other = await signInAgain(ada)
    const body = { currentPassword: testPassword, newPassword }
    const end = () => app.request('POST /api/auth/password/change', { token: ada.token, body })
    return { dies: [ada, other], lives: [], end }
  },
  'a forgotten password': async () => {
    const ada = await customer()
    await app.request('POST /api/auth/password/forgot', { body: { email: ada.email } })
    const body = { token: await mailedTokenFor(app, ada.email), password: newPassword }
    const end = () => app.request('POST /api/auth/password/reset', { body })
    return { dies: [ada], lives: [], end }
  },
  'an e-mail that is proved with another password': async () => {
    const ada = await customer()
    const body = { token: await mailedTokenFor(app, ada.email), password: newPassword }
    const end = () => app.request('POST /api/auth/email/verify', { body })
    return { dies: [ada], lives: [], end }
  },
  'another role': async () => {
    const sam = await colleague('manager')
    return { dies: [sam], lives: [], end: () => patchColleague(sam, { role: 'viewer' }) }
  },
  'a login that is shut': async () => {
    const sam = await colleague()
    return { dies: [sam], lives: [], end: () => patchColleague(sam, { active: false }) }
  },
  'a second factor': async () => {
    const sam = await colleague()
    const other = await signInAgain(sam, 'staff')
    const setup = await app.request('POST /api/auth/admin/mfa/setup', { token: sam.token })
    const body = { code: codeOf(setup.body.secret, app.now()) }
    const end = () => app.request('POST /api/auth/admin/mfa/activate', { token: sam.token, body })
    return { dies: [other], lives: [sam], end }
  },
  'a second factor that a colleague takes off': async () => {
    const sam = await colleague()
    const { token } = sam
    const setup = await app.request('POST /api/auth/admin/mfa/setup', { token })
    const body = { code: codeOf(setup.body.secret, app.now()) }
    await app.request('POST /api/auth/admin/mfa/activate', { token, body })
    const admin = await app.as('admin')
    const end = () => app.request(`DELETE /api/users/${sam.userId}/mfa`, { token: admin })
    return { dies: [sam], lives: [], end }
  },
  'a refresh token that comes again': async () => {
    const ada = await customer()
    const other = await signInAgain(ada)
    const next = await refresh((await refresh(ada.cookie)).headers.getSetCookie()[0] ?? '')
    const dies = [ada, { ...ada, token: next.body.accessToken, cookie: cookieOf(next) }]
    return { dies, lives: [other], end: () => refresh(ada.cookie) }
  },
}

const newPassword = 'eleven herons over a pond'

async function patchColleague({ userId }: SignedIn, body: object): Promise<Reply> {
  return await app.request(`PATCH /api/users/${userId}`, { token: await app.as('admin'), body })
}

/** Until the node refuses; what it lets in must have come in the second after the ending. */
async function expectRefusedWithinASecond(token: string, at: TestApp): Promise<number> {
  const endedAt = performance.now()
  let letInMs = 0
  const refusedMs = await eventually(async () => {
    const askedMs = performance.now() - endedAt
    const status = await statusOf(token, at)
    if (status !== 401) letInMs = askedMs
    expect(status).toBe(401)
    return askedMs
  })
  // Not within the wait, which would only wait on.
  expect(letInMs, 'let in too late').toBeLessThanOrEqual(secondMs)
  return refusedMs
}

promise(46, 'refreshing goes on with one chain of tokens, whatever comes again', async (proof) => {
  let exchanges = 0
  const step = fc.record({ back: fc.nat({ max: 2 }), waitMs: fc.constantFrom(0, 0, 4000, 12_000) })
  const walks = fc.array(step, { minLength: 3, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(walks, async (walk) => {
      const ada = await customer()
      const chain = [ada.cookie]
      let rotatedAt = Number.NEGATIVE_INFINITY
      let token = ada.token
      let isDead = false
      for (const { back, waitMs } of walk) {
        for (const each of [app, node, far]) each.advance(waitMs)
        const at = Math.max(0, chain.length - 1 - back)
        const isLive = at === chain.length - 1
        const before = app.now().getTime()
        const reply = await refresh(chain[at] ?? '')
        const after = app.now().getTime()
        exchanges += 1
        const mayBeInGrace = at === chain.length - 2 && before - rotatedAt <= 10 * secondMs
        const isInGrace = mayBeInGrace && after - rotatedAt < 10 * secondMs
        if (isDead || !(isLive || mayBeInGrace)) {
          expect(reply.status).toBe(401)
          isDead = true
        } else if (isLive) {
          expect(reply.status).toBe(200)
          expect(chain).not.toContain(cookieOf(reply))
          chain.push(cookieOf(reply))
          rotatedAt = after
        } else if (isInGrace || reply.status === 200) {
          expect([reply.status, cookieOf(reply)]).toEqual([200, chain.at(-1)])
        } else isDead = true
        token = reply.body.accessToken ?? token
      }
      expect(await statusOf(token, app)).toBe(isDead ? 401 : 200)
    }),
    { seed: proof.seed, numRuns: 12 },
  )
  proof.measured(`${exchanges} exchanges in 12 random orders`)
})

promise(46, 'one token in parallel, over two nodes, has one successor', async (proof) => {
  const ada = await customer()
  const replies = await Promise.all(
    Array.from({ length: 40 }, (_, index) => refresh(ada.cookie, index % 2 ? app : node)),
  )
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]))
  expect(new Set(replies.map(cookieOf)).size).toBe(1)
  expect((await refresh(cookieOf(replies[0] as Reply))).status).toBe(200)
  proof.measured('40 at once, 1 successor')
})

promise(47, 'a token is unusable after all that ends it, here at once', async (proof) => {
  let slowest = 0
  for (const [name, prepare] of Object.entries(endings)) {
    const { dies, lives, end } = await prepare()
    for (const at of [app, node]) {
      for (const { token } of [...dies, ...lives]) {
        expect([name, await statusOf(token, at)]).toEqual([name, 200])
      }
    }
    const reply = await end()
    expect([name, [200, 204, 401].includes(reply.status)], JSON.stringify(reply.body)).toEqual([
      name,
      true,
    ])
    for (const { token, cookie } of dies) {
      expect([name, await statusOf(token, app)]).toEqual([name, 401])
      slowest = Math.max(slowest, await expectRefusedWithinASecond(token, node))
      expect([name, (await refresh(cookie, node)).status]).toEqual([name, 401])
    }
    for (const { token } of lives) {
      expect([name, await statusOf(token, app)]).toEqual([name, 200])
    }
  }
  proof.measured(
    `${Object.keys(endings).length} ways to end, elsewhere after ${Math.ceil(slowest)} ms at most`,
  )
})

promise(47, 'a node whose notices are lost lets nobody in a second later', async (proof) => {
  const findings: string[] = []
  for (const trouble of ['cut', 'swallow'] as const) {
    const { dies, end } = await (endings['another role'] as () => Promise<Ending>)()
    const [{ token }] = dies as [SignedIn]
    await eventually(() => expect(far.ports.invalidation.isFresh()).toBe(true))
    expect(await statusOf(token, far)).toBe(200)
    const statements = far.db.statementCount()
    expect(await statusOf(token, far)).toBe(200)
    expect(far.db.statementCount(), 'from its cache').toBe(statements)
    wire[trouble]()
    expect((await end()).status).toBe(200)
    findings.push(`${trouble}: ${Math.ceil(await expectRefusedWithinASecond(token, far))} ms`)
    wire.mend()
  }
  proof.measured(`notices ${findings.join(', ')}`)
})
