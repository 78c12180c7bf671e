import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  startTestApp,
  testPassword,
  type Reply,
  type RequestOptions,
  type TestApp,
} from '../../../test/support/app.ts'
import { mailedTokenFor } from '../../../test/support/mailed-token.ts'
import { newId, type Id } from '../../kernel/id.ts'
import { createCustomerRecord, findCustomer, issueMailToken } from './index.ts'
import { claimCustomer } from './sql/customers.ts'

let app: TestApp
/** Another node on the same database. */
let node: TestApp
let manager: string
let viewer: string

beforeAll(async () => {
  app = await startTestApp()
  node = await startTestApp({ beside: app })
  manager = await app.as('manager')
  viewer = await app.as('viewer')
})
afterAll(async () => {
  await node.close()
  await app.close()
})
beforeEach(async () => {
  await app.sql('delete from rate_limits')
})

describe('POST /api/customers', () => {
  test('201 writes a record down, also a second one of the same e-mail', async () => {
    const details = { email: 'Grace@create.example', name: 'Grace', phone: '+44 20 7946 0999' }
    const first = await create(details)
    expect(first.status).toBe(201)
    expect(first.headers.get('location')).toBe(`/api/customers/${first.body.id}`)
    expect(first.body).toEqual({
      id: expect.stringMatching(/^cus_/),
      ...details,
      hasLogin: false,
      claimedBy: null,
      login: null,
      version: 1,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    })
    const second = await create({ email: details.email, name: 'Grace' })
    expect(second.body).toMatchObject({ phone: null })
    expect(second.body.id).not.toBe(first.body.id)
  })

  test('201 once for one key', async () => {
    const details = { email: 'once@create.example', name: 'Once' }
    const headers = { 'idempotency-key': 'customer-once' }
    const replies = await Promise.all([1, 2, 3].map(() => create(details, { headers })))
    const made = await app.sql(`select id from customers where email = 'once@create.example'`)
    expect(made).toHaveLength(1)
    for (const { status } of replies) expect([201, 409]).toContain(status)
    const again = await create(details, { headers })
    expect(again.body.id).toBe(made[0]?.['id'])
  })

  test('201 tells by an event that holds nobody', async () => {
    const { body } = await create({ email: 'quiet@create.example', name: 'Quiet Person' })
    const events = await app.sql('select type, data from events where root_id = $1', [body.id])
    expect(events).toEqual([{ type: 'customer.created', data: {} }])
  })

  test.each([
    ['no members', {}],
    ['an e-mail without a domain', { email: 'x', name: 'X' }],
    ['a phone number with letters', { email: 'x@y.example', name: 'X', phone: 'call me' }],
    ['a name with a line break', { email: 'x@y.example', name: 'X\nBcc: y' }],
    ['a login of its own choice', { email: 'x@y.example', name: 'X', userId: 'usr_1' }],
  ])('400 for %s', async (_name, body) => {
    expect((await create(body)).status).toBe(400)
  })

  test('401 for nobody, 403 for a customer and for staff who may only read', async () => {
    const body = { email: 'no@create.example', name: 'No' }
    expect((await app.request('POST /api/customers', { body })).status).toBe(401)
    for (const token of [viewer, (await app.asCustomer('ada')).token]) {
      expect((await create(body, { token })).status).toBe(403)
    }
  })
})

