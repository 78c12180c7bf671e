import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, testPassword, type Reply, type TestApp } from '../../../test/support/app.ts'
import type { StaffRole } from '../../kernel/permissions.ts'
import { dayMs, minuteMs, secondMs } from '../../kernel/time.ts'
import { createSetupToken, createStaffUser } from './index.ts'

const newPassword = 'eleven herons over a pond'

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

describe('POST /api/auth/register', () => {
  test('201 makes a login with its record and signs in', async () => {
    const email = 'Ada.Lovelace@Register.example'
    const reply = await register({ email, name: 'Ada Lovelace' })
    expect(reply.status).toBe(201)
    expect(reply.body).toEqual({
      user: {
        id: expect.stringMatching(/^usr_/),
        email,
        name: 'Ada Lovelace',
        role: 'customer',
        permissions: [],
        customerId: expect.stringMatching(/^cus_/),
        emailVerified: false,
        mfaEnabled: false,
        version: 2,
        createdAt: expect.any(String),
      },
      accessToken: expect.any(String),
      expiresIn: 900,
    })
    const { user, accessToken } = reply.body
    expect((await me(accessToken)).body).toEqual(user)
    const [customer] = await app.sql('select * from customers where id = $1', [user.customerId])
    expect(customer).toMatchObject({ user_id: user.id, email_lower: email.toLowerCase() })
  })

  test('201 sets a refresh cookie that no script can read', async () => {
    const reply = await register({ email: 'cookie@register.example' })
    const [cookie] = reply.headers.getSetCookie()
    expect(cookie).toMatch(/^bureau_refresh=ses_[^;]+; Max-Age=2592000; Path=\/api\/auth; /)
    expect(cookie).toMatch(/HttpOnly/)
    expect(cookie).toMatch(/SameSite=Strict/)
    expect(JSON.stringify(reply.body)).not.toContain(cookieOf(reply).split('=')[1])
  })

  test('201 keeps no password and no token in the clear', async () => {
    const reply = await register({ email: 'hidden@register.example' })
    const [user] = await app.sql('select * from users where id = $1', [reply.body.user.id])
    expect(user?.['password_hash']).toMatch(/^\$argon2id\$/)
    const sessions = await app.sql('select * from sessions where user_id = $1', [user?.['id']])
    const [, secret] = cookieOf(reply).split('.')
    expect(JSON.stringify(sessions)).not.toContain(secret)
    const events = await app.sql('select * from events')
    expect(JSON.stringify(events)).not.toMatch(/hidden@register|argon2/)
  })

  test('201 announces the customer, the login and the session', async () => {
    const { body } = await register({ email: 'events@register.example' })
    const events = await app.sql(
      `select type, root_version, data from events where root_id in ($1, $2)
       order by type = 'customer.registered' desc, root_version`,
      [body.user.id, body.user.customerId],
    )
    expect(events).toEqual([
      { type: 'customer.registered', root_version: 1, data: { userId: body.user.id } },
      {
        type: 'user.created',
        root_version: 1,
        data: { audience: 'customer', role: 'customer' },
      },
      { type: 'user.email_verification_requested', root_version: 2, data: {} },
    ])
  })

  test.each([
    ['no members', {}, '/email'],
    ['a password of 11 characters', { password: 'abcdefghijk' }, '/password'],
    ['a password of 129 characters', { password: 'ab cd'.repeat(26) }, '/password'],
    ['a password of a megabyte', { password: 'a'.repeat(900_000) }, '/password'],
    ['a common password', { password: 'Password123!' }, '/password'],
    ['a keyboard run', { password: 'qwertyuiopas' }, '/password'],
    ['the own e-mail as password', { password: 'wrong@input.example' }, '/password'],
    ['an e-mail without a domain', { email: 'ada' }, '/email'],
    ['an e-mail with a line break', { email: 'ada@x.example\nBcc: b@x.example' }, '/email'],
    ['an empty name', { name: ' ' }, '/name'],
    ['a role of its own choice', { role: 'admin' }, '/role'],
    ['a verified e-mail of its own choice', { emailVerified: true }, '/emailVerified'],
  ])('400 for %s', async (name, members, pointer) => {
    const body =
      name === 'no members'
        ? {}
        : { email: 'wrong@input.example', name: 'Wrong', password: testPassword, ...members }
    const reply = await app.request('POST /api/auth/register', { body })
    expect(reply.status).toBe(400)
    expect(reply.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer)
    expect(await app.sql(`select id from users where email_key like 'wrong@%'`)).toEqual([])
  })

  test('201 for passwords of 12 and of 128 characters in any script', async () => {
    const short = await register({ email: 'short@register.example', password: 'žlutý kůňň 🐎' })
    expect(short.status).toBe(201)
    const password = 'ﬀéå 🐎'.repeat(25) + 'xyz'
    const long = await register({ email: 'long@register.example', password })
    expect(long.status).toBe(201)
    expect((await signIn('long@register.example', password.normalize('NFD'))).status).toBe(200)
    expect((await signIn('long@register.example', password.slice(0, -1))).status).toBe(401)
  })

  test('409 email_taken for the same e-mail in other letters, and once only at once', async () => {
    const emails = ['Zoë@taken.example', 'zoë@TAKEN.example', 'ZOË@taken.example']
    emails.push('Zoë@taken.example'.normalize('NFD'))
    const replies = await Promise.all(emails.map((email) => register({ email })))
    expect(replies.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409])
    const refused = replies.find(({ status }) => status === 409)
    expect(refused?.body.code).toBe('email_taken')
    const records = await app.sql(
      `select id from customers where email_lower like '%@taken.example'`,
    )
    expect(records).toHaveLength(1)
  })

  test('429 with Retry-After for many registrations from one address', async () => {
    await forgetLimits()
    const replies = await repeat(21, () =>
      limited.request('POST /api/auth/register', { body: { email: 'x' } }),
    )
    expect(replies[0]?.status).toBe(400)
    expect(replies.at(-1)?.status).toBe(429)
    expect(Number(replies.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0)
  })
})

