import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import {
  bookMoney,
  bought,
  offer,
  openShop,
  price,
  type Shop,
} from '../../../test/journeys/shop.ts'

let app: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  shop = await openShop(app)
})

afterAll(async () => {
  await app.close()
})

const unknownOrder = 'ord_01jd8q9yg8e5v9c0m4t7k2x3za'
const unknownCustomer = 'cus_01jd8q9yg8e5v9c0m4t7k2x3za'

function oneItem(): object {
  return { items: [{ serviceId: shop.serviceId, quantity: 1 }] }
}

async function place(name: string, more: Record<string, unknown> = {}): Promise<Reply> {
  const { token } = await app.asCustomer(name)
  return await app.request('POST /api/orders', { token, body: { ...oneItem(), ...more } })
}

async function placed(name: string, more: Record<string, unknown> = {}): Promise<Reply['body']> {
  const { status, body } = await place(name, more)
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}

describe('POST /api/orders', () => {
  test('201 with the prices of the catalogue and the customer’s own words', async () => {
    const { status, headers, body } = await place('ada', {
      items: [{ serviceId: shop.serviceId, quantity: 2, answers: { company: 'Engines' } }],
      note: 'Before noon',
      metadata: { source: 'shop' },
    })
    expect(status).toBe(201)
    expect(headers.get('location')).toBe(`/api/orders/${body.id}`)
    expect(body).toMatchObject({
      number: expect.stringMatching(/^B-\d+$/),
      status: 'pending',
      paymentStatus: 'unpaid',
      total: { amount: 2 * price, currency: 'GBP' },
      lines: [{ quantity: 2, unitPrice: { amount: price }, answers: { company: 'Engines' } }],
      note: 'Before noon',
      metadata: { source: 'shop' },
      version: 1,
      payments: [],
      case: null,
    })
    const { token } = await app.asCustomer('ada')
    expect((await app.request(`GET /api/orders/${body.id}`, { token })).body).toEqual(body)
  })

  test('201 by staff, for a customer known or new', async () => {
    const token = await app.as('finance')
    const { customerId } = await app.asCustomer('ada')
    const known = await app.request('POST /api/orders', {
      token,
      body: { ...oneItem(), customerId },
    })
    expect([known.status, known.body.customer.id]).toEqual([201, customerId])
    const customer = { email: 'new@example.com', name: 'New' }
    const fresh = await app.request('POST /api/orders', { token, body: { ...oneItem(), customer } })
    expect(fresh.body.customer).toMatchObject(customer)
  })

  test('201 once for one Idempotency-Key, however often it is sent', async () => {
    const { token } = await app.asCustomer('twice')
    const send = (body: object) =>
      app.request('POST /api/orders', { token, body, headers: { 'idempotency-key': 'once' } })
    const replies = await Promise.all(Array.from({ length: 10 }, () => send(oneItem())))
    for (const { status } of replies) expect([201, 409]).toContain(status)
    const replay = await send(oneItem())
    expect([replay.status, replay.headers.get('idempotent-replayed')]).toEqual([201, 'true'])
    const list = await app.request('GET /api/orders', { token })
    expect(list.body.data.map(({ id }: { id: string }) => id)).toEqual([replay.body.id])
    const other = await send({ ...oneItem(), note: 'another' })
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused'])
  })

  test('400 for input that no order can be made of', async () => {
    const item = { serviceId: shop.serviceId, quantity: 1 }
    const wrong = [
      {},
      { items: [] },
      { items: [{ ...item, quantity: 0 }] },
      { items: [{ ...item, quantity: 1.5 }] },
      { items: [{ ...item, quantity: '1' }] },
      { items: [{ ...item, quantity: 1001 }] },
      { items: [{ ...item, price: 1 }] },
      { items: [{ ...item, options: { speed: 'express' } }] },
      { items: [{ ...item, answers: { long: 'x'.repeat(17_000) } }] },
      { items: Array.from({ length: 51 }, () => item) },
      { ...oneItem(), total: 1 },
      { ...oneItem(), customerId: unknownCustomer },
      { ...oneItem(), customer: { email: 'a@example.com', name: 'A' } },
      { ...oneItem(), metadata: { long: 'x'.repeat(17_000) } },
    ]
    const { token } = await app.asCustomer('ada')
    for (const body of wrong) {
      const reply = await app.request('POST /api/orders', { token, body })
      expect([reply.status, reply.body.code], JSON.stringify(body).slice(0, 200)).toEqual([
        400,
        'invalid_input',
      ])
      expect(reply.body.errors.length).toBeGreaterThan(0)
    }
  })

  test('400 by staff without exactly one known or new customer, and no record is made', async () => {
    const token = await app.as('finance')
    const customer = { email: 'both@example.com', name: 'Both' }
    for (const who of [
      {},
      { customerId: unknownCustomer, customer },
      { customerId: unknownCustomer },
    ]) {
      const reply = await app.request('POST /api/orders', { token, body: { ...oneItem(), ...who } })
      expect([reply.status, reply.body.code]).toEqual([400, 'invalid_input'])
    }
    const unsold = { items: [{ serviceId: shop.serviceId, quantity: 1, options: { no: 'no' } }] }
    await app.request('POST /api/orders', { token, body: { ...unsold, customer } })
    expect(await app.sql('select id from customers where email = $1', [customer.email])).toEqual([])
  })

  test('400 mixed_currency for two currencies in one order', async () => {
    const euros = await offer(shop, 5000, 'EUR')
    const { token } = await app.asCustomer('ada')
    const items = [shop.serviceId, euros].map((serviceId) => ({ serviceId, quantity: 1 }))
    const reply = await app.request('POST /api/orders', { token, body: { items } })
    expect([reply.status, reply.body.code]).toEqual([400, 'mixed_currency'])
  })

  test('401 for nobody, 403 for staff who may only read', async () => {
    expect((await app.request('POST /api/orders', { body: {} })).status).toBe(401)
    const token = await app.as('agent')
    expect((await app.request('POST /api/orders', { token, body: oneItem() })).status).toBe(403)
  })

  test('422 for a service that is not for sale and for a total that is too large', async () => {
    const { token } = await app.asCustomer('ada')
    const gone = { items: [{ serviceId: 'svc_01jd8q9yg8e5v9c0m4t7k2x3za', quantity: 1 }] }
    const missing = await app.request('POST /api/orders', { token, body: gone })
    expect([missing.status, missing.body.code]).toEqual([422, 'service_unavailable'])
    const dear = await offer(shop, 99_999_999)
    const much = { items: [{ serviceId: dear, quantity: 2 }] }
    const large = await app.request('POST /api/orders', { token, body: much })
    expect([large.status, large.body.code]).toEqual([422, 'amount_too_large'])
  })

  test('429 too_many_open_orders beyond 20 unpaid ones', async () => {
    for (let count = 0; count < 20; count += 1) await placed('eager')
    const reply = await place('eager')
    expect([reply.status, reply.body.code]).toEqual([429, 'too_many_open_orders'])
    expect(reply.headers.get('retry-after')).toMatch(/^\d+$/)
  })

  test('the order keeps its price when the catalogue changes', async () => {
    const serviceId = await offer(shop, 1000)
    const order = await placed('ada', { items: [{ serviceId, quantity: 1 }] })
    const token = await app.as('admin')
    const dearer = { price: { amount: 2000, currency: 'GBP' } }
    await app.request(`PATCH /api/services/${serviceId}`, { token, body: dearer })
    await app.request(`DELETE /api/services/${serviceId}`, { token })
    const read = await app.request(`GET /api/orders/${order.id}`, { token })
    expect(read.body.total.amount).toBe(1000)
  })
})

