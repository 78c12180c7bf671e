import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { startTestApp, testPassword, type Reply, type TestApp } from '../../../test/support/app.ts'
import { mailedTokenFor } from '../../../test/support/mailed-token.ts'
import type { Id } from '../../kernel/id.ts'
import { dayMs, hourMs, minuteMs } from '../../kernel/time.ts'
import { createStaffUser, issueMailToken, type MailPurpose } from './index.ts'
import { prunePending } from './jobs.ts'

const newPassword = 'eleven herons over a pond'
const otherPassword = 'fourteen foxes in the rye'

let app: TestApp
/** Another node on the same database. */
let node: TestApp
/** A node with the real limits. */
let limited: TestApp
/** A node of a business that wants e-mails proved before anybody signs in. */
let verifying: TestApp

beforeAll(async () => {
  app = await startTestApp()
  node = await startTestApp({ beside: app })
  limited = await startTestApp({ beside: app, rateLimitScale: 1 })
  verifying = await startTestApp({ beside: app, business: { registration: 'verify' } })
})
afterAll(async () => {
  await verifying.close()
  await limited.close()
  await node.close()
  await app.close()
})
beforeEach(async () => {
  await app.sql('delete from rate_limits')
})

describe('POST /api/auth/password/forgot', () => {
  test('202 alike, by as many statements, for a login, a stranger and one that is shut', async () => {
    await register('known@forgot.example')
    const shut = await register('shut@forgot.example')
    await app.sql('update users set active = false where id = $1', [shut.body.user.id])
    const answers = []
    for (const name of ['known', 'nobody', 'shut']) {
      const before = app.db.statementCount()
      const { status, body } = await forgot(`${name}@forgot.example`)
      answers.push({ status, body, statements: app.db.statementCount() - before })
    }
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(answers[0]).toMatchObject({ status: 202, body: {} })
  })

  test('202 has one mail announced for the login, and none for the others', async () => {
    const known = await register('announced@forgot.example')
    const shut = await register('closed@forgot.example')
    await app.sql('update users set active = false where id = $1', [shut.body.user.id])
    for (const name of ['announced', 'stranger', 'closed']) await forgot(`${name}@forgot.example`)
    await app.runJobs()
    expect(await eventsOf(known.body.user.id)).toContain('user.password_reset_requested')
    expect(await eventsOf(shut.body.user.id)).not.toContain('user.password_reset_requested')
    const events = await app.sql(
      `select root_id from events where type = 'user.password_reset_requested'
         and root_id not in (select id from users)`,
    )
    expect(events).toEqual([])
  })

  test('202 asks on behalf of staff only where that is said', async () => {
    const email = 'both@forgot.example'
    const customer = await register(email)
    const staff = await staffLogin(email)
    expect((await forgot(email, { audience: 'staff' })).status).toBe(202)
    await app.runJobs()
    expect(await eventsOf(staff.id)).toContain('user.password_reset_requested')
    expect(await eventsOf(customer.body.user.id)).not.toContain('user.password_reset_requested')
  })

  test('202 keeps token and e-mail out of events and jobs', async () => {
    await register('secret@forgot.example')
    await forgot('secret@forgot.example')
    const queued = await app.sql(
      'select to_jsonb(jobs) as job from graphile_worker._private_jobs jobs',
    )
    expect(JSON.stringify(queued)).not.toContain('secret@')
    const token = await mailedTokenFor(app, 'secret@forgot.example')
    const [, secret] = token!.split('.')
    const rows = await app.sql('select to_jsonb(mail_tokens) as row from mail_tokens')
    const events = await app.sql('select data from events')
    expect(JSON.stringify([rows, events])).not.toMatch(new RegExp(`${secret}|secret@`))
  })

  test.each([
    ['no members', {}],
    ['an e-mail without a domain', { email: 'ada' }],
    ['an audience that is none', { email: 'a@b.example', audience: 'admin' }],
    ['an unknown member', { email: 'a@b.example', host: 'evil.example' }],
  ])('400 for %s', async (_name, body) => {
    expect((await app.request('POST /api/auth/password/forgot', { body })).status).toBe(400)
  })

  test('429 after five mails in an hour, known or not', async () => {
    await register('flooded@forgot.example')
    for (const name of ['flooded', 'unknown']) {
      const replies = await repeat(6, () => forgot(`${name}@forgot.example`, {}, limited))
      expect(replies.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202, 429])
      expect(Number(replies[5]?.headers.get('retry-after'))).toBeGreaterThan(3000)
    }
  })

  test('429 by address after twenty', async () => {
    const replies = await repeatNumbered(21, (n) => forgot(`n${n}@spread.example`, {}, limited))
    expect(replies.map(({ status }) => status).slice(-2)).toEqual([202, 429])
  })
})

