import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { modules } from '../../src/modules/index.ts'
import { startTestApp, type Reply, type RequestOptions, type TestApp } from '../support/app.ts'
import { digestTables } from '../support/database-rows.ts'
import { fillShelf, settle, type Holdings, type Shelf } from '../support/holdings.ts'
import { pdf } from '../support/sample-files.ts'
import { repository } from '../support/sources.ts'
import { upload } from '../support/upload.ts'
import { promise } from './promise.ts'

let app: TestApp
let shelf: Shelf
let ada: Holdings
let bob: Holdings

beforeAll(async () => {
  app = await startTestApp()
  shelf = await fillShelf(app)
  const [first, second] = await settle(app, shelf, [
    { name: 'ada', kind: 'customer' },
    { name: 'bob', kind: 'customer' },
  ])
  ada = first as Holdings
  bob = second as Holdings
}, 120_000)
afterAll(async () => {
  await app.close()
})

/** What decides over rights, money, state or ownership, by any name that a row or a reply has. */
const privileged: Readonly<Record<string, unknown>> = {
  id: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za',
  number: 'B-1',
  key: 'k',
  version: 99,
  status: 'paid',
  role: 'admin',
  roles: ['admin'],
  permissions: ['users:write'],
  isAdmin: true,
  admin: true,
  audience: 'staff',
  active: true,
  verified: true,
  emailVerified: true,
  mfaEnabled: false,
  passwordHash: 'x',
  password_hash: 'x',
  invitedAt: null,
  claimedBy: null,
  hasLogin: true,
  userId: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za',
  customerId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3za',
  customer_id: 'x',
  ownerId: 'x',
  actorId: 'x',
  author: 'x',
  authorId: 'x',
  uploadedBy: 'x',
  orderId: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za',
  caseId: 'case_01jd8q9yg8e5v9c0m4t7k2x3za',

  assigneeId: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za',
  customer: { email: 'a@b.example', name: 'A' },

  price: 1,
  unitPrice: { amount: 1, currency: 'GBP' },
  total: 1,
  subtotal: 1,
  discount: 1,
  tax: 0,
  amount: { amount: 1, currency: 'GBP' },
  currency: 'USD',
  paid: true,
  refunded: 0,
  paymentStatus: 'paid',
  payments: [],
  refunds: [],
  provider: 'manual',
  providerRef: 'pi_1',
  clientSecret: 'x',
  flagged: false,
  kind: 'case',
  origin: 'order',
  priority: 'urgent',
  visibility: 'internal',
  tags: ['vip'],
  dueAt: '2026-12-01T17:00:00.000Z',
  resolution: null,

  timeline: [],
  notes: [],
  note: 'x',
  metadata: { a: 1 },
  allowedTransitions: [],
  sha256: 'x',

  createdAt: '2020-01-01T00:00:00.000Z',
  created_at: 'x',
  updatedAt: 'x',
  at: 'x',
  now: 'x',

  attempts: 0,
  tokenVersion: 0,
  actor: { kind: 'system' },
  business: {},
  scale: 1,
  _method: 'PUT',
}

interface Shape {
  readonly $ref?: string
  readonly type?: string
  readonly properties?: Readonly<Record<string, Shape>>
  readonly additionalProperties?: unknown
  readonly items?: Shape
}

const document = JSON.parse(
  readFileSync(path.join(repository, 'server/openapi.json'), 'utf8'),
) as Record<string, unknown>

function resolve(shape: Shape): Shape {
  if (shape.$ref === undefined) return shape
  const found = shape.$ref.split('/').slice(1)
  return found.reduce<unknown>(
    (at, name) => (at as Record<string, unknown>)[name],
    document,
  ) as Shape
}

/** Each object within a body that has members of its own, with the way to it in the example. */
function objectsIn(
  shape: Shape,
  at: readonly string[] = [],
): { at: readonly string[]; names: string[] }[] {
  const { properties, items } = resolve(shape)
  const own = properties ? [{ at, names: Object.keys(properties) }] : []
  const below = Object.entries(properties ?? {}).flatMap(([name, member]) =>
    objectsIn(member, [...at, name]),
  )
  return [...own, ...below, ...(items ? objectsIn(items, [...at, '0']) : [])]
}

