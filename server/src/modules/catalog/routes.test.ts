import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import { newId } from '../../kernel/id.ts'
import { listServicesForSale } from './index.ts'

let app: TestApp
let manager: string
let viewer: string

beforeAll(async () => {
  app = await startTestApp()
  manager = await app.as('manager')
  viewer = await app.as('viewer')
})
afterAll(() => app.close())

const price = { amount: 14_900, currency: 'GBP' }
const absentService = newId('svc', new Date(0))
const absentCategory = newId('cat', new Date(0))

type Body = Record<string, unknown>
type Path = `/${string}`

function post(path: Path, body: Body, headers?: Record<string, string>): Promise<Reply> {
  return app.request(`POST ${path}`, { token: manager, body, ...(headers && { headers }) })
}

function patch(path: Path, body: Body, headers?: Record<string, string>): Promise<Reply> {
  return app.request(`PATCH ${path}`, { token: manager, body, ...(headers && { headers }) })
}

function remove(path: Path, headers?: Record<string, string>): Promise<Reply> {
  return app.request(`DELETE ${path}`, { token: manager, ...(headers && { headers }) })
}

async function aService(body: Body = {}): Promise<Reply['body']> {
  const reply = await post('/api/services', { name: 'A service', price, status: 'active', ...body })
  expect(reply.status).toBe(201)
  return reply.body
}

async function aCategory(body: Body = {}): Promise<Reply['body']> {
  const reply = await post('/api/services/categories', { name: 'A category', ...body })
  expect(reply.status).toBe(201)
  return reply.body
}

async function eventsOf(id: string): Promise<Record<string, unknown>[]> {
  return await app.sql(
    'select type, root_version, data from events where root_id = $1 order by root_version',
    [id],
  )
}

/** As a crash leaves the key of what it made: without the answer, its lease run out. */
async function loseAnswer(id: string): Promise<void> {
  await app.sql(
    `update idempotency_keys
    set status = null, headers = null, reply = null, lease_until = created_at
    where resource_id = $1`,
    [id],
  )
}

const codeOf = ({ status, body }: Reply): unknown[] => [status, body.code]
const problemOf = ({ status, body }: Reply): unknown[] => [
  status,
  body.errors?.[0]?.pointer,
  body.errors?.[0]?.code,
]