describe('POST /api/auth/password/reset', () => {
  test('204 sets the password, ends all sessions and proves the e-mail', async () => {
    const email = 'reset@reset.example'
    const here = await register(email)
    expect((await me(here.body.accessToken, node)).status).toBe(200)
    await forgot(email)
    const reply = await reset((await mailedTokenFor(app, email))!)
    expect([reply.status, reply.body]).toEqual([204, ''])
    expect(reply.headers.getSetCookie()).toEqual([])
    expect((await me(here.body.accessToken)).status).toBe(401)
    await expect
      .poll(async () => (await me(here.body.accessToken, node)).status, { timeout: 1000 })
      .toBe(401)
    expect((await signIn(email)).status).toBe(401)
    const again = await signIn(email, newPassword)
    expect(again).toMatchObject({ status: 200, body: { user: { emailVerified: true } } })
    const sessions = await app.sql(
      `select end_reason from sessions where user_id = $1 and revoked_at is not null`,
      [here.body.user.id],
    )
    expect(sessions).toEqual([{ end_reason: 'password_reset' }])
  })

  test('204 for one of twenty at once with one token, 401 for the others', async () => {
    const email = 'race@reset.example'
    await register(email)
    await forgot(email)
    const token = (await mailedTokenFor(app, email))!
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        reset(token, {
          at: index % 2 === 0 ? app : node,
          password: `heron number ${index} of all`,
        }),
      ),
    )
    const statuses = replies.map(({ status }) => status).toSorted()
    expect(statuses).toEqual([204, ...Array.from({ length: 19 }, () => 401)])
    const winner = replies.findIndex(({ status }) => status === 204)
    expect((await signIn(email, `heron number ${winner} of all`)).status).toBe(200)
  })

  test('204 with either of two mails, and then neither of them works', async () => {
    const email = 'twice@reset.example'
    const { body } = await register(email)
    const tokens = await repeat(3, () => issue(body.user.id, 'password_reset'))
    expect((await reset(tokens[0]!)).status).toBe(401)
    expect((await reset(tokens[1]!)).status).toBe(204)
    expect((await reset(tokens[2]!)).status).toBe(401)
  })

  test('204 lets in whoever was locked out by wrong guesses', async () => {
    const email = 'locked@reset.example'
    const { body } = await register(email)
    await repeat(11, () => signIn(email, 'wrong', limited))
    expect((await signIn(email, testPassword, limited)).status).toBe(429)
    expect((await reset((await issue(body.user.id, 'password_reset'))!)).status).toBe(204)
    expect((await signIn(email, newPassword, limited)).status).toBe(200)
  })

  test('400 for a weak password, which leaves the link good', async () => {
    const { body } = await register('weak@reset.example')
    const token = (await issue(body.user.id, 'password_reset'))!
    const weak = await reset(token, { password: 'password1234' })
    expect(weak).toMatchObject({ status: 400, body: { errors: [{ pointer: '/password' }] } })
    expect((await reset(token)).status).toBe(204)
  })

  test('401 invalid_mailed_token for a link that is none, old, of another kind or of a shut login', async () => {
    const { body } = await register('wrong@reset.example')
    const userId = body.user.id
    const good = (await issue(userId, 'password_reset'))!
    const [, secret] = good.split('.')
    const verification = (await issue(userId, 'verify_email'))!
    const others = await register('other@reset.example')
    for (const token of [
      'x',
      userId,
      `${userId}.`,
      `${others.body.user.id}.${secret}`,
      `${good}x`,
      `${good}.x`,
      verification,
    ]) {
      const reply = await reset(token)
      expect([token, reply.status, reply.body.code]).toEqual([token, 401, 'invalid_mailed_token'])
    }
    await expectAfter(hourMs + minuteMs, async (at) => {
      expect((await reset(good, { at })).status).toBe(401)
    })
    const late = (await issue(userId, 'password_reset'))!
    await app.sql('update users set active = false where id = $1', [userId])
    expect((await reset(late)).status).toBe(401)
    expect(await issue(userId, 'password_reset')).toBeUndefined()
  })

  test('401 before any hash for a token that is none, so that nobody can ask for hashes', async () => {
    const { body } = await register('unhashed@reset.example')
    const hashed = vi.spyOn(app.ports.passwords, 'hash')
    try {
      const stranger = `${body.user.id}.${'x'.repeat(43)}`
      for (const token of ['x', stranger]) expect((await reset(token)).status).toBe(401)
      expect((await verify({ token: stranger, password: newPassword })).status).toBe(401)
      expect(hashed).not.toHaveBeenCalled()
      await reset((await issue(body.user.id, 'password_reset'))!)
      expect(hashed).toHaveBeenCalledOnce()
    } finally {
      hashed.mockRestore()
    }
  })

  test('401 invalid_mailed_token once the password was set in another way', async () => {
    const { body } = await register('changed@reset.example')
    const ofChange = (await issue(body.user.id, 'password_reset'))!
    const change = await app.request('POST /api/auth/password/change', {
      token: body.accessToken,
      body: { currentPassword: testPassword, newPassword: otherPassword },
    })
    expect(change.status).toBe(200)
    expect(await reset(ofChange)).toMatchObject({ body: { code: 'invalid_mailed_token' } })
    const ofProof = (await issue(body.user.id, 'password_reset'))!
    const token = (await issue(body.user.id, 'verify_email'))!
    expect((await verify({ token, password: newPassword })).status).toBe(200)
    expect(await reset(ofProof)).toMatchObject({ body: { code: 'invalid_mailed_token' } })
  })

  test('429 after thirty tries from one address in a quarter of an hour', async () => {
    const replies = await repeat(31, () => reset('x', { at: limited }))
    expect(replies.map(({ status }) => status).slice(-2)).toEqual([401, 429])
  })
})

