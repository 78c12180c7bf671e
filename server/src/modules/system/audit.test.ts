import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../../../test/support/app.ts'
import type { Sort } from '../../kernel/page.ts'
import { composePage, conditionsOf } from '../../platform/list.ts'
import { compile } from '../../platform/sql.ts'
import { createCustomerRecord } from '../identity/index.ts'
import { auditTrail, type AuditFilters } from './sql.ts'

let app: TestApp
let admin: string
let serviceId: string
let categoryId: string

beforeAll(async () => {
  app = await startTestApp()
  admin = await app.as('admin')
  const category = await app.request('POST /api/services/categories', {
    token: admin,
    headers: { 'x-request-id': 'audit-1' },
    body: { name: 'Company law' },
  })
  categoryId = category.body.id
  const service = await app.request('POST /api/services', {
    token: await app.as('manager'),
    body: { name: 'Formation', price: { amount: 9900, currency: 'GBP' }, status: 'active' },
  })
  serviceId = service.body.id
  for (const summary of ['One', 'Two', 'Three']) {
    app.advance(1000)
    const { status } = await app.request(`PATCH /api/services/${serviceId}`, {
      token: admin,
      body: { summary },
    })
    expect(status).toBe(200)
  }
})
afterAll(async () => {
  await app.close()
})

const list = (query = '') => app.request(`GET /api/events${query}`, { token: admin })