describe('POST /api/services', () => {
  test('201 with the whole service, its address and its entity tag', async () => {
    const category = await aCategory({ name: 'Formation' })
    const options = [
      {
        key: 'package',
        name: 'Package',
        required: true,
        choices: [
          { key: 'standard', name: 'Standard', priceDelta: 0 },
          { key: 'plus', name: 'Plus', priceDelta: -900, turnaroundDays: 1 },
        ],
      },
    ]
    const reply = await post('/api/services', {
      name: 'Société & Co',
      summary: 'Everything.',
      description: '# Title\n\n<script>alert(1)</script> *as given*',
      categoryId: category.id,
      price,
      status: 'active',
      turnaroundDays: 0,
      position: 7,
      options,
      metadata: { a: { b: [1, 'ü'] } },
    })
    expect(reply.status).toBe(201)
    expect(reply.headers.get('location')).toBe(`/api/services/${reply.body.id}`)
    expect(reply.headers.get('etag')).toBe('"1-staff"')
    expect(reply.body).toEqual({
      id: expect.stringMatching(/^svc_/),
      slug: 'societe-co',
      name: 'Société & Co',
      summary: 'Everything.',
      description: '# Title\n\n<script>alert(1)</script> *as given*',
      category: { id: category.id, slug: category.slug, name: 'Formation' },
      price,
      options,
      status: 'active',
      turnaroundDays: 0,
      position: 7,
      metadata: { a: { b: [1, 'ü'] } },
      version: 1,
      createdAt: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
      updatedAt: reply.body.createdAt,
    })
    expect(await eventsOf(reply.body.id)).toEqual([
      {
        type: 'service.created',
        root_version: 1,
        data: { status: 'active', categoryId: category.id, price },
      },
    ])
  })

  test('201 as a draft with nothing but a name and a price', async () => {
    const { body } = await post('/api/services', { name: 'Bare', price })
    expect(body).toMatchObject({
      status: 'draft',
      summary: null,
      description: null,
      category: null,
      turnaroundDays: null,
      position: 0,
      options: [],
      metadata: {},
    })
  })

  test('201 with a number behind the slug where the name is taken, reserved or unwritable', async () => {
    const slugs = []
    for (const name of ['Twin', 'Twin', 'Twin!', 'Bulk', 'Categories', '北京', '上海']) {
      slugs.push((await aService({ name })).slug)
    }
    expect(slugs).toEqual([
      'twin',
      'twin-2',
      'twin-3',
      'bulk-2',
      'categories-2',
      'service',
      'service-2',
    ])
  })

  test('409 slug_taken for a slug in use, also by a draft', async () => {
    await aService({ slug: 'in-use', status: 'draft' })
    const reply = await post('/api/services', { name: 'Other', slug: 'in-use', price })
    expect(codeOf(reply)).toEqual([409, 'slug_taken'])
  })

  test('of 20 at once with one slug one is 201 and the others are 409', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, () =>
        post('/api/services', { name: 'Race', slug: 'raced-for', price }),
      ),
    )
    const statuses = replies.map(({ status }) => status).toSorted()
    expect(statuses).toEqual([201, ...Array.from({ length: 19 }, () => 409)])
  })

  test('of 10 at once with one name all are 201, each with a slug of its own', async () => {
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => post('/api/services', { name: 'Same name', price })),
    )
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 201))
    expect(new Set(replies.map(({ body }) => body.slug)).size).toBe(10)
  })

  const choice = { key: 'c', name: 'C', priceDelta: 0 }
  const option = { key: 'o', name: 'O', required: true, choices: [choice] }
  test.each<[string, Body, string, string]>([
    ['a reserved slug', { slug: 'bulk' }, '/slug', 'reserved'],
    ['a slug in capitals', { slug: 'Big' }, '/slug', 'pattern'],
    ['a slug of 81 characters', { slug: 'a'.repeat(81) }, '/slug', 'maxLength'],
    ['no name', { name: ' ' }, '/name', 'pattern'],
    ['a price as text', { price: { amount: '1', currency: 'GBP' } }, '/price/amount', 'type'],
    ['a negative price', { price: { amount: -1, currency: 'GBP' } }, '/price/amount', 'minimum'],
    ['half a penny', { price: { amount: 0.5, currency: 'GBP' } }, '/price/amount', 'type'],
    ['no currency', { price: { amount: 1, currency: 'ZZZ' } }, '/price/currency', 'currency'],
    ['an unknown category', { categoryId: absentCategory }, '/categoryId', 'unknown'],
    ['an unknown member', { vat: 20 }, '/vat', 'additionalProperties'],
    ['an option twice', { options: [option, option] }, '/options/1/key', 'duplicate'],
    [
      'a choice twice',
      { options: [{ ...option, choices: [choice, choice] }] },
      '/options/0/choices/1/key',
      'duplicate',
    ],
    [
      'an option without choices',
      { options: [{ ...option, choices: [] }] },
      '/options/0/choices',
      'minItems',
    ],
    [
      'a choice below zero',
      { options: [{ ...option, choices: [{ ...choice, priceDelta: -14_901 }] }] },
      '/options',
      'negative_price',
    ],
    [
      '21 options',
      { options: Array.from({ length: 21 }, (_, key) => ({ ...option, key: `o${key}` })) },
      '/options',
      'maxItems',
    ],
    ['metadata above 16 KiB', { metadata: { a: 'x'.repeat(16_384) } }, '/metadata', 'too_large'],
  ])('400 for %s', async (_, body, pointer, code) => {
    const reply = await post('/api/services', { name: 'Wrong', price, ...body })
    expect(problemOf(reply)).toEqual([400, pointer, code])
  })

  test('201 again with the same service for the same Idempotency-Key, 422 for another body', async () => {
    const headers = { 'idempotency-key': 'create-once' }
    const first = await post('/api/services', { name: 'Once', price }, headers)
    const again = await post('/api/services', { name: 'Once', price }, headers)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect([again.status, again.body]).toEqual([201, first.body])
    expect(again.headers.get('location')).toBe(first.headers.get('location'))
    const other = await post('/api/services', { name: 'Twice', price }, headers)
    expect(codeOf(other)).toEqual([422, 'idempotency_key_reused'])
    await loseAnswer(first.body.id)
    const resumed = await post('/api/services', { name: 'Once', price }, headers)
    expect(resumed.headers.get('idempotent-replayed')).toBeNull()
    expect([resumed.status, resumed.body]).toEqual([201, first.body])
    expect(resumed.headers.get('location')).toBe(`/api/services/${first.body.id}`)
  })

  test('401 for nobody, 403 for a customer and for staff who only read', async () => {
    const body = { name: 'No', price }
    const { token: customer } = await app.asCustomer('ada')
    expect((await app.request('POST /api/services', { body })).status).toBe(401)
    expect((await app.request('POST /api/services', { body, token: customer })).status).toBe(403)
    expect((await app.request('POST /api/services', { body, token: viewer })).status).toBe(403)
  })
})

