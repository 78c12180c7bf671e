import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import { newId } from '../../kernel/id.ts'

let app: TestApp
let manager: string
let viewer: string

beforeAll(async () => {
  app = await startTestApp()
  manager = await app.as('manager')
  viewer = await app.as('viewer')
})
afterAll(() => app.close())

const root = '/api/services/categories'
const absent = newId('cat', new Date(0))

type Body = Record<string, unknown>

function patch(id: string, body: Body, headers: Record<string, string> = {}): Promise<Reply> {
  return app.request(`PATCH ${root}/${id}`, { token: manager, body, headers })
}

function remove(id: string, query = '', headers: Record<string, string> = {}): Promise<Reply> {
  return app.request(`DELETE ${root}/${id}${query}`, { token: manager, headers })
}

async function create(body: Body = {}): Promise<Reply['body']> {
  const reply = await app.request(`POST ${root}`, { token: manager, body: { name: 'C', ...body } })
  expect(reply.status).toBe(201)
  return reply.body
}

async function createService(categoryId: string, status = 'active'): Promise<Reply['body']> {
  const body = { name: 'S', price: { amount: 1, currency: 'GBP' }, categoryId, status }
  const reply = await app.request('POST /api/services', { token: manager, body })
  expect(reply.status).toBe(201)
  return reply.body
}

async function read(path: `/${string}`): Promise<Reply['body']> {
  return (await app.request(`GET ${path}`, { token: manager })).body
}

/** A branch of so many categories, each below the one before. */
async function createBranch(levels: number): Promise<Reply['body'][]> {
  const branch: Reply['body'][] = []
  for (let level = 0; level < levels; level += 1) {
    branch.push(await create({ parentId: branch.at(-1)?.id ?? null }))
  }
  return branch
}

const codeOf = ({ status, body }: Reply): unknown[] => [status, body.code]

describe('POST /api/services/categories', () => {
  test('201 with its address, its entity tag and a slug of its name', async () => {
    const parent = await create()
    const reply = await app.request(`POST ${root}`, {
      token: manager,
      body: { name: 'Größe & Maß', description: '*x*', position: 3, parentId: parent.id },
    })
    expect(reply.status).toBe(201)
    expect(reply.headers.get('location')).toBe(`${root}/${reply.body.id}`)
    expect(reply.headers.get('etag')).toBe('"1-staff"')
    expect(reply.body).toEqual({
      id: expect.stringMatching(/^cat_/),
      slug: 'grosse-mass',
      name: 'Größe & Maß',
      description: '*x*',
      position: 3,
      parentId: parent.id,
      serviceCount: 0,
      version: 1,
      createdAt: expect.any(String),
      updatedAt: reply.body.createdAt,
    })
    expect((await create({ name: 'Größe Maß' })).slug).toBe('grosse-mass-2')
  })

  test('409 slug_taken for a slug in use, for all but one of 20 at once', async () => {
    const body = { name: 'Raced', slug: 'raced' }
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => app.request(`POST ${root}`, { token: manager, body })),
    )
    const made = replies.filter(({ status }) => status === 201)
    const refused = replies.filter((reply) => reply.body.code === 'slug_taken')
    expect([made.length, refused.length]).toEqual([1, 19])
  })

  test('422 category_too_deep on the sixth level', async () => {
    const branch = await createBranch(5)
    const body = { name: 'Six', parentId: branch[4].id }
    const reply = await app.request(`POST ${root}`, { token: manager, body })
    expect(codeOf(reply)).toEqual([422, 'category_too_deep'])
  })

  test('400 for an unknown parent, a wrong slug, no name and unknown members', async () => {
    const send = (body: Body): Promise<Reply> =>
      app.request(`POST ${root}`, { token: manager, body })
    const unknown = await send({ name: 'X', parentId: absent })
    expect(unknown.body.errors).toMatchObject([{ pointer: '/parentId', code: 'unknown' }])
    expect((await send({ name: 'X', slug: 'a--b' })).status).toBe(400)
    expect((await send({})).body.errors).toMatchObject([{ pointer: '/name', code: 'required' }])
    expect((await send({ name: 'X', serviceCount: 9 })).status).toBe(400)
  })

  test('201 again with the same category for the same Idempotency-Key', async () => {
    const send = (): Promise<Reply> =>
      app.request(`POST ${root}`, {
        token: manager,
        body: { name: 'Keyed' },
        headers: { 'idempotency-key': 'category-once' },
      })
    const [first, again] = [await send(), await send()]
    expect([again.status, again.body]).toEqual([201, first.body])
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    // As a crash leaves the key: without the answer, its lease run out.
    await app.sql(
      `update idempotency_keys
      set status = null, headers = null, reply = null, lease_until = created_at
      where resource_id = $1`,
      [first.body.id],
    )
    const resumed = await send()
    expect(resumed.headers.get('idempotent-replayed')).toBeNull()
    expect([resumed.status, resumed.body]).toEqual([201, first.body])
    expect(resumed.headers.get('location')).toBe(`${root}/${first.body.id}`)
  })

  test('401 for nobody, 403 for a customer and for staff who only read', async () => {
    const { token } = await app.asCustomer('ada')
    expect((await app.request(`POST ${root}`, { body: {} })).status).toBe(401)
    expect((await app.request(`POST ${root}`, { body: {}, token })).status).toBe(403)
    expect((await app.request(`POST ${root}`, { body: {}, token: viewer })).status).toBe(403)
  })
})