describe('GET /api/customers', () => {
  const idsOf = ({ body }: Reply) => body.data.map(({ id }: { id: string }) => id)

  test('200 finds by part of name, e-mail and phone, and takes % and _ as they are', async () => {
    const zoe = (
      await create({ email: 'zoe_1@search.example', name: 'ZOË Müller', phone: '0161 496-0381' })
    ).body.id
    const ann = (await create({ email: 'ann@search.example', name: 'Ann 100%' })).body.id
    for (const q of ['zoë', 'MÜLLER', 'zoe_1', '496-0381', '4960381']) {
      expect([q, idsOf(await list({ q }))]).toEqual([q, [zoe]])
    }
    expect(idsOf(await list({ q: '0%' }))).toEqual([ann])
    expect(idsOf(await list({ q: 'e_' }))).toEqual([zoe])
    expect(idsOf(await list({ q: 'search.example', sort: 'name' }))).toEqual([ann, zoe])
  })

  test('200 filters by the whole e-mail and by who has a login', async () => {
    const { customerId, email } = await app.asCustomer('filtered')
    const guest = (await create({ email, name: 'A guest' })).body.id
    expect(idsOf(await list({ email: email.toUpperCase() }))).toEqual([guest, customerId])
    expect(idsOf(await list({ email, hasLogin: 'true' }))).toEqual([customerId])
    expect(idsOf(await list({ email, hasLogin: 'false' }))).toEqual([guest])
    expect(idsOf(await list({ email: 'ilter' + email }))).toEqual([])
  })

  test('200 page by page, newest first, to the end', async () => {
    const made: string[] = []
    for (let index = 0; index < 5; index += 1) {
      const { body } = await create({ email: 'paged@list.example', name: `Paged ${index}` })
      made.unshift(body.id)
    }
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page: Reply = await list({
        email: 'paged@list.example',
        limit: '2',
        count: 'true',
        ...(cursor === null ? {} : { cursor }),
      })
      expect(page.body.total).toBe(5)
      seen.push(...idsOf(page))
      cursor = page.body.nextCursor
    } while (cursor !== null)
    expect(seen).toEqual(made)
  })

  test('400 for a filter that there is none, 401 for nobody, 403 for a customer', async () => {
    expect((await list({ phone: '1' })).status).toBe(400)
    expect((await list({ hasLogin: 'perhaps' })).status).toBe(400)
    expect((await app.request('GET /api/customers')).status).toBe(401)
    const { token } = await app.asCustomer('ada')
    expect((await app.request('GET /api/customers', { token })).status).toBe(403)
  })
})

describe('GET /api/customers/:id', () => {
  test('200 with the state of the login and without anything secret', async () => {
    const { customerId, userId, email } = await app.asCustomer('detailed')
    const { body } = await read(customerId)
    expect(body).toMatchObject({
      id: customerId,
      hasLogin: true,
      login: { userId, email, emailVerified: false, active: true, createdAt: expect.any(String) },
    })
    expect(JSON.stringify(body)).not.toMatch(/argon2|hash|token/i)
  })

  test('404 for nobody, 400 for what is no id', async () => {
    expect((await read(newId('cus', app.now()))).status).toBe(404)
    expect((await read('cus_1')).status).toBe(400)
  })
})