describe('GET /api/services/:id', () => {
  test('200 by id and by slug, with one statement', async () => {
    const service = await aService({ name: 'Read me' })
    for (const key of [service.id, service.slug]) {
      const before = app.db.statementCount()
      const reply = await app.request(`GET /api/services/${key}`)
      expect([reply.status, reply.body]).toEqual([200, service])
      expect(app.db.statementCount() - before).toBe(1)
    }
  })

  test('404 to the public and to customers for a draft, 200 to staff who may read', async () => {
    const draft = await aService({ status: 'draft' })
    const { token: customer } = await app.asCustomer('ada')
    const path = `GET /api/services/${draft.id}` as const
    expect((await app.request(path)).status).toBe(404)
    expect((await app.request(path, { token: customer })).status).toBe(404)
    expect((await app.request(path, { token: viewer })).status).toBe(200)
    expect((await app.request(`GET /api/services/${draft.slug}`)).status).toBe(404)
  })

  test('404 for what there is not, 401 for a bad token', async () => {
    expect((await app.request(`GET /api/services/${absentService}`)).status).toBe(404)
    expect((await app.request('GET /api/services/No_Such%20Thing')).status).toBe(404)
    expect((await app.request('GET /api/services/x', { token: 'bad' })).status).toBe(401)
  })

  test('304 for the tag that it gave; shared caches only where nobody signed in', async () => {
    const { id } = await aService()
    const first = await app.request(`GET /api/services/${id}`)
    expect(first.headers.get('etag')).toBe('"1-public"')
    expect(first.headers.get('cache-control')).toBe(
      'public, max-age=0, s-maxage=5, stale-while-revalidate=30',
    )
    expect(first.headers.get('vary')).toContain('Authorization')
    const headers = { 'if-none-match': '"1-public"' }
    expect((await app.request(`GET /api/services/${id}`, { headers })).status).toBe(304)
    await patch(`/api/services/${id}`, { position: 3 })
    expect((await app.request(`GET /api/services/${id}`, { headers })).status).toBe(200)
    const signedIn = await app.request(`GET /api/services/${id}`, { token: viewer })
    expect(signedIn.headers.get('cache-control')).toBe('no-store')
  })
})