const endpoints = modules.flatMap((module) => module.endpoints)
const withBody = endpoints.filter(
  ({ contract: { body, rawBody, upload: form } }) => body && !rawBody && !form,
)

/** The example's body with one member more, at that place; undefined where the place is empty. */
function withMember(body: unknown, at: readonly string[], added: object): unknown {
  const copy = structuredClone(body) as Record<string, unknown>
  const target = at.reduce<unknown>(
    (value, name) => (value as Record<string, unknown> | undefined)?.[name],
    copy,
  )
  if (typeof target !== 'object' || target === null) return undefined
  Object.assign(target, added)
  return copy
}

async function callerOf(path: string, access: unknown): Promise<RequestOptions> {
  if (access === 'public') return {}
  return path.startsWith('/api/auth/email') ? ada.as : { token: await app.as('admin') }
}

promise(56, 'no body takes a member that its description does not have', async (proof) => {
  const before = await digestTables(app)
  const faults: string[] = []
  let sent = 0
  for (const { method, path: route, contract } of withBody) {
    const documented = (document['paths'] as Record<string, Record<string, Shape>>)[
      route.replaceAll(/:(\w+)/g, '{$1}')
    ]?.[method.toLowerCase()] as { requestBody: { content: Record<string, { schema: Shape }> } }
    const { schema } = documented.requestBody.content['application/json'] as { schema: Shape }
    const address = route
      .slice(1)
      .replaceAll(/:(\w+)/g, (_, name: string) => contract.example.params?.[name] ?? 'none')
    const caller = await callerOf(route, contract.access)
    for (const { at, names } of objectsIn(schema)) {
      const undeclared = Object.entries(privileged).filter(([member]) => !names.includes(member))
      // An answer names twenty faults at most.
      for (let from = 0; from < undeclared.length; from += 15) {
        const added = Object.fromEntries(undeclared.slice(from, from + 15))
        const body = withMember(contract.example.body, at, added)
        if (body === undefined) continue
        const reply = await app.request(`${method} /${address}`, { ...caller, body })
        const told = reply.body.errors?.map((error: { pointer: string }) => error.pointer) ?? []
        sent += Object.keys(added).length
        for (const member of Object.keys(added)) {
          const pointer = `/${[...at, member].join('/')}`
          if (reply.status === 400 && told.includes(pointer)) continue
          faults.push(`${method} ${route} ${pointer}: ${reply.status}`)
        }
      }
    }
  }
  expect(faults).toEqual([])
  expect(await digestTables(app), 'nothing is written').toEqual(before)
  expect(withBody.length).toBeGreaterThan(25)
  proof.measured(`${withBody.length} bodies, ${sent} members too many, all 400, 0 rows changed`)
})

/** What the description has and not everybody may set: who tries it, and what comes of it. */
const notYours: Readonly<Record<string, () => Promise<Reply>>> = {
  'POST /api/orders customerId': () =>
    app.request('POST /api/orders', {
      ...ada.as,
      body: { ...basket(), customerId: bob.customerId },
    }),
  'POST /api/orders customer': () =>
    app.request('POST /api/orders', { ...ada.as, body: { ...basket(), customer: somebody } }),
  'POST /api/checkout/process customer': () =>
    app.request('POST /api/checkout/process', {
      ...ada.as,
      body: { ...basket(), customer: somebody },
    }),
  'POST /api/checkout/process orderId': () =>
    app.request('POST /api/checkout/process', { ...ada.as, body: { orderId: bob.openOrderId } }),
  'POST /api/crm kind': () => ask({ kind: 'case' }),
  'POST /api/crm priority': () => ask({ priority: 'urgent' }),
  'POST /api/crm customerId': () => ask({ customerId: bob.customerId }),
  'POST /api/crm orderId': () => ask({ orderId: bob.orderId }),
  'POST /api/crm assigneeId': () => ask({ assigneeId: bob.userId }),
  'POST /api/crm dueAt': () => ask({ dueAt: '2026-12-01T17:00:00.000Z' }),
  'POST /api/crm tags': () => ask({ tags: ['vip'] }),
  'POST /api/crm/:id/notes visibility': () =>
    app.request(`POST /api/crm/${ada.caseId}/notes`, {
      ...ada.as,
      body: { body: 'A word.', visibility: 'internal' },
    }),
  'POST /api/documents/upload visibility': () =>
    upload(app, pdf(), { ...ada.as, fields: { visibility: 'internal' } }),
  'POST /api/documents/upload orderId': () =>
    upload(app, pdf(), { ...ada.as, fields: { orderId: bob.orderId } }),
  'POST /api/documents/upload caseId': () =>
    upload(app, pdf(), { ...ada.as, fields: { caseId: bob.caseId } }),
}