describe('POST /api/auth/login', () => {
  test('200 with the same shape as registering, whatever the case of the e-mail', async () => {
    const registered = await register({ email: 'grace@login.example' })
    const reply = await signIn('GRACE@login.example')
    expect(reply.status).toBe(200)
    expect(reply.body).toEqual({
      user: registered.body.user,
      accessToken: expect.any(String),
      expiresIn: 900,
    })
    expect(cookieOf(reply)).toMatch(/^bureau_refresh=/)
    expect(sessionIdOf(reply)).not.toBe(sessionIdOf(registered))
  })

  test.each([
    ['no members', {}],
    ['a password that is no text', { email: 'a@b.example', password: 12 }],
    ['an unknown member', { email: 'a@b.example', password: 'x', totp: '123456' }],
    ['a huge password', { email: 'a@b.example', password: 'a'.repeat(900_000) }],
  ])('400 for %s', async (_name, body) => {
    expect((await app.request('POST /api/auth/login', { body })).status).toBe(400)
  })

  test('401 in the same words and statements for a wrong password and a stranger', async () => {
    await register({ email: 'known@login.example' })
    const shut = await register({ email: 'shut@login.example' })
    await app.sql('update users set active = false where id = $1', [shut.body.user.id])
    const staff = await staffLogin('viewer', 'staff-only@login.example')
    const answers = []
    for (const email of [
      'known@login.example',
      'nobody@login.example',
      'shut@login.example',
      staff.email,
    ]) {
      const before = app.db.statementCount()
      const { status, body } = await signIn(email, email.startsWith('known') ? 'wrong' : undefined)
      const { requestId: _id, ...told } = body
      answers.push({ status, told, statements: app.db.statementCount() - before })
    }
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(answers[0]).toMatchObject({ status: 401, told: { code: 'invalid_credentials' } })
  })

  test('401 takes about as long for an unknown e-mail as for a wrong password', async () => {
    await register({ email: 'timed@login.example' })
    const took: Record<string, number[]> = { 'timed@login.example': [], 'none@login.example': [] }
    for (let round = 0; round < 15; round += 1) {
      for (const [email, times] of Object.entries(took)) {
        const start = performance.now()
        await signIn(email, 'a wrong password')
        times.push(performance.now() - start)
      }
    }
    const [known = 0, unknown = 0] = Object.values(took).map(medianOf)
    // Without the hash of nobody's password the second would take a tenth of the first.
    expect(unknown).toBeGreaterThan(known / 2)
    expect(unknown).toBeLessThan(known * 2)
  })

  test('429 by account after 10 failures, known or not, also with the right password', async () => {
    await register({ email: 'guessed@login.example' })
    await forgetLimits()
    for (const email of ['guessed@login.example', 'unknown@guessed.example']) {
      const replies = await repeat(10, () => signIn(email, 'wrong', limited))
      expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 401))
      const refused = await signIn(email, testPassword, limited)
      expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(800)
    }
  })

  test('429 does not end the sessions that the account has', async () => {
    const { body } = await register({ email: 'working@login.example' })
    await forgetLimits()
    await repeat(11, () => signIn('working@login.example', 'wrong', limited))
    expect((await me(body.accessToken, limited)).status).toBe(200)
  })

  test('429 holds against many guesses at once and against forged headers', async () => {
    await register({ email: 'flooded@login.example' })
    await forgetLimits()
    const replies = await Promise.all(
      Array.from({ length: 25 }, (_, index) =>
        limited.request('POST /api/auth/login', {
          body: { email: 'flooded@login.example', password: `guess number ${index}` },
          headers: { 'x-forwarded-for': `203.0.113.${index}` },
        }),
      ),
    )
    expect(replies.filter(({ status }) => status === 401)).toHaveLength(10)
    expect(replies.filter(({ status }) => status === 429)).toHaveLength(15)
  })

  test('200 forgets the failures of the account', async () => {
    const email = 'forgetful@login.example'
    await register({ email })
    await forgetLimits()
    for (let round = 0; round < 2; round += 1) {
      await repeat(9, () => signIn(email, 'wrong', limited))
      expect((await signIn(email, testPassword, limited)).status).toBe(200)
    }
  })

  test('429 by address after 50 failures over many accounts, right or wrong', async () => {
    await register({ email: 'neighbour@login.example' })
    await forgetLimits()
    for (let index = 0; index < 50; index += 1) {
      // The tighter limit of the route itself counts per minute and in memory.
      if (index % 25 === 0) await limited.ports.limits.forget('auth', '127.0.0.1')
      const { status } = await signIn(`account${index}@spread.example`, 'wrong', limited)
      expect(status).toBe(401)
    }
    expect((await signIn('neighbour@login.example', testPassword, limited)).status).toBe(429)
  })
})