describe('GET /api/services/categories', () => {
  test('200 in the order of position with the active services of each, in one statement', async () => {
    const last = await create({ name: 'Last', position: 900_002 })
    const first = await create({ name: 'First', position: 900_001 })
    await createService(first.id)
    await createService(first.id, 'draft')
    await createService(first.id)
    const before = app.db.statementCount()
    const reply = await app.request(`GET ${root}?sort=-position&limit=2`)
    expect(app.db.statementCount() - before).toBe(1)
    expect(reply.headers.get('cache-control')).toContain('s-maxage=5')
    expect(reply.body.data.map((one: Body) => [one['id'], one['serviceCount']])).toEqual([
      [last.id, 0],
      [first.id, 2],
    ])
  })

  test('200 page by page, each category once', async () => {
    const ids: string[] = []
    let cursor = ''
    do {
      const page = await read(`${root}?sort=name&limit=7${cursor && `&cursor=${cursor}`}`)
      ids.push(...page.data.map((one: Body) => one['id']))
      cursor = page.nextCursor ?? ''
    } while (cursor !== '')
    const rows = await app.sql('select id from categories order by lower(name) collate "C", id')
    expect(ids).toEqual(rows.map(({ id }) => id))
  })

  test('405 for what is neither a list nor a service', async () => {
    expect((await app.request(`PATCH ${root}`, { token: manager, body: {} })).status).toBe(405)
  })
})

describe('GET /api/services/categories/:id', () => {
  test('200 by id and by slug, 304 until its count changes, 404 for what there is not', async () => {
    const { id, slug } = await create({ name: 'Counted' })
    expect((await app.request(`GET ${root}/${slug}`)).body.id).toBe(id)
    const headers = { 'if-none-match': '"1-public"' }
    expect((await app.request(`GET ${root}/${id}`, { headers })).status).toBe(304)
    await createService(id)
    const changed = await app.request(`GET ${root}/${id}`, { headers })
    expect([changed.status, changed.body.serviceCount]).toEqual([200, 1])
    expect((await app.request(`GET ${root}/${absent}`)).status).toBe(404)
    expect((await app.request(`GET ${root}/no-such`)).status).toBe(404)
  })

  test('200 with a count that follows every way in and out', async () => {
    const [a, b] = [await create(), await create()]
    const counts = async (): Promise<number[]> => [
      (await read(`${root}/${a.id}`)).serviceCount,
      (await read(`${root}/${b.id}`)).serviceCount,
    ]
    const { id } = await createService(a.id, 'draft')
    const change = (body: Body): Promise<Reply> =>
      app.request(`PATCH /api/services/${id}`, { token: manager, body })
    expect(await counts()).toEqual([0, 0])
    await change({ status: 'active' })
    expect(await counts()).toEqual([1, 0])
    await change({ categoryId: b.id })
    expect(await counts()).toEqual([0, 1])
    await change({ categoryId: a.id, status: 'archived' })
    expect(await counts()).toEqual([0, 0])
    await change({ categoryId: b.id, status: 'active' })
    expect(await counts()).toEqual([0, 1])
    await app.request(`DELETE /api/services/${id}`, { token: manager })
    expect(await counts()).toEqual([0, 0])
  })
})