describe('POST /api/auth/email/verify', () => {
  test('200 with the access token of the login, which stays signed in', async () => {
    const email = 'own@verify.example'
    const { body } = await register(email)
    const token = (await mailedTokenFor(app, email))!
    const reply = await verify({ token }, { token: body.accessToken })
    expect(reply).toMatchObject({ status: 200, body: { id: body.user.id, emailVerified: true } })
    expect((await me(body.accessToken)).body).toEqual(reply.body)
    expect(await verify({ token }, { token: body.accessToken })).toMatchObject({ status: 401 })
    expect(await issue(body.user.id, 'verify_email')).toBeUndefined()
  })

  test('200 with the password of the login, which keeps its sessions', async () => {
    const email = 'same@verify.example'
    const { body } = await register(email)
    const token = (await mailedTokenFor(app, email))!
    expect((await verify({ token, password: testPassword })).status).toBe(200)
    expect((await me(body.accessToken)).body.emailVerified).toBe(true)
    expect(await eventsOf(body.user.id)).not.toContain('user.password_reset')
  })

  test('200 with another password makes it the password and ends the sessions of a stranger', async () => {
    const email = 'hijacked@verify.example'
    const stranger = await register(email)
    const token = (await mailedTokenFor(app, email))!
    expect((await verify({ token, password: newPassword })).status).toBe(200)
    expect((await me(stranger.body.accessToken)).status).toBe(401)
    expect((await signIn(email)).status).toBe(401)
    expect((await signIn(email, newPassword)).status).toBe(200)
  })

  test('200 for one of twenty at once', async () => {
    const email = 'race@verify.example'
    const { body } = await register(email)
    const token = (await mailedTokenFor(app, email))!
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => verify({ token }, { token: body.accessToken })),
    )
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(replies.filter(({ status }) => status === 401)).toHaveLength(19)
  })

  test('422 password_required for the link alone, also with the token of somebody else', async () => {
    const email = 'alone@verify.example'
    await register(email)
    const token = (await mailedTokenFor(app, email))!
    const other = await app.asCustomer('somebody-else')
    for (const by of [{}, { token: other.token }, { token: await app.as('admin') }]) {
      const reply = await verify({ token }, by)
      expect(reply).toMatchObject({ status: 422, body: { code: 'password_required' } })
    }
    expect((await verify({ token, password: newPassword })).status).toBe(200)
  })

  test('400 for a weak password, which leaves the link good', async () => {
    const email = 'weak@verify.example'
    await register(email)
    const token = (await mailedTokenFor(app, email))!
    expect((await verify({ token, password: 'password1234' })).status).toBe(400)
    expect((await verify({ token, password: newPassword })).status).toBe(200)
  })

  test('401 invalid_mailed_token for a link that is none, a day old or of another kind', async () => {
    const { body } = await register('wrong@verify.example')
    const ofReset = (await issue(body.user.id, 'password_reset'))!
    for (const token of ['x', ofReset]) {
      const reply = await verify({ token, password: newPassword })
      expect(reply).toMatchObject({ status: 401, body: { code: 'invalid_mailed_token' } })
    }
    const old = (await issue(body.user.id, 'verify_email'))!
    await expectAfter(dayMs + minuteMs, async (at) => {
      expect((await verify({ token: old, password: newPassword }, { at })).status).toBe(401)
    })
  })
})