describe('GET /api/orders', () => {
  test('200 with own orders for a customer, whatever they filter by', async () => {
    const own = await placed('lister')
    const other = await placed('ada')
    const { token, customerId } = await app.asCustomer('lister')
    const all = await app.request('GET /api/orders', { token })
    expect(all.body.data.map(({ id }: { id: string }) => id)).toEqual([own.id])
    const theirs = await app.request(`GET /api/orders?customerId=${other.customer.id}`, { token })
    expect(theirs.body).toMatchObject({ data: [], nextCursor: null })
    const mine = await app.request(`GET /api/orders?customerId=${customerId}&count=true`, { token })
    expect(mine.body).toMatchObject({ data: [{ id: own.id }], total: 1 })
  })

  test('200 with what the filters ask for', async () => {
    const order = await placed('findable')
    const token = await app.as('viewer')
    const find = async (query: string): Promise<string[]> => {
      const { status, body } = await app.request(`GET /api/orders?${query}&limit=100`, { token })
      expect(status, JSON.stringify(body)).toBe(200)
      return body.data.map(({ id }: { id: string }) => id)
    }
    for (const q of [order.number, order.number.toLowerCase(), 'FINDABLE@customer', 'findab']) {
      expect(await find(`q=${encodeURIComponent(q)}`)).toEqual([order.id])
    }
    for (const q of ['%', '_', '\\', 'find%ble']) {
      expect(await find(`q=${encodeURIComponent(q)}`)).toEqual([])
    }
    const { createdAt } = order
    expect(await find(`createdFrom=${createdAt}&createdTo=${createdAt}`)).toContain(order.id)
    expect(await find(`status=pending&paymentStatus=unpaid`)).toContain(order.id)
    expect(await find(`status=completed`)).toEqual([])
  })

  test('200 page by page: every order once, in the order asked for', async () => {
    const token = await app.as('viewer')
    const read = async (query: string) =>
      (await app.request(`GET /api/orders?${query}`, { token })).body
    const all = (await read('limit=100&sort=createdAt')).data as Row[]
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('createdAt', '-createdAt', 'total', '-total'),
        fc.integer({ min: 3, max: 20 }),
        async (sort, limit) => {
          const rows: Row[] = []
          let cursor: string | null = ''
          while (cursor !== null) {
            const more: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
            const page: Reply['body'] = await read(`sort=${sort}&limit=${limit}${more}`)
            rows.push(...page.data)
            cursor = page.nextCursor
          }
          expect(rows).toEqual(sorted(all, sort))
        },
      ),
      { numRuns: 12 },
    )
  })

  test('400 for filters, sorts and cursors that the list does not have', async () => {
    const token = await app.as('viewer')
    for (const query of [
      'status=open',
      'sort=number',
      'limit=0',
      'limit=101',
      'colour=red',
      'q=',
    ]) {
      expect((await app.request(`GET /api/orders?${query}`, { token })).status, query).toBe(400)
    }
    const reply = await app.request('GET /api/orders?cursor=bm9uc2Vuc2U', { token })
    expect(reply.body.code).toBe('invalid_cursor')
  })

  test('401 for nobody, 403 for the holder of an order token', async () => {
    expect((await app.request('GET /api/orders')).status).toBe(401)
    const { payer } = await bought(shop)
    expect((await app.request('GET /api/orders', payer)).status).toBe(403)
  })

  interface Row {
    readonly id: string
    readonly createdAt: string
    readonly total: { readonly amount: number }
  }

  function sorted(rows: readonly Row[], sort: string): Row[] {
    const sign = sort.startsWith('-') ? -1 : 1
    const valueOf = (row: Row) =>
      sort.endsWith('total') ? row.total.amount : Date.parse(row.createdAt)
    return rows.toSorted(
      (a, b) => sign * (valueOf(a) - valueOf(b) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)),
    )
  }
})