describe('POST /api/auth/admin/login', () => {
  test('200 for staff, with permissions and a cookie of its own', async () => {
    const { email } = await staffLogin('agent', 'agent@admin.example')
    const reply = await signInAsStaff(email)
    expect(reply.status).toBe(200)
    expect(reply.body.user).toMatchObject({ role: 'agent', customerId: null, email })
    expect(reply.body.user.permissions).toContain('orders:status')
    expect(reply.headers.getSetCookie()[0]).toMatch(
      /^bureau_admin_refresh=[^;]+; Max-Age=\d+; Path=\/api\/auth\/admin; /,
    )
  })

  test('200 with a code that nobody asked for', async () => {
    const { email } = await staffLogin('agent', 'coded@admin.example')
    const body = { email, password: testPassword, totp: '123456' }
    expect((await app.request('POST /api/auth/admin/login', { body })).status).toBe(200)
    const wrong = { ...body, totp: '12' }
    expect((await app.request('POST /api/auth/admin/login', { body: wrong })).status).toBe(400)
  })

  test('401 for the credentials of a customer of the same e-mail', async () => {
    const email = 'both@admin.example'
    await register({ email, password: newPassword })
    expect((await signInAsStaff(email, newPassword)).status).toBe(401)
    await staffLogin('viewer', email)
    expect((await signInAsStaff(email)).status).toBe(200)
    expect((await signIn(email, testPassword)).status).toBe(401)
    expect((await signIn(email, newPassword)).status).toBe(200)
  })

  test('429 after 10 failures, counted apart from the customer of that e-mail', async () => {
    const email = 'counted@admin.example'
    await register({ email })
    await forgetLimits()
    const replies = await repeat(11, () => signInAsStaff(email, 'wrong', limited))
    expect(replies.at(-1)?.status).toBe(429)
    expect((await signIn(email, testPassword, limited)).status).toBe(200)
  })
})

