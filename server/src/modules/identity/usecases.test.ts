import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, testPassword, type Reply, type TestApp } from '../../../test/support/app.ts'
import { newId } from '../../kernel/id.ts'
import { dayMs, later } from '../../kernel/time.ts'
import { inTx } from '../../platform/context.ts'
import {
  createBearerAuthenticator,
  createCustomerRecord,
  createStaffUser,
  ensureFirstAdmin,
  findCustomer,
  getCustomer,
  listUserNames,
  registerCustomer,
} from './index.ts'
import { pruneSessions, rotateSigningKeys } from './jobs.ts'

let app: TestApp
/** Another node on the same database. */
let node: TestApp

beforeAll(async () => {
  app = await startTestApp()
  node = await startTestApp({ beside: app })
})

afterAll(async () => {
  await node.close()
  await app.close()
})

describe('createCustomerRecord', () => {
  test('makes a new record each time, without a login and never another’s', async () => {
    const ctx = app.systemContext()
    const ada = await registerCustomer(ctx, {
      email: 'ada@records.example',
      name: 'Ada',
      password: testPassword,
    })
    const details = { email: 'ADA@records.example', name: 'A. Guest', phone: '+44 20 7946 0000' }
    const first = await createCustomerRecord(ctx, details)
    const second = await createCustomerRecord(ctx, details)
    expect(new Set([ada.customerId, first.id, second.id]).size).toBe(3)
    expect(await getCustomer(ctx, first.id)).toEqual({ id: first.id, ...details, version: 1 })
    const [row] = await app.sql('select user_id from customers where id = $1', [first.id])
    expect(row).toEqual({ user_id: null })
  })

  test('is undone with the transaction that it joined', async () => {
    const ctx = app.systemContext()
    const id = newId('cus', ctx.now)
    const failing = inTx(ctx, async (ctx) => {
      const { id } = await createCustomerRecord(ctx, { email: 'un@records.example', name: 'Un' })
      expect(await findCustomer(ctx, id)).toBeDefined()
      throw new Error('the order failed')
    })
    await expect(failing).rejects.toThrow('the order failed')
    expect(
      await app.sql(`select id from customers where email_lower = 'un@records.example'`),
    ).toEqual([])
    await expect(getCustomer(ctx, id)).rejects.toMatchObject({ status: 404 })
    expect(await findCustomer(ctx, id)).toBeUndefined()
  })
})

describe('listUserNames', () => {
  test('names those who have a login and leaves the others out', async () => {
    const ctx = app.systemContext()
    const user = await staff('viewer', 'named@staff.example', 'Nadia Named')
    const ids = [user.id, user.id, newId('usr', ctx.now)]
    expect(await listUserNames(app.db, ids)).toEqual(new Map([[user.id, 'Nadia Named']]))
    expect(await listUserNames(app.db, [])).toEqual(new Map())
  })
})

describe('createStaffUser', () => {
  test('400 for a weak password and 409 for an e-mail that staff has', async () => {
    const ctx = app.systemContext()
    const details = { email: 'twice@staff.example', name: 'T', role: 'agent' } as const
    const make = (password: string) => createStaffUser(ctx, { ...details, password })
    await expect(make('password1234')).rejects.toMatchObject({ status: 400 })
    await make(testPassword)
    await expect(make(testPassword)).rejects.toMatchObject({ status: 409, code: 'email_taken' })
  })
})

describe('ensureFirstAdmin', () => {
  test('makes the admin once, also when two nodes start together', async () => {
    const given = { email: 'owner@first.example', password: testPassword }
    const made = await Promise.all([
      ensureFirstAdmin(app.systemContext(), given),
      ensureFirstAdmin(node.systemContext(), given),
    ])
    expect(made.toSorted()).toEqual([false, true])
    expect((await signIn(given.email)).body.user.role).toBe('admin')
  })

  test('never changes a login that is there', async () => {
    await staff('viewer', 'viewer@first.example')
    const given = { email: 'VIEWER@first.example', password: 'another good password' }
    expect(await ensureFirstAdmin(app.systemContext(), given)).toBe(false)
    expect((await signIn('viewer@first.example')).body.user.role).toBe('viewer')
  })
})

