import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestApp, testPassword, type Reply, type TestApp } from '../../../test/support/app.ts'
import { codeOf } from '../../../test/support/authenticator.ts'
import { createStaffUser, issueMailToken } from './index.ts'

/** Thirty seconds: no code works in two of them. */
const periodMs = 30_000

let app: TestApp
/** Another node on the same database. */
let node: TestApp
/** A node with the real limits. */
let limited: TestApp

beforeAll(async () => {
  app = await startTestApp()
  node = await startTestApp({ beside: app })
  limited = await startTestApp({ beside: app, rateLimitScale: 1 })
})
afterAll(async () => {
  await limited.close()
  await node.close()
  await app.close()
})
beforeEach(async () => {
  await app.sql('delete from rate_limits')
  // No period shall end within a test.
  const passedMs = app.now().getTime() % periodMs
  if (passedMs < periodMs / 2) return
  for (const one of [app, node, limited]) one.advance(periodMs - passedMs)
})

describe('POST /api/auth/admin/mfa/setup', () => {
  test('200 with a secret and its address; nothing is asked for yet', async () => {
    const { token, email } = await colleague('setup')
    const reply = await send('setup', token)
    expect(reply.status).toBe(200)
    const { secret, uri } = reply.body
    expect(secret).toMatch(/^[A-Z2-7]{32}$/)
    expect(new URL(uri).searchParams.get('secret')).toBe(secret)
    expect(decodeURIComponent(uri)).toContain(`Bureau:${email}`)
    expect((await signIn(email)).status).toBe(200)
    expect((await me(token)).body.mfaEnabled).toBe(false)
    const rows = await app.sql('select to_jsonb(second_factors) as row from second_factors')
    expect(JSON.stringify(rows)).not.toContain(secret)
  })

  test('200 again replaces what was not activated; 409 mfa_enabled_already after', async () => {
    const { token } = await colleague('replaced')
    const first = (await send('setup', token)).body.secret
    const second = (await send('setup', token)).body.secret
    expect(first).not.toBe(second)
    const wrong = await send('activate', token, { code: codeOf(first, app.now()) })
    expect(wrong).toMatchObject({ status: 422, body: { code: 'wrong_code' } })
    const right = await send('activate', token, { code: codeOf(second, app.now()) })
    expect(right.status).toBe(200)
    const reply = await send('setup', token)
    expect(reply).toMatchObject({ status: 409, body: { code: 'mfa_enabled_already' } })
  })

  test('401 for nobody, 403 for a customer', async () => {
    const { token } = await app.asCustomer('ada')
    for (const verb of ['setup', 'activate', 'disable'] as const) {
      expect((await app.request(`POST /api/auth/admin/mfa/${verb}`)).status).toBe(401)
      expect((await send(verb, token, {})).status).toBe(403)
    }
  })
})

describe('POST /api/auth/admin/mfa/activate', () => {
  test('200 with ten recovery codes, once, and signs the other devices out', async () => {
    const { token, email } = await colleague('activate')
    const other = (await signIn(email)).body.accessToken
    const { secret } = (await send('setup', token)).body
    const reply = await send('activate', token, { code: codeOf(secret, app.now()) })
    expect(reply.status).toBe(200)
    const codes: string[] = reply.body.recoveryCodes
    expect(new Set(codes).size).toBe(10)
    for (const code of codes) expect(code).toMatch(/^[0-9a-hjkmnp-tv-z]{5}-[0-9a-hjkmnp-tv-z]{5}$/)
    expect((await me(token)).body.mfaEnabled).toBe(true)
    expect((await me(other)).status).toBe(401)
    const rows = await app.sql('select id from recovery_codes')
    for (const code of codes) expect(JSON.stringify(rows)).not.toContain(code)
    const again = await send('activate', token, { code: codeOf(secret, app.now()) })
    expect(again).toMatchObject({ status: 409, body: { code: 'mfa_enabled_already' } })
  })

  test('200 for one of many at once', async () => {
    const { token } = await colleague('activate-race')
    const { secret } = (await send('setup', token)).body
    const code = codeOf(secret, app.now())
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => send('activate', token, { code })),
    )
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(replies.filter(({ status }) => status === 409)).toHaveLength(7)
    const [counted] = await app.sql(
      `select count(*)::int as codes from recovery_codes where user_id = (
         select user_id from recovery_codes order by created_at desc limit 1)`,
    )
    expect(counted).toEqual({ codes: 10 })
  })

  test('400 for what is no code, 409 mfa_not_set_up without a secret', async () => {
    const { token } = await colleague('unprepared')
    for (const code of ['12345', '1234567', 'abcdef', '12345a', '4k8vq-z0m2x']) {
      expect((await send('activate', token, { code })).status).toBe(400)
    }
    const reply = await send('activate', token, { code: '123456' })
    expect(reply).toMatchObject({ status: 409, body: { code: 'mfa_not_set_up' } })
  })

  test('429 after twenty wrong codes in a day', async () => {
    const { token } = await colleague('guessing')
    const { secret } = (await send('setup', token)).body
    const wrong = wrongCodeFor(secret)
    for (let round = 0; round < 20; round += 1) {
      const reply = await send('activate', token, { code: wrong }, limited)
      expect(reply.status).toBe(422)
    }
    const reply = await send('activate', token, { code: codeOf(secret, app.now()) }, limited)
    expect(reply.status).toBe(429)
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(80_000)
  })
})

