import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, readConfig } from '../src/config.ts'
import { renderBanner, type Start } from '../src/demo/banner.ts'
import { demoCategories } from '../src/demo/catalogue.ts'
import { demoPasswordOf } from '../src/demo/demo-password.ts'
import { demoCustomers, demoStaff } from '../src/demo/people.ts'
import { prepareBusiness } from '../src/demo/prepare-business.ts'
import { isEmpty, seedBusiness } from '../src/demo/seed-business.ts'
import { createStaffUser, registerCustomer } from '../src/modules/identity/index.ts'
import { startTestApp, type TestApp } from './support/app.ts'

const apps: TestApp[] = []

async function startApp(): Promise<TestApp> {
  const app = await startTestApp()
  apps.push(app)
  return app
}

afterAll(async () => {
  for (const app of apps) await app.close()
})

describe('the demo business', () => {
  let app: TestApp
  let token: string
  beforeAll(async () => {
    app = await startApp()
    expect(await seedBusiness(app.systemContext())).toBe(true)
    const { body } = await app.request('POST /api/auth/admin/login', {
      body: { email: demoStaff[0].email, password: demoPasswordOf(app.ports.secrets) },
    })
    token = body.accessToken
  })

  test('sells twelve services in six categories, all of them to be had', async () => {
    const categories = await app.request('GET /api/services/categories')
    expect(categories.body.data).toHaveLength(6)
    expect(categories.body.data.map((one: { slug: string }) => one.slug)).toEqual(
      demoCategories.map(({ slug }) => slug),
    )
    const services = await app.request('GET /api/services?limit=100')
    expect(services.body.data).toHaveLength(12)
    for (const service of services.body.data) {
      expect(service).toMatchObject({
        status: 'active',
        category: { slug: expect.any(String) },
        description: expect.stringContaining('## What we need'),
        turnaroundDays: expect.any(Number),
      })
      expect(service.price.amount).toBeGreaterThan(0)
    }
  })

  test('has orders in every state, with books that add up', async () => {
    const { body } = await app.request('GET /api/orders?limit=100&sort=createdAt', { token })
    expect(body.data).toHaveLength(10)
    const states = new Set(body.data.map((order: { status: string }) => order.status))
    expect([...states].toSorted()).toEqual(
      ['cancelled', 'completed', 'confirmed', 'in_progress', 'on_hold', 'pending'].toSorted(),
    )
    const payments = body.data.map((order: { paymentStatus: string }) => order.paymentStatus)
    expect(new Set(payments)).toEqual(new Set(['paid', 'unpaid', 'partially_paid', 'refunded']))
    for (const { id } of body.data) {
      const { body: order } = await app.request(`GET /api/orders/${id}`, { token })
      const paid = order.payments.reduce(
        (sum: number, { amount }: { amount: { amount: number } }) => sum + amount.amount,
        0,
      )
      expect([order.number, order.paid.amount]).toEqual([order.number, paid])
      expect(order.payments.every((one: { provider: string }) => one.provider === 'manual')).toBe(
        true,
      )
      expect(order.case === null).toBe(order.paid.amount < order.total.amount)
      const times = order.timeline.map(({ at }: { at: string }) => at)
      expect(times).toEqual(times.toSorted().toReversed())
      expect(times.every((at: string) => at < app.now().toISOString())).toBe(true)
    }
  })

  test('has a case for each paid order, an enquiry, and leads that wrote and called', async () => {
    const { body } = await app.request('GET /api/crm?limit=100', { token })
    const origins = body.data.map((one: { origin: string; kind: string }) => {
      return `${one.origin} ${one.kind}`
    })
    expect(origins.toSorted()).toEqual([
      'contact lead',
      'enquiry case',
      'enquiry lead',
      ...Array.from({ length: 7 }, () => 'order case'),
    ])
    expect(body.data.some(({ overdue }: { overdue: boolean }) => overdue)).toBe(true)
  })

  test('lets each of its people in with the password of this installation', async () => {
    const password = demoPasswordOf(app.ports.secrets)
    for (const { email, role } of demoStaff) {
      const { status, body } = await app.request('POST /api/auth/admin/login', {
        body: { email, password },
      })
      expect([email, status, body.user?.role]).toEqual([email, 200, role])
    }
    for (const { email } of Object.values(demoCustomers)) {
      const { status } = await app.request('POST /api/auth/login', { body: { email, password } })
      expect([email, status]).toEqual([email, 200])
    }
  })

  test('calls no vendor, not even later in its jobs', async () => {
    await app.runJobs()
    const rows = await app.sql('select provider, provider_ref from payments')
    expect(rows.length).toBeGreaterThan(0)
    expect(rows.filter(({ provider }) => provider !== 'manual')).toEqual([])
    const failed = await app.sql('select last_error from graphile_worker._private_jobs')
    expect(failed.filter(({ last_error }) => last_error !== null)).toEqual([])
    expect(app.sandbox.counts()).toMatchObject({ payment_intent: 0, refund: 0, customer: 0 })
  })

  test('is told once only', async () => {
    expect(await seedBusiness(app.systemContext())).toBe(false)
    const [row] = await app.sql('select count(*)::int as services from services')
    expect(row).toEqual({ services: 12 })
  })
})

