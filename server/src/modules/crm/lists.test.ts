import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import { openCase } from './index.ts'
import { caseSorts, caseStatuses, priorities } from './schema.ts'

type Item = Reply['body']

const hourMs = 3_600_000

let app: TestApp
let staff: string
let ada: { readonly token: string; readonly customerId: string }
let agentId: string
/** Every case that there is, as staff see it in a list. */
let all: readonly Item[]

beforeAll(async () => {
  app = await startTestApp()
  staff = await app.as('manager')
  ada = await app.asCustomer('ada')
  const agent = await app.as('agent')
  agentId = (await app.request('GET /api/auth/me', { token: agent })).body.id
  await openMany()
  all = (await list('limit=100', staff)).body.data
  expect(all).toHaveLength(63)
})

afterAll(async () => {
  await app.close()
})

/** Sixty cases with many equal keys and many without a due date, then three that are searched. */
async function openMany(): Promise<void> {
  const base = app.now().getTime() - 1000 * hourMs
  const system = app.systemContext()
  for (let index = 0; index < 60; index += 1) {
    const dueAt = new Date(base + (900 + 50 * (index % 5)) * hourMs).toISOString()
    const { id } = (await openCase(
      { ...system, now: new Date(base + Math.floor(index / 4) * hourMs) },
      {
        subject: `Number ${index}`,
        description: 'One of many.',
        contact: { name: `Person ${index % 3}`, email: `person${index % 3}@example.com` },
        priority: priorities[index % 4]!,
        ...(index % 3 === 0 ? {} : { dueAt }),
        ...(index % 5 === 0 ? { customerId: ada.customerId as never } : {}),
        ...(index % 7 === 0 ? { assigneeId: agentId as never } : {}),
      },
    )) as { id: string }
    await spread(id, index)
  }
  for (const subject of ['100% sure', 'snake_case', String.raw`back\slash`]) {
    await app.request('POST /api/crm', {
      body: { subject, description: 'x', contact: { name: 'Ünal Ö', email: 'unal@example.com' } },
    })
  }
}

/** Moves some of them on, so that statuses and times of change differ too. */
async function spread(id: string, index: number): Promise<void> {
  const to = caseStatuses[index % 5]!
  if (to === 'new') return
  const reply =
    to === 'resolved'
      ? await app.request(`POST /api/crm/${id}/resolve`, {
          token: staff,
          body: { outcome: 'completed', summary: 'Done.' },
        })
      : await app.request(`PATCH /api/crm/${id}/status`, { token: staff, body: { status: to } })
  expect(reply.status).toBe(200)
}

async function list(query: string, token: string): Promise<Reply> {
  return await app.request(`GET /api/crm?${query}`, { token })
}

async function search(q: string): Promise<Item[]> {
  return (await list(`limit=100&q=${encodeURIComponent(q)}`, staff)).body.data
}

async function walk(query: string, token: string): Promise<Item[]> {
  const found: Item[] = []
  let cursor: string | null = null
  do {
    const after: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const { status, body } = await list(`${query}${after}`, token)
    expect(status).toBe(200)
    found.push(...body.data)
    cursor = body.nextCursor
    expect(found.length).toBeLessThanOrEqual(all.length)
  } while (cursor !== null)
  return found
}

const keyOf: Readonly<Record<string, (item: Item) => string | number | null>> = {
  createdAt: (item) => item.createdAt,
  updatedAt: (item) => item.updatedAt,
  dueAt: (item) => item.dueAt,
  priority: (item) => priorities.indexOf(item.priority),
}

function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** The order that the contract promises: nulls last both ways, the id breaks ties. */
function sorted(items: readonly Item[], field: string, sign: 1 | -1): Item[] {
  const key = keyOf[field]!
  return items.toSorted((a, b) => {
    const [x, y] = [key(a), key(b)]
    if (x === null || y === null) {
      if (x !== y) return x === null ? 1 : -1
      return sign * compare(a.id, b.id)
    }
    return sign * (compare(x, y) || compare(a.id, b.id))
  })
}

const idsOf = (items: readonly Item[]): string[] => items.map(({ id }) => id)