describe('PATCH /api/customers/:id', () => {
  test('200 changes what is given, clears a phone with null, and finds it by the new words', async () => {
    const { body } = await create({ email: 'old@patch.example', name: 'Old', phone: '12345' })
    const reply = await patch(body.id, { name: 'Newly Named', phone: null })
    expect(reply.body).toMatchObject({
      name: 'Newly Named',
      phone: null,
      email: body.email,
      version: 2,
    })
    const mailed = await patch(body.id, { email: 'new@patch.example' })
    expect(mailed.body).toMatchObject({ email: 'new@patch.example', version: 3 })
    expect((await list({ q: 'newly named' })).body.data).toHaveLength(1)
    expect((await list({ email: 'old@patch.example' })).body.data).toEqual([])
    expect((await patch(body.id, { name: 'Newly Named' })).body.version).toBe(3)
    const events = await app.sql(
      `select data from events where root_id = $1 and type = 'customer.updated'
       order by root_version`,
      [body.id],
    )
    expect(events).toEqual([
      { data: { fields: ['name', 'phone'] } },
      { data: { fields: ['email'] } },
    ])
  })

  test('200 renames the login with the record, here and within a second elsewhere', async () => {
    const { customerId, token } = await app.asCustomer('renamed')
    const name = async (at: TestApp) =>
      (await at.request('GET /api/auth/me', { token })).body.name as string
    expect([await name(app), await name(node)]).toEqual(['renamed', 'renamed'])
    expect((await patch(customerId, { name: 'Renée' })).status).toBe(200)
    expect(await name(app)).toBe('Renée')
    await expect.poll(() => name(node), { timeout: 1000 }).toBe('Renée')
  })

  test('400 for null where something must stand and for members that nobody sets', async () => {
    const { body } = await create({ email: 'strict@patch.example', name: 'Strict' })
    for (const wrong of [{ name: null }, { email: null }, { userId: null }, { claimedBy: null }]) {
      expect((await patch(body.id, wrong)).status).toBe(400)
    }
  })

  test('401, 403, 404', async () => {
    const { body } = await create({ email: 'kept@patch.example', name: 'Kept' })
    const change = { name: 'Taken' }
    expect((await app.request(`PATCH /api/customers/${body.id}`, { body: change })).status).toBe(
      401,
    )
    const { token } = await app.asCustomer('ada')
    expect((await patch(body.id, change, { token })).status).toBe(403)
    expect((await patch(body.id, change, { token: viewer })).status).toBe(403)
    expect((await patch(newId('cus', app.now()), change)).status).toBe(404)
  })

  test('409 email_of_login for the e-mail that a customer signs in with', async () => {
    const { customerId, email } = await app.asCustomer('signing')
    const reply = await patch(customerId, { email: 'thief@patch.example' })
    expect(reply).toMatchObject({ status: 409, body: { code: 'email_of_login' } })
    expect((await patch(customerId, { email, phone: '12345' })).status).toBe(200)
  })

  test('412 for a version that is no more: of two at once one is written', async () => {
    const { body, headers } = await create({ email: 'race@patch.example', name: 'Race' })
    const ifMatch = { headers: { 'if-match': String(headers.get('etag')) } }
    const replies = await Promise.all(
      ['One', 'Two'].map((name) => patch(body.id, { name }, ifMatch)),
    )
    expect(replies.map(({ status }) => status).toSorted()).toEqual([200, 412])
  })
})