describe('PATCH /api/services/:id', () => {
  test('200 merges: absent stays, null clears, arrays are replaced, objects are merged', async () => {
    const category = await aCategory()
    const option = {
      key: 'o',
      name: 'O',
      required: false,
      choices: [{ key: 'c', name: 'C', priceDelta: 5 }],
    }
    const service = await aService({
      summary: 's',
      description: 'd',
      categoryId: category.id,
      turnaroundDays: 3,
      position: 4,
      options: [option],
      metadata: { keep: 1, drop: 2, deep: { a: 1, b: 2 } },
    })
    const { status, body } = await patch(`/api/services/${service.id}`, {
      summary: null,
      categoryId: null,
      turnaroundDays: null,
      position: null,
      options: [{ ...option, key: 'p' }],
      price: { amount: 5 },
      metadata: { drop: null, deep: { a: 9 }, fresh: true },
    })
    expect(status).toBe(200)
    expect(body).toEqual({
      ...service,
      summary: null,
      category: null,
      turnaroundDays: null,
      position: 0,
      options: [{ ...option, key: 'p' }],
      price: { amount: 5, currency: 'GBP' },
      metadata: { keep: 1, deep: { a: 9, b: 2 }, fresh: true },
      version: 2,
      updatedAt: body.updatedAt,
    })
    const cleared = await patch(`/api/services/${service.id}`, { options: null, metadata: null })
    expect(cleared.body).toMatchObject({ options: [], metadata: {}, version: 3 })
    const updated = (await eventsOf(service.id))[1]!
    expect(updated).toMatchObject({ type: 'service.updated', root_version: 2 })
    const { fields } = updated['data'] as { fields: string[] }
    expect(fields.toSorted()).toEqual([
      'categoryId',
      'metadata',
      'options',
      'position',
      'price',
      'summary',
      'turnaroundDays',
    ])
  })

  test('400 for metadata that outgrows 50 members by merges', async () => {
    const members = (prefix: string, count: number): Body =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, index]))
    const { id } = await aService({ metadata: members('a', 30) })
    const fits = await patch(`/api/services/${id}`, { metadata: members('b', 20) })
    expect(Object.keys(fits.body.metadata)).toHaveLength(50)
    const over = await patch(`/api/services/${id}`, { metadata: { one: 'more' } })
    expect(problemOf(over)).toEqual([400, '/metadata', 'too_large'])
    const swapped = await patch(`/api/services/${id}`, { metadata: { a0: null, one: 'more' } })
    expect(swapped.status).toBe(200)
  })

  test('200 without a new version and without an event where nothing changes', async () => {
    const service = await aService({ metadata: { a: { b: 1 } } })
    const same = { name: service.name, price, metadata: { a: { b: 1 } } }
    expect((await patch(`/api/services/${service.id}`, same)).body).toEqual(service)
    expect((await patch(`/api/services/${service.id}`, {})).body).toEqual(service)
    expect(await eventsOf(service.id)).toHaveLength(1)
  })

  test('400 where price and options no longer fit each other, though each alone would', async () => {
    const choices = [{ key: 'c', name: 'C', priceDelta: -100 }]
    const service = await aService({ options: [{ key: 'o', name: 'O', required: true, choices }] })
    const reply = await patch(`/api/services/${service.id}`, { price: { amount: 99 } })
    expect(problemOf(reply)).toEqual([400, '/options', 'negative_price'])
    const nameless = await patch(`/api/services/${service.id}`, { name: null })
    expect(problemOf(nameless)).toEqual([400, '/name', 'type'])
    const unknown = await patch(`/api/services/${service.id}`, { categoryId: absentCategory })
    expect(problemOf(unknown)).toEqual([400, '/categoryId', 'unknown'])
  })

  test('409 slug_taken for the slug of another, 200 for its own', async () => {
    await aService({ slug: 'taken-slug' })
    const { id } = await aService({ slug: 'own-slug' })
    expect(codeOf(await patch(`/api/services/${id}`, { slug: 'taken-slug' }))).toEqual([
      409,
      'slug_taken',
    ])
    expect((await patch(`/api/services/${id}`, { slug: 'own-slug' })).status).toBe(200)
    expect((await patch(`/api/services/${id}`, { slug: 'new-slug' })).body.slug).toBe('new-slug')
  })

  test('412 for a stale If-Match, and nothing is written', async () => {
    const { id } = await aService()
    const stale = { 'if-match': '"7-staff"' }
    expect((await patch(`/api/services/${id}`, { name: 'New' }, stale)).status).toBe(412)
    expect((await patch(`/api/services/${id}`, {}, stale)).status).toBe(412)
    const fresh = await patch(`/api/services/${id}`, { name: 'New' }, { 'if-match': '"1-staff"' })
    expect([fresh.status, fresh.body.version]).toEqual([200, 2])
  })

  test('of 10 at once with one If-Match one is 200 and the others are 412', async () => {
    const { id } = await aService()
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        patch(`/api/services/${id}`, { name: `N ${index}` }, { 'if-match': '"1-staff"' }),
      ),
    )
    const statuses = replies.map(({ status }) => status).toSorted()
    expect(statuses).toEqual([200, ...Array.from({ length: 9 }, () => 412)])
  })

  test('404 for what there is not, 400 for no id, 403 for staff who only read', async () => {
    expect((await patch(`/api/services/${absentService}`, {})).status).toBe(404)
    expect((await patch('/api/services/some-slug', {})).status).toBe(400)
    const path = `PATCH /api/services/${absentService}` as const
    expect((await app.request(path, { token: viewer, body: {} })).status).toBe(403)
    expect((await app.request(path, { body: {} })).status).toBe(401)
  })
})

