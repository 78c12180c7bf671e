import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { querySchemaOf } from '../../src/http/compile.ts'
import { signedByProvider } from '../examples/prepared-business.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { endpoints, nameOf } from './hostile/attack.ts'
import { gather, type Caller, type CallerName } from './hostile/people.ts'
import { inheritedNames } from './hostile/values.ts'
import { promise } from './promise.ts'

let app: TestApp
let admin: string
let party: ReadonlyMap<CallerName, Caller>

beforeAll(async () => {
  app = await startTestApp({ errorDetail: false })
  admin = await app.as('admin')
  party = await gather(app)
}, 120_000)
afterAll(async () => {
  await app.close()
})

const orderPath = () => `/api/orders/${party.get('admin')?.things['ord'] ?? ''}` as const

const send = (route: `${string} /${string}`, rawBody: string) =>
  app.request(route, { token: admin, rawBody })

/** The server runs in this process: whatever it does to all objects is seen here. */
function expectUnchangedObjects(): void {
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(({} as Record<string, unknown>)['isAdmin']).toBeUndefined()
}

promise(62, 'members named __proto__ are refused, however they are written', async (proof) => {
  const bodies = ['__proto__', String.raw`\u005f_proto__`, String.raw`__proto\u005f_`].flatMap(
    (name) => [
      `{"note":"a","${name}":{"isAdmin":true}}`,
      `{"metadata":{"a":[{"${name}":{"isAdmin":true}}]}}`,
    ],
  )
  for (const body of bodies) {
    const { status, body: problem } = await send(`PATCH ${orderPath()}`, body)
    expect([body, status, problem.code]).toEqual([body, 400, 'malformed_request'])
  }
  for (const query of ['__proto__=1', '__proto__[isAdmin]=1', 'constructor=1', 'toString=1']) {
    expect((await app.request(`GET /api/services?${query}`)).status).toBe(400)
  }
  expectUnchangedObjects()
  proof.measured(`${bodies.length} bodies and 4 queries, all 400`)
})

promise(62, 'other inherited names are members like any other, or unknown ones', async (proof) => {
  const names = inheritedNames.filter((name) => name !== '__proto__')
  for (const name of names) {
    const unknown = await send(`PATCH ${orderPath()}`, `{"note":"a","${name}":{"isAdmin":true}}`)
    expect([name, unknown.status, unknown.body.code]).toEqual([name, 400, 'invalid_input'])
    const free = `{"${name}":{"prototype":{"isAdmin":true}}}`
    const kept = await send(`PATCH ${orderPath()}`, `{"metadata":${free}}`)
    expect([name, kept.status]).toEqual([name, 200])
    expect(JSON.stringify({ [name]: kept.body.metadata[name] })).toBe(free)
    const choice = `{"items":[{"serviceId":"${party.get('admin')?.things['svc'] ?? ''}",
      "quantity":1,"options":{"${name}":"express"}}],"customer":{"email":"a@b.c","name":"A"}}`
    expect([name, (await send('POST /api/orders', choice)).status]).toEqual([name, 400])
  }
  expectUnchangedObjects()
  proof.measured(`${names.length} names in 3 places`)
})

promise(62, 'every parameter of every operation is refused when it comes twice', async (proof) => {
  let tried = 0
  for (const { method, path, contract } of endpoints) {
    const address = path.replaceAll(/:\w+/g, 'B-1042')
    for (const name of Object.keys(querySchemaOf(contract).properties)) {
      const reply = await app.request(`${method} ${address}?${name}=1&${name}=1` as 'GET /', {
        token: admin,
      })
      expect([nameOf({ method, path } as never), name, reply.status]).toEqual([
        `${method} ${path}`,
        name,
        400,
      ])
      tried += 1
    }
  }
  expect(tried).toBeGreaterThan(80)
  proof.measured(`${tried} parameters, each 400 when repeated`)
})