describe('PATCH /api/services/categories/:id', () => {
  test('200 with a new name, which its services show under a new version', async () => {
    const category = await create({ description: 'd', position: 5 })
    const service = await createService(category.id)
    const { status, body } = await patch(category.id, {
      name: 'Renamed',
      slug: 'renamed',
      description: null,
      position: null,
    })
    expect(status).toBe(200)
    expect(body).toMatchObject({ name: 'Renamed', slug: 'renamed', description: null, position: 0 })
    expect(body.version).toBe(3)
    expect(await read(`/api/services/${service.id}`)).toMatchObject({
      category: { id: category.id, slug: 'renamed', name: 'Renamed' },
      version: 2,
    })
    const events = await app.sql('select data from events where root_id = $1 order by id', [
      category.id,
    ])
    expect(events.at(-1)).toEqual({ data: { fields: ['slug', 'name', 'description', 'position'] } })
  })

  test('200 without a new version where nothing changes', async () => {
    const category = await create()
    expect((await patch(category.id, { name: category.name })).body).toEqual(category)
  })

  test('409 category_cycle below itself and below its own children', async () => {
    const [a, , c] = await createBranch(3)
    expect(codeOf(await patch(a.id, { parentId: a.id }))).toEqual([409, 'category_cycle'])
    expect(codeOf(await patch(a.id, { parentId: c.id }))).toEqual([409, 'category_cycle'])
    expect((await patch(c.id, { parentId: null })).body.parentId).toBeNull()
  })

  test('422 category_too_deep for a branch that would reach the sixth level', async () => {
    const target = await createBranch(3)
    const moved = await createBranch(3)
    const reply = await patch(moved[0].id, { parentId: target[2].id })
    expect(codeOf(reply)).toEqual([422, 'category_too_deep'])
    expect((await patch(moved[0].id, { parentId: target[1].id })).status).toBe(200)
  })

  test('of two moves at once that would close a ring, one is 409: ten rings, none closes', async () => {
    for (let round = 0; round < 10; round += 1) {
      const [a, b] = [await create(), await create()]
      const replies = await Promise.all([
        patch(a.id, { parentId: b.id }),
        patch(b.id, { parentId: a.id }),
      ])
      expect(replies.map(({ status }) => status).toSorted()).toEqual([200, 409])
    }
  })

  test('of many writes at once in one category all are done, and no version is given twice', async () => {
    const category = await create()
    const services = await Promise.all(
      Array.from({ length: 8 }, () => createService(category.id, 'draft')),
    )
    const replies = await Promise.all(
      services.flatMap(({ id }, index) => [
        app.request(`PATCH /api/services/${id}`, { token: manager, body: { status: 'active' } }),
        patch(category.id, { name: `Name ${index}` }),
      ]),
    )
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 16 }, () => 200))
    const { serviceCount, version } = await read(`${root}/${category.id}`)
    expect([serviceCount, version]).toEqual([8, 17])
  })

  test('412 for a stale If-Match, 409 for a slug in use, 404 for what there is not', async () => {
    const { id } = await create({ slug: 'patched' })
    await create({ slug: 'occupied' })
    expect((await patch(id, { name: 'X' }, { 'if-match': '"9-staff"' })).status).toBe(412)
    expect((await patch(id, { name: 'X' }, { 'if-match': '"1-staff"' })).status).toBe(200)
    expect(codeOf(await patch(id, { slug: 'occupied' }))).toEqual([409, 'slug_taken'])
    expect((await patch(absent, { name: 'X' })).status).toBe(404)
    expect((await patch(id, { parentId: absent })).status).toBe(400)
    const asViewer = await app.request(`PATCH ${root}/${id}`, { token: viewer, body: {} })
    expect(asViewer.status).toBe(403)
  })
})

