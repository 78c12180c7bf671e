import { afterAll, beforeAll, expect } from 'vitest'
import type { Access, Endpoint } from '../../src/http/endpoint.ts'
import { permissionsOfRole, staffRoles } from '../../src/kernel/permissions.ts'
import { modules } from '../../src/modules/index.ts'
import { startTestApp, type Reply, type RequestOptions, type TestApp } from '../support/app.ts'
import { digestTables } from '../support/database-rows.ts'
import { fillShelf } from '../support/holdings.ts'
import { promise } from './promise.ts'

let app: TestApp
let callers: Readonly<Record<string, RequestOptions>>

beforeAll(async () => {
  app = await startTestApp()
  const shelf = await fillShelf(app)
  const bought = await app.request('POST /api/checkout/process', {
    body: {
      items: [{ serviceId: shelf.free, quantity: 1 }],
      customer: { email: 'grace@guest.example', name: 'Grace' },
    },
  })
  const staff = await Promise.all(
    staffRoles.map(async (role) => [role, { token: await app.as(role) }] as const),
  )
  callers = {
    customer: { token: (await app.asCustomer('ada')).token },
    guest: { orderToken: bought.body.orderToken },
    ...Object.fromEntries(staff),
  }
  await app.runJobs()
}, 120_000)
afterAll(async () => {
  await app.close()
})

const endpoints = modules.flatMap((module) => module.endpoints)
const guarded = endpoints.filter(({ contract }) => contract.access !== 'public')

/** Each is wrong in another way that would be told, were the caller allowed to ask. */
const wrongs: Readonly<Record<string, (endpoint: Endpoint) => Promise<Reply>>> = {
  query: async (endpoint) => await send(endpoint, {}, '?no=parameter'),
  'no JSON': async (endpoint) => await send(endpoint, { rawBody: '{"broken": ' }),
  'no body that fits': async (endpoint) => await send(endpoint, { body: { no: 'member' } }),
  'another media type': async (endpoint) =>
    await send(endpoint, { rawBody: '<a/>', headers: { 'content-type': 'application/xml' } }),
  'a form without an end': async (endpoint) => {
    const headers = { 'content-type': 'multipart/form-data; boundary=x' }
    return await send(endpoint, { rawBody: '--x\r\n', headers })
  },
  'a bad Idempotency-Key': async (endpoint) =>
    await send(endpoint, { body: {}, headers: { 'idempotency-key': 'ü' } }),
  'a bad If-Match': async (endpoint) =>
    await send(endpoint, { body: {}, headers: { 'if-match': 'none' } }),
  'an answer that there is none of': async (endpoint) =>
    await send(endpoint, { headers: { accept: 'image/png' } }),
}

let caller: RequestOptions = {}

async function send(endpoint: Endpoint, options: RequestOptions, query = ''): Promise<Reply> {
  const { method, path } = endpoint
  const address = path.slice(1).replaceAll(/:\w+/g, 'no-id') + query
  const hasBody = options.body !== undefined || options.rawBody !== undefined
  const { body: _body, rawBody: _rawBody, ...bodiless } = options
  const sent = method === 'GET' && hasBody ? bodiless : options
  return await app.request(`${method} /${address}`, {
    ...caller,
    ...sent,
    headers: asLatin1({ ...sent.headers }),
  })
}

/** What a header may hold on its way, as a text that `fetch` takes. */
function asLatin1(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, text]) => [name, Buffer.from(text).toString('latin1')]),
  )
}

/** By the words of the contract alone. */
function mayCall(access: Access, name: string): boolean {
  if (access === 'public') return true
  if (name === 'customer') return access.includes('customer')
  if (name === 'guest') return access.includes('order-token')
  const permissions: readonly string[] = permissionsOfRole[name as (typeof staffRoles)[number]]
  return access.some((grant) => grant === 'staff' || permissions.includes(grant))
}

async function verdicts(endpoint: Endpoint): Promise<[string, number][]> {
  const found: [string, number][] = []
  for (const [name, ask] of Object.entries(wrongs)) found.push([name, (await ask(endpoint)).status])
  return found
}

promise(
  55,
  'without a token each operation is 401, before anything else is said',
  async (proof) => {
    expect(guarded.length).toBeGreaterThan(50)
    const before = await digestTables(app)
    const wrong: string[] = []
    caller = {}
    for (const endpoint of guarded) {
      for (const [name, status] of await verdicts(endpoint)) {
        if (status !== 401) wrong.push(`${endpoint.method} ${endpoint.path}, ${name}: ${status}`)
      }
    }
    expect(wrong).toEqual([])
    expect(await digestTables(app)).toEqual(before)
    const count = guarded.length * Object.keys(wrongs).length
    proof.measured(`${guarded.length} operations, ${count} wrong requests, all 401`)
  },
)

promise(
  55,
  'with a role that has no business there it is 403, before all else too',
  async (proof) => {
    const before = await digestTables(app)
    const wrong: string[] = []
    let refusals = 0
    for (const [name, options] of Object.entries(callers)) {
      caller = options
      for (const endpoint of guarded.filter(({ contract }) => !mayCall(contract.access, name))) {
        // Each refusal once, and all of them at every few operations.
        const asked = Object.entries(wrongs).filter(() => proof.random() < 0.4)
        for (const [fault, ask] of asked) {
          const { status } = await ask(endpoint)
          if (status !== 403) wrong.push(`${endpoint.path}, ${name}, ${fault}: ${status}`)
          refusals += 1
        }
      }
    }
    expect(wrong).toEqual([])
    expect(await digestTables(app)).toEqual(before)
    expect(refusals).toBeGreaterThan(300)
    proof.measured(
      `${Object.keys(callers).length} kinds of caller, ${refusals} wrong requests, all 403`,
    )
  },
)

promise(55, 'whoever may call hears what is wrong with the same requests', async (proof) => {
  caller = callers['admin'] as RequestOptions
  let told = 0
  for (const endpoint of guarded.filter(({ contract }) => mayCall(contract.access, 'admin'))) {
    const { status } = await (wrongs['query'] as (typeof wrongs)[string])(endpoint)
    expect([endpoint.path, endpoint.method, status]).toEqual([endpoint.path, endpoint.method, 400])
    told += 1
  }
  proof.measured(`${told} operations, all 400 to whoever may`)
})