describe('POST /api/auth/admin/setup', () => {
  test('201 makes the first admin, once, while there is no staff', async () => {
    const empty = await startTestApp()
    try {
      const token = await createSetupToken(empty.systemContext())
      const body = { token, email: 'sam@setup.example', name: 'Sam', password: testPassword }
      const send = (given: object) => empty.request('POST /api/auth/admin/setup', { body: given })
      expect(await send({ ...body, token: 'wrong' })).toMatchObject({
        status: 401,
        body: { code: 'invalid_setup_token' },
      })
      expect((await send({ ...body, password: 'password1234' })).status).toBe(400)
      const replies = await Promise.all([send(body), send({ ...body, email: 'eve@setup.example' })])
      expect(replies.map(({ status }) => status).toSorted()).toEqual([201, 409])
      const made = replies.find(({ status }) => status === 201)
      expect(made?.body.user.role).toBe('admin')
      expect(cookieOf(made!)).toMatch(/^bureau_admin_refresh=/)
      expect(await send(body)).toMatchObject({ status: 409, body: { code: 'already_set_up' } })
      expect(await createSetupToken(empty.systemContext())).toBeUndefined()
    } finally {
      await empty.close()
    }
  })

  test('401 for a token of a day ago and for one that a newer one replaced', async () => {
    const empty = await startTestApp()
    try {
      const old = await createSetupToken(empty.systemContext())
      const token = await createSetupToken(empty.systemContext())
      const body = { email: 'sam@setup.example', name: 'Sam', password: testPassword }
      const send = (given: string | undefined) =>
        empty.request('POST /api/auth/admin/setup', { body: { ...body, token: given } })
      expect((await send(old)).status).toBe(401)
      empty.advance(dayMs + secondMs)
      expect((await send(token)).status).toBe(401)
    } finally {
      await empty.close()
    }
  })
})

describe('GET /api/auth/me', () => {
  test('200 with role and permissions of staff', async () => {
    const reply = await me(await app.as('finance'))
    expect(reply.body).toMatchObject({ role: 'finance', customerId: null })
    expect(reply.body.permissions).toContain('payments:write')
  })

  test('200 without any statement once the token is known', async () => {
    const { token } = await app.asCustomer('warm')
    await expect
      .poll(async () => {
        const before = app.db.statementCount()
        expect((await me(token)).status).toBe(200)
        return app.db.statementCount() - before
      })
      .toBe(0)
  })

  test('304 for the version that the client has', async () => {
    const { token } = await app.asCustomer('tagged')
    const tag = (await me(token)).headers.get('etag')
    const headers = { 'if-none-match': String(tag) }
    expect((await app.request('GET /api/auth/me', { token, headers })).status).toBe(304)
  })

  test.each([
    ['no token', {}],
    ['no scheme', { authorization: 'abc' }],
    ['another scheme', { authorization: 'Basic YTpi' }],
    ['a token that is none', { authorization: 'Bearer abc.def.ghi' }],
  ])('401 for %s', async (_name, headers: Record<string, string>) => {
    const reply = await app.request('GET /api/auth/me', { headers })
    expect(reply).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
    expect(reply.headers.get('www-authenticate')).toBe('Bearer')
  })

  test('401 when the token is 15 minutes old', async () => {
    const later = await startTestApp({ beside: app })
    try {
      const { body } = await register({ email: 'old@me.example' })
      later.advance(14 * minuteMs)
      expect((await me(body.accessToken, later)).status).toBe(200)
      later.advance(minuteMs + secondMs)
      expect((await me(body.accessToken, later)).status).toBe(401)
    } finally {
      await later.close()
    }
  })
})