describe('a start that seeds', () => {
  test('leaves an empty business behind when it dies in the middle, and the next one seeds', async () => {
    const app = await startApp()
    const ctx = app.systemContext()
    const dying = {
      ...ctx,
      db: {
        ...ctx.db,
        transaction: <T>(work: Parameters<typeof ctx.db.transaction<T>>[0]) =>
          ctx.db.transaction(async (tx) => {
            await work(tx)
            throw new Error('killed')
          }),
      },
    }
    await expect(seedBusiness(dying)).rejects.toThrow('killed')
    expect(await isEmpty(ctx)).toBe(true)
    const [row] = await app.sql('select count(*)::int as logins from users')
    expect(row).toEqual({ logins: 0 })
    expect(await seedBusiness(app.systemContext())).toBe(true)
  })

  test('beside another one makes one demo', async () => {
    const app = await startApp()
    const seeded = await Promise.all(
      Array.from({ length: 4 }, () => seedBusiness(app.systemContext())),
    )
    expect(seeded.filter(Boolean)).toHaveLength(1)
    const [row] = await app.sql('select count(*)::int as orders from orders')
    expect(row).toEqual({ orders: 10 })
  })

  test('leaves a business without the demo where one of its e-mails is taken', async () => {
    const app = await startApp()
    const ctx = app.systemContext()
    const person = { ...demoCustomers.joseph, password: 'violet teapot on the moor' }
    await registerCustomer(ctx, person)
    const prepared = await prepareBusiness(readConfig({}), ctx)
    expect(prepared).toMatchObject({ seeded: false, demo: undefined, showcase: undefined })
    expect(prepared.setupToken).toEqual(expect.any(String))
    expect(await isEmpty(ctx)).toBe(true)
    await createStaffUser(ctx, { ...person, ...demoStaff[0] })
    expect(await seedBusiness(ctx)).toBe(false)
    const logins = await app.sql('select email from users order by email')
    expect(logins.map(({ email }) => email)).toEqual([demoStaff[0].email, person.email])
  })

  test('needs no more than one of the ten connections', async () => {
    const app = await startApp()
    const ctx = app.systemContext()
    const held = await Promise.all(Array.from({ length: 9 }, () => ctx.db.driver.connect()))
    try {
      expect(await seedBusiness(ctx)).toBe(true)
    } finally {
      for (const client of held) client.release()
    }
  })
})

describe('a start without the demo', () => {
  test('prints a link with which the first admin sets themselves up, until there is staff', async () => {
    const app = await startApp()
    const config = readConfig({ DEMO: 'false' })
    const prepared = await prepareBusiness(config, app.systemContext())
    expect(prepared).toMatchObject({ seeded: false, demo: undefined, showcase: undefined })
    const banner = renderBanner(toStart(app, { config, prepared }))
    const sent = JSON.parse(/-d '(.*)'/.exec(banner)?.[1] ?? '')
    const pasted = await app.request('POST /api/auth/admin/setup', { body: sent })
    expect(pasted.status).toBe(400)
    const { status, body } = await app.request('POST /api/auth/admin/setup', {
      body: { ...sent, password: 'violet teapot on the moor' },
    })
    expect([status, body.user.role]).toEqual([201, 'admin'])
    expect((await prepareBusiness(config, app.systemContext())).setupToken).toBeUndefined()
  })

  test('makes the admin that the environment names, and never changes one', async () => {
    const app = await startApp()
    const password = 'violet teapot on the moor'
    const environment = { DEMO: 'false', ADMIN_EMAIL: 'sam@example.com', ADMIN_PASSWORD: password }
    const first = await prepareBusiness(readConfig(environment), app.systemContext())
    expect(first).toMatchObject({ namedAdmin: { isNew: true }, setupToken: undefined })
    const other = readConfig({ ...environment, ADMIN_PASSWORD: 'another teapot on the moor' })
    const second = await prepareBusiness(other, app.systemContext())
    expect(second.namedAdmin?.isNew).toBe(false)
    const { status } = await app.request('POST /api/auth/admin/login', {
      body: { email: 'sam@example.com', password },
    })
    expect(status).toBe(200)
  })

  test('refuses a weak ADMIN_PASSWORD with a sentence that does not hold it', async () => {
    const app = await startApp()
    const password = 'password1234567'
    const config = readConfig({ ADMIN_EMAIL: 'sam@example.com', ADMIN_PASSWORD: password })
    const refused = prepareBusiness(config, app.systemContext())
    await expect(refused).rejects.toThrow(ConfigError)
    await expect(refused).rejects.toThrow(/ADMIN_PASSWORD is among/)
    await expect(refused).rejects.not.toThrow(password)
  })
})

