import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestApp, testPassword, type Reply, type TestApp } from '../../../test/support/app.ts'
import { mailedTokenFor } from '../../../test/support/mailed-token.ts'
import { newId, type Id } from '../../kernel/id.ts'
import type { StaffRole } from '../../kernel/permissions.ts'
import { dayMs, minuteMs } from '../../kernel/time.ts'
import { createStaffUser, issueMailToken } from './index.ts'

let app: TestApp
/** Another node on the same database. */
let node: TestApp
/** A node with the real limits. */
let limited: TestApp
let admin: string

beforeAll(async () => {
  app = await startTestApp()
  node = await startTestApp({ beside: app })
  limited = await startTestApp({ beside: app, rateLimitScale: 1 })
  admin = await app.as('admin')
})
afterAll(async () => {
  await limited.close()
  await node.close()
  await app.close()
})
beforeEach(async () => {
  await app.sql('delete from rate_limits')
})

describe('POST /api/users', () => {
  test('201 invites a colleague, who chooses the password with the mailed link', async () => {
    const reply = await invite('new@invite.example')
    expect(reply.status).toBe(201)
    const { id } = reply.body
    expect(reply.headers.get('location')).toBe(`/api/users/${id}`)
    expect(reply.body).toEqual({
      id: expect.stringMatching(/^usr_/),
      email: 'new@invite.example',
      name: 'Newcomer',
      role: 'agent',
      permissions: expect.arrayContaining(['crm:write']),
      customerId: null,
      emailVerified: false,
      mfaEnabled: false,
      active: true,
      invitedAt: expect.any(String),
      version: 2,
      createdAt: expect.any(String),
    })
    expect((await signIn('new@invite.example')).status).toBe(401)
    const token = await mailedTokenFor(app, 'new@invite.example')
    expect((await accept(token)).status).toBe(204)
    expect(await signIn('new@invite.example')).toMatchObject({
      status: 200,
      body: { user: { role: 'agent', emailVerified: true } },
    })
    expect((await read(id)).body).toMatchObject({ invitedAt: null, version: 4 })
    expect((await accept(token)).status).toBe(401)
    expect(await eventsOf(id)).toEqual([
      'user.created',
      'user.invited',
      'user.password_reset',
      'user.email_verified',
    ])
  })

  test('201 once for one key, and the same answer again', async () => {
    const headers = { 'idempotency-key': 'invite-once' }
    const body = { email: 'once@invite.example', name: 'Once', role: 'viewer' }
    const send = () => app.request('POST /api/users', { token: admin, body, headers })
    const [first, second] = [await send(), await send()]
    expect([first.status, second.status]).toEqual([201, 201])
    expect(second.body).toEqual(first.body)
    expect(second.headers.get('idempotent-replayed')).toBe('true')
  })

  test.each([
    ['no members', {}],
    ['the role of a customer', { email: 'a@b.example', name: 'A', role: 'customer' }],
    ['an e-mail with a line break', { email: 'a@b.example\nx', name: 'A', role: 'agent' }],
    ['a password', { email: 'a@b.example', name: 'A', role: 'agent', password: testPassword }],
  ])('400 for %s', async (_name, body) => {
    expect((await app.request('POST /api/users', { token: admin, body })).status).toBe(400)
  })

  test('401 for nobody, 403 for a customer and for staff who may not', async () => {
    expect((await app.request('POST /api/users')).status).toBe(401)
    for (const token of [(await app.asCustomer('ada')).token, await app.as('manager')]) {
      expect((await invite('no@invite.example', token)).status).toBe(403)
    }
  })

  test('409 email_taken for the e-mail of staff, in any letters, once only at once', async () => {
    const emails = ['Twin@invite.example', 'twin@INVITE.example', 'TWIN@invite.example']
    const replies = await Promise.all(emails.map((email) => invite(email)))
    expect(replies.map(({ status }) => status).toSorted()).toEqual([201, 409, 409])
    expect(replies.find(({ status }) => status === 409)?.body.code).toBe('email_taken')
  })
})