describe('createBearerAuthenticator', () => {
  test('answers a warm token without a promise and without a statement', async () => {
    const { token, customerId } = await app.asCustomer('bearer')
    const bearer = authenticatorOf(app)
    await expect
      .poll(async () => (await bearer(token), bearer(token) instanceof Promise))
      .toBe(false)
    const statements = app.db.statementCount()
    expect(bearer(token)).toMatchObject({ kind: 'customer', customerId })
    expect(app.db.statementCount()).toBe(statements)
  })

  test('asks the database when notices may be missing', async () => {
    const { token } = await app.asCustomer('unsure')
    const deaf = { isFresh: () => false, subscribe: () => undefined } as never
    const { tokens } = app.ports
    const bearer = createBearerAuthenticator({
      tokens,
      db: app.db,
      invalidation: deaf,
      clock: app.now,
    })
    await bearer(token)
    const statements = app.db.statementCount()
    await bearer(token)
    expect(app.db.statementCount()).toBe(statements + 1)
  })

  test('401 at the fixed end of a session, although its token lives', async () => {
    const { body } = await register('ending@bearer.example')
    const { accessToken: token } = body
    expect((await me(token)).status).toBe(200)
    await app.sql('update sessions set ends_at = $2 where user_id = $1', [
      body.user.id,
      later(app.now(), -1000),
    ])
    app.ports.invalidation.forget('user', body.user.id)
    expect((await me(token)).status).toBe(401)
  })
})

describe('sessions', () => {
  test('the oldest of a hundred gives way to the next sign-in', async () => {
    const { body } = await register('many@sessions.example')
    const userId = body.user.id
    await app.sql(
      `insert into sessions (id, user_id, audience, token_hash, rotated_at, created_at, expires_at,
        ends_at)
       select 'ses_' || lpad(n::text, 26, '0'), $1, 'customer', '', $2, $2, $3, $3
       from generate_series(1, 99) as n`,
      [userId, later(app.now(), dayMs), later(app.now(), 2 * dayMs)],
    )
    expect((await me(body.accessToken)).status).toBe(200)
    await app.request('POST /api/auth/login', {
      body: { email: 'many@sessions.example', password: testPassword },
    })
    const live = await app.sql(
      'select id from sessions where user_id = $1 and revoked_at is null',
      [userId],
    )
    expect(live).toHaveLength(100)
    expect((await me(body.accessToken)).status).toBe(401)
  })

  test('none begun with the old password outlives its change', async () => {
    const email = 'race@sessions.example'
    const { body } = await register(email)
    const attempts = Array.from({ length: 8 }, () =>
      app.request('POST /api/auth/login', { body: { email, password: testPassword } }),
    )
    const change = await app.request('POST /api/auth/password/change', {
      token: body.accessToken,
      body: { currentPassword: testPassword, newPassword: 'eleven herons over a pond' },
    })
    expect(change.status).toBe(200)
    const replies = await Promise.all(attempts)
    expect(replies.every(({ status }) => status === 200 || status === 401)).toBe(true)
    const live = await app.sql(
      'select id from sessions where user_id = $1 and revoked_at is null',
      [body.user.id],
    )
    expect(live).toHaveLength(1)
    const begun = await app.sql('select id from sessions where user_id = $1', [body.user.id])
    const events = await app.sql(
      `select type from events where root_id = any($1) and type = 'session.started'`,
      [begun.map(({ id }) => id)],
    )
    expect(events).toHaveLength(begun.length)
  })
})

describe('jobs', () => {
  test('prune sessions that ended a month ago and keep the others', async () => {
    const old = await register('old@prune.example')
    const young = await register('young@prune.example')
    const sessionsOf = (reply: Reply) =>
      app.sql('select id from sessions where user_id = $1', [reply.body.user.id])
    await app.sql('update sessions set ends_at = $2 where user_id = $1', [
      old.body.user.id,
      later(app.now(), -31 * dayMs),
    ])
    await pruneSessions.run(app.systemContext(), {})
    expect(await sessionsOf(old)).toEqual([])
    expect(await sessionsOf(young)).toHaveLength(1)
  })

  test('rotate signing keys and keep the living one', async () => {
    const before = await app.sql('select id from signing_keys')
    await rotateSigningKeys.run(app.systemContext(), {})
    expect(await app.sql('select id from signing_keys')).toEqual(before)
    expect(before).toHaveLength(1)
  })
})

async function staff(role: 'viewer' | 'agent' | 'manager', email: string, name = 'Staff') {
  return await createStaffUser(app.systemContext(), { email, name, password: testPassword, role })
}

async function register(email: string): Promise<Reply> {
  return await app.request('POST /api/auth/register', {
    body: { email, password: testPassword, name: 'Somebody' },
  })
}

async function signIn(email: string): Promise<Reply> {
  return await app.request('POST /api/auth/admin/login', {
    body: { email, password: testPassword },
  })
}

async function me(token: string, at = app): Promise<Reply> {
  return await at.request('GET /api/auth/me', { token })
}

function authenticatorOf({ ports, db, now }: TestApp) {
  const { tokens, invalidation } = ports
  return createBearerAuthenticator({ tokens, db, invalidation, clock: now })
}