describe('records of a proved e-mail', () => {
  test('pass with their orders and cases to the login, which then sees them as its own', async () => {
    const email = 'Bella@claim.example'
    const bought = await buyAsGuest(email.toLowerCase())
    const stranger = await buyAsGuest('stella@claim.example')
    const owner = await register(email)
    const token = owner.body.accessToken
    expect(await ordersOf(token)).toEqual([])
    await prove(email, token)
    await app.runJobs()
    expect(await ordersOf(token)).toEqual([bought.orderId])
    const { body: order } = await app.request(`GET /api/orders/${bought.orderId}`, { token })
    expect(order.customer).toEqual({
      id: owner.body.user.customerId,
      email: email.toLowerCase(),
      name: 'A guest',
    })
    const cases = await app.request('GET /api/crm', { token })
    expect(cases.body.data.map(({ id }: { id: string }) => id)).toEqual([bought.caseId])
    const record = await read(bought.customerId)
    expect(record.body).toMatchObject({ claimedBy: owner.body.user.customerId, version: 2 })
    expect((await app.request(`GET /api/orders/${stranger.orderId}`, { token })).status).toBe(404)
    const { orderToken } = bought
    const asGuest = await app.request(`GET /api/orders/${bought.orderId}`, { orderToken })
    expect(asGuest.status).toBe(200)
  })

  test('are left out of the list, change no more, and lead to the one that they passed to', async () => {
    const email = 'lena@claim.example'
    const guest = (await create({ email, name: 'A guest' })).body.id as Id<'cus'>
    const owner = await register(email)
    await prove(email, owner.body.accessToken)
    await app.runJobs()
    const listed = (await list({ email })).body.data.map(({ id }: { id: string }) => id)
    expect(listed).toEqual([owner.body.user.customerId])
    const reply = await patch(guest, { name: 'Somebody' })
    expect(reply).toMatchObject({ status: 409, body: { code: 'customer_claimed' } })
    const found = await findCustomer(app.systemContext(), guest)
    expect(found?.id).toBe(owner.body.user.customerId)
  })

  test('lead there also for an order and a case that were begun before they passed', async () => {
    const { guest, ownerId } = await guestAndOwner('begun@claim.example')
    const serviceId = await offer(1000)
    const begun = await app.db.transaction(async (tx) => {
      const passing = { id: guest, emailKey: 'begun@claim.example', ownerId }
      expect(await claimCustomer(tx, passing, app.now())).toBeDefined()
      const replies = [
        app.request('POST /api/orders', {
          token: manager,
          body: { customerId: guest, items: [{ serviceId, quantity: 1 }] },
        }),
        openCase(guest),
      ]
      // A statement waits three seconds for a lock.
      await expect.poll(waitingForLocks, { timeout: 2500 }).toBe(2)
      return replies
    })
    const [order, opened] = await Promise.all(begun)
    expect(order).toMatchObject({ status: 201, body: { customer: { id: ownerId } } })
    expect(opened).toMatchObject({ status: 201, body: { customerId: ownerId } })
  })

  test('lead there for the case of an order that is paid before it has followed', async () => {
    const { guest, ownerId } = await guestAndOwner('paid@claim.example')
    const { body: order } = await app.request('POST /api/orders', {
      token: manager,
      body: { customerId: guest, items: [{ serviceId: await offer(1000), quantity: 1 }] },
    })
    await app.sql('update customers set claimed_by = $2 where id = $1', [guest, ownerId])
    const paid = await app.request(`POST /api/orders/${order.id}/payments`, {
      token: manager,
      body: { amount: order.total, reference: 'by bank transfer' },
    })
    expect(paid.status).toBe(201)
    const cases = await app.sql('select customer_id from cases where order_id = $1', [order.id])
    expect(cases).toEqual([{ customer_id: ownerId }])
  })

  test('lead there wherever staff name them on a case', async () => {
    const { guest, ownerId } = await guestAndOwner('named@claim.example')
    const another = (await create({ email: 'x@claim.example', name: 'X' })).body.id as Id<'cus'>
    await app.sql('update customers set claimed_by = $2 where id = $1', [guest, ownerId])
    expect(await openCase(guest)).toMatchObject({ body: { customerId: ownerId } })
    const { body } = await openCase(another)
    const moved = await app.request(`PATCH /api/crm/${body.id}`, {
      token: manager,
      body: { customerId: guest },
    })
    expect(moved).toMatchObject({ status: 200, body: { customerId: ownerId } })
  })

  test('are written in one with the order that they were made for', async () => {
    const { body: order } = await app.request('POST /api/orders', {
      token: manager,
      body: {
        customer: { email: 'whole@claim.example', name: 'A guest' },
        items: [{ serviceId: await offer(1000), quantity: 1 }],
      },
    })
    const written = await app.sql(
      `select customers.xmin = orders.xmin as together
       from orders join customers on customers.id = orders.customer_id where orders.id = $1`,
      [order.id],
    )
    expect(written).toEqual([{ together: true }])
  })

  test('are those that were there: who types the e-mail later has proved nothing', async () => {
    const email = 'later@claim.example'
    const owner = await register(email)
    await prove(email, owner.body.accessToken)
    await app.runJobs()
    const bought = await buyAsGuest(email)
    await app.runJobs()
    expect(await ordersOf(owner.body.accessToken)).toEqual([])
    expect((await read(bought.customerId)).body.claimedBy).toBeNull()
  })

  test('pass to nobody while the e-mail is typed and not proved', async () => {
    const email = 'typed@claim.example'
    const bought = await buyAsGuest(email)
    const thief = await register(email)
    await app.runJobs()
    expect(await ordersOf(thief.body.accessToken)).toEqual([])
    const path = `/api/orders/${bought.orderId}` as const
    expect((await app.request(`GET ${path}`, { token: thief.body.accessToken })).status).toBe(404)
  })

  test('pass on a reset as well, which proves the e-mail, and never those of another login', async () => {
    const email = 'reset@claim.example'
    const { id } = await createCustomerRecord(app.systemContext(), { email, name: 'A guest' })
    const owner = await register(email)
    const wanted = { userId: owner.body.user.id, purpose: 'password_reset' } as const
    const link = await issueMailToken(app.systemContext(), wanted)
    const body = { token: link?.token, password: 'eleven herons over a pond' }
    expect((await app.request('POST /api/auth/password/reset', { body })).status).toBe(204)
    await app.runJobs()
    expect((await read(id)).body.claimedBy).toBe(owner.body.user.customerId)
    expect((await read(owner.body.user.customerId)).body.claimedBy).toBeNull()
  })

  test('pass once each, more than a batch of them, also where the job runs again', async () => {
    const email = 'many@claim.example'
    await app.sql(
      `insert into customers (id, name, email, email_lower, version, created_at, updated_at)
       select 'cus_' || lpad(n::text, 26, '0'), 'Guest', $1, $1, 1, $2, $2
       from generate_series(1, 205) as n`,
      [email, app.now()],
    )
    const owner = await register(email)
    await prove(email, owner.body.accessToken)
    await app.runJobs()
    await app.sql(
      `insert into event_delivery (root_id, event_id)
       select root_id, id from events
       where root_id = $1 and type = 'user.email_verified'`,
      [owner.body.user.id],
    )
    await app.runJobs()
    const claims = await app.sql(
      `select root_id from events where type = 'customer.claimed' and data ->> 'ownerId' = $1`,
      [owner.body.user.customerId],
    )
    expect(claims).toHaveLength(205)
    expect(new Set(claims.map(({ root_id }) => root_id)).size).toBe(205)
  })
})

