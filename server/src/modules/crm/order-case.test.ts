import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import type { Id } from '../../kernel/id.ts'
import { dayMs, later } from '../../kernel/time.ts'
import { inTx } from '../../platform/context.ts'
import { orderTokenOf } from '../orders/index.ts'
import { findCaseOfOrder } from './index.ts'
import { jobs } from './jobs.ts'
import { openOrderCase } from './usecases/open-case.ts'
import { recordOrderCancellation } from './usecases/record-cancellation.ts'

let app: TestApp
let admin: string
let agent: string
let ada: { readonly token: string; readonly customerId: string; readonly email: string }

beforeAll(async () => {
  app = await startTestApp()
  admin = await app.as('admin')
  agent = await app.as('agent')
  ada = await app.asCustomer('ada')
})

afterAll(async () => {
  await app.close()
})

async function offer(name: string, turnaroundDays: number | null): Promise<string> {
  const price = { amount: 0, currency: 'GBP' }
  const { status, body } = await app.request('POST /api/services', {
    token: admin,
    body: { name, price, status: 'active', ...(turnaroundDays === null ? {} : { turnaroundDays }) },
  })
  expect(status, JSON.stringify(body)).toBe(201)
  return body.id
}

interface PlacedOrder {
  readonly id: Id<'ord'>
  readonly number: string
  readonly orderToken: string
}

async function placeOrder(serviceIds: readonly string[], token = ada.token): Promise<PlacedOrder> {
  const items = serviceIds.map((serviceId) => ({ serviceId, quantity: 1 }))
  const { status, body } = await app.request('POST /api/orders', { token, body: { items } })
  expect(status, JSON.stringify(body)).toBe(201)
  const orderToken = orderTokenOf(app.ports.secrets, { id: body.id, tokenVersion: 1 })
  return { id: body.id, number: body.number, orderToken }
}

async function moveOrder(id: string, status: string): Promise<Reply> {
  return await app.request(`PATCH /api/orders/${id}/status`, { token: admin, body: { status } })
}

/** An order that costs nothing and so may be confirmed by hand. */
async function placeConfirmed(serviceIds?: readonly string[]): Promise<PlacedOrder> {
  const order = await placeOrder(serviceIds ?? [await offer('Advice', null)])
  const { status, body } = await moveOrder(order.id, 'confirmed')
  expect(status, JSON.stringify(body)).toBe(200)
  return order
}

async function orderAsStaff(id: string): Promise<Reply['body']> {
  return (await app.request(`GET /api/orders/${id}`, { token: admin })).body
}

async function caseAsStaff(id: string): Promise<Reply['body']> {
  return (await app.request(`GET /api/crm/${id}`, { token: agent })).body
}

async function caseOf(order: PlacedOrder): Promise<Reply['body']> {
  return await caseAsStaff((await orderAsStaff(order.id)).case.id)
}

function typesOf({ timeline }: Reply['body']): string[] {
  return timeline.map(({ type }: { type: string }) => type)
}