describe('an order with money that does not fit its books', () => {
  test('200 found by staff, its flag taken down once somebody has looked', async () => {
    const [customer, token] = [await app.asCustomer('flagged'), await app.as('manager')]
    const order = await placed('flagged')
    const { id } = order
    expect(order).not.toHaveProperty('flagged')
    const find = async (query: string): Promise<string[]> => {
      const { body } = await app.request(`GET /api/orders?${query}`, { token })
      return body.data.map((order: { id: string }) => order.id)
    }
    expect(await find(`flagged=true`)).toEqual([])
    await app.sql('update orders set flagged = true where id = $1', [id])
    for (const query of ['flagged=true', 'flagged=true&sort=-total', 'flagged=true&sort=total']) {
      expect(await find(query)).toEqual([id])
    }
    expect(await find('flagged=false&limit=100')).not.toContain(id)
    const own = await app.request(`GET /api/orders/${id}`, { token: customer.token })
    expect(own.body).not.toHaveProperty('flagged')
    const raised = { token, body: { flagged: true } }
    expect((await app.request(`PATCH /api/orders/${id}`, raised)).status).toBe(400)
    const note = await app.request(`PATCH /api/orders/${id}`, { token, body: { note: 'Looking' } })
    expect(note.body.flagged).toBe(true)
    const down = await app.request(`PATCH /api/orders/${id}`, { token, body: { flagged: false } })
    expect([down.status, down.body.flagged, down.body.note]).toEqual([200, false, 'Looking'])
    expect(await find('flagged=true')).toEqual([])
  })

  test('400 for a customer who filters by it', async () => {
    const { token } = await app.asCustomer('ada')
    const reply = await app.request('GET /api/orders?flagged=true', { token })
    expect([reply.status, reply.body.code]).toEqual([400, 'invalid_input'])
  })
})

