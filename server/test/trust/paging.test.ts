import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { listFiles, serverSource } from '../support/sources.ts'
import { templateTextsOf } from '../support/statements.ts'
import { endpoints } from './hostile/attack.ts'
import { promise } from './promise.ts'

let app: TestApp
let admin: string
let made = 0

beforeAll(async () => {
  app = await startTestApp({ errorDetail: false })
  admin = await app.as('admin')
  await Promise.all(Array.from({ length: 12 }, (_, at) => addCustomer(`name ${at % 4}`)))
}, 120_000)
afterAll(async () => {
  await app.close()
})

const get = (address: string) => app.request(`GET ${address}` as 'GET /', { token: admin })

async function addCustomer(name: string): Promise<void> {
  made += 1
  const body = { email: `person${made}@example.com`, name }
  expect((await app.request('POST /api/customers', { token: admin, body })).status).toBe(201)
}

const lists = endpoints.filter(({ contract }) => contract.list).map(({ path }) => path)

promise(68, 'every list caps its limit and knows no offset', async (proof) => {
  const asked = ['limit=0', 'limit=101', 'limit=-1', 'limit=1000000000', 'limit=1.5', 'limit=']
  for (const path of lists) {
    for (const query of [...asked, 'offset=1000000000', 'page=1000000000', 'cursor=1000000000']) {
      expect([path, query, (await get(`${path}?${query}`)).status]).toEqual([path, query, 400])
    }
  }
  proof.measured(`${lists.length} lists, ${asked.length} limits and 3 jumps each, all 400`)
})

promise(68, 'a cursor that was altered, or belongs elsewhere, is refused', async (proof) => {
  const cursor: string = (await get('/api/customers?limit=1')).body.nextCursor
  const refused = async (query: string, path = '/api/customers') => {
    const { status, body } = await get(`${path}?${query}`)
    expect([path, query, status]).toEqual([path, query, 400])
    if (query.length < 2000) expect([query, body.code]).toEqual([query, 'invalid_cursor'])
  }
  for (let at = 0; at < cursor.length; at += 1) {
    const letter = cursor[at] === 'A' ? 'B' : 'A'
    await refused(`cursor=${cursor.slice(0, at)}${letter}${cursor.slice(at + 1)}`)
    await refused(`cursor=${cursor.slice(0, at)}${cursor.slice(at + 1)}`)
  }
  await refused(`sort=name&cursor=${cursor}`)
  await refused(`hasLogin=true&cursor=${cursor}`)
  await refused(`q=name&cursor=${cursor}`)
  await refused(`cursor=${cursor}${cursor}`)
  await refused(`cursor=${'A'.repeat(1900)}`)
  await refused(`cursor=${'A'.repeat(2001)}`)
  for (const path of lists) {
    if (path !== '/api/customers') await refused(`cursor=${cursor}`, path)
  }
  expect((await get(`/api/customers?limit=1&cursor=${cursor}`)).status).toBe(200)
  proof.measured(`each of ${cursor.length} characters changed and left out, 400 each`)
  proof.measured(`refused by ${lists.length - 1} other lists, another sort and other filters`)
})

promise(68, 'a walk shows what was there once each, whatever is added meanwhile', async (proof) => {
  const step = fc.record({ limit: fc.integer({ min: 1, max: 7 }), adds: fc.nat({ max: 2 }) })
  let pages = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('createdAt', '-createdAt', 'name', '-name'),
      fc.array(step, { minLength: 1, maxLength: 6 }),
      fc.nat({ max: 6 }),
      async (sort, steps, letter) => {
        const before = (await app.sql('select id from customers')).map(({ id }) => id)
        const seen: string[] = []
        for (let turn = 0, cursor: string | null = ''; cursor !== null; turn += 1) {
          const { limit, adds } = steps[turn % steps.length] ?? { limit: 1, adds: 0 }
          const from: string = cursor === '' ? '' : `&cursor=${cursor}`
          const { body } = await get(`/api/customers?sort=${sort}&limit=${limit}${from}`)
          seen.push(...body.data.map((one: { id: string }) => one.id))
          cursor = body.nextCursor
          pages += 1
          // Only so many: a walk towards the newest would never end.
          if (turn < 4) for (let n = 0; n < adds; n += 1) await addCustomer(`name ${letter}`)
        }
        expect(new Set(seen).size, 'nothing twice').toBe(seen.length)
        expect(
          before.filter((id) => !seen.includes(String(id))),
          'nothing left out',
        ).toEqual([])
      },
    ),
    { seed: proof.seed, numRuns: 6 },
  )
  proof.measured(`6 walks of ${pages} pages while others add, each row once`)
})

promise(68, 'no statement steps over rows that a client may count', (proof) => {
  const texts = listFiles(
    serverSource,
    /^(modules\/\w+\/sql|platform)\b.*(?<!\.test)\.ts$/,
  ).flatMap((file) => templateTextsOf(serverSource, file))
  const stepping = texts.filter(({ text }) => /\boffset\b/i.test(text))
  // Constants of ours, and the ranking of services, which ends after 200.
  expect(stepping.map(({ at }) => at.replace(/:\d+$/, ''))).toEqual([
    'modules/catalog/sql/services.ts',
    'modules/identity/sql/mail-tokens.ts',
    'modules/identity/sql/sessions.ts',
  ])
  proof.measured(`${texts.length} pieces of SQL, 3 offsets of at most 200`)
})