describe('DELETE /api/services/categories/:id', () => {
  test('204 for an empty one, then 404, and its slug is free', async () => {
    const { id } = await create({ slug: 'brief' })
    expect((await remove(id)).status).toBe(204)
    expect((await remove(id)).status).toBe(404)
    expect((await create({ slug: 'brief' })).slug).toBe('brief')
  })

  test('409 category_in_use also for drafts, 409 category_has_children', async () => {
    const [parent] = await createBranch(2)
    expect(codeOf(await remove(parent.id))).toEqual([409, 'category_has_children'])
    const used = await create()
    const { id } = await createService(used.id, 'draft')
    expect(codeOf(await remove(used.id))).toEqual([409, 'category_in_use'])
    await app.request(`DELETE /api/services/${id}`, { token: manager })
    expect((await remove(used.id)).status).toBe(204)
  })

  test('204 with moveTo, where services and children then stand', async () => {
    const [from, child] = await createBranch(2)
    const to = await create()
    const active = await createService(from.id)
    await createService(from.id, 'draft')
    expect((await remove(from.id, `?moveTo=${to.id}`)).status).toBe(204)
    expect(await read(`${root}/${to.id}`)).toMatchObject({ serviceCount: 1, version: 2 })
    expect(await read(`${root}/${child.id}`)).toMatchObject({ parentId: to.id, version: 2 })
    expect(await read(`/api/services/${active.id}`)).toMatchObject({
      category: { id: to.id },
      version: 2,
    })
    const events = await app.sql('select type, data from events where root_id = $1 order by id', [
      from.id,
    ])
    expect(events.at(-1)).toEqual({
      type: 'category.deleted',
      data: { movedTo: to.id, movedServices: 2 },
    })
  })

  test('refuses a moveTo that is unknown, itself, below it or too deep', async () => {
    const [from, child] = await createBranch(2)
    expect((await remove(from.id, `?moveTo=${absent}`)).status).toBe(400)
    expect((await remove(from.id, `?moveTo=${from.id}`)).status).toBe(400)
    expect((await remove(from.id, '?moveTo=elsewhere')).status).toBe(400)
    expect(codeOf(await remove(from.id, `?moveTo=${child.id}`))).toEqual([409, 'category_cycle'])
    const deep = await createBranch(5)
    expect(codeOf(await remove(from.id, `?moveTo=${deep[4].id}`))).toEqual([
      422,
      'category_too_deep',
    ])
  })

  test('a service that enters while its category goes either stops it or is refused', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { id } = await create()
      const body = { name: 'S', price: { amount: 1, currency: 'GBP' }, categoryId: id }
      const [service, deletion] = await Promise.all([
        app.request('POST /api/services', { token: manager, body }),
        remove(id),
      ])
      expect([
        [201, 409],
        [400, 204],
      ]).toContainEqual([service.status, deletion.status])
    }
  })

  test('412 for a stale If-Match, 401 and 403 for those who may not', async () => {
    const { id } = await create()
    expect((await remove(id, '', { 'if-match': '"2-staff"' })).status).toBe(412)
    expect((await app.request(`DELETE ${root}/${id}`)).status).toBe(401)
    expect((await app.request(`DELETE ${root}/${id}`, { token: viewer })).status).toBe(403)
    expect((await remove(id, '', { 'if-match': '"1-staff"' })).status).toBe(204)
  })
})