describe('POST /api/auth/refresh', () => {
  test('200 with the next cookie and a token of the same session', async () => {
    const registered = await register({ email: 'fresh@refresh.example' })
    const reply = await refresh(cookieOf(registered))
    expect(reply.status).toBe(200)
    expect(reply.body).toEqual({
      user: registered.body.user,
      accessToken: expect.any(String),
      expiresIn: 900,
    })
    expect(cookieOf(reply)).not.toBe(cookieOf(registered))
    expect(sessionIdOf(reply)).toBe(sessionIdOf(registered))
    expect((await refresh(cookieOf(reply))).status).toBe(200)
  })

  test('200 for two at once with one cookie, on two nodes, with the same successor', async () => {
    const cookie = cookieOf(await register({ email: 'twice@refresh.example' }))
    const replies = await Promise.all([
      refresh(cookie),
      refresh(cookie, { at: node }),
      refresh(cookie),
      refresh(cookie, { at: node }),
    ])
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(new Set(replies.map(cookieOf)).size).toBe(1)
    expect((await refresh(cookieOf(replies[0]))).status).toBe(200)
  })

  test('200 within ten seconds for the cookie just exchanged; later it ends all', async () => {
    const at = await startTestApp({ beside: app })
    try {
      const cookie = cookieOf(await register({ email: 'reused@refresh.example' }))
      const next = await refresh(cookie, { at })
      at.advance(9 * secondMs)
      expect(cookieOf(await refresh(cookie, { at }))).toBe(cookieOf(next))
      at.advance(2 * secondMs)
      const reused = await refresh(cookie, { at })
      expect(reused).toMatchObject({ status: 401, body: { code: 'invalid_refresh_token' } })
      expect((await refresh(cookieOf(next), { at })).status).toBe(401)
      expect((await me(next.body.accessToken, at)).status).toBe(401)
      expect(await endReasonOf(sessionIdOf(next))).toBe('token_reused')
    } finally {
      await at.close()
    }
  })

  test('401 for a cookie of two exchanges ago, which ends the session at once', async () => {
    const first = cookieOf(await register({ email: 'stolen@refresh.example' }))
    const second = await refresh(first)
    const third = await refresh(cookieOf(second))
    expect((await refresh(first)).status).toBe(401)
    expect((await refresh(cookieOf(third))).status).toBe(401)
    expect((await me(third.body.accessToken)).status).toBe(401)
  })

  test('401 for a cookie that we never made, which ends nothing', async () => {
    const registered = await register({ email: 'griefed@refresh.example' })
    const [name, session] = cookieOf(registered).split(/[=.]/)
    const [, ...rest] = cookieOf(registered).split('.')
    const made = [
      `${name}=`,
      `${name}=${session}`,
      `${name}=${session}.${'a'.repeat(43)}.${'b'.repeat(43)}`,
      `${name}=${session}.${rest.join('.').replace(/.$/, '!')}`,
      `${name}=${session}.${rest.join('.')}.more`,
      `${name}=${'x'.repeat(3000)}`,
    ]
    for (const cookie of made) expect((await refresh(cookie)).status).toBe(401)
    expect((await app.request('POST /api/auth/refresh')).status).toBe(401)
    expect((await refresh(cookieOf(registered))).status).toBe(200)
  })

  test('401 after 30 days without a visit, and after 90 in any case', async () => {
    const at = await startTestApp({ beside: app })
    try {
      const idle = cookieOf(await register({ email: 'idle@refresh.example' }))
      let busy = await register({ email: 'busy@refresh.example' })
      for (const days of [29, 58, 87]) {
        at.advance(29 * dayMs)
        busy = await refresh(cookieOf(busy), { at })
        expect([days, busy.status]).toEqual([days, 200])
      }
      expect(busy.headers.getSetCookie()[0]).toMatch(/Max-Age=2\d{5};/)
      expect((await refresh(idle, { at })).status).toBe(401)
      expect(await endReasonOf(/ses_[^.]+/.exec(idle)?.[0] ?? '')).toBeNull()
      at.advance(4 * dayMs)
      expect((await refresh(cookieOf(busy), { at })).status).toBe(401)
    } finally {
      await at.close()
    }
  })

  test('403 for a page of another site, by either header', async () => {
    const cookie = cookieOf(await register({ email: 'crossed@refresh.example' }))
    const foreign = [
      { origin: 'https://evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site', origin: 'https://evil.example' },
      { origin: 'null' },
    ]
    for (const headers of foreign) expect((await refresh(cookie, { headers })).status).toBe(403)
    const own = { 'sec-fetch-site': 'cross-site', origin: 'https://shop.example' }
    expect((await refresh(cookie, { headers: own })).status).toBe(200)
  })

  test('415 for a body that is a form', async () => {
    const cookie = cookieOf(await register({ email: 'form@refresh.example' }))
    const reply = await app.request('POST /api/auth/refresh', {
      headers: { cookie, 'content-type': 'application/x-www-form-urlencoded' },
      rawBody: 'a=b',
    })
    expect(reply.status).toBe(415)
  })
})