promise(
  62,
  'of duplicate keys the last wins, for validation and for what is kept',
  async (proof) => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.boolean())
    let kept = 0
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 2, maxLength: 5 }), async (values) => {
        const members = values.map((one) => `"note":${JSON.stringify(one)}`)
        const last = values.at(-1)
        const { status, body } = await send(`PATCH ${orderPath()}`, `{${members.join()}}`)
        const fits = typeof last === 'string' || last === null
        expect([members, status]).toEqual([members, fits ? 200 : 400])
        if (!fits) return
        kept += 1
        expect(body.note === '' ? null : body.note).toBe(last === '' ? null : last)
      }),
      { seed: proof.seed, numRuns: 40 },
    )
    expect(kept).toBeGreaterThan(5)
    proof.measured(`40 bodies with 2 to 5 equal keys, ${kept} kept their last value`)
  },
)

const deep = 50_000
const many = 100_000

/** Bodies that are small to send and would be large to build, each within the limit of 1 MiB. */
const huge: readonly (readonly [string, string])[] = [
  [`${deep} arrays in each other`, '['.repeat(deep) + ']'.repeat(deep)],
  [`${deep} arrays that never end`, '['.repeat(deep)],
  [`${deep} objects in each other`, '{"a":'.repeat(deep) + '1' + '}'.repeat(deep)],
  [`${deep} arrays below a member`, `{"metadata":{"a":${'['.repeat(deep)}${']'.repeat(deep)}}}`],
  [`${many} keys`, `{${Array.from({ length: many }, (_, at) => `"${at}":1`).join()}}`],
  [`${many} equal keys`, `{${'"a":1,'.repeat(many)}"a":1}`],
  [`${many} keys below a member`, `{"metadata":{${'"a":1,'.repeat(many)}"a":1}}`],
  [`${many} items`, `{"metadata":{"a":[${'0,'.repeat(many)}0]}}`],
  ['an integer of 400 digits', `{"metadata":{"a":${'7'.repeat(400)}}}`],
  ['a fraction of 400 digits', `{"metadata":{"a":0.${'7'.repeat(400)}}}`],
  ['an exponent of 400 digits', `{"metadata":{"a":1e${'7'.repeat(400)}}}`],
  ['a million digits', `{"metadata":{"a":${'7'.repeat(1_000_000)}}}`],
  ['1e400', '{"metadata":{"a":1e400}}'],
  ['an integer above 2^53', '{"metadata":{"a":9007199254740993}}'],
]

promise(63, 'what is huge inside is refused at once by every operation', async (proof) => {
  const routes = endpoints.filter(({ contract }) => contract.body && !contract.upload)
  let slowestMs = 0
  const expectRefusal = async (route: `${string} /${string}`, what: string, rawBody: string) => {
    const startedAt = performance.now()
    const { status } = await send(route, rawBody)
    const tookMs = performance.now() - startedAt
    slowestMs = Math.max(slowestMs, tookMs)
    expect([what, [400, 413].includes(status), status]).toEqual([what, true, status])
    expect(tookMs, what).toBeLessThan(1000)
  }
  for (const [what, body] of huge) await expectRefusal(`PATCH ${orderPath()}`, what, body)
  for (const { method, path } of routes) {
    const route = `${method} ${path.replaceAll(/:\w+/g, 'B-1042')}` as 'POST /'
    const [what, body] = huge[Math.floor(proof.random() * 7)] ?? ['', '']
    await expectRefusal(route, `${what} to ${route}`, body)
  }
  const events = huge.slice(0, 8).map(([what, body]) => [what, `{"id":"evt_1","data":${body}}`])
  for (const [what = '', rawBody = ''] of events) {
    const startedAt = performance.now()
    const headers = { 'stripe-signature': signedByProvider(app, rawBody) }
    const { status } = await app.request('POST /api/webhook/stripe', { rawBody, headers })
    expect([what, status]).toEqual([what, 400])
    expect(performance.now() - startedAt, what).toBeLessThan(1000)
  }
  expect((await app.request('GET /livez')).status).toBe(200)
  proof.measured(`${huge.length} shapes, ${routes.length} operations, signed events too`)
  proof.measured(`slowest refusal ${Math.round(slowestMs)} ms`)
})