describe('GET /api/orders/:id', () => {
  test('200 by id and by number for its customer, staff and the holder of its token', async () => {
    const { orderId, order, payer } = await bought(shop)
    for (const id of [orderId, order.number]) {
      expect((await app.request(`GET /api/orders/${id}`, payer)).status).toBe(200)
      const token = await app.as('viewer')
      expect((await app.request(`GET /api/orders/${id}`, { token })).body.id).toBe(orderId)
    }
  })

  test('200 without secrets and addresses to pay, for anybody', async () => {
    const purchase = await bought(shop, { mode: 'hosted' })
    const card = await bought(shop)
    for (const { orderId, payer } of [purchase, card]) {
      for (const who of [payer, { token: await app.as('admin') }]) {
        const { body } = await app.request(`GET /api/orders/${orderId}`, who)
        expect(JSON.stringify(body)).not.toMatch(/_secret_|\/c\/pay\//)
      }
    }
  })

  test('304 while nothing has changed', async () => {
    const { id } = await placed('ada')
    const { token } = await app.asCustomer('ada')
    const first = await app.request(`GET /api/orders/${id}`, { token })
    const headers = { 'if-none-match': first.headers.get('etag') ?? '' }
    expect((await app.request(`GET /api/orders/${id}`, { token, headers })).status).toBe(304)
  })

  test('401 for nobody and for a wrong token, 404 for what is another’s or nobody’s', async () => {
    const { id } = await placed('ada')
    const guest = await bought(shop)
    expect((await app.request(`GET /api/orders/${id}`)).status).toBe(401)
    const forged = `${id}.${'A'.repeat(43)}`
    expect((await app.request(`GET /api/orders/${id}`, { orderToken: forged })).status).toBe(401)
    expect((await app.request(`GET /api/orders/${id}`, guest.payer)).status).toBe(404)
    const { token } = await app.asCustomer('other')
    for (const any of [id, unknownOrder, 'B-999999']) {
      expect((await app.request(`GET /api/orders/${any}`, { token })).status).toBe(404)
    }
  })
})

describe('PATCH /api/orders/:id', () => {
  const patch = async (id: string, body: object, headers = {}): Promise<Reply> =>
    await app.request(`PATCH /api/orders/${id}`, { token: await app.as('manager'), body, headers })

  test('200 merges, clears by null and leaves the rest', async () => {
    const { id } = await placed('ada', { note: 'First', metadata: { a: 1, b: { c: 2 } } })
    const merged = await patch(id, { metadata: { a: null, b: { d: 3 } } })
    expect(merged.status).toBe(200)
    expect(merged.body).toMatchObject({ note: 'First', version: 2 })
    expect(merged.body.metadata).toEqual({ b: { c: 2, d: 3 } })
    const cleared = await patch(id, { note: null, metadata: null })
    expect(cleared.body).toMatchObject({ note: null, metadata: {}, version: 3 })
  })

  test('412 for a version that is not the present one', async () => {
    const { id } = await placed('ada')
    const first = await patch(id, { note: 'a' }, { 'if-match': '"1-staff"' })
    const second = await patch(id, { note: 'b' }, { 'if-match': '"1-staff"' })
    expect([first.status, second.status, second.body.code]).toEqual([
      200,
      412,
      'precondition_failed',
    ])
  })

  test('400 for nothing and for members that are not staff’s to write', async () => {
    const { id } = await placed('ada')
    for (const body of [{}, { status: 'confirmed' }, { paid: 1 }, { note: 7 }]) {
      expect((await patch(id, body)).status, JSON.stringify(body)).toBe(400)
    }
    const large = await patch(id, { metadata: { long: 'x'.repeat(17_000) } })
    expect(large.status).toBe(400)
  })

  test('400 for metadata that would have more than 50 members with what is there', async () => {
    const members = Array.from({ length: 50 }, (_, nth) => [`member${nth}`, nth])
    const { id } = await placed('ada', { metadata: Object.fromEntries(members) })
    const more = await patch(id, { metadata: { another: 1 } })
    expect([more.status, more.body.errors?.[0]?.pointer]).toEqual([400, '/metadata'])
    expect((await patch(id, { metadata: { another: 1, member0: null } })).status).toBe(200)
  })

  test('401, 403 and 404', async () => {
    const { id } = await placed('ada')
    const body = { note: 'x' }
    expect((await app.request(`PATCH /api/orders/${id}`, { body })).status).toBe(401)
    const { token } = await app.asCustomer('ada')
    expect((await app.request(`PATCH /api/orders/${id}`, { token, body })).status).toBe(403)
    expect((await patch(unknownOrder, body)).status).toBe(404)
  })
})

describe('PATCH /api/orders/:id/status', () => {
  const move = async (id: string, body: object, headers = {}): Promise<Reply> =>
    await app.request(`PATCH /api/orders/${id}/status`, {
      token: await app.as('agent'),
      body,
      headers,
    })

  test('200 along the way to completed, with what is allowed next', async () => {
    const { orderId } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    for (const status of ['on_hold', 'confirmed', 'in_progress', 'on_hold', 'in_progress']) {
      const { body } = await move(orderId, { status })
      expect(body.status, JSON.stringify(body)).toBe(status)
    }
    const done = await move(orderId, { status: 'completed' })
    expect(done.body).toMatchObject({ status: 'completed', allowedTransitions: [] })
  })

  test('200 for one of 20 who move it at once, 409 for the others', async () => {
    const { orderId } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => move(orderId, { status: 'in_progress' })),
    )
    const codes = replies.map(({ status }) => status).toSorted()
    expect(codes).toEqual([200, ...Array.from({ length: 19 }, () => 409)])
  })

  test('409 invalid_transition with the allowed ones, and what blocks them', async () => {
    const { id } = await placed('ada')
    const unpaid = await move(id, { status: 'confirmed' })
    expect(unpaid.status).toBe(409)
    expect(unpaid.body).toMatchObject({
      code: 'invalid_transition',
      blockedBy: 'payment_required',
      allowedTransitions: [{ to: 'confirmed' }, { to: 'cancelled' }],
    })
    const jump = await move(id, { status: 'completed' })
    expect(jump.body).toMatchObject({ code: 'invalid_transition', blockedBy: null })
  })

  test('400 refund_required for money kept, 403 for who may not give it back', async () => {
    const { orderId } = await bought(shop, { paymentMethod: 'pm_card_visa' })
    const unsaid = await move(orderId, { status: 'cancelled' })
    expect([unsaid.status, unsaid.body.code]).toEqual([400, 'refund_required'])
    const full = await move(orderId, { status: 'cancelled', refund: 'full' })
    expect([full.status, full.body.code]).toEqual([403, 'forbidden'])
    const kept = await move(orderId, { status: 'cancelled', refund: 'none' })
    expect([kept.status, kept.body.status]).toEqual([200, 'cancelled'])
  })

  test('412 for a version that is not the present one', async () => {
    const { id } = await placed('ada')
    const stale = await move(id, { status: 'cancelled' }, { 'if-match': '"7-staff"' })
    expect([stale.status, stale.body.code]).toEqual([412, 'precondition_failed'])
  })

  test('400, 401, 403 and 404', async () => {
    const { id } = await placed('ada')
    const body = { status: 'cancelled' }
    expect((await move(id, { status: 'lost' })).status).toBe(400)
    expect((await app.request(`PATCH /api/orders/${id}/status`, { body })).status).toBe(401)
    const { token } = await app.asCustomer('ada')
    expect((await app.request(`PATCH /api/orders/${id}/status`, { token, body })).status).toBe(403)
    const viewer = { token: await app.as('viewer'), body }
    expect((await app.request(`PATCH /api/orders/${id}/status`, viewer)).status).toBe(403)
    expect((await move(unknownOrder, body)).status).toBe(404)
  })

  test('the customer’s timeline tells what happened, not who of the staff did it', async () => {
    const { orderId, payer } = await bought(shop)
    await bookMoney(shop, `POST /api/orders/${orderId}/payments`, price)
    await move(orderId, { status: 'in_progress' })
    const { body } = await app.request(`GET /api/orders/${orderId}`, payer)
    const types = body.timeline.map(({ type }: { type: string }) => type)
    expect(types).toEqual(expect.arrayContaining(['order.confirmed', 'order.status_changed']))
    expect(JSON.stringify(body.timeline)).not.toMatch(/staff|usr_/)
    expect(body.allowedTransitions).toEqual([])
  })
})