describe('POST /api/auth/admin/refresh', () => {
  test('200 for the cookie of staff; 401 for it elsewhere and for another here', async () => {
    const { email } = await staffLogin('manager', 'manager@refresh.example')
    const staff = cookieOf(await signInAsStaff(email))
    const customer = cookieOf(await register({ email: 'mixed@refresh.example' }))
    const renamed = (cookie: string, name: string) => cookie.replace(/^[^=]+/, name)
    expect((await refresh(renamed(staff, 'bureau_refresh'))).status).toBe(401)
    const asStaff = renamed(customer, 'bureau_admin_refresh')
    expect((await refreshAsStaff(asStaff)).status).toBe(401)
    expect((await refresh(customer)).status).toBe(200)
    const reply = await refreshAsStaff(staff)
    expect(reply).toMatchObject({ status: 200, body: { user: { role: 'manager' } } })
    expect(reply.headers.getSetCookie()[0]).toMatch(/Path=\/api\/auth\/admin;/)
  })
})

describe('POST /api/auth/logout', () => {
  test('204 ends the session at once here and within a second elsewhere', async () => {
    const { body } = await register({ email: 'gone@logout.example' })
    const token = body.accessToken
    expect((await me(token)).status).toBe(200)
    expect((await me(token, node)).status).toBe(200)
    const reply = await app.request('POST /api/auth/logout', { token })
    expect(reply.status).toBe(204)
    expect(reply.headers.getSetCookie()[0]).toMatch(
      /^bureau_refresh=; Max-Age=0; Path=\/api\/auth;/,
    )
    expect((await me(token)).status).toBe(401)
    await expect.poll(async () => (await me(token, node)).status, { timeout: 1000 }).toBe(401)
  })

  test('204 with the refresh cookie alone, which is worth nothing after', async () => {
    const registered = await register({ email: 'cookie@logout.example' })
    const cookie = cookieOf(registered)
    const headers = { cookie }
    expect((await app.request('POST /api/auth/logout', { headers })).status).toBe(204)
    expect((await refresh(cookie)).status).toBe(401)
    expect((await me(registered.body.accessToken)).status).toBe(401)
    expect(await endReasonOf(sessionIdOf(registered))).toBe('signed_out')
    expect((await app.request('POST /api/auth/logout', { headers })).status).toBe(204)
  })

  test('401 with neither, 403 for staff and for a page of another site', async () => {
    expect((await app.request('POST /api/auth/logout')).status).toBe(401)
    const token = await app.as('viewer')
    expect((await app.request('POST /api/auth/logout', { token })).status).toBe(403)
    expect((await me(token)).status).toBe(200)
    const cookie = cookieOf(await register({ email: 'forced@logout.example' }))
    const headers = { cookie, 'sec-fetch-site': 'cross-site' }
    expect((await app.request('POST /api/auth/logout', { headers })).status).toBe(403)
    expect((await refresh(cookie)).status).toBe(200)
  })
})

describe('POST /api/auth/admin/logout', () => {
  test('204 for staff, 403 for a customer, 401 for nobody', async () => {
    const { email } = await staffLogin('viewer', 'viewer@logout.example')
    const token = (await signInAsStaff(email)).body.accessToken
    const { token: customer } = await app.asCustomer('outsider')
    const logout = (given: object) => app.request('POST /api/auth/admin/logout', given)
    expect((await logout({})).status).toBe(401)
    expect((await logout({ token: customer })).status).toBe(403)
    expect((await me(customer)).status).toBe(200)
    expect((await logout({ token })).status).toBe(204)
    expect((await me(token)).status).toBe(401)
  })
})

