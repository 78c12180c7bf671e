import { expect } from 'vitest'
import type { Access } from '../../../src/http/endpoint.ts'
import { permissionsOfRole, staffRoles, type StaffRole } from '../../../src/kernel/permissions.ts'
import { testPassword, type RequestOptions, type TestApp } from '../../support/app.ts'
import { text } from '../../support/sample-files.ts'
import { upload, type UploadOptions } from '../../support/upload.ts'

/** Everybody who may call, by what their requests carry. */
export type CallerName = 'nobody' | 'customer' | 'order token' | StaffRole

/** Someone who calls, with things to call about, so that what is valid gets all the way through. */
export interface Caller {
  readonly name: CallerName
  readonly headers: readonly string[]
  /** What stands for the id of an example, by its prefix; a document's key by `doc`. */
  readonly things: Readonly<Record<string, string>>
}

/** Who may call an operation; whoever may call a public one is nobody in particular too. */
export function callersOf(access: Access): CallerName[] {
  const grants: readonly string[] = access === 'public' ? [] : access
  const isFor = (role: StaffRole): boolean =>
    grants.includes('staff') || permissionsOfRole[role].some((one) => grants.includes(one))
  return [
    ...(access === 'public' || grants.includes('signed-link') ? (['nobody'] as const) : []),
    ...(access === 'public' || grants.includes('customer') ? (['customer'] as const) : []),
    ...(grants.includes('order-token') ? (['order token'] as const) : []),
    ...(access === 'public' ? (['admin'] as const) : staffRoles.filter(isFor)),
  ]
}

/** Makes callers with fresh things, as often as the old ones are used up. */
export async function gather(app: TestApp): Promise<ReadonlyMap<CallerName, Caller>> {
  const admin = await enterAsStaff(app, 'admin')
  const catalogue = await fillCatalogue(app, admin)
  const customer = await settleCustomer(app, catalogue)
  const guest = await settleGuest(app, catalogue)
  const callers: Caller[] = [
    { name: 'nobody', headers: [], things: guest.things },
    customer,
    guest,
    ...(await Promise.all(
      staffRoles.map(async (name) => ({
        name,
        headers: bearer(await enterAsStaff(app, name)),
        things: guest.things,
      })),
    )),
  ]
  return new Map(callers.map((caller) => [caller.name, caller]))
}

const bearer = (token: string): string[] => [`Authorization: Bearer ${token}`]

type Things = Caller['things']

async function fillCatalogue(app: TestApp, token: string): Promise<Things> {
  const category = await make(app, 'POST /api/services/categories', {
    token,
    body: { name: 'Companies' },
  })
  const choices = [{ key: 'express', name: 'Express', priceDelta: 5000 }]
  const service = await make(app, 'POST /api/services', {
    token,
    body: {
      name: 'Company formation',
      price: { amount: 14_900, currency: 'GBP' },
      status: 'active',
      options: [{ key: 'speed', name: 'Speed', required: false, choices }],
    },
  })
  const email = `${category.id}@bureau.example`
  const body = { email, name: 'A colleague', role: 'agent' }
  const colleague = await make(app, 'POST /api/users', { token, body })
  return { cat: category.id, svc: service.id, usr: colleague.id }
}

/** A customer with an order that is not paid, a case and a document. */
async function settleCustomer(app: TestApp, catalogue: Things): Promise<Caller> {
  const entered = await make(app, 'POST /api/auth/register', {
    body: { email: `${catalogue['cat']}@customer.example`, name: 'C', password: testPassword },
  })
  const token: string = entered.accessToken
  const order = await make(app, 'POST /api/orders', { token, body: basketOf(catalogue) })
  const body = { subject: 'A question', description: 'When?', orderId: order.id }
  const enquiry = await make(app, 'POST /api/crm', { token, body })
  const doc = await uploadFor(app, order.id, { token })
  const { customerId: cus } = entered.user
  const things = { ...catalogue, ord: order.id, case: enquiry.id, cus, doc }
  return { name: 'customer', headers: bearer(token), things }
}

/** Somebody who paid without a login, and shows the token of that order. */
async function settleGuest(app: TestApp, catalogue: Things): Promise<Caller> {
  const { order, orderToken } = await make(app, 'POST /api/checkout/process', {
    body: {
      ...basketOf(catalogue),
      customer: { email: 'guest@example.com', name: 'Grace' },
      paymentMethod: 'pm_card_visa',
    },
  })
  const { body } = await app.request(`POST /api/checkout/confirm/${order.id}`, { orderToken })
  const doc = await uploadFor(app, order.id, { orderToken })
  const cus: string = order.customer.id
  const things = { ...catalogue, ord: order.id, case: body.case.id, cus, doc }
  return { name: 'order token', headers: [`X-Order-Token: ${orderToken}`], things }
}

const basketOf = (catalogue: Things) => ({
  items: [{ serviceId: catalogue['svc'], quantity: 1 }],
})

async function uploadFor(app: TestApp, orderId: string, who: UploadOptions): Promise<string> {
  const reply = await upload(app, text(), { ...who, fields: { orderId } })
  expect(reply.status, JSON.stringify(reply.body)).toBe(201)
  return reply.body.key
}

async function make(app: TestApp, route: `POST /${string}`, options: RequestOptions) {
  const reply = await app.request(route, options)
  expect(reply.status, `${route}: ${JSON.stringify(reply.body)}`).toBe(201)
  return reply.body
}

/** The token that the role had before, unless it was signed out with it. */
export async function enterAsStaff(app: TestApp, role: StaffRole): Promise<string> {
  const token = await app.as(role)
  if ((await app.request('GET /api/auth/me', { token })).status === 200) return token
  const body = { email: `${role}@bureau.example`, password: testPassword }
  const reply = await app.request('POST /api/auth/admin/login', { body })
  expect(reply.status, JSON.stringify(reply.body)).toBe(200)
  return reply.body.accessToken
}