describe('DELETE /api/services/:id', () => {
  test('204, then 404 for everyone, and the slug is free', async () => {
    const category = await aCategory()
    const service = await aService({ slug: 'short-lived', categoryId: category.id })
    expect((await remove(`/api/services/${service.id}`)).status).toBe(204)
    for (const key of [service.id, 'short-lived']) {
      const reply = await app.request(`GET /api/services/${key}`, { token: manager })
      expect(reply.status).toBe(404)
    }
    expect((await remove(`/api/services/${service.id}`)).status).toBe(404)
    expect((await patch(`/api/services/${service.id}`, { name: 'Back' })).status).toBe(404)
    expect((await aService({ slug: 'short-lived' })).slug).toBe('short-lived')
    expect((await remove(`/api/services/categories/${category.id}`)).status).toBe(204)
    const [, deleted] = await eventsOf(service.id)
    expect(deleted).toMatchObject({ type: 'service.deleted', root_version: 2, data: {} })
  })

  test('412 for a stale If-Match, 401 and 403 for those who may not', async () => {
    const { id } = await aService()
    expect((await remove(`/api/services/${id}`, { 'if-match': '"2-staff"' })).status).toBe(412)
    expect((await app.request(`DELETE /api/services/${id}`)).status).toBe(401)
    expect((await app.request(`DELETE /api/services/${id}`, { token: viewer })).status).toBe(403)
    expect((await remove(`/api/services/${id}`, { 'if-match': '"1-staff"' })).status).toBe(204)
  })
})

describe('PATCH /api/services/bulk/status', () => {
  test('200 names those that have the status now and those that are not there, once each', async () => {
    const draft = await aService({ status: 'draft' })
    const active = await aService()
    const gone = await aService()
    await remove(`/api/services/${gone.id}`)
    const ids = [draft.id, gone.id, active.id, absentService, draft.id]
    const reply = await patch('/api/services/bulk/status', { ids, status: 'active' })
    expect([reply.status, reply.body]).toEqual([
      200,
      { updated: [draft.id, active.id], notFound: [gone.id, absentService] },
    ])
    expect(await eventsOf(draft.id)).toMatchObject([
      { type: 'service.created' },
      { type: 'service.updated', root_version: 2, data: { fields: ['status'] } },
    ])
    expect(await eventsOf(active.id)).toHaveLength(1)
  })

  test('200 for a thousand ids at once, and the counts of their categories follow', async () => {
    const category = await aCategory()
    const known = await Promise.all(
      Array.from({ length: 120 }, (_, nth) =>
        aService({ name: `Service ${nth}`, categoryId: category.id, status: 'draft' }),
      ),
    )
    const ids = [
      ...known.map(({ id }) => id),
      ...Array.from({ length: 880 }, () => newId('svc', new Date(0))),
    ]
    const { status, body } = await patch('/api/services/bulk/status', { ids, status: 'active' })
    expect([status, body.updated.length, body.notFound.length]).toEqual([200, 120, 880])
    expect(await countOf(category.id)).toBe(120)
    const back = await patch('/api/services/bulk/status', { ids, status: 'archived' })
    expect(back.body.updated).toHaveLength(120)
    expect(await countOf(category.id)).toBe(0)
  })

  test('200 the same twice for one Idempotency-Key', async () => {
    const { id } = await aService({ status: 'draft' })
    const headers = { 'idempotency-key': 'bulk-once' }
    const body = { ids: [id], status: 'active' }
    const first = await patch('/api/services/bulk/status', body, headers)
    const again = await patch('/api/services/bulk/status', body, headers)
    expect(again.body).toEqual(first.body)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(await eventsOf(id)).toHaveLength(2)
  })

  test('200 after a lost answer reports what was set, and undoes nothing set since', async () => {
    const { id } = await aService({ status: 'draft' })
    const headers = { 'idempotency-key': 'bulk-resumed' }
    const body = { ids: [absentService, id], status: 'active' }
    const first = await patch('/api/services/bulk/status', body, headers)
    await loseAnswer(id)
    await patch(`/api/services/${id}`, { status: 'archived' })
    const resumed = await patch('/api/services/bulk/status', body, headers)
    expect(resumed.headers.get('idempotent-replayed')).toBeNull()
    expect([resumed.status, resumed.body]).toEqual([200, first.body])
    expect(first.body).toEqual({ updated: [id], notFound: [absentService] })
    const { body: service } = await app.request(`GET /api/services/${id}`, { token: manager })
    expect(service.status).toBe('archived')
  })

  test('400 for no ids, for 1001, for no ids of services and for no such status', async () => {
    const send = (body: Body): Promise<Reply> => patch('/api/services/bulk/status', body)
    const many = Array.from({ length: 1001 }, () => absentService)
    expect(problemOf(await send({ ids: [], status: 'active' }))).toEqual([400, '/ids', 'minItems'])
    expect(problemOf(await send({ ids: many, status: 'active' }))).toEqual([
      400,
      '/ids',
      'maxItems',
    ])
    expect((await send({ ids: ['bulk'], status: 'active' })).status).toBe(400)
    expect((await send({ ids: [absentService], status: 'sold' })).status).toBe(400)
  })

  test('two at once in opposite orders both end, and count what they did', async () => {
    const [a, b] = [await aCategory(), await aCategory()]
    const services = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        aService({ categoryId: index % 2 ? a.id : b.id, status: 'draft' }),
      ),
    )
    const ids = services.map(({ id }) => id)
    const statuses = ['active', 'archived', 'active', 'draft', 'active', 'archived']
    const replies = await Promise.all(
      statuses.map((status, index) =>
        patch('/api/services/bulk/status', { ids: index % 2 ? ids : ids.toReversed(), status }),
      ),
    )
    expect(replies.map((reply) => reply.status)).toEqual([200, 200, 200, 200, 200, 200])
    await patch('/api/services/bulk/status', { ids, status: 'active' })
    expect([await countOf(a.id), await countOf(b.id)]).toEqual([15, 15])
  })
})