describe('POST /api/auth/password/change', () => {
  const change = (token: string, body: object, at = app) =>
    at.request('POST /api/auth/password/change', { token, body })

  test('200 ends all sessions and answers with a new one', async () => {
    const email = 'changing@password.example'
    const here = await register({ email })
    const elsewhere = await signIn(email)
    expect((await me(elsewhere.body.accessToken, node)).status).toBe(200)
    const reply = await change(here.body.accessToken, {
      currentPassword: testPassword,
      newPassword,
    })
    expect(reply.status).toBe(200)
    expect(reply.body.user).toEqual({ ...here.body.user, version: 3 })
    expect((await me(reply.body.accessToken)).status).toBe(200)
    expect((await refresh(cookieOf(reply))).status).toBe(200)
    for (const old of [here, elsewhere]) {
      expect((await me(old.body.accessToken)).status).toBe(401)
      expect((await refresh(cookieOf(old))).status).toBe(401)
    }
    await expect
      .poll(async () => (await me(elsewhere.body.accessToken, node)).status, { timeout: 1000 })
      .toBe(401)
    expect((await signIn(email)).status).toBe(401)
    expect((await signIn(email, newPassword)).status).toBe(200)
  })

  test('200 for one of two changes at once, and no session of the loser remains', async () => {
    const { body } = await register({ email: 'racing@password.example' })
    const token = body.accessToken
    const passwords = [newPassword, 'fourteen foxes in the rye']
    const replies = await Promise.all(
      passwords.map((given) =>
        change(token, { currentPassword: testPassword, newPassword: given }),
      ),
    )
    expect(replies.map(({ status }) => status).toSorted()).toEqual([200, 422])
    const live = await app.sql(
      'select id from sessions where user_id = $1 and revoked_at is null',
      [body.user.id],
    )
    expect(live).toHaveLength(1)
  })

  test('200 sets the cookie of staff for staff', async () => {
    const { email } = await staffLogin('agent', 'agent@password.example')
    const { body } = await signInAsStaff(email)
    const reply = await change(body.accessToken, { currentPassword: testPassword, newPassword })
    expect(cookieOf(reply)).toMatch(/^bureau_admin_refresh=/)
  })

  test('400 for a weak new password, with its pointer', async () => {
    const { token } = await app.asCustomer('weak')
    const weak = { currentPassword: testPassword, newPassword: 'abcabcabcabcabc' }
    const reply = await change(token, weak)
    expect(reply).toMatchObject({ status: 400, body: { errors: [{ pointer: '/newPassword' }] } })
    expect((await change(token, {})).status).toBe(400)
  })

  test('401 for nobody', async () => {
    const body = { currentPassword: testPassword, newPassword }
    expect((await app.request('POST /api/auth/password/change', { body })).status).toBe(401)
  })

  test('422 for a wrong current password; 429 after ten', async () => {
    const { body } = await register({ email: 'wrong@password.example' })
    await forgetLimits()
    const wrong = { currentPassword: 'wrong', newPassword }
    const replies = await repeat(11, () => change(body.accessToken, wrong, limited))
    expect(replies[0]).toMatchObject({ status: 422, body: { code: 'wrong_password' } })
    expect(replies.at(-1)?.status).toBe(429)
    expect((await me(body.accessToken)).status).toBe(200)
  })
})

