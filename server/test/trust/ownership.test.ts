import type { TSchema } from 'typebox'
import { afterAll, beforeAll, expect } from 'vitest'
import { querySchemaOf } from '../../src/http/compile.ts'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { idPrefixes } from '../../src/kernel/id.ts'
import { keyPattern } from '../../src/kernel/id.ts'
import { modules } from '../../src/modules/index.ts'
import { startTestApp, type Reply, type TestApp } from '../support/app.ts'
import { digestTables } from '../support/database-rows.ts'
import { fillShelf, settle, type Holdings, type Shelf } from '../support/holdings.ts'
import { upload } from '../support/upload.ts'
import { pdf } from '../support/sample-files.ts'
import { promise } from './promise.ts'

let app: TestApp
let shelf: Shelf
let people: readonly Holdings[]
/** What customers have sent without saying what it is for, by their names. */
const looseKeys = new Map<string, string>()

beforeAll(async () => {
  app = await startTestApp()
  shelf = await fillShelf(app)
  people = await settle(app, shelf, [
    { name: 'ada', kind: 'customer' },
    { name: 'bob', kind: 'customer' },
    { name: 'grace', kind: 'guest' },
    { name: 'heidi', kind: 'guest' },
  ])
  for (const { name, as } of people.filter((person) => person.as.token !== undefined)) {
    looseKeys.set(name, (await upload(app, pdf('loose.pdf'), { ...as })).body.key)
  }
}, 120_000)
afterAll(async () => {
  await app.close()
})

const endpoints = modules.flatMap((module) => module.endpoints)

/** A place of a request where the id of something may stand. */
interface Slot {
  readonly endpoint: Endpoint
  readonly where: 'params' | 'query' | 'body'
  readonly name: string
}

/** By the pattern of its values or, where those may be anything, by its name. */
function isIdSlot(name: string, schema: TSchema): boolean {
  const text = JSON.stringify(schema)
  const ofIds = idPrefixes.some((prefix) => text.includes(`^${prefix}_`))
  return ofIds || text.includes(keyPattern) || /^(id|ids|key|keys|q)$|(Id|Ids|Key|Keys)$/.test(name)
}

function membersOf(schema: TSchema | undefined): [string, TSchema][] {
  const { properties = {} } = (schema ?? {}) as { properties?: Record<string, TSchema> }
  return Object.entries(properties)
}

const slots: readonly Slot[] = endpoints.flatMap((endpoint) => {
  const { params, body } = endpoint.contract
  const places = { params, query: querySchemaOf(endpoint.contract), body }
  return Object.entries(places).flatMap(([where, schema]) =>
    membersOf(schema)
      .filter(([name, member]) => isIdSlot(name, member))
      .map(([name]) => ({ endpoint, where: where as Slot['where'], name })),
  )
})

type Pick = (of: Holdings) => readonly (string | undefined)[]

/** What somebody has that may stand in a slot; null where nothing of a customer's may. */
const recipes: readonly (readonly [RegExp, Pick | null])[] = [
  // The catalogue, the staff and the workings of the house belong to no customer.
  [/ \/api\/services.* (params|query|body) /, null],
  [/ body items$/, null],
  [/ \/api\/system\/.* (params|query) /, null],
  [/ \/api\/events .* /, (of) => [of.orderId, of.caseId, of.userId]],
  [/ \/api\/notifications\/:id.* params id$/, (of) => [of.mailId]],
  [/ \/api\/notifications .* /, (of) => [of.customerId, of.orderId]],
  [/ \/api\/auth\/sessions\/:id params id$/, (of) => [of.sessionId]],
  [/ \/api\/users\/:id.* params id$/, (of) => [of.userId]],
  [/ \/api\/customers\/:id params id$/, (of) => [of.customerId]],
  [/ \/api\/orders\/:id.* params id$/, (of) => [of.orderId, of.orderNumber, of.openOrderId]],
  [/ \/api\/crm\/:id.* params id$/, (of) => [of.caseId, of.caseNumber]],
  [/ params key$/, (of) => [of.documentKey, of.internalDocumentKey, looseKeys.get(of.name)]],
  [/ params orderId$/, (of) => [of.openOrderId, of.orderId, of.orderNumber]],
  [/ \/api\/checkout\/process body orderId$/, (of) => [of.openOrderId, of.orderId, of.orderNumber]],
  [/ orderId$/, (of) => [of.orderId]],
  [/ caseId$/, (of) => [of.caseId]],
  [/ customerId$/, (of) => [of.customerId]],
  [/ paymentId$/, (of) => [of.paymentId]],
  [/ assigneeId$/, (of) => [of.userId]],
  [/ documentKeys$/, (of) => [of.documentKey]],
  [/ query q$/, (of) => [of.orderNumber, of.caseNumber, of.email, of.name]],
]

