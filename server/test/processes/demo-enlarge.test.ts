import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { enlargeDemo, type Size } from '../../src/demo/enlarge/index.ts'
import { demoStaff } from '../../src/demo/people.ts'
import { demoPasswordOf } from '../../src/demo/demo-password.ts'
import { seedBusiness } from '../../src/demo/seed-business.ts'
import { booksAgree } from '../journeys/books.ts'
import { startTestApp, type TestApp } from '../support/app.ts'

const size: Size = { services: 60, orders: 300 }
const demo = { services: 12, orders: 13 }

describe('a demo that was enlarged', () => {
  let app: TestApp
  let token: string
  const told: [string, number][] = []
  let indexes: unknown[]
  beforeAll(async () => {
    app = await startTestApp()
    indexes = await listIndexes(app)
    await seedBusiness(app.systemContext())
    await enlargeDemo({
      ctx: app.systemContext(),
      ownerUrl: app.database.ownerUrl,
      size,
      progress: (what, share) => told.push([what, share]),
    })
    token = await signIn(app)
  })
  afterAll(() => app.close())

  test('has as many more of everything, and books that add up', async () => {
    const orders = await app.request('GET /api/orders?limit=1&count=true', { token })
    expect(orders.body.total).toBe(size.orders + demo.orders)
    const services = await app.request('GET /api/services?limit=1&count=true')
    expect(services.body.total).toBe(size.services + demo.services)
    const [{ cases = 0, documents = 0 } = {}] = await app.sql(`
      select (select count(*)::int from cases where order_id is not null) as cases,
        (select count(*)::int from documents) as documents`)
    expect(cases).toBeGreaterThan(size.orders / 2)
    expect(documents).toBeGreaterThan(size.orders / 2)
    await booksAgree(app)
  })

  test('shows each copy as an order of its own customer, with its case and its history', async () => {
    const { body } = await app.request('GET /api/orders?sort=createdAt&limit=100', { token })
    const order = body.data.find(
      (one: { status: string; case: unknown }) => one.status === 'completed' && one.case !== null,
    )
    expect(order.customer.email).toMatch(/@customers\.example$/)
    const whole = await app.request(`GET /api/orders/${order.id}`, { token })
    expect(whole.status).toBe(200)
    expect(whole.body.number).toBe(order.number)
    const opened = await app.request(`GET /api/crm/${order.case.number}`, { token })
    expect(opened.body.contact).toMatchObject(pick(order.customer, 'name', 'email'))
    expect(opened.body.orderId).toBe(order.id)
    expect(opened.body.timeline.length).toBeGreaterThan(2)
    const customer = await app.request(`GET /api/customers/${order.customer.id}`, { token })
    expect(customer.body).toMatchObject(pick(order.customer, 'id', 'name', 'email'))
  })

  test('finds copies by their words, with a typing error, and by their people', async () => {
    const [{ name } = {}] = await app.sql(
      `select name from services order by position desc limit 1`,
    )
    const invented = String(name).split(' ').at(-1) ?? ''
    const found = await app.request(`GET /api/services?q=${invented}`)
    expect(found.body.data.map((one: { name: string }) => one.name)).toContain(name)
    const misspelt = `${invented.slice(0, 2)}x${invented.slice(3)}`
    const guessed = await app.request(`GET /api/services?q=${misspelt}`)
    expect(guessed.body.data.length).toBeGreaterThan(0)
    const people = await app.request('GET /api/orders?q=customers.example&limit=1', { token })
    expect(people.body.data).toHaveLength(1)
  })

  test('takes new orders and services as before, under numbers of their own', async () => {
    const [{ id } = {}] = await app.sql(`
      select id from services where options = '[]' order by position desc limit 1`)
    const bought = await app.request('POST /api/checkout/process', {
      body: {
        items: [{ serviceId: id, quantity: 1 }],
        customer: { email: 'new@example.com', name: 'New' },
      },
    })
    expect(bought.status).toBe(201)
    const numbers = await app.sql(`select number from orders group by number having count(*) > 1`)
    expect(numbers).toEqual([])
  })

  test('has every index again, and its counts are right', async () => {
    expect(await listIndexes(app)).toEqual(indexes)
    const wrong = await app.sql(`
      select slug from categories where active_services <> (
        select count(*) from services
        where category_id = categories.id and status = 'active' and deleted_at is null)`)
    expect(wrong).toEqual([])
    const [usage] = await app.sql(`
      select (select bytes from document_usage where id = 'all')::text as counted,
        (select sum(size) from documents where has_bytes)::text as stored`)
    expect(usage?.['counted']).toBe(usage?.['stored'])
    expect(told.at(-1)).toEqual(['indexes', 1])
    const shares = told.map(([, share]) => share)
    expect(shares).toEqual(shares.toSorted((one, other) => one - other))
  })
})

async function signIn(app: TestApp): Promise<string> {
  const { body } = await app.request('POST /api/auth/admin/login', {
    body: { email: demoStaff[0].email, password: demoPasswordOf(app.systemContext().secrets) },
  })
  return body.accessToken
}

async function listIndexes(app: TestApp): Promise<unknown[]> {
  return await app.sql(`
    select indexdef from pg_indexes where schemaname = current_schema() order by indexdef`)
}

function pick<T extends object>(from: T, ...names: (keyof T)[]): Partial<T> {
  return Object.fromEntries(names.map((name) => [name, from[name]])) as Partial<T>
}