describe('POST /api/auth/email/verify/resend', () => {
  const resend = (token: string, at = app) =>
    at.request('POST /api/auth/email/verify/resend', { token })

  test('202 has another mail sent; 409 once the e-mail is proved', async () => {
    const email = 'again@resend.example'
    const { body } = await register(email)
    expect(await resend(body.accessToken)).toMatchObject({ status: 202, body: {} })
    const requests = (await eventsOf(body.user.id)).filter((type) => type.endsWith('requested'))
    expect(requests).toHaveLength(2)
    const token = (await mailedTokenFor(app, email))!
    expect((await verify({ token }, { token: body.accessToken })).status).toBe(200)
    const done = await resend(body.accessToken)
    expect(done).toMatchObject({ status: 409, body: { code: 'email_verified_already' } })
  })

  test('401 for nobody, 403 for staff, 429 after five in an hour', async () => {
    expect((await app.request('POST /api/auth/email/verify/resend')).status).toBe(401)
    expect((await resend(await app.as('admin'))).status).toBe(403)
    const { body } = await register('eager@resend.example')
    const replies = await repeat(6, () => resend(body.accessToken, limited))
    expect(replies.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202, 429])
  })
})

describe('POST /api/auth/register where e-mails are proved first', () => {
  const registerProved = (email: string, at = verifying) =>
    at.request('POST /api/auth/register', { body: { email, password: testPassword, name: 'Una' } })

  test('202 alike, by as many statements and without a cookie, for a free and a taken e-mail', async () => {
    await register('taken@proved.example')
    const answers = []
    for (const name of ['taken', 'free', 'free']) {
      const before = verifying.db.statementCount()
      const { status, body, headers } = await registerProved(`${name}@proved.example`)
      const statements = verifying.db.statementCount() - before
      answers.push({ status, body, cookies: headers.getSetCookie(), statements })
    }
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(answers[0]).toMatchObject({ status: 202, body: {}, cookies: [] })
  })

  test('200 with the link and a password; only then there is a login with its record', async () => {
    const email = 'una@proved.example'
    await registerProved(email)
    const token = (await mailedTokenFor(verifying, email))!
    expect(await app.sql('select id from users where email = $1', [email])).toEqual([])
    expect((await signIn(email, testPassword, verifying)).status).toBe(401)
    const bare = await verify({ token }, { at: verifying })
    expect(bare).toMatchObject({ status: 422, body: { code: 'password_required' } })
    const reply = await verify({ token, password: newPassword }, { at: verifying })
    expect(reply).toMatchObject({ status: 200, body: { email, name: 'Una', emailVerified: true } })
    expect(await signIn(email, newPassword, verifying)).toMatchObject({ status: 200 })
    expect((await signIn(email, testPassword, verifying)).status).toBe(401)
    expect(await eventsOf(reply.body.customerId)).toEqual(['customer.registered'])
    expect(await eventsOf(reply.body.id)).toEqual([
      'user.email_verification_requested',
      'user.created',
      'user.email_verified',
    ])
  })

  test('202 tells the owner by mail when somebody registers their e-mail again', async () => {
    const { body } = await register('owner@proved.example')
    const token = (await mailedTokenFor(app, 'owner@proved.example'))!
    await verify({ token }, { token: body.accessToken })
    await registerProved('OWNER@proved.example')
    expect(await mailedTokenFor(verifying, 'OWNER@proved.example')).toBeUndefined()
    expect((await eventsOf(body.user.id)).at(-1)).toBe('user.registration_repeated')
    expect(await app.sql('select id from registrations where email like $1', ['OWNER%'])).toEqual(
      [],
    )
  })

  test('200 for the first of two registrations of one e-mail, 409 email_taken for the second', async () => {
    const email = 'double@proved.example'
    const tokens = await repeat(2, async () => {
      await registerProved(email)
      return (await mailedTokenFor(verifying, email))!
    })
    const replies = await Promise.all(
      tokens.map((token, index) =>
        verify({ token, password: [newPassword, otherPassword][index]! }, { at: verifying }),
      ),
    )
    expect(replies.map(({ status }) => status).toSorted()).toEqual([200, 409])
    expect(replies.find(({ status }) => status === 409)?.body.code).toBe('email_taken')
  })

  test('400 for a weak password, before anything is written down', async () => {
    const body = { email: 'weak@proved.example', password: 'password1234', name: 'Wes' }
    expect((await verifying.request('POST /api/auth/register', { body })).status).toBe(400)
    expect(await app.sql('select id from registrations where name = $1', ['Wes'])).toEqual([])
  })

  test('401 a week later: what was not proved is forgotten', async () => {
    const email = 'late@proved.example'
    await registerProved(email)
    const token = (await mailedTokenFor(verifying, email))!
    await expectAfter(7 * dayMs + minuteMs, async (at) => {
      await prunePending.run(at.systemContext(), {})
    })
    expect(await app.sql('select id from registrations where email = $1', [email])).toEqual([])
    const [userId] = token.split('.')
    expect(await app.sql('select id from mail_tokens where user_id = $1', [userId])).toEqual([])
    expect((await verify({ token, password: newPassword }, { at: verifying })).status).toBe(401)
  })
})