describe('GET and DELETE /api/auth/sessions', () => {
  test('200 lists the live sessions of whoever asks, page by page', async () => {
    const email = 'devices@sessions.example'
    const first = await register({ email })
    const others = await repeat(2, () => signIn(email))
    const { accessToken: token } = others[1]!.body
    const page = await app.request('GET /api/auth/sessions?limit=2&count=true', { token })
    expect(page.body).toMatchObject({ total: 3, nextCursor: expect.any(String) })
    expect(page.body.data[0]).toEqual({
      id: sessionIdOf(others[1]!),
      current: true,
      userAgent: 'node',
      address: '127.0.0.1',
      createdAt: expect.any(String),
      refreshedAt: expect.any(String),
      expiresAt: expect.any(String),
    })
    const path = `/api/auth/sessions?limit=2&cursor=${page.body.nextCursor}` as const
    const rest = await app.request(`GET ${path}`, { token })
    expect(rest.body.data).toMatchObject([{ id: sessionIdOf(first), current: false }])
    expect(rest.body.nextCursor).toBeNull()
  })

  test('204 signs out one device, or all the others', async () => {
    const email = 'signout@sessions.example'
    const [here, lost, old] = [await register({ email }), await signIn(email), await signIn(email)]
    const token = here.body.accessToken
    const path = `/api/auth/sessions/${sessionIdOf(lost)}` as const
    expect((await app.request(`GET ${path}`, { token })).status).toBe(200)
    expect((await app.request(`DELETE ${path}`, { token })).status).toBe(204)
    expect((await app.request(`DELETE ${path}`, { token })).status).toBe(404)
    expect((await me(lost.body.accessToken)).status).toBe(401)
    expect((await me(old.body.accessToken)).status).toBe(200)
    expect((await app.request('DELETE /api/auth/sessions', { token })).status).toBe(204)
    expect((await me(old.body.accessToken)).status).toBe(401)
    expect((await me(token)).status).toBe(200)
  })

  test('404 for the session of somebody else, and 400 for what is no session', async () => {
    const other = await register({ email: 'other@sessions.example' })
    const { token } = await app.asCustomer('nosy')
    const path = `/api/auth/sessions/${sessionIdOf(other)}` as const
    expect((await app.request(`GET ${path}`, { token })).status).toBe(404)
    expect((await app.request(`DELETE ${path}`, { token })).status).toBe(404)
    expect((await me(other.body.accessToken)).status).toBe(200)
    expect((await app.request('GET /api/auth/sessions/usr_1', { token })).status).toBe(400)
  })

  test('401 for nobody', async () => {
    expect((await app.request('GET /api/auth/sessions')).status).toBe(401)
    expect((await app.request('DELETE /api/auth/sessions')).status).toBe(401)
  })
})

async function register(given: Record<string, string>): Promise<Reply> {
  const body = { password: testPassword, name: 'Somebody', ...given }
  return await app.request('POST /api/auth/register', { body })
}

async function signIn(email: string, password = testPassword, at = app): Promise<Reply> {
  return await at.request('POST /api/auth/login', { body: { email, password } })
}

async function signInAsStaff(email: string, password = testPassword, at = app): Promise<Reply> {
  return await at.request('POST /api/auth/admin/login', { body: { email, password } })
}

async function staffLogin(role: StaffRole, email: string) {
  const details = { email, name: 'Staff', password: testPassword, role }
  return await createStaffUser(app.systemContext(), details)
}

async function me(token: string, at = app): Promise<Reply> {
  return await at.request('GET /api/auth/me', { token })
}

async function refresh(
  cookie: string,
  { at = app, headers = {} }: { at?: TestApp; headers?: Record<string, string> } = {},
): Promise<Reply> {
  return await at.request('POST /api/auth/refresh', { headers: { cookie, ...headers } })
}

async function refreshAsStaff(cookie: string): Promise<Reply> {
  return await app.request('POST /api/auth/admin/refresh', { headers: { cookie } })
}

async function endReasonOf(sessionId: string): Promise<unknown> {
  const [session] = await app.sql('select end_reason from sessions where id = $1', [sessionId])
  return session?.['end_reason']
}

/** `name=value` of the refresh cookie. */
function cookieOf(reply: Reply): string {
  return reply.headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

function sessionIdOf(reply: Reply): string {
  return /ses_[^.]+/.exec(cookieOf(reply))?.[0] ?? ''
}

/** What earlier tests have spent, in the database and in the memory of the limited node. */
async function forgetLimits(): Promise<void> {
  await app.sql('delete from rate_limits')
  await limited.ports.limits.forget('auth', '127.0.0.1')
}

async function repeat<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let round = 0; round < times; round += 1) results.push(await work())
  return results
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
