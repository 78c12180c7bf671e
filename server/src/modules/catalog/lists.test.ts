import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import { sweepWords } from './usecases/search-words.ts'

let app: TestApp
let manager: string
let categoryId: string

beforeAll(async () => {
  app = await startTestApp()
  manager = await app.as('manager')
  const category = await app.request('POST /api/services/categories', {
    token: manager,
    body: { name: 'Company', slug: 'company' },
  })
  categoryId = category.body.id
  for (const service of catalogue()) await create(service)
})
afterAll(() => app.close())

type Body = Record<string, unknown>

/** Few values, so that most sort values are shared by several services. */
function catalogue(): Body[] {
  const names = ['alpha', 'Beta', 'beta', 'Ärger', 'zulu', 'Zulu']
  return Array.from({ length: 36 }, (_, index) => ({
    name: names[index % names.length],
    slug: `list-${index}`,
    position: index % 4,
    price: { amount: 100 * (index % 5), currency: index % 9 === 0 ? 'EUR' : 'GBP' },
    status: (['active', 'active', 'draft', 'archived'] as const)[index % 4],
    ...(index % 3 === 0 && { categoryId }),
  }))
}

async function create(body: Body): Promise<Reply['body']> {
  const reply = await app.request('POST /api/services', {
    token: manager,
    body: { price: { amount: 100, currency: 'GBP' }, status: 'active', ...body },
  })
  expect(reply.status).toBe(201)
  return reply.body
}

function list(query: string, token?: string): Promise<Reply> {
  return app.request(`GET /api/services?${query}`, { ...(token && { token }) })
}

/** The ids of all pages. */
async function walk(query: string, limit: number, token?: string): Promise<string[]> {
  const ids: string[] = []
  for (let cursor = ''; ;) {
    const { status, body } = await list(`${query}&limit=${limit}${cursor}`, token)
    expect(status).toBe(200)
    expect(body.data.length).toBeLessThanOrEqual(limit)
    ids.push(...body.data.map((service: Body) => service['id']))
    if (body.nextCursor === null) return ids
    cursor = `&cursor=${body.nextCursor}`
  }
}

async function namesFor(q: string, more = ''): Promise<string[]> {
  const { status, body } = await list(`q=${encodeURIComponent(q)}${more}`)
  expect(status).toBe(200)
  return body.data.map((service: Body) => service['name'])
}

describe('GET /api/services', () => {
  const orders: Record<string, string> = {
    position: 'position',
    name: 'lower(name) collate "C"',
    price: 'price_amount',
    createdAt: 'created_at',
  }

  test('200 page by page is the whole sorted list, for each sort both ways and any size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(orders)),
        fc.constantFrom('', '-'),
        fc.integer({ min: 1, max: 40 }),
        async (field, sign, limit) => {
          const way = sign === '-' ? 'desc' : 'asc'
          const rows = await app.sql(
            `select id from services where deleted_at is null
               ${field === 'price' ? `and price_currency = 'GBP'` : ''}
             order by ${orders[field]} ${way}, id ${way}`,
          )
          const ids = await walk(`sort=${sign}${field}`, limit, manager)
          expect(ids).toEqual(rows.map(({ id }) => id))
        },
      ),
      { numRuns: 24 },
    )
  })

  test('200 with one statement, by position unless told otherwise', async () => {
    const before = app.db.statementCount()
    const { body } = await list('limit=5')
    expect(app.db.statementCount() - before).toBe(1)
    const positions = body.data.map((service: Body) => service['position'])
    expect(positions).toEqual(positions.toSorted())
  })

  test('200 with active services only to the public, with all to staff', async () => {
    const { body: seen } = await list('limit=100&count=true')
    expect(seen.data.every((service: Body) => service['status'] === 'active')).toBe(true)
    expect(seen.total).toBe(18)
    const { body: all } = await list('limit=100&count=true', await app.as('agent'))
    expect(all.total).toBe(36)
    const { body: drafts } = await list('status=draft&count=true', manager)
    expect(drafts.total).toBe(9)
  })

  test('400 for the public that asks for another status than active', async () => {
    const { token } = await app.asCustomer('ada')
    for (const reply of [await list('status=draft'), await list('status=archived', token)]) {
      expect([reply.status, reply.body.errors[0].pointer]).toEqual([400, '/query/status'])
    }
    expect((await list('status=active')).status).toBe(200)
  })

  test('200 with the filters together: category by id or slug, price within a currency', async () => {
    const idsOf = async (query: string): Promise<string[]> => await walk(query, 100, manager)
    const byId = await idsOf(`category=${categoryId}`)
    expect(byId).toHaveLength(12)
    expect(await idsOf('category=company')).toEqual(byId)
    expect(await idsOf('category=no-such')).toEqual([])
    const cheap = await list('priceMin=100&priceMax=200&limit=100', manager)
    expect(cheap.body.data.length).toBeGreaterThan(0)
    for (const { price } of cheap.body.data) {
      expect(price.currency).toBe('GBP')
      expect([100, 200]).toContain(price.amount)
    }
    const euros = await list('currency=EUR&sort=-price&category=company', manager)
    expect(euros.body.data.map((one: { price: Body }) => one.price['currency'])).toEqual(
      Array.from({ length: 4 }, () => 'EUR'),
    )
    expect(await idsOf('priceMin=500')).toEqual([])
  })

  test.each([
    'sort=slug',
    'sort=relevance',
    'q=x&sort=-relevance',
    'limit=0',
    'limit=101',
    'priceMin=-1',
    'priceMax=1.5',
    'currency=gbp',
    'status=sold',
    'q=',
    `q=${'x'.repeat(101)}`,
    'page=2',
    'q=a&q=b',
    'cursor=forged',
  ])('400 for %s', async (query) => {
    expect((await list(query, manager)).status).toBe(400)
  })

  test('400 invalid_cursor for a cursor of other filters or of another sort', async () => {
    const { body } = await list('limit=1')
    for (const other of ['limit=1&sort=name', 'limit=1&category=company', 'limit=1&q=alpha']) {
      const reply = await list(`${other}&cursor=${body.nextCursor}`)
      expect([reply.status, reply.body.code]).toEqual([400, 'invalid_cursor'])
    }
  })
})