describe('a confirmed order', () => {
  test('has exactly one case, named after what was bought', async () => {
    const serviceIds = [await offer('Company formation', 3), await offer('Registered office', 10)]
    const order = await placeOrder(serviceIds)
    expect((await orderAsStaff(order.id)).case).toBeNull()
    await moveOrder(order.id, 'confirmed')
    const opened = await caseOf(order)
    expect(opened).toMatchObject({
      kind: 'case',
      origin: 'order',
      status: 'new',
      priority: 'normal',
      subject: `${order.number}: Company formation, Registered office`,
      description: 'Company formation\nRegistered office',
      contact: { name: 'ada', email: ada.email, phone: null },
      customerId: ada.customerId,
      orderId: order.id,
      assignee: null,
      version: 1,
    })
    const { case: shown } = await orderAsStaff(order.id)
    expect(shown).toEqual({ id: opened.id, number: opened.number, status: 'new' })
    expect(await findCaseOfOrder(app.systemContext(), order.id)).toEqual(shown)
    const { body } = await app.request(`GET /api/crm?orderId=${order.id}`, { token: agent })
    expect(body.data).toHaveLength(1)
  })

  test('has one case however often and by how many it is confirmed', async () => {
    const order = await placeOrder([await offer('Advice', null)])
    const replies = await Promise.all(
      Array.from({ length: 10 }, async () => await moveOrder(order.id, 'confirmed')),
    )
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
    await inTx(app.systemContext(), async (ctx) => await openOrderCase(ctx, order.id))
    expect(await app.sql('select id from cases where order_id = $1', [order.id])).toHaveLength(1)
    const opened = await app.sql(
      `select id from events where type = 'case.opened' and data ->> 'orderId' = $1`,
      [order.id],
    )
    expect(opened).toHaveLength(1)
  })

  test('is not confirmed where its case cannot be written', async () => {
    const order = await placeOrder([await offer('Advice', null)])
    await app.sql('alter sequence case_numbers rename to case_numbers_away')
    try {
      expect((await moveOrder(order.id, 'confirmed')).status).toBe(500)
    } finally {
      await app.sql('alter sequence case_numbers_away rename to case_numbers')
    }
    expect(await orderAsStaff(order.id)).toMatchObject({ status: 'pending', case: null })
    expect((await moveOrder(order.id, 'confirmed')).status).toBe(200)
  })

  test('sets no due date where no line has a turnaround', async () => {
    expect(await caseOf(await placeConfirmed())).toMatchObject({ dueAt: null, overdue: false })
  })

  // London is at UTC in winter and an hour ahead in summer, which begins on 29 March 2026.
  test.each([
    ['2026-11-22T12:00:00.000Z', 10, '2026-12-02T23:59:59.999Z'],
    ['2026-06-30T12:00:00.000Z', 0, '2026-06-30T22:59:59.999Z'],
    ['2026-06-30T23:30:00.000Z', 1, '2026-07-02T22:59:59.999Z'],
    ['2026-03-27T12:00:00.000Z', 2, '2026-03-29T22:59:59.999Z'],
    ['2026-10-24T12:00:00.000Z', 1, '2026-10-25T23:59:59.999Z'],
  ])('of %s with %i days is due at the end of that day in London', async (at, days, dueAt) => {
    const order = await placeOrder([await offer('Quick', null), await offer('Slow', days)])
    const system = { ...app.systemContext(), now: new Date(at) }
    await inTx(system, async (ctx) => await openOrderCase(ctx, order.id))
    expect((await caseOf(order)).dueAt).toBe(dueAt)
  })
})

describe('the status of an order’s case', () => {
  test('is what the order shows, through every step', async () => {
    const order = await placeConfirmed()
    const { id } = await caseOf(order)
    const shown = async () => (await orderAsStaff(order.id)).case.status
    const patch = async (status: string) =>
      await app.request(`PATCH /api/crm/${id}/status`, { token: agent, body: { status } })
    await patch('waiting_customer')
    expect(await shown()).toBe('waiting_customer')
    const body = { body: 'Here it is.', visibility: 'public' }
    await app.request(`POST /api/crm/${id}/notes`, { token: ada.token, body })
    expect(await shown()).toBe('open')
    const resolution = { outcome: 'completed', summary: 'Done.' }
    await app.request(`POST /api/crm/${id}/resolve`, { token: agent, body: resolution })
    expect(await shown()).toBe('resolved')
    expect((await patch('new')).status).toBe(409)
    expect(await shown()).toBe('resolved')
    await patch('closed')
    expect(await shown()).toBe('closed')
  })

  test('agrees when order and case are changed by many at once', async () => {
    const order = await placeConfirmed()
    const { id } = await caseOf(order)
    const steps = ['open', 'waiting_customer', 'open', 'waiting_third_party', 'open']
    const replies = await Promise.all([
      ...steps.flatMap((status) => [
        app.request(`PATCH /api/crm/${id}/status`, { token: agent, body: { status } }),
        app.request(`POST /api/crm/${id}/notes`, {
          token: ada.token,
          body: { body: 'And?', visibility: 'public' },
        }),
      ]),
      moveOrder(order.id, 'in_progress'),
      moveOrder(order.id, 'on_hold'),
      moveOrder(order.id, 'cancelled'),
    ])
    for (const { status } of replies) expect([200, 201, 409]).toContain(status)
    const seen = await caseAsStaff(id)
    expect((await orderAsStaff(order.id)).case.status).toBe(seen.status)
    expect(typesOf(seen).filter((type) => type === 'case.answered')).toHaveLength(5)
  })

  test('is changed with the order’s row taken before the case’s', async () => {
    const order = await placeConfirmed()
    const { id } = await caseOf(order)
    const holder = await app.db.driver.connect()
    try {
      await holder.query('begin')
      const { rows } = await holder.query(
        'select pg_backend_pid() as pid from orders where id = $1 for update',
        [order.id],
      )
      const body = { status: 'open' }
      const moving = app.request(`PATCH /api/crm/${id}/status`, { token: agent, body })
      const waiting =
        'select pid from pg_locks where not granted and $1 = any(pg_blocking_pids(pid))'
      await expect
        .poll(async () => (await app.sql(waiting, [rows[0].pid])).length, { timeout: 2500 })
        .toBe(1)
      // Were the case's row held already, this would be refused at once.
      await holder.query('select id from cases where id = $1 for update nowait', [id])
      await holder.query('commit')
      expect((await moving).status).toBe(200)
    } finally {
      holder.release(true)
    }
    expect((await orderAsStaff(order.id)).case.status).toBe('open')
  })
})