const nameOf = ({ endpoint: { method, path }, where, name }: Slot): string =>
  `${method} ${path} ${where} ${name}`

function recipeOf(slot: Slot): Pick | null {
  const found = recipes.find(([pattern]) => pattern.test(nameOf(slot)))
  if (!found) throw new Error(`${nameOf(slot)} takes an id: say here whose things may stand there`)
  return found[1]
}

/** What goes with the id so that nothing else is wrong with the request. */
const bodies: Readonly<Record<string, () => object>> = {
  'POST /api/orders': () => ({ items: [{ serviceId: shelf.free, quantity: 1 }] }),
  'POST /api/checkout/process': () => ({}),
  'POST /api/crm': () => ({ subject: 'A question', description: 'About this.' }),
  'POST /api/crm/:id/notes': () => ({ visibility: 'public', body: 'A word.' }),
  'POST /api/documents/:key/link': () => ({ expiresInSeconds: 60 }),
  'POST /api/documents/upload': () => ({}),
}

/** Whom the endpoint lets call at all: whoever else is told so before anything is looked at. */
function mayCall({ contract: { access } }: Endpoint, { as }: Holdings): boolean {
  return access === 'public' || access.includes(as.token === undefined ? 'order-token' : 'customer')
}

async function ask(slot: Slot, value: string, caller: Holdings, own: Holdings): Promise<Reply> {
  const { method, path, contract } = slot.endpoint
  const route = `${method} ${path}`
  const fill = (name: string): string =>
    slot.where === 'params' && slot.name === name
      ? value
      : (recipeOf({ ...slot, where: 'params', name })?.(own)[0] ?? 'none')
  const address = path.slice(1).replaceAll(/:(\w+)/g, (_, name: string) => fill(name))
  const query = slot.where === 'query' ? `?${slot.name}=${encodeURIComponent(value)}` : ''
  const isList = slot.name.endsWith('Keys')
  const member = slot.where === 'body' ? { [slot.name]: isList ? [value] : value } : {}
  if (contract.upload) {
    return await upload(app, pdf('mine.pdf'), { ...caller.as, fields: { [slot.name]: value } })
  }
  const rest = bodies[route]?.()
  if (contract.body && !rest && mayCall(slot.endpoint, caller)) {
    throw new Error(`${route} is open to customers: say here what its body is`)
  }
  const body = contract.body ? { ...rest, ...member } : undefined
  return await app.request(`${method} /${address}${query}`, { ...caller.as, body })
}

/** Undefined where the answer tells and does nothing; else what is wrong with it. */
function faultOf(slot: Slot, caller: Holdings, { status, body }: Reply): string | undefined {
  if (!mayCall(slot.endpoint, caller)) return status === 403 ? undefined : `${status}, not 403`
  if (slot.where === 'params') return status === 404 ? undefined : `${status}, not 404`
  if (slot.where === 'query') {
    const isEmpty = status === 200 && body.data.length === 0
    return isEmpty || isKeptOff(status, body)
      ? undefined
      : `${status} ${JSON.stringify(body).slice(0, 200)}`
  }
  const isDenied = status === 403 || status === 404 || isKeptOff(status, body)
  return isDenied ? undefined : `${status} ${JSON.stringify(body).slice(0, 200)}`
}

