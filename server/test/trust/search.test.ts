import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { querySchemaOf } from '../../src/http/compile.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { isProductFile, listFiles, serverSource } from '../support/sources.ts'
import { templateTextsOf } from '../support/statements.ts'
import { endpoints } from './hostile/attack.ts'
import { injections } from './hostile/values.ts'
import { promise } from './promise.ts'

let app: TestApp
let admin: string

beforeAll(async () => {
  app = await startTestApp({ errorDetail: false })
  admin = await app.as('admin')
}, 120_000)
afterAll(async () => {
  await app.close()
})

const get = (address: string) => app.request(`GET ${address}` as 'GET /', { token: admin })

/** Each parameter meets some, and all of them meet all. */
const probedShare = 0.3

const lists = endpoints.filter(({ contract }) => contract.list)

promise(67, 'no filter, sort, cursor or search of any list lets SQL through', async (proof) => {
  let tried = 0
  for (const { path: address, contract } of lists) {
    for (const name of Object.keys(querySchemaOf(contract).properties)) {
      const probes = injections.filter(() => proof.random() < probedShare)
      const startedAt = performance.now()
      const replies = await Promise.all(
        probes.map((probe) => get(`${address}?${name}=${encodeURIComponent(probe)}`)),
      )
      const told = replies.map(({ status }, at) => [name, probes[at], status])
      expect(told.filter(([, , status]) => status !== 200 && status !== 400)).toEqual([])
      // Those that sleep in SQL would sleep for five seconds.
      expect(performance.now() - startedAt, address).toBeLessThan(5000)
      tried += probes.length
    }
  }
  expect((await get('/api/system/errors')).body.data).toEqual([])
  proof.measured(`${tried} probes in ${lists.length} lists, all 200 or 400`)
})

promise(
  67,
  'what patterns are made of is found as it stands and matches nothing else',
  async (proof) => {
    const marks = ['%', '_', '\\', '%%%', '50%', 'a_b', 'c\\d', "o'neil", '(a+)+$', '.*', '[x]']
    const names = [...marks.map((mark) => `Name ${mark} end`), 'Name plain end', 'Name aXb 50 end']
    for (const name of names) {
      const body = { email: 'mark@example.com', name }
      const reply = await app.request('POST /api/customers', { token: admin, body })
      expect(reply.status).toBe(201)
    }
    for (const mark of marks) {
      const { body } = await get(`/api/customers?limit=100&q=${encodeURIComponent(mark)}`)
      const found = body.data.map((one: { name: string }) => one.name).toSorted()
      expect([mark, found]).toEqual([mark, names.filter((name) => name.includes(mark)).toSorted()])
    }
    proof.measured(`${marks.length} patterns, each found in the names that hold it alone`)
  },
)

promise(67, 'nothing that a user writes becomes a regular expression', (proof) => {
  const made = listFiles(serverSource, isProductFile).flatMap((file) =>
    [...readFileSync(path.join(serverSource, file), 'utf8').matchAll(/new RegExp\(/g)].map(
      () => file,
    ),
  )
  // Made once, when they are loaded, of constants.
  expect(made).toEqual(['kernel/id.ts', 'platform/files.ts', 'platform/log.ts'])
  const texts = listFiles(
    serverSource,
    /^(modules\/\w+\/sql|platform)\b.*(?<!\.test)\.ts$/,
  ).flatMap((file) => templateTextsOf(serverSource, file))
  const compiled = texts.filter(({ text }) =>
    /\b(regexp_\w+|similar to)\b|!?~\*?\s*(?!')[\w$?(]/i.test(text),
  )
  expect(texts.length).toBeGreaterThan(200)
  expect(compiled).toEqual([])
  proof.measured(`3 expressions of constants, ${texts.length} pieces of SQL without one of a value`)
})