describe('GET /api/crm', () => {
  test('200 page by page is the whole sorted list, for each sort both ways', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...caseSorts),
        fc.constantFrom<1 | -1>(1, -1),
        fc.integer({ min: 7, max: 30 }),
        async (field, sign, limit) => {
          const sort = sign === 1 ? field : `-${field}`
          const found = await walk(`sort=${sort}&limit=${limit}`, staff)
          expect(idsOf(found)).toEqual(idsOf(sorted(all, field, sign)))
        },
      ),
      {
        numRuns: 16,
        examples: caseSorts.flatMap((field): [typeof field, 1 | -1, number][] => [
          [field, 1, 7],
          [field, -1, 7],
        ]),
      },
    )
  })

  test('200 newest first without a sort, twenty of them', async () => {
    const { body } = await list('', staff)
    expect(idsOf(body.data)).toEqual(idsOf(sorted(all, 'createdAt', -1).slice(0, 20)))
    expect(body.nextCursor).toEqual(expect.any(String))
    expect(body).not.toHaveProperty('total')
  })

  test('200 with each filter alone, with two together and with a total', async () => {
    const { customerId } = ada
    const expected: [string, (item: Item) => boolean][] = [
      ...caseStatuses.map((one): [string, (item: Item) => boolean] => [
        `status=${one}`,
        ({ status }) => status === one,
      ]),
      ...priorities.map((one): [string, (item: Item) => boolean] => [
        `priority=${one}`,
        ({ priority }) => priority === one,
      ]),
      ['kind=lead', ({ kind }) => kind === 'lead'],
      ['kind=case', ({ kind }) => kind === 'case'],
      ['origin=contact', ({ origin }) => origin === 'contact'],
      ['origin=order', () => false],
      [`assigneeId=${agentId}`, ({ assignee }) => assignee?.id === agentId],
      [`customerId=${customerId}`, (item) => item.customerId === customerId],
      ['orderId=ord_01jd8q9yg8e5v9c0m4t7k2x3za', () => false],
      ['overdue=true', ({ overdue }) => overdue],
      ['overdue=false', ({ overdue }) => !overdue],
      ['status=open&priority=high', (item) => item.status === 'open' && item.priority === 'high'],
    ]
    for (const [query, matches] of expected) {
      const { body } = await list(`${query}&limit=100&count=true`, staff)
      const ids = idsOf(sorted(all.filter(matches), 'createdAt', -1))
      expect(idsOf(body.data), query).toEqual(ids)
      expect(body.total).toBe(ids.length)
    }
    expect(all.filter(({ overdue }) => overdue).length).toBeGreaterThan(5)
  })

  test('200 overdue is past its due date and unfinished', () => {
    const now = app.now().toISOString()
    for (const { overdue, dueAt, status } of all) {
      expect(overdue).toBe(dueAt !== null && dueAt < now && status !== 'resolved')
    }
  })

  test('200 finds a part of number, subject, e-mail or name, and %, _ and \\ are letters', async () => {
    const [first] = all
    expect(idsOf(await search(first.number.toLowerCase()))).toContain(first.id)
    expect(await search('PERSON1@EXAMPLE.COM')).toHaveLength(20)
    expect(await search('person 2')).toHaveLength(20)
    expect(await search('ÜNAL@')).toHaveLength(0)
    expect(await search('ünal')).toHaveLength(3)
    expect(await search('U\u0308NAL Ö')).toHaveLength(3)
    const subjectsOf = async (q: string) =>
      (await search(q)).map(({ subject }: { subject: string }) => subject)
    expect(await subjectsOf('0%')).toEqual(['100% sure'])
    expect(await subjectsOf('e_c')).toEqual(['snake_case'])
    expect(await subjectsOf('k\\s')).toEqual([String.raw`back\slash`])
    expect(await subjectsOf('%%%')).toEqual([])
    expect(await subjectsOf("'; drop table cases; --")).toEqual([])
  })

  test('200 shows an item without notes, timeline and description', async () => {
    const { body } = await list('limit=1', staff)
    const members =
      'id number kind origin subject status contact customerId orderId dueAt overdue resolution ' +
      'allowedTransitions version createdAt updatedAt priority assignee tags'
    expect(Object.keys(body.data[0]).toSorted()).toEqual(members.split(' ').toSorted())
  })

  test('200 shows customers their own alone, without what is the staff’s own', async () => {
    const own = sorted(
      all.filter(({ customerId }) => customerId === ada.customerId),
      'updatedAt',
      1,
    )
    const found = await walk('sort=updatedAt&limit=5', ada.token)
    expect(own).toHaveLength(12)
    expect(idsOf(found)).toEqual(idsOf(own))
    for (const item of found) {
      expect(item.allowedTransitions).toEqual([])
      for (const hidden of ['priority', 'assignee', 'tags']) expect(item).not.toHaveProperty(hidden)
    }
    const { token, customerId } = await app.asCustomer('bob')
    expect((await list('', token)).body).toEqual({ data: [], nextCursor: null })
    expect((await list(`customerId=${ada.customerId}`, token)).body.data).toEqual([])
    expect((await list(`customerId=${customerId}`, ada.token)).body.data).toEqual([])
  })

  test('200 filters by what may be overdue for customers too', async () => {
    const { body } = await list('overdue=true&status=new&limit=100', ada.token)
    const own = all.filter(
      ({ customerId, overdue, status }) =>
        customerId === ada.customerId && overdue && status === 'new',
    )
    expect(idsOf(body.data).toSorted()).toEqual(idsOf(own).toSorted())
  })

  test.each(['priority=high', 'assigneeId=usr_01jd8q9yg8e5v9c0m4t7k2x3za', 'sort=-priority'])(
    '400 for a customer who asks for %s',
    async (query) => {
      expect((await list(query, ada.token)).status).toBe(400)
    },
  )

  test.each([
    'status=done',
    'kind=x',
    'origin=x',
    'overdue=perhaps',
    'assigneeId=me',
    'customerId=ord_01jd8q9yg8e5v9c0m4t7k2x3za',
    'q=',
    `q=${'x'.repeat(101)}`,
    'sort=subject',
    'limit=0',
    'limit=101',
    'cursor=x',
    'unknown=1',
  ])('400 for %s', async (query) => {
    expect((await list(query, staff)).status).toBe(400)
  })

  test('400 invalid_cursor with another sort or another filter', async () => {
    const { nextCursor } = (await list('limit=5&sort=dueAt', staff)).body
    const cursor = encodeURIComponent(nextCursor)
    for (const query of ['sort=-dueAt', 'sort=dueAt&status=open']) {
      const { status, body } = await list(`limit=5&${query}&cursor=${cursor}`, staff)
      expect([status, body.code]).toEqual([400, 'invalid_cursor'])
    }
  })

  test('401 for nobody, 403 without the permission', async () => {
    expect((await app.request('GET /api/crm')).status).toBe(401)
    expect((await list('', await app.as('finance'))).status).toBe(403)
    expect((await list('', await app.as('viewer'))).status).toBe(200)
  })
})