const somebody = { email: 'somebody@else.example', name: 'Somebody' }
const basket = (): object => ({ items: [{ serviceId: shelf.free, quantity: 1 }] })

async function ask(members: object): Promise<Reply> {
  const body = { subject: 'A question', description: 'About this.', ...members }
  return await app.request('POST /api/crm', { ...ada.as, body })
}

const memberNames = ({ properties = {} }: Shape): string[] => Object.keys(properties)

/** Of one's own, and nobody else's concern. */
const ones = /^POST \/api\/(orders (note|metadata)|auth\/password\/forgot audience)$/

promise(56, 'what a body may hold is still not everybody’s to set', async (proof) => {
  const open = endpoints.filter(
    ({ contract: { access } }) => access === 'public' || access.includes('customer'),
  )
  const declared = open.flatMap(({ method, path: route, contract }) =>
    memberNames(contract.body ?? {})
      .filter((member) => member in privileged)
      .map((member) => `${method} ${route} ${member}`),
  )
  expect(declared.filter((one) => !ones.test(one)).toSorted()).toEqual(
    Object.keys(notYours).toSorted(),
  )
  const before = await digestTables(app)
  for (const [name, attempt] of Object.entries(notYours)) {
    const { status, body } = await attempt()
    expect([name, [400, 403, 404].includes(status)], JSON.stringify(body)).toEqual([name, true])
  }
  const undeclared = await upload(app, pdf(), { ...ada.as, fields: { status: 'accepted' } })
  expect(undeclared.status).toBe(400)
  expect(await digestTables(app), 'nothing is written').toEqual(before)
  proof.measured(`${Object.keys(notYours).length} members that are another's to set, all refused`)
})

promise(56, 'staff set no more than their role, and never their own', async (proof) => {
  const profileOf = async (token: string): Promise<Reply['body']> =>
    (await app.request('GET /api/auth/me', { token })).body
  const admin = await app.as('admin')
  const self = await profileOf(admin)
  let attempts = 0
  for (const role of ['manager', 'agent', 'finance', 'viewer'] as const) {
    const token = await app.as(role)
    const { id, role: before, permissions } = await profileOf(token)
    for (const [route, body] of [
      [`PATCH /api/users/${id}`, { role: 'admin' }],
      [`PATCH /api/users/${self.id}`, { active: false }],
      ['POST /api/users', { email: 'more@bureau.example', name: 'More', role: 'admin' }],
    ] as const) {
      expect([role, route, (await app.request(route, { token, body })).status]).toEqual([
        role,
        route,
        403,
      ])
      attempts += 1
    }
    expect(await profileOf(token)).toMatchObject({ role: before, permissions })
  }
  for (const body of [{ role: 'viewer' }, { active: false }]) {
    const reply = await app.request(`PATCH /api/users/${self.id}`, { token: admin, body })
    expect([reply.status, reply.body.code]).toEqual([403, 'own_login'])
    attempts += 1
  }
  const paid = { amount: { amount: 14_900, currency: 'GBP' }, reference: 'Bank transfer' }
  await app.request(`POST /api/orders/${bob.openOrderId}/payments`, { token: admin, body: paid })
  const refund = { status: 'cancelled', refund: 'full' }
  const agent = { token: await app.as('agent'), body: refund }
  const { status } = await app.request(`PATCH /api/orders/${bob.openOrderId}/status`, agent)
  expect(status, 'giving money back takes more than moving an order').toBe(403)
  proof.measured(`${attempts} attempts to rise, all 403`)
})