describe('a cancelled order', () => {
  test('leaves its case open, with one entry that both sides see', async () => {
    const order = await placeConfirmed()
    const { id } = await caseOf(order)
    expect((await moveOrder(order.id, 'cancelled')).status).toBe(200)
    const system = app.systemContext()
    await inTx(system, async (ctx) => await recordOrderCancellation(ctx, order.id))
    const seen = await caseAsStaff(id)
    expect(seen).toMatchObject({ status: 'new', version: 2 })
    expect(typesOf(seen)).toEqual(['case.order_cancelled', 'case.opened'])
    const { body } = await app.request(`GET /api/crm/${id}`, { token: ada.token })
    expect(body.timeline[0]).toMatchObject({
      type: 'case.order_cancelled',
      actor: null,
      data: { orderId: order.id },
    })
  })

  test('has no case where it was never confirmed', async () => {
    const order = await placeOrder([await offer('Advice', null)])
    expect((await moveOrder(order.id, 'cancelled')).status).toBe(200)
    expect((await orderAsStaff(order.id)).case).toBeNull()
  })
})

describe('whoever holds the token of an order', () => {
  test('200 reads its cases without internal notes, and writes to them', async () => {
    const order = await placeConfirmed()
    const { orderToken } = order
    const { id, number } = await caseOf(order)
    const internal = { body: 'Only for us.', visibility: 'internal' }
    await app.request(`POST /api/crm/${id}/notes`, { token: agent, body: internal })
    const body = { body: 'I am here.', visibility: 'public' }
    const written = await app.request(`POST /api/crm/${id}/notes`, { orderToken, body })
    expect(written.status).toBe(201)
    expect(written.body.author).toEqual({ id: ada.customerId, name: 'ada', kind: 'guest' })
    const seen = await app.request(`GET /api/crm/${number}`, { orderToken })
    expect(seen.status).toBe(200)
    expect(seen.body.notes).toEqual([written.body])
    expect(JSON.stringify(seen.body)).not.toContain('Only for us.')
    expect(seen.body).not.toHaveProperty('priority')
    expect(seen.headers.get('etag')).toMatch(/-customer"$/)
  })

  test('201 opens another case of that order, which is an enquiry', async () => {
    const order = await placeConfirmed()
    const { orderToken } = order
    const question = { subject: 'When?', description: 'When will it be done?' }
    const { status, body } = await app.request('POST /api/crm', { orderToken, body: question })
    expect(status).toBe(201)
    expect(body).toMatchObject({
      kind: 'case',
      origin: 'enquiry',
      orderId: order.id,
      customerId: ada.customerId,
      contact: { name: 'ada', email: ada.email },
      timeline: [{ actor: { id: ada.customerId, name: 'ada', kind: 'guest' } }],
    })
    expect((await app.request(`GET /api/crm/${body.id}`, { orderToken })).status).toBe(200)
    expect((await orderAsStaff(order.id)).case.id).not.toBe(body.id)
    const { status: moved } = await app.request(`PATCH /api/crm/${body.id}/status`, {
      token: agent,
      body: { status: 'open' },
    })
    expect(moved).toBe(200)
    expect((await orderAsStaff(order.id)).case.status).toBe('new')
  })

  test('403 and 404 for everything else', async () => {
    const order = await placeConfirmed()
    const other = await placeConfirmed()
    const { orderToken } = order
    const { id } = await caseOf(other)
    const question = { subject: 'When?', description: 'When?', orderId: other.id }
    const note = { body: 'x', visibility: 'public' }
    const ask = async (route: `${string} /${string}`, body?: unknown) =>
      (await app.request(route, { orderToken, ...(body === undefined ? {} : { body }) })).status
    expect(await ask(`GET /api/crm/${id}`)).toBe(404)
    expect(await ask(`POST /api/crm/${id}/notes`, note)).toBe(404)
    expect(await ask('POST /api/crm', question)).toBe(404)
    expect(await ask('GET /api/crm')).toBe(403)
    expect(await ask(`PATCH /api/crm/${id}`, { priority: 'low' })).toBe(403)
    expect(await ask(`PATCH /api/crm/${id}/status`, { status: 'open' })).toBe(403)
    expect(await ask(`POST /api/crm/${id}/resolve`, {})).toBe(403)
  })
})

describe('a case that names an order', () => {
  test('201 for the customer’s own order, 404 for another’s', async () => {
    const order = await placeConfirmed()
    const { token } = await app.asCustomer('bob')
    const body = { subject: 'When?', description: 'When?', orderId: order.id }
    const own = await app.request('POST /api/crm', { token: ada.token, body })
    expect(own.status).toBe(201)
    expect(own.body).toMatchObject({ orderId: order.id, origin: 'enquiry' })
    expect((await app.request('POST /api/crm', { token, body })).status).toBe(404)
  })

  test('400 for another customer than the order’s, 409 for changing to one', async () => {
    const order = await placeConfirmed()
    const { customerId } = await app.asCustomer('bob')
    const about = { subject: 'When?', description: 'When?', orderId: order.id }
    const refused = await app.request('POST /api/crm', {
      token: agent,
      body: { ...about, customerId },
    })
    expect(refused.status).toBe(400)
    expect(refused.body.errors).toMatchObject([{ pointer: '/customerId', code: 'conflict' }])
    const opened = await app.request('POST /api/crm', { token: agent, body: about })
    expect(opened.body).toMatchObject({ customerId: ada.customerId, kind: 'case' })
    for (const change of [customerId, null]) {
      const { status, body } = await app.request(`PATCH /api/crm/${opened.body.id}`, {
        token: agent,
        body: { customerId: change },
      })
      expect([status, body.code]).toEqual([409, 'customer_fixed_by_order'])
    }
    const same = await app.request(`PATCH /api/crm/${opened.body.id}`, {
      token: agent,
      body: { customerId: ada.customerId },
    })
    expect(same.body.version).toBe(1)
  })
})

async function runClosing(at: Date): Promise<void> {
  const [job] = jobs
  expect(job!.name).toBe('close-resolved-cases')
  await job!.run({ ...app.systemContext(), now: at }, {})
}

async function resolveCaseOf(order: PlacedOrder): Promise<string> {
  const { id } = await caseOf(order)
  const body = { outcome: 'completed', summary: 'Done.' }
  await app.request(`POST /api/crm/${id}/resolve`, { token: agent, body })
  return id
}

describe('the job that closes resolved cases', () => {
  test('closes what has been resolved for fourteen days, and the order shows it', async () => {
    const order = await placeConfirmed()
    const id = await resolveCaseOf(order)
    const resolvedAt = new Date((await caseAsStaff(id)).resolution.resolvedAt)
    await runClosing(later(resolvedAt, 14 * dayMs - 1))
    expect((await caseAsStaff(id)).status).toBe('resolved')
    await Promise.all([
      runClosing(later(resolvedAt, 14 * dayMs)),
      runClosing(later(resolvedAt, 14 * dayMs)),
    ])
    const closed = await caseAsStaff(id)
    expect(closed).toMatchObject({ status: 'closed', resolution: { summary: 'Done.' } })
    expect(closed.timeline[0]).toMatchObject({
      type: 'case.closed',
      actor: { id: null, kind: 'system' },
    })
    expect(typesOf(closed).filter((type) => type === 'case.closed')).toHaveLength(1)
    expect((await orderAsStaff(order.id)).case.status).toBe('closed')
  })

  test('leaves what was reopened in the meantime', async () => {
    const id = await resolveCaseOf(await placeConfirmed())
    const body = { body: 'Wait.', visibility: 'public' }
    await app.request(`POST /api/crm/${id}/notes`, { token: ada.token, body })
    await runClosing(later(app.now(), 15 * dayMs))
    expect((await caseAsStaff(id)).status).toBe('open')
  })
})
