import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Access, Endpoint } from '../src/http/endpoint.ts'
import { permissionsOfRole, staffRoles } from '../src/kernel/permissions.ts'
import { modules } from '../src/modules/index.ts'
import { startTestApp, type RequestOptions, type TestApp } from './support/app.ts'

/**
 * Who may call what, asked over HTTP. The list is written by hand: a changed line is a decision
 * about access, and no command may take it.
 */
const goldenFile = path.resolve(import.meta.dirname, 'golden/access.txt')
const endpoints = modules.flatMap((module) => module.endpoints)

const actorNames = ['nobody', 'bad-token', 'customer', 'order-token', ...staffRoles] as const
type ActorName = (typeof actorNames)[number]

let app: TestApp
let credentials: Readonly<Record<ActorName, RequestOptions>>

beforeAll(async () => {
  app = await startTestApp()
  const staff = await Promise.all(
    staffRoles.map(async (role) => [role, { token: await app.as(role) }] as const),
  )
  credentials = {
    nobody: {},
    'bad-token': { token: 'eyJhbGciOiJub25lIn0.e30.' },
    customer: { token: (await app.asCustomer('ada')).token },
    'order-token': { orderToken: await buyAsGuest() },
    ...(Object.fromEntries(staff) as Record<(typeof staffRoles)[number], RequestOptions>),
  }
})
afterAll(async () => {
  await app.close()
})

/** The token of an order of somebody who has no login. */
async function buyAsGuest(): Promise<string> {
  const service = await app.request('POST /api/services', {
    token: await app.as('admin'),
    body: { name: 'Advice', price: { amount: 5000, currency: 'GBP' }, status: 'active' },
  })
  const bought = await app.request('POST /api/checkout/process', {
    body: {
      items: [{ serviceId: service.body.id, quantity: 1 }],
      customer: { email: 'guest@customer.example', name: 'A guest' },
    },
  })
  expect([bought.status, typeof bought.body.orderToken]).toEqual([201, 'string'])
  return bought.body.orderToken
}

/**
 * Every request is wrong in its query: whoever may call gets 400 for that and nothing is done, and
 * whoever may not must hear of it first.
 */
async function judge(endpoint: Endpoint, actor: ActorName): Promise<string> {
  const address = endpoint.path.slice(1).replaceAll(/:\w+/g, 'no-id')
  const { status, body } = await app.request(
    `${endpoint.method} /${address}?no=parameter`,
    credentials[actor],
  )
  if (status === 400 && body.code === 'invalid_input') return 'may'
  return String(status)
}

describe('access', () => {
  let facts: string[]

  beforeAll(async () => {
    facts = []
    for (const endpoint of endpoints) {
      for (const actor of actorNames) {
        const verdict = await judge(endpoint, actor)
        facts.push(`${endpoint.path} ${endpoint.method} ${actor} ${verdict}`)
      }
    }
    facts.sort()
  })

  test('is for every route and every kind of actor what the list says', () => {
    expect(facts.length).toBeGreaterThan(actorNames.length * 20)
    const listed = readFileSync(goldenFile, 'utf8').split('\n').filter(Boolean)
    const difference = [
      ...listed.filter((fact) => !facts.includes(fact)).map((fact) => `- ${fact}`),
      ...facts.filter((fact) => !listed.includes(fact)).map((fact) => `+ ${fact}`),
    ]
    const advice = 'If each of these is meant, change test/golden/access.txt by hand:'
    expect(difference, [advice, ...difference].join('\n')).toEqual([])
    expect(listed).toEqual(listed.toSorted())
  })

  test('is what each contract declares, and nothing else', () => {
    const declared = endpoints.flatMap(({ method, path: address, contract }) =>
      actorNames.map(
        (actor) => `${address} ${method} ${actor} ${expected(contract.access, actor)}`,
      ),
    )
    expect(facts).toEqual(declared.toSorted())
  })

  test('is 401 for a bad token on every route, public ones too', () => {
    expect(facts.filter((fact) => / bad-token (?!401)/.test(fact))).toEqual([])
  })
})

describe('another customer', () => {
  test('404 for an order that is not theirs, as for one that is not there', async () => {
    const [ada, bob] = [await app.asCustomer('ada'), await app.asCustomer('bob')]
    const service = await app.request('POST /api/services', {
      token: await app.as('admin'),
      body: { name: 'More advice', price: { amount: 5000, currency: 'GBP' }, status: 'active' },
    })
    const order = await app.request('POST /api/orders', {
      token: ada.token,
      body: { items: [{ serviceId: service.body.id, quantity: 1 }] },
    })
    const { id, number } = order.body
    for (const address of [id, number]) {
      const own = await app.request(`GET /api/orders/${address}`, { token: ada.token })
      expect(own.status).toBe(200)
      for (const stranger of [{ token: bob.token }, credentials['order-token']]) {
        const { status, body } = await app.request(`GET /api/orders/${address}`, stranger)
        expect([status, body.code]).toEqual([404, 'not_found'])
      }
    }
    const confirm = await app.request(`POST /api/checkout/confirm/${id}`, { token: bob.token })
    expect(confirm.status).toBe(404)
    const list = await app.request('GET /api/orders', { token: bob.token })
    expect(list.body.data).toEqual([])
  })
})

/** By the words of the contract alone, without the code that enforces them. */
function expected(access: Access, actor: ActorName): string {
  if (actor === 'bad-token') return '401'
  if (access === 'public') return 'may'
  if (actor === 'nobody') return '401'
  const grants: readonly string[] =
    actor === 'customer' || actor === 'order-token'
      ? [actor]
      : ['staff', ...permissionsOfRole[actor]]
  return access.some((grant) => grants.includes(grant)) ? 'may' : '403'
}