describe('GET /api/services?q=', () => {
  beforeAll(async () => {
    const texts = [
      { name: 'UK limited company', summary: 'Registered in two days.' },
      { name: 'Skilled worker visa review', description: 'For a limited time, **by a lawyer**.' },
      { name: 'Logo and brand kit', summary: 'For your company' },
      { name: 'Crème brûlée course', description: 'Der Kochkurs für Süßes' },
      { name: 'Form 1098', summary: '100% done' },
      { name: 'Form 1099' },
      { name: 'Тайский массаж' },
      { name: 'Secret limited offer', status: 'draft' },
    ]
    for (const text of texts) await create(text)
  })

  test.each([
    ['the word itself', 'visa', ['Skilled worker visa review']],
    ['capitals and punctuation', 'VISA!?', ['Skilled worker visa review']],
    ['a word that begins so', 'regist', ['UK limited company']],
    ['a missing letter', 'skiled', ['Skilled worker visa review']],
    ['a letter too many', 'loggo', ['Logo and brand kit']],
    ['a wrong letter', 'viza', ['Skilled worker visa review']],
    ['exchanged letters', 'vsia', ['Skilled worker visa review']],
    ['exchanged letters in a longer word', 'registerde', ['UK limited company']],
    ['two words, one of them mistyped', 'workr visa', ['Skilled worker visa review']],
    ['the description', 'lawyer', ['Skilled worker visa review']],
    ['no accents', 'creme brulee', ['Crème brûlée course']],
    ['accents nobody wrote', 'lógö', ['Logo and brand kit']],
    ['a letter written otherwise', 'suesses', ['Crème brûlée course']],
    ['another alphabet', 'массаж', ['Тайский массаж']],
    ['another alphabet in Latin letters', 'massazh', ['Тайский массаж']],
    ['a number, never corrected', '1098', ['Form 1098']],
    ['a number nobody has', '1090', []],
    ['words of two services', 'visa logo', []],
    ['a percent sign, which is no wildcard', '%', []],
    ['an underscore, which is no wildcard', '_____', []],
    ['a backslash', '\\', []],
    ['quotes and operators, which are none here', "logo' | !brand & (", ['Logo and brand kit']],
    ['a percent sign behind a number', '100%', ['Form 1098']],
    ['nothing alike', 'xylophone', []],
  ])('200 finds by %s', async (_, q, names) => {
    expect(await namesFor(q)).toEqual(names)
  })

  test('200 with names before summaries before descriptions', async () => {
    expect(await namesFor('limited')).toEqual(['UK limited company', 'Skilled worker visa review'])
    expect(await namesFor('company')).toEqual(['UK limited company', 'Logo and brand kit'])
    expect((await list('q=limited', manager)).body.data).toHaveLength(3)
  })

  test('200 together with other filters and sorts, and with a total', async () => {
    expect(await namesFor('limted', '&sort=name')).toEqual([
      'Skilled worker visa review',
      'UK limited company',
    ])
    expect(await namesFor('limted', '&priceMax=99')).toEqual([])
    expect(await namesFor('limted', '&category=company')).toEqual([])
    expect(await namesFor('limted', '&currency=GBP&priceMin=100')).toHaveLength(2)
    const { body } = await list('q=limted&count=true&limit=1')
    expect([body.total, body.data.length]).toEqual([2, 1])
  })

  test('200 in one statement', async () => {
    const before = app.db.statementCount()
    await namesFor('limted compny')
    expect(app.db.statementCount() - before).toBe(1)
  })

  test('200 until the 200th, each once and always in one order', async () => {
    for (let index = 0; index < 205; index += 1) {
      await create({ name: `Repeated ${index % 2 ? 'thing' : 'thing thing'}`, position: index % 7 })
    }
    const ids = await walk('q=repeatd', 30)
    expect(ids).toHaveLength(200)
    expect(new Set(ids).size).toBe(200)
    expect(await walk('q=repeatd', 100)).toEqual(ids)
    expect(await walk('q=repeatd&sort=position', 100)).toHaveLength(205)
  })

  test('200 finds a service by its new words only, and by none once it is deleted', async () => {
    const { id } = await create({ name: 'Zeppelin' })
    expect(await namesFor('zepelin')).toEqual(['Zeppelin'])
    await app.request(`PATCH /api/services/${id}`, { token: manager, body: { name: 'Gyrocopter' } })
    expect(await namesFor('zepelin')).toEqual([])
    expect(await namesFor('gyrocpter')).toEqual(['Gyrocopter'])
    await app.request(`DELETE /api/services/${id}`, { token: manager })
    expect(await namesFor('gyrocpter')).toEqual([])
  })

  test('the words kept are those of the services that are not deleted', async () => {
    const words = `select word, count(*)::int as services from services,
        unnest(tsvector_to_array(search)) as word
      where deleted_at is null and word ~ '^[^0-9]{3,}$' group by word order by word collate "C"`
    await sweepWords(app.systemContext())
    const kept = await app.sql('select word, services from service_words order by word')
    expect(kept).toEqual(await app.sql(words))
    expect(kept.length).toBeGreaterThan(30)
  })
})