async function create(body: object, options: RequestOptions = {}): Promise<Reply> {
  return await app.request('POST /api/customers', { token: manager, ...options, body })
}

async function list(query: Record<string, string>): Promise<Reply> {
  const text = new URLSearchParams(query).toString()
  return await app.request(`GET /api/customers?${text}`, { token: viewer })
}

async function read(id: string): Promise<Reply> {
  return await app.request(`GET /api/customers/${id}`, { token: viewer })
}

async function patch(id: string, body: object, options: RequestOptions = {}): Promise<Reply> {
  return await app.request(`PATCH /api/customers/${id}`, { token: manager, ...options, body })
}

async function register(email: string): Promise<Reply> {
  const body = { email, password: testPassword, name: 'Somebody' }
  return await app.request('POST /api/auth/register', { body })
}

async function prove(email: string, token: string): Promise<void> {
  const body = { token: await mailedTokenFor(app, email) }
  const reply = await app.request('POST /api/auth/email/verify', { token, body })
  expect(reply.status).toBe(200)
}

async function ordersOf(token: string): Promise<string[]> {
  const { body } = await app.request('GET /api/orders', { token })
  return body.data.map(({ id }: { id: string }) => id)
}

/** A record that is about to pass to the login with its e-mail. */
async function guestAndOwner(email: string) {
  const guest = (await create({ email, name: 'A guest' })).body.id as Id<'cus'>
  const owner = await register(email)
  return { guest, ownerId: owner.body.user.customerId as Id<'cus'> }
}

async function openCase(customerId: string): Promise<Reply> {
  const body = { subject: 'A question', description: 'About an order', customerId }
  return await app.request('POST /api/crm', { token: manager, body })
}

async function offer(amount: number): Promise<string> {
  const service = await app.request('POST /api/services', {
    token: await app.as('admin'),
    body: { name: 'Advice', price: { amount, currency: 'GBP' }, status: 'active' },
  })
  return String(service.body.id)
}

async function waitingForLocks(): Promise<unknown> {
  const [row] = await app.sql(
    `select count(*)::int as waiting from pg_locks join pg_stat_activity using (pid)
     where not granted and datname = current_database()`,
  )
  return row?.['waiting']
}

/** An order that is confirmed at once, because it costs nothing, with its case. */
async function buyAsGuest(email: string) {
  const { body } = await app.request('POST /api/checkout/process', {
    body: {
      items: [{ serviceId: await offer(0), quantity: 1 }],
      customer: { email, name: 'A guest' },
    },
  })
  const { order, orderToken } = body
  const confirmed = await app.request(`GET /api/orders/${order.id}`, { orderToken })
  return {
    orderId: String(order.id),
    orderToken: String(orderToken),
    customerId: String(order.customer.id),
    caseId: String(confirmed.body.case.id),
  }
}