describe('the banner', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp()
    await seedBusiness(app.systemContext())
  })

  test('tells the logins of the demo, until their password is another', async () => {
    const config = readConfig({})
    const prepared = await prepareBusiness(config, app.systemContext())
    const password = demoPasswordOf(app.ports.secrets)
    expect(renderBanner(toStart(app, { config, prepared }))).toContain(password)
    const { body } = await app.request('POST /api/auth/admin/login', {
      body: { email: demoStaff[0].email, password },
    })
    const { status } = await app.request('POST /api/auth/password/change', {
      token: body.accessToken,
      body: { currentPassword: password, newPassword: 'violet teapot on the moor' },
    })
    expect(status).toBe(200)
    const later = await prepareBusiness(config, app.systemContext())
    expect(renderBanner(toStart(app, { config, prepared: later }))).not.toContain(password)
  })

  test('in production is one line, and the logins where the demo was asked for', async () => {
    const plain = readConfig({ NODE_ENV: 'production' })
    const prepared = await prepareBusiness(plain, app.systemContext())
    const banner = renderBanner(toStart(app, { config: plain, prepared }))
    expect(banner).toMatch(/^Bureau \S+ serves http:\S+, ready in 1\.2 s\.\n$/)

    const config = readConfig({ NODE_ENV: 'production', DEMO: 'true' })
    const demo = {
      staff: ['admin@a.example', 'agent@a.example'],
      customers: ['ada@b.example'],
      password: 'told to the operator',
    }
    const shown = renderBanner(toStart(app, { config, prepared: { ...prepared, demo } }))
    expect(shown.trimEnd().split('\n')).toEqual([
      banner.trimEnd(),
      expect.stringMatching(/^Staff +admin@a\.example, and agent there too$/),
      expect.stringMatching(/^Customers +ada@b\.example$/),
      expect.stringMatching(/^Password +told to the operator for each of them$/),
    ])
  })

  test('says what is not held: one database role, limits that are multiplied', async () => {
    const config = readConfig({ RATE_LIMIT_SCALE: '50' })
    const prepared = await prepareBusiness(config, app.systemContext())
    const start = toStart(app, { config, prepared })
    expect(renderBanner(start)).toContain('RATE_LIMIT_SCALE multiplies every limit by 50.')
    expect(renderBanner(start)).not.toContain('One database role')
    const migrations = { applied: [], rolesApart: false }
    const banner = renderBanner({ ...start, running: { ...start.running, migrations } })
    expect(banner).toContain('schema changes are not held apart')
  })

  test('shows a purchase only where test cards are taken', async () => {
    const prepared = await prepareBusiness(readConfig({}), app.systemContext())
    const shown = (environment: Record<string, string>) =>
      renderBanner(toStart(app, { config: readConfig(environment), prepared }))
    expect(shown({})).toContain('pm_card_visa')
    expect(shown({ STRIPE_SECRET_KEY: 'sk_test_1' })).toContain('pm_card_visa')
    expect(shown({ PAYMENTS: 'off' })).not.toContain('pm_card_visa')
    expect(shown({ DEMO: 'false', STRIPE_SECRET_KEY: 'sk_live_1' })).not.toContain('pm_card_visa')
  })
})

function toStart(app: TestApp, { config, prepared }: Pick<Start, 'config' | 'prepared'>): Start {
  const migrations = { applied: [], rolesApart: true }
  return {
    config,
    prepared,
    running: { url: app.url, sandbox: app.sandbox, migrations },
    tookMs: 1234,
  }
}