/** A member that is not theirs to set, or a value that to them is none. */
function isKeptOff(status: number, body: Reply['body']): boolean {
  return status === 400 && /^(not_allowed|forbidden|unknown)$/.test(body.errors?.[0].code)
}

/** Who asks for whose: customers and guests, among themselves and of each other. */
function pairs(): (readonly [Holdings, Holdings])[] {
  const [ada, bob, grace, heidi] = people as [Holdings, Holdings, Holdings, Holdings]
  return [
    [ada, bob],
    [bob, ada],
    [ada, grace],
    [grace, ada],
    [grace, heidi],
  ]
}

promise(54, 'whoever asks for what is another’s is told that it is not there', async (proof) => {
  const before = await digestTables(app)
  const faults: string[] = []
  let asked = 0
  for (const slot of slots) {
    const valuesOf = recipeOf(slot)
    if (!valuesOf) continue
    for (const [caller, owner] of pairs()) {
      for (const value of valuesOf(owner)) {
        if (value === undefined) continue
        const fault = faultOf(slot, caller, await ask(slot, value, caller, caller))
        if (fault) faults.push(`${nameOf(slot)}=${value} by ${caller.name}: ${fault}`)
        asked += 1
      }
    }
  }
  expect(faults).toEqual([])
  expect(await digestTables(app), 'nothing is written').toEqual(before)
  expect(asked).toBeGreaterThan(200)
  proof.measured(`${slots.length} places for an id, ${asked} requests of 4 people, 0 rows changed`)
})

promise(54, 'lists hold what is one’s own and nothing else', async (proof) => {
  let lists = 0
  for (const endpoint of endpoints.filter(({ contract }) => contract.list && !contract.params)) {
    for (const caller of people.filter((person) => mayCall(endpoint, person))) {
      const { body } = await app.request(`GET /${endpoint.path.slice(1)}?limit=100`, caller.as)
      const text = JSON.stringify(body)
      for (const other of people.filter((person) => person !== caller)) {
        const { orderId, openOrderId, caseId, documentKey, customerId, email, userId } = other
        for (const word of [orderId, openOrderId, caseId, documentKey, customerId, email, userId]) {
          expect([endpoint.path, caller.name, text.includes(word ?? 'none')]).toEqual([
            endpoint.path,
            caller.name,
            false,
          ])
        }
      }
      lists += 1
    }
  }
  expect(lists).toBeGreaterThan(8)
  proof.measured(`${lists} lists`)
})

promise(54, 'the same requests are good for whoever owns what they name', async (proof) => {
  const denied: string[] = []
  let asked = 0
  const methods = ['GET', 'PATCH', 'POST', 'DELETE']
  const last = ({ endpoint: { method, path } }: Slot): number =>
    methods.indexOf(method) + (path.includes('sessions') ? methods.length : 0)
  for (const slot of slots.toSorted((a, b) => last(a) - last(b))) {
    const valuesOf = recipeOf(slot)
    for (const owner of people.filter((person) => valuesOf && mayCall(slot.endpoint, person))) {
      const [value] = valuesOf?.(owner) ?? []
      const isStaffs = /priority|assigneeId|customerId|openOrderId/.test(slot.name)
      if (value === undefined || isStaffs) continue
      const isOther = owner.as.orderToken !== undefined && value === owner.openOrderId
      if (isOther) continue
      const { status, body } = await ask(slot, value, owner, owner)
      if (status >= 400 && status !== 402 && status !== 409) {
        denied.push(`${nameOf(slot)} by ${owner.name}: ${status} ${JSON.stringify(body)}`)
      }
      if (slot.where === 'query')
        expect([nameOf(slot), body.data.length > 0]).toEqual([nameOf(slot), true])
      asked += 1
    }
  }
  expect(denied).toEqual([])
  expect(asked).toBeGreaterThan(30)
  proof.measured(`${asked} requests of owners, none denied`)
})