async function forgot(email: string, more: object = {}, at = app): Promise<Reply> {
  return await at.request('POST /api/auth/password/forgot', { body: { email, ...more } })
}

async function reset(
  token: string,
  { at = app, password = newPassword }: { at?: TestApp; password?: string } = {},
): Promise<Reply> {
  return await at.request('POST /api/auth/password/reset', { body: { token, password } })
}

async function verify(
  body: { token: string; password?: string },
  { at = app, ...by }: { at?: TestApp; token?: string } = {},
): Promise<Reply> {
  return await at.request('POST /api/auth/email/verify', { body, ...by })
}

async function issue(userId: string, purpose: MailPurpose): Promise<string | undefined> {
  const wanted = { userId: userId as Id<'usr'>, purpose }
  return (await issueMailToken(app.systemContext(), wanted))?.token
}

async function register(email: string): Promise<Reply> {
  const body = { email, password: testPassword, name: 'Somebody' }
  return await app.request('POST /api/auth/register', { body })
}

async function signIn(email: string, password = testPassword, at = app): Promise<Reply> {
  return await at.request('POST /api/auth/login', { body: { email, password } })
}

async function staffLogin(email: string) {
  const details = { email, name: 'Staff', password: testPassword, role: 'agent' } as const
  return await createStaffUser(app.systemContext(), details)
}

async function me(token: string, at = app): Promise<Reply> {
  return await at.request('GET /api/auth/me', { token })
}

/** On a node whose clock is ahead. */
async function expectAfter(byMs: number, look: (at: TestApp) => Promise<void>): Promise<void> {
  const later = await startTestApp({ beside: app })
  try {
    later.advance(byMs)
    await look(later)
  } finally {
    await later.close()
  }
}

/** What happened to an aggregate, in its order. */
async function eventsOf(rootId: string): Promise<string[]> {
  const events = await app.sql('select type from events where root_id = $1 order by root_version', [
    rootId,
  ])
  return events.map(({ type }) => String(type))
}

async function repeat<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  return await repeatNumbered(times, work)
}

async function repeatNumbered<T>(times: number, work: (n: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let round = 0; round < times; round += 1) results.push(await work(round))
  return results
}