describe('DELETE /api/services/bulk', () => {
  test('200 with the ids in the body, twice the same is not found the second time', async () => {
    const category = await aCategory()
    const services = [await aService({ categoryId: category.id }), await aService()]
    const ids = services.map(({ id }) => id)
    const body = { ids: [...ids, ids[0], absentService] }
    const first = await app.request('DELETE /api/services/bulk', { token: manager, body })
    expect([first.status, first.body]).toEqual([200, { deleted: ids, notFound: [absentService] }])
    const again = await app.request('DELETE /api/services/bulk', { token: manager, body })
    expect(again.body).toEqual({ deleted: [], notFound: [...ids, absentService] })
    expect(await countOf(category.id)).toBe(0)
    expect((await eventsOf(ids[0])).at(-1)).toMatchObject({ type: 'service.deleted' })
  })

  test('200 with up to 100 ids in the address', async () => {
    const { id } = await aService()
    const absent = Array.from({ length: 99 }, () => newId('svc', new Date(0)))
    const { status, body } = await remove(`/api/services/bulk?ids=${[id, ...absent].join()}`)
    expect([status, body]).toEqual([200, { deleted: [id], notFound: absent }])
  })

  test('400 for ids in both places or in none, and for no ids', async () => {
    const ids = [absentService]
    const send = (query: string, body?: Body): Promise<Reply> =>
      app.request(`DELETE /api/services/bulk${query}`, { token: manager, ...(body && { body }) })
    expect(problemOf(await send('', {}))).toEqual([400, '/ids', 'required'])
    expect(problemOf(await send(''))).toEqual([400, '/ids', 'required'])
    expect(problemOf(await send(`?ids=${ids.join()}`, { ids }))).toEqual([400, '/ids', 'twice'])
    expect(problemOf(await send('?ids=bulk'))).toEqual([400, '/query/ids', 'ids'])
    expect(problemOf(await send(`?ids=${absentService},`))).toEqual([400, '/query/ids', 'ids'])
    expect((await app.request('DELETE /api/services/bulk', { body: { ids } })).status).toBe(401)
  })
})

describe('listServicesForSale', () => {
  test('finds what is not deleted, in one statement', async () => {
    const active = await aService({ turnaroundDays: 2 })
    const draft = await aService({ status: 'draft' })
    const gone = await aService()
    await remove(`/api/services/${gone.id}`)
    const before = app.db.statementCount()
    const found = await listServicesForSale(app.systemContext(), [
      active.id,
      draft.id,
      gone.id,
      absentService,
      active.id,
    ])
    expect(app.db.statementCount() - before).toBe(1)
    expect([...found.keys()].toSorted()).toEqual([active.id, draft.id].toSorted())
    expect(found.get(active.id)).toEqual({
      id: active.id,
      name: 'A service',
      price,
      options: [],
      turnaroundDays: 2,
      status: 'active',
    })
  })
})

async function countOf(categoryId: string): Promise<number> {
  const { body } = await app.request(`GET /api/services/categories/${categoryId}`)
  return body.serviceCount
}