describe('GET /api/events', () => {
  test('401 and 403 for everybody without system:read', async () => {
    const { token } = await app.asCustomer('ada')
    const asked = await Promise.all([
      app.request('GET /api/events'),
      app.request('GET /api/events', { token }),
      app.request('GET /api/events', { token: await app.as('viewer') }),
      app.request('GET /api/events', { token: await app.as('finance') }),
    ])
    expect(asked.map(({ status }) => status)).toEqual([401, 403, 403, 403])
    expect((await app.request('GET /api/events', { token: await app.as('manager') })).status).toBe(
      200,
    )
  })

  test('200 says who did what, to what, when, which fields and by which request', async () => {
    const { body } = await list(`?rootId=${serviceId}&type=service.updated`)
    expect(body.data).toHaveLength(3)
    expect(body.data[0]).toEqual({
      id: expect.stringMatching(/^evt_/),
      type: 'service.updated',
      at: expect.stringMatching(/Z$/),
      rootId: serviceId,
      rootVersion: 4,
      actor: { id: expect.stringMatching(/^usr_/), name: 'admin', kind: 'staff' },
      requestId: expect.stringMatching(/^req_/),
      changed: ['summary'],
      data: expect.objectContaining({ fields: ['summary'] }),
    })
    expect(JSON.stringify(body)).not.toMatch(/Three/)
  })

  test('200 newest first, and the other way when asked, page by page without gap or repeat', async () => {
    for (const sort of ['-at', 'at']) {
      const all = (await list(`?limit=100&sort=${sort}`)).body.data
      expect(all.length).toBeGreaterThan(5)
      const times = all.map(({ at }: { at: string }) => at)
      const rising = times.toSorted()
      expect(times).toEqual(sort === 'at' ? rising : rising.toReversed())
      const seen: string[] = []
      let cursor: string | null = ''
      while (cursor !== null) {
        const page: { body: { data: { id: string }[]; nextCursor: string | null } } = await list(
          `?limit=2&sort=${sort}${cursor === '' ? '' : `&cursor=${cursor}`}`,
        )
        seen.push(...page.body.data.map(({ id }) => id))
        cursor = page.body.nextCursor
      }
      expect(seen).toEqual(all.map(({ id }: { id: string }) => id))
    }
  })

  test('200 by what it happened to, type, actor, request and time', async () => {
    const [updated] = (await list('?type=service.updated&sort=at&limit=1')).body.data
    const byActor = (await list(`?actorId=${updated.actor.id}&limit=100`)).body.data
    expect(byActor.length).toBeGreaterThan(2)
    expect(byActor.every((event: typeof updated) => event.actor.id === updated.actor.id)).toBe(true)
    const byRequest = (await list('?requestId=audit-1')).body.data
    expect(byRequest.map(({ rootId }: { rootId: string }) => rootId)).toEqual([categoryId])
    const within = (await list(`?from=${updated.at}&rootId=${serviceId}`)).body.data
    expect(within).toHaveLength(3)
    const before = (await list(`?to=${updated.at}&rootId=${serviceId}`)).body.data
    expect(before.map(({ type }: { type: string }) => type)).toEqual(['service.created'])
    expect((await list('?type=no.such_thing')).body).toEqual({ data: [], nextCursor: null })
  })

  test('200 for an event of the provider that was refused, by the id that it has there', async () => {
    const rootId = 'evt_3NG8Du2eZvKYlo2C_UI79vXWy'
    await app.sql(
      `insert into events (root_id, id, root_version, type, at, actor_kind, data)
       values ($1, 'evt_01jd8q9yg8e5v9c0m4t7k2x3za', 1, 'provider_event.refused', $2, 'system',
         '{}')`,
      [rootId, app.now()],
    )
    const [listed] = (await list('?type=provider_event.refused')).body.data
    expect(listed.rootId).toBe(rootId)
    expect((await list(`?rootId=${listed.rootId}`)).body.data).toEqual([listed])
  })

  test('200 for what a customer and Bureau itself did, without a name where there is none', async () => {
    const { userId, token } = await app.asCustomer('ada')
    const order = await app.request('POST /api/orders', {
      token,
      body: { items: [{ serviceId, quantity: 1 }] },
    })
    expect(order.status).toBe(201)
    const [placed] = (await list(`?actorId=${userId}&type=order.placed`)).body.data
    expect([placed.rootId, placed.actor]).toEqual([
      order.body.id,
      { id: userId, name: 'ada', kind: 'customer' },
    ])
    await createCustomerRecord(app.systemContext(), {
      name: 'Bob',
      email: 'bob@customer.example',
      phone: null,
    })
    const [made] = (await list('?type=customer.created&limit=1')).body.data
    expect(made.actor).toEqual({ id: null, name: null, kind: 'system' })
  })

  test.each([
    ['a filter that there is not', '?colour=red', 'invalid_input'],
    ['an id of another form', '?rootId=1', 'invalid_input'],
    ['a time without a zone', '?from=2026-11-22', 'invalid_input'],
    ['a sort that there is not', '?sort=type', 'invalid_input'],
    ['a cursor of nobody', '?cursor=abc', 'invalid_cursor'],
  ])('400 for %s', async (_what, query, code) => {
    const { status, body } = await list(query)
    expect([status, body.code]).toEqual([400, code])
  })

  test('400 for the cursor of other filters', async () => {
    const { body } = await list('?limit=1')
    const other = await list(`?limit=1&type=service.updated&cursor=${body.nextCursor}`)
    expect([other.status, other.body.code]).toEqual([400, 'invalid_cursor'])
  })

  test('the serving role cannot change, delete or empty it', async () => {
    for (const statement of [
      "update events set type = 'other'",
      'delete from events',
      'truncate events',
    ]) {
      await expect(app.db.driver.query(statement)).rejects.toMatchObject({ code: '42501' })
    }
  })

  test('reads as much of an index as it shows, whatever is asked for', async () => {
    await app.sql(`insert into events
        (root_id, id, root_version, type, at, actor_id, actor_kind, request_id, data)
      select 'svc_' || lpad(i::text, 26, '0'), 'evt_' || lpad(i::text, 26, '0'), 1,
        'kind.' || i % 50, '2026-01-01'::timestamptz + i * interval '1 second',
        'usr_' || lpad((i % 200)::text, 26, '0'), 'staff', 'req-' || i, '{}'
      from generate_series(1, 20000) as i`)
    await app.sql('analyze events')
    const asked: [AuditFilters, RegExp][] = [
      [{}, /events_at/],
      [{ from: '2026-01-01T01:00:00.000Z', to: '2026-01-01T02:00:00.000Z' }, /events_at/],
      [{ type: 'kind.7' }, /events_by_type/],
      [{ actorId: 'usr_00000000000000000000000007' }, /events_by_actor/],
      [{ requestId: 'req-77' }, /events_by_request/],
      [{ rootId: 'svc_00000000000000000000000077' }, /events_pkey|events_root_id/],
    ]
    const pages = asked.flatMap(([filters, index]) =>
      [null, ['2026-01-01T03:00:00.000Z', 'evt_00000000000000000000010800'] as const].map(
        (after) => ({ filters, index, after }),
      ),
    )
    const sort: Sort = { field: 'at', direction: 'desc' }
    for (const { filters, index, after } of pages) {
      const page = { limit: 20, count: false, sort, after }
      const conditions = conditionsOf(auditTrail, filters)
      const { text, values } = compile(composePage(auditTrail, conditions, page))
      const lines = await app.sql(`explain (costs off) ${text}`, values)
      const plan = lines.map((line) => line['QUERY PLAN']).join('\n')
      expect(plan).toMatch(index)
      // A filter beside the index would read past what does not fit it: at most one aggregate.
      expect(plan).not.toMatch(filters.rootId === undefined ? /Seq Scan|Filter:/ : /Seq Scan/)
    }
  })
})