describe('POST /api/auth/admin/login with a second factor', () => {
  test('401 mfa_required once the password is right, and 200 with the code', async () => {
    const { email, nextCode } = await protectedColleague('login')
    const asked = await signIn(email)
    expect(asked).toMatchObject({ status: 401, body: { code: 'mfa_required' } })
    expect(asked.headers.getSetCookie()).toEqual([])
    const wrong = await signIn(email, { password: 'a wrong password' })
    expect(wrong).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } })
    const reply = await signIn(email, { totp: nextCode() })
    expect(reply).toMatchObject({ status: 200, body: { user: { mfaEnabled: true } } })
  })

  test('401 in the words of a wrong password for a wrong code, an old one and one used before', async () => {
    const { email, secret, nextCode } = await protectedColleague('codes')
    const used = nextCode()
    expect((await signIn(email, { totp: used })).status).toBe(200)
    const old = codeOf(secret, new Date(app.now().getTime() - 3 * periodMs))
    const answers = []
    for (const given of [
      { password: 'a wrong password' },
      { totp: wrongCodeFor(secret) },
      { totp: used },
      { totp: old },
      { totp: '00000-00000' },
      { password: 'a wrong password', totp: used },
    ]) {
      const { status, body } = await signIn(email, given)
      const { requestId: _id, ...told } = body
      answers.push({ status, told })
    }
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(answers[0]).toMatchObject({ status: 401, told: { code: 'invalid_credentials' } })
  })

  test('200 for one of many at once with one code, on two nodes', async () => {
    const { email, nextCode } = await protectedColleague('race')
    const totp = nextCode()
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        signIn(email, { totp }, index % 2 === 0 ? app : node),
      ),
    )
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(replies.filter(({ status }) => status === 401)).toHaveLength(9)
  })

  test('200 with a recovery code, in letters of any size, once each', async () => {
    const { email, userId, recoveryCodes } = await protectedColleague('recovery')
    const [first = '', second = ''] = recoveryCodes
    const replies = await Promise.all(
      Array.from({ length: 6 }, () => signIn(email, { totp: first.toUpperCase() })),
    )
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
    expect((await signIn(email, { totp: first })).status).toBe(401)
    expect((await signIn(email, { totp: second })).status).toBe(200)
    const events = await app.sql(
      `select data from events where root_id = $1 and type = 'user.recovery_code_used'
       order by root_version`,
      [userId],
    )
    expect(events).toEqual([{ data: { left: 9 } }, { data: { left: 8 } }])
  })

  test("401 for another's recovery code", async () => {
    const one = await protectedColleague('mine')
    const two = await protectedColleague('yours')
    expect((await signIn(one.email, { totp: two.recoveryCodes[0]! })).status).toBe(401)
    expect((await signIn(two.email, { totp: two.recoveryCodes[0]! })).status).toBe(200)
  })

  test('429 after twenty codes in a day, however often the quarter of an hour is over', async () => {
    const { email, secret } = await protectedColleague('patient')
    const totp = wrongCodeFor(secret)
    const fresh = await startTestApp({ beside: app, rateLimitScale: 1 })
    try {
      const statuses = []
      for (let round = 0; round < 21; round += 1) {
        await app.sql(`delete from rate_limits where key not like 'mfaByAccount%'`)
        statuses.push((await signIn(email, { totp }, fresh)).status)
      }
      expect(statuses).toEqual([...Array.from({ length: 20 }, () => 401), 429])
    } finally {
      await fresh.close()
    }
  })

  test('401 for the password alone after it was reset: the factor stays', async () => {
    const { email, userId, nextCode } = await protectedColleague('reset')
    const wanted = { userId, purpose: 'password_reset' } as const
    const link = await issueMailToken(app.systemContext(), wanted)
    const body = { token: link?.token, password: 'eleven herons over a pond' }
    expect((await app.request('POST /api/auth/password/reset', { body })).status).toBe(204)
    const { password } = body
    expect((await signIn(email, { password })).body.code).toBe('mfa_required')
    expect((await signIn(email, { password, totp: nextCode() })).status).toBe(200)
  })
})