describe('POST /api/users/:id/invitation', () => {
  const again = (id: string, at = app) =>
    at.request(`POST /api/users/${id}/invitation`, { token: admin })

  test('202 asks for a mail with a new link, and the one before works too', async () => {
    const { body } = await invite('again@invite.example')
    const first = await issue(body.id)
    const reply = await again(body.id)
    expect(reply).toMatchObject({ status: 202, body: { id: body.id, version: 3 } })
    expect(await eventsOf(body.id)).toEqual(['user.created', 'user.invited', 'user.invited'])
    const second = await issue(body.id)
    expect(second).not.toBe(first)
    expect((await accept(first)).status).toBe(204)
    expect((await accept(second)).status).toBe(401)
    expect(await issue(body.id)).toBeUndefined()
  })

  test('401 for a link of more than three days ago', async () => {
    await invite('late@invite.example')
    const token = await mailedTokenFor(app, 'late@invite.example')
    const later = await startTestApp({ beside: app })
    try {
      later.advance(3 * dayMs + minuteMs)
      expect((await accept(token, later)).status).toBe(401)
    } finally {
      await later.close()
    }
  })

  test('404 for nobody and for a customer, 409 for a colleague who is there', async () => {
    const { userId } = await app.asCustomer('ada')
    for (const id of [userId, newId('usr', app.now())]) {
      expect((await again(id)).status).toBe(404)
    }
    const { id } = await staff('agent', 'there@invite.example')
    const reply = await again(id)
    expect(reply).toMatchObject({ status: 409, body: { code: 'invitation_accepted' } })
    const shut = await invite('shut@invite.example')
    await change(shut.body.id, { active: false })
    expect((await again(shut.body.id)).status).toBe(409)
  })

  test('429 after five in an hour', async () => {
    const { body } = await invite('eager@invite.example')
    const replies = []
    for (let round = 0; round < 6; round += 1) replies.push(await again(body.id, limited))
    expect(replies.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202, 429])
  })
})