describe('POST /api/auth/admin/mfa/disable', () => {
  test('204 with password and code; the password alone signs in again', async () => {
    const { email, token, nextCode } = await protectedColleague('disable')
    const reply = await send('disable', token, { password: testPassword, code: nextCode() })
    expect(reply.status).toBe(204)
    expect((await me(token)).body.mfaEnabled).toBe(false)
    expect((await signIn(email)).status).toBe(200)
    const again = await send('disable', token, { password: testPassword, code: '123456' })
    expect(again).toMatchObject({ status: 409, body: { code: 'mfa_not_set_up' } })
  })

  test('204 with a recovery code', async () => {
    const { token, recoveryCodes } = await protectedColleague('disable-lost')
    const body = { password: testPassword, code: recoveryCodes[3]! }
    expect((await send('disable', token, body)).status).toBe(204)
    const { secret } = (await send('setup', token)).body
    const reply = await send('activate', token, { code: codeOf(secret, app.now()) })
    expect(reply.body.recoveryCodes).toHaveLength(10)
    const old = recoveryCodes.filter((code) => reply.body.recoveryCodes.includes(code))
    expect(old).toEqual([])
  })

  test('422 wrong_password and wrong_code, for a code used before too', async () => {
    const { email, token, nextCode } = await protectedColleague('disable-wrong')
    const used = nextCode()
    expect((await signIn(email, { totp: used })).status).toBe(200)
    const tries = [
      [{ password: 'a wrong password', code: used }, 'wrong_password'],
      [{ password: testPassword, code: used }, 'wrong_code'],
      [{ password: testPassword, code: '00000-00000' }, 'wrong_code'],
    ] as const
    for (const [body, code] of tries) {
      expect(await send('disable', token, body)).toMatchObject({ status: 422, body: { code } })
    }
    expect((await me(token)).body.mfaEnabled).toBe(true)
    expect((await send('disable', token, { code: used })).status).toBe(400)
  })

  test('429 after ten wrong passwords, which do not count as codes of a sign-in', async () => {
    const { email, token, nextCode } = await protectedColleague('disable-guessed')
    const body = { password: 'a wrong password', code: '00000-00000' }
    const statuses = []
    for (let round = 0; round < 25; round += 1) {
      statuses.push((await send('disable', token, body, limited)).status)
    }
    expect(statuses.slice(9, 11)).toEqual([422, 429])
    expect((await signIn(email, { totp: nextCode() }, limited)).status).toBe(200)
  })
})

describe('DELETE /api/users/:id/mfa', () => {
  const remove = async (id: string, options?: object) =>
    await app.request(`DELETE /api/users/${id}/mfa`, options ?? { token: await app.as('admin') })

  test('204 takes the factor off a colleague and signs them out', async () => {
    const { email, userId, token } = await protectedColleague('lost')
    expect((await remove(userId)).status).toBe(204)
    expect((await me(token)).status).toBe(401)
    expect((await signIn(email)).status).toBe(200)
    expect(await app.sql('select id from recovery_codes where user_id = $1', [userId])).toEqual([])
    expect((await remove(userId)).status).toBe(204)
    const events = await app.sql(
      `select actor_kind, data from events
       where root_id = $1 and type = 'user.second_factor_removed'`,
      [userId],
    )
    expect(events).toEqual([{ actor_kind: 'staff', data: { by: 'colleague' } }])
  })

  test('401, 403 for staff who may not, 403 own_login, 404, 412', async () => {
    const { userId } = await protectedColleague('kept')
    expect((await remove(userId, {})).status).toBe(401)
    expect((await remove(userId, { token: await app.as('manager') })).status).toBe(403)
    const { body } = await me(await app.as('admin'))
    expect(await remove(body.id)).toMatchObject({ status: 403, body: { code: 'own_login' } })
    const { userId: customer } = await app.asCustomer('ada')
    expect((await remove(customer)).status).toBe(404)
    const stale = { token: await app.as('admin'), headers: { 'if-match': '"1-staff"' } }
    expect((await remove(userId, stale)).status).toBe(412)
  })
})

type Verb = 'setup' | 'activate' | 'disable'

async function send(verb: Verb, token: string, body?: object, at = app): Promise<Reply> {
  const given = body === undefined ? {} : { body }
  return await at.request(`POST /api/auth/admin/mfa/${verb}`, { token, ...given })
}

async function colleague(name: string) {
  const email = `${name}@factor.example`
  const details = { email, name, password: testPassword, role: 'agent' } as const
  const { id: userId } = await createStaffUser(app.systemContext(), details)
  const { accessToken: token } = (await signIn(email)).body
  return { email, userId, token: String(token) }
}

/** A colleague whose authenticator is active, with the codes that it will show. */
async function protectedColleague(name: string) {
  const { email, userId, token } = await colleague(name)
  const { secret } = (await send('setup', token)).body
  // The code before this one is good as well: so the present one is left for the test.
  const before = new Date(app.now().getTime() - periodMs)
  const { body } = await send('activate', token, { code: codeOf(secret, before) })
  const recoveryCodes: string[] = body.recoveryCodes
  return { email, userId, token, secret, recoveryCodes, nextCode: () => codeOf(secret, app.now()) }
}

/** Six digits that are the code of none of the periods around now. */
function wrongCodeFor(secret: string): string {
  const near = [-2, -1, 0, 1, 2].map((distance) =>
    codeOf(secret, new Date(app.now().getTime() + distance * periodMs)),
  )
  return ['000000', '111111', '222222', '333333', '444444', '555555'].find(
    (code) => !near.includes(code),
  )!
}

async function signIn(email: string, more: object = {}, at = app): Promise<Reply> {
  const body = { email, password: testPassword, ...more }
  return await at.request('POST /api/auth/admin/login', { body })
}

async function me(token: string): Promise<Reply> {
  return await app.request('GET /api/auth/me', { token })
}