describe('GET /api/users', () => {
  const list = (query: string, token = admin) => app.request(`GET /api/users?${query}`, { token })

  beforeAll(async () => {
    await staff('finance', 'zoe@list.example', 'Zoë List')
    await staff('viewer', 'yan_1@list.example', 'Yan 100%')
    await staff('viewer', 'xaver@list.example', 'Xaver')
  })

  test('200 filters by role, by what is shut and by part of name or e-mail', async () => {
    const emailsOf = ({ body }: Reply) => body.data.map(({ email }: { email: string }) => email)
    expect(emailsOf(await list('role=finance&q=zoë'))).toEqual(['zoe@list.example'])
    expect(emailsOf(await list('q=ZOE@LIST'))).toEqual(['zoe@list.example'])
    expect(emailsOf(await list('q=100%25'))).toEqual(['yan_1@list.example'])
    expect(emailsOf(await list('q=_1@'))).toEqual(['yan_1@list.example'])
    const { id } = await staff('viewer', 'gone@list.example')
    await change(id, { active: false })
    expect(emailsOf(await list('active=false&q=list.example'))).toEqual(['gone@list.example'])
    expect(emailsOf(await list('active=true&q=gone@'))).toEqual([])
    const { email } = await app.asCustomer('ada')
    expect(emailsOf(await list(`q=${email}`))).toEqual([])
  })

  test('200 page by page in the order of names, to the end', async () => {
    const names: string[] = []
    let cursor = ''
    do {
      const { body } = await list(`q=list.example&sort=name&limit=2&count=true${cursor}`)
      expect(body.total).toBe(4)
      names.push(...body.data.map(({ name }: { name: string }) => name))
      cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`
    } while (cursor !== '')
    expect(names).toEqual(['Staff', 'Xaver', 'Yan 100%', 'Zoë List'])
  })

  test('200 for a manager; 401, 403 for all others', async () => {
    expect((await list('', await app.as('manager'))).status).toBe(200)
    expect((await app.request('GET /api/users')).status).toBe(401)
    for (const token of [await app.as('agent'), (await app.asCustomer('ada')).token]) {
      expect((await list('', token)).status).toBe(403)
    }
  })
})

describe('GET /api/users/:id', () => {
  test('200, then 304; 404 for a customer and for nobody, 400 for what is no id', async () => {
    const { id } = await staff('agent', 'one@read.example')
    const reply = await read(id)
    expect(reply.body).toMatchObject({ id, active: true, invitedAt: null })
    const headers = { 'if-none-match': String(reply.headers.get('etag')) }
    const again = await app.request(`GET /api/users/${id}`, { token: admin, headers })
    expect(again.status).toBe(304)
    const { userId } = await app.asCustomer('ada')
    expect((await read(userId)).status).toBe(404)
    expect((await read(newId('usr', app.now()))).status).toBe(404)
    expect((await read('me')).status).toBe(400)
  })
})

describe('PATCH /api/users/:id', () => {
  test('200 gives another role and ends the sessions here and within a second elsewhere', async () => {
    const { id, email } = await staff('admin', 'demoted@patch.example')
    const { accessToken: token } = (await signIn(email)).body
    const users = (at: TestApp) => at.request('GET /api/users', { token })
    expect([(await users(app)).status, (await users(node)).status]).toEqual([200, 200])
    const reply = await change(id, { role: 'viewer' })
    expect(reply).toMatchObject({ status: 200, body: { role: 'viewer', version: 2 } })
    expect((await users(app)).status).toBe(401)
    await expect.poll(async () => (await users(node)).status, { timeout: 1000 }).toBe(401)
    const back = (await signIn(email)).body
    expect(back.user.permissions).not.toContain('users:read')
    const events = await app.sql(
      `select actor_kind, data from events where root_id = $1 and type = 'user.role_changed'`,
      [id],
    )
    expect(events).toEqual([{ actor_kind: 'staff', data: { from: 'admin', to: 'viewer' } }])
  })

  test('200 shuts a login with its links, and opens it again', async () => {
    const { id, email } = await staff('manager', 'leaving@patch.example')
    const { accessToken: token } = (await signIn(email)).body
    await app.request('POST /api/auth/password/forgot', { body: { email, audience: 'staff' } })
    const link = await mailedTokenFor(app, email)
    expect(await change(id, { active: false })).toMatchObject({ body: { active: false } })
    expect((await app.request('GET /api/auth/me', { token })).status).toBe(401)
    expect((await signIn(email)).status).toBe(401)
    expect(await change(id, { active: true })).toMatchObject({ body: { active: true } })
    expect((await accept(link)).status).toBe(401)
    expect((await signIn(email)).status).toBe(200)
    expect((await eventsOf(id)).slice(-2)).toEqual(['user.deactivated', 'user.reactivated'])
  })

  test('200 renames without a new session, and writes nothing for what is so already', async () => {
    const { id, email } = await staff('agent', 'married@patch.example')
    const { accessToken: token } = (await signIn(email)).body
    const renamed = await change(id, { name: 'Mary Wed' })
    expect(renamed.body).toMatchObject({ name: 'Mary Wed', version: 2 })
    const { body } = await app.request('GET /api/auth/me', { token })
    expect(body).toMatchObject({ name: 'Mary Wed', version: 2 })
    const same = { name: 'Mary Wed', role: 'agent', active: true }
    expect((await change(id, same)).body.version).toBe(2)
  })

  test('400 for the role of a customer and for members that nobody sets', async () => {
    const { id } = await staff('agent', 'strict@patch.example')
    for (const body of [{ role: 'customer' }, { mfaEnabled: false }, { email: 'x@y.example' }]) {
      expect((await change(id, body)).status).toBe(400)
    }
  })

  test('403 own_login for the own role and the own login, not for the own name', async () => {
    const { id, email } = await staff('admin', 'self@patch.example')
    const { accessToken: token } = (await signIn(email)).body
    for (const body of [{ role: 'viewer' }, { active: false }]) {
      const reply = await change(id, body, { token })
      expect(reply).toMatchObject({ status: 403, body: { code: 'own_login' } })
    }
    expect((await change(id, { name: 'Self' }, { token })).status).toBe(200)
  })

  test('403 for staff without users:write, who cannot raise anybody', async () => {
    const { id } = await staff('viewer', 'raised@patch.example')
    const token = await app.as('manager')
    expect((await change(id, { role: 'admin' }, { token })).status).toBe(403)
  })

  test('404 for a customer and for nobody', async () => {
    const { userId } = await app.asCustomer('ada')
    for (const id of [userId, newId('usr', app.now())]) {
      expect((await change(id, { role: 'admin' })).status).toBe(404)
    }
  })

  test('409 last_admin: of two admins who demote each other one remains', async () => {
    const alone = await startTestApp()
    try {
      const people = await Promise.all(
        ['one', 'two'].map(async (name) => {
          const email = `${name}@admins.example`
          const user = await staff('admin', email, name, alone)
          return { id: user.id, token: (await signIn(email, {}, alone)).body.accessToken }
        }),
      )
      const [one, two] = people
      // An invitation that nobody has taken up is no admin who could go on.
      const invited = { email: 'three@admins.example', name: 'Three', role: 'admin' }
      await alone.request('POST /api/users', { token: one!.token, body: invited })
      const replies = await Promise.all([
        change(two!.id, { role: 'viewer' }, { token: one!.token, at: alone }),
        change(one!.id, { active: false }, { token: two!.token, at: alone }),
      ])
      const statuses = replies.map(({ status }) => status).toSorted()
      expect(statuses[0]).toBe(200)
      // The loser's session may have ended before it was judged.
      expect([401, 409]).toContain(statuses[1])
      const left = await alone.sql(`select id from users
        where role = 'admin' and active and invited_at is null`)
      expect(left).toHaveLength(1)
    } finally {
      await alone.close()
    }
  })

  test('409 last_admin for the last one who can sign in', async () => {
    const alone = await startTestApp()
    try {
      const last = await staff('admin', 'last@admins.example', 'Last', alone)
      const { accessToken: token } = (await signIn(last.email, {}, alone)).body
      const helper = await staff('admin', 'helper@admins.example', 'Helper', alone)
      const { accessToken } = (await signIn(helper.email, {}, alone)).body
      await alone.sql('update users set invited_at = now() where id = $1', [helper.id])
      const reply = await change(last.id, { role: 'agent' }, { token: accessToken, at: alone })
      expect(reply).toMatchObject({ status: 409, body: { code: 'last_admin' } })
      expect((await alone.request('GET /api/users', { token })).status).toBe(200)
    } finally {
      await alone.close()
    }
  })

  test('412 for a version that is no more, 200 for the current one', async () => {
    const { id } = await staff('agent', 'matched@patch.example')
    const tag = String((await read(id)).headers.get('etag'))
    const headers = { 'if-match': tag }
    const replies = await Promise.all(
      ['manager', 'finance'].map((role) => change(id, { role }, { headers })),
    )
    expect(replies.map(({ status }) => status).toSorted()).toEqual([200, 412])
  })
})

async function invite(email: string, token = admin): Promise<Reply> {
  const body = { email, name: 'Newcomer', role: 'agent' }
  return await app.request('POST /api/users', { token, body })
}

/** What the sending of the mail does. */
async function issue(id: string): Promise<string | undefined> {
  const wanted = { userId: id as Id<'usr'>, purpose: 'staff_invitation' } as const
  return (await issueMailToken(app.systemContext(), wanted))?.token
}

async function accept(token: string | undefined, at = app): Promise<Reply> {
  const body = { token, password: testPassword }
  return await at.request('POST /api/auth/password/reset', { body })
}

async function read(id: string): Promise<Reply> {
  return await app.request(`GET /api/users/${id}`, { token: admin })
}

async function change(
  id: string,
  body: object,
  given: { token?: string; headers?: Record<string, string>; at?: TestApp } = {},
): Promise<Reply> {
  const { at = app, ...options } = given
  return await at.request(`PATCH /api/users/${id}`, { token: admin, ...options, body })
}

async function staff(role: StaffRole, email: string, name = 'Staff', at = app) {
  return await createStaffUser(at.systemContext(), { email, name, password: testPassword, role })
}

async function signIn(email: string, more: object = {}, at = app): Promise<Reply> {
  const body = { email, password: testPassword, ...more }
  return await at.request('POST /api/auth/admin/login', { body })
}

/** What happened to a login, in its order. */
async function eventsOf(rootId: string): Promise<string[]> {
  const events = await app.sql('select type from events where root_id = $1 order by root_version', [
    rootId,
  ])
  return events.map(({ type }) => String(type))
}
