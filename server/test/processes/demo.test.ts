import { crc32, inflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, readConfig } from '../../src/config.ts'
import { renderBanner, type Start } from '../../src/demo/banner.ts'
import { demoCategories } from '../../src/demo/catalogue.ts'
import { demoPasswordOf } from '../../src/demo/demo-password.ts'
import {
  demoCustomers,
  demoNewcomer,
  demoStaff,
  formerColleague,
  invitedColleague,
} from '../../src/demo/people.ts'
import { prepareBusiness } from '../../src/demo/prepare-business.ts'
import { isEmpty, seedBusiness } from '../../src/demo/seed-business.ts'
import { createStaffUser, registerCustomer } from '../../src/modules/identity/index.ts'
import { hourMs } from '../../src/kernel/time.ts'
import { templateNames } from '../../src/modules/notifications/schema.ts'
import { openMail } from '../../src/platform/mail.ts'
import { startTestApp, type TestApp, type TestAppOptions } from '../support/app.ts'
import { startMailServer } from '../support/mail-server.ts'

const apps: TestApp[] = []

/** As many orders as the demo tells of. */
const orderCount = 13
/** Each costs a first start half a millisecond. */
const maxStatements = 2000

async function startApp(options: TestAppOptions = {}): Promise<TestApp> {
  const app = await startTestApp(options)
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
    token = await signIn(app, demoStaff[0].email)
  })
  const listAll = (path: string): Promise<Row[]> => listEach(app, path, token)

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
    const orders = await listAll('/api/orders?sort=createdAt')
    expect(orders).toHaveLength(orderCount)
    expect(valuesOf(orders, 'status')).toEqual([
      'cancelled',
      'completed',
      'confirmed',
      'in_progress',
      'on_hold',
      'pending',
    ])
    // What else there is takes a provider, and the demo calls none.
    expect(valuesOf(orders, 'paymentStatus')).toEqual([
      'paid',
      'partially_paid',
      'partially_refunded',
      'refunded',
      'unpaid',
    ])
    for (const { id } of orders) {
      const { body: order } = await app.request(`GET /api/orders/${String(id)}`, { token })
      const sumOf = (moved: { amount: { amount: number } }[]) =>
        moved.reduce((sum, { amount }) => sum + amount.amount, 0)
      expect([order.number, order.paid.amount]).toEqual([order.number, sumOf(order.payments)])
      expect([order.number, order.refunded.amount]).toEqual([order.number, sumOf(order.refunds)])
      expect(order.payments.every((one: { provider: string }) => one.provider === 'manual')).toBe(
        true,
      )
      expect(order.case === null).toBe(order.paid.amount < order.total.amount)
      expectPast(app, order)
    }
  })

  test('gives orders and cases their numbers in the order of time', async () => {
    for (const path of ['/api/orders?sort=createdAt', '/api/crm?sort=createdAt']) {
      const numbers = (await listAll(path)).map(({ number }) => Number(String(number).slice(2)))
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
      const days = (await listAll(path)).map(({ createdAt }) => String(createdAt).slice(0, 10))
      expect(new Set(days).size).toBeGreaterThan(8)
    }
  })

  test('has cases of every origin and in every state, with each outcome', async () => {
    const cases = await listAll('/api/crm')
    const origins = cases.map(({ origin, kind }) => `${String(origin)} ${String(kind)}`)
    expect([...new Set(origins)].toSorted()).toEqual([
      'contact case',
      'contact lead',
      'enquiry case',
      'enquiry lead',
      'order case',
    ])
    expect(valuesOf(cases, 'status')).toEqual([
      'closed',
      'new',
      'open',
      'resolved',
      'waiting_customer',
      'waiting_third_party',
    ])
    expect(valuesOf(cases, 'priority')).toEqual(['high', 'low', 'normal', 'urgent'])
    const outcomes = cases.flatMap(({ resolution }) => resolution?.outcome ?? [])
    expect([...new Set(outcomes)].toSorted()).toEqual([
      'completed',
      'declined',
      'duplicate',
      'no_response',
    ])
    const isOverdue = ({ overdue, kind: is }: Row, kind: string) => overdue === true && is === kind
    expect(cases.some((one) => isOverdue(one, 'lead'))).toBe(true)
    expect(cases.some((one) => isOverdue(one, 'case'))).toBe(true)
    const assignees = new Set(cases.flatMap(({ assignee }) => assignee?.name ?? []))
    expect(assignees.size).toBeGreaterThanOrEqual(4)
    for (const { id } of cases) {
      const { body } = await app.request(`GET /api/crm/${String(id)}`, { token })
      expectPast(app, body)
    }
  })

  test('has documents of several kinds to review, accepted, and rejected with a reason', async () => {
    const documents = await listAll('/api/documents')
    expect(documents).toHaveLength(12)
    expect(valuesOf(documents, 'status')).toEqual(['accepted', 'rejected', 'uploaded'])
    expect(valuesOf(documents, 'contentType')).toEqual([
      'application/pdf',
      'image/png',
      'text/csv; charset=utf-8',
      'text/plain; charset=utf-8',
    ])
    const uploaders = documents.map(({ uploadedBy }) => uploadedBy?.kind)
    expect(new Set(uploaders)).toEqual(new Set(['customer', 'guest', 'staff']))
    for (const { status, reason, size } of documents) {
      expect(reason === null).toBe(status !== 'rejected')
      expect(size).toBeLessThan(20_000)
    }
    const internal = documents.filter(({ visibility }) => visibility === 'internal')
    expect(internal).toMatchObject([{ filename: 'name-check.txt', caseId: expect.any(String) }])
    const { body: first } = await app.request(`GET /api/crm/${String(internal[0]?.['caseId'])}`, {
      token,
    })
    const attached = first.notes.map(
      (note: { visibility: string; documents: { filename: string }[] }) => {
        return [note.visibility, ...note.documents.map(({ filename }) => filename)].join(' ')
      },
    )
    expect(attached.toSorted()).toEqual([
      'internal name-check.txt',
      'public',
      'public certificate.pdf',
      'public council-tax.pdf',
    ])
  })

  test('keeps real files, which readers of their kind understand', async () => {
    for (const { key, contentType, size } of await listAll('/api/documents')) {
      const response = await fetch(`${app.url}/api/documents/${String(key)}`, {
        headers: { authorization: `Bearer ${token}` },
      })
      const bytes = Buffer.from(await response.arrayBuffer())
      expect([response.status, bytes.length]).toEqual([200, size])
      if (contentType === 'application/pdf') expectPdf(bytes)
      if (contentType === 'image/png') expectPng(bytes)
    }
  })

  test('shows customers their own documents and no internal one', async () => {
    const amelia = await signIn(app, demoCustomers.amelia.email, 'customer')
    const { body } = await app.request('GET /api/documents', { token: amelia })
    const filenames = body.data.map(({ filename }: { filename: string }) => filename)
    expect(filenames.toSorted()).toEqual([
      'certificate.pdf',
      'council-tax.pdf',
      'gas-bill.png',
      'passport.png',
    ])
    const joseph = await signIn(app, demoCustomers.joseph.email, 'customer')
    const own = await app.request('GET /api/documents', { token: joseph })
    const unlinked = own.body.data.filter((one: Row) => one['orderId'] === null && !one['caseId'])
    expect(unlinked).toMatchObject([{ filename: 'lease.pdf', status: 'uploaded' }])
  })

  test('has a mail of each template in the outbox, sent when it happened', async () => {
    await app.runJobs()
    const mails = await listAll('/api/notifications')
    expect(valuesOf(mails, 'template')).toEqual([...templateNames].toSorted())
    expect(valuesOf(mails, 'status')).toEqual(['sent'])
    for (const { id, sentAt, createdAt, attempts } of mails) {
      expect([sentAt, attempts]).toEqual([createdAt, 0])
      expect(String(sentAt) < app.now().toISOString()).toBe(true)
      const { body } = await app.request(`GET /api/notifications/${String(id)}`, { token })
      expect(body).toMatchObject({ text: expect.stringMatching(/\S/), html: expect.any(String) })
    }
    expect(
      new Set(mails.map(({ createdAt }) => String(createdAt).slice(0, 10))).size,
    ).toBeGreaterThan(8)
    expect(app.shownLinks).toEqual([])
  })

  test('has staff of each role, one invited and one who has left', async () => {
    const staff = await listAll('/api/users?sort=name')
    expect(staff).toHaveLength(demoStaff.length + 2)
    expect(staff.filter(({ invitedAt }) => invitedAt !== null)).toMatchObject([
      { email: invitedColleague.email, active: true },
    ])
    expect(staff.filter(({ active }) => active === false)).toMatchObject([
      { email: formerColleague.email },
    ])
    const password = demoPasswordOf(app.ports.secrets)
    for (const { email } of [invitedColleague, formerColleague]) {
      const { status } = await app.request('POST /api/auth/admin/login', {
        body: { email, password },
      })
      expect([email, status]).toEqual([email, 401])
    }
  })

  test('has customers with and without a login, and gives one the orders of a guest', async () => {
    await app.runJobs()
    const customers = await listAll('/api/customers')
    expect(customers.filter(({ hasLogin }) => hasLogin === true)).toHaveLength(3)
    expect(customers.filter(({ hasLogin }) => hasLogin === false)).toHaveLength(3)
    const claimed = await app.sql(
      'select claimed_by, email from customers where claimed_by is not null',
    )
    expect(claimed).toMatchObject([{ email: demoNewcomer.email }])

    const hannah = await signIn(app, demoNewcomer.email, 'customer')
    const { body } = await app.request('GET /api/orders', { token: hannah })
    expect(body.data).toMatchObject([{ paymentStatus: 'partially_paid' }])
  })

  test('fills the audit trail with what each module tells', async () => {
    const types = new Set((await listAll('/api/events')).map(({ type }) => String(type)))
    const told = new Set([...types].map((type) => type.split('.')[0]))
    for (const subject of ['user', 'customer', 'session', 'service', 'category']) {
      expect(told).toContain(subject)
    }
    for (const subject of ['order', 'payment', 'refund', 'case', 'document']) {
      expect(told).toContain(subject)
    }
    for (const type of ['user.invited', 'user.deactivated', 'user.email_verified']) {
      expect(types).toContain(type)
    }
  })

  test('lets each of its people in with the password of this installation', async () => {
    for (const { email, role } of demoStaff) {
      const { status, body } = await app.request('POST /api/auth/admin/login', {
        body: { email, password: demoPasswordOf(app.ports.secrets) },
      })
      expect([email, status, body.user?.role]).toEqual([email, 200, role])
    }
    for (const { email } of [...Object.values(demoCustomers), demoNewcomer]) {
      expect(await signIn(app, email, 'customer')).toEqual(expect.any(String))
    }
  })

  test('calls no vendor, not even later in its jobs', async () => {
    await app.runJobs()
    const rows = await app.sql('select provider, provider_ref from payments')
    expect(rows.length).toBeGreaterThan(0)
    expect(rows.filter(({ provider }) => provider !== 'manual')).toEqual([])
    expect(app.sandbox.counts()).toMatchObject({ payment_intent: 0, refund: 0, customer: 0 })
  })

  test('is in good health: no job fails, and those that recur find nothing amiss', async () => {
    await app.runJobs()
    const before = await countRows(app)
    const recurring = app.app.jobs.filter(({ schedule }) => schedule !== null)
    expect(recurring.length).toBeGreaterThan(8)
    for (const job of recurring) await job.run(app.systemContext(), {})
    await app.runJobs()
    expect(await countRows(app)).toMatchObject(without(before, ['events', 'reconciliations']))
    expect(await listAll('/api/system/jobs?status=failed')).toEqual([])
    const waiting = await app.sql('select last_error from graphile_worker._private_jobs')
    expect(waiting.filter(({ last_error }) => last_error !== null)).toEqual([])
    const { body } = await app.request('GET /api/system/health', { token })
    const findings = Object.entries<{ status: string }[]>(body.checks)
    expect(findings.filter(([, [one]]) => one?.status !== 'pass')).toEqual([])
    expect(body.status).toBe('pass')
  })

  test('is told once only: a second start adds nothing', async () => {
    await app.runJobs()
    const before = await countRows(app)
    expect(await seedBusiness(app.systemContext())).toBe(false)
    const prepared = await prepareBusiness(readConfig({}), app.systemContext())
    expect(prepared).toMatchObject({ seeded: false, setupToken: undefined })
    await app.runJobs()
    expect(await countRows(app)).toEqual(before)
    expect(await readdirOf(app)).toHaveLength(13)
  })
})

describe('a start that seeds', () => {
  test('leaves an empty business behind when it dies in the middle, and the next one seeds', async () => {
    const app = await startApp()
    const ctx = app.systemContext()
    const empty = await countRows(app)
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
    expect(await countRows(app)).toEqual(empty)
    expect(await readdirOf(app)).toHaveLength(13)

    expect(await seedBusiness(app.systemContext())).toBe(true)
    expect(await readdirOf(app)).toHaveLength(26)
    app.advance(2 * hourMs)
    const sweep = app.app.jobs.find(({ name }) => name === 'sweep-document-storage')
    await sweep?.run(app.systemContext(), {})
    const keys = (await app.sql('select key from documents')).map(({ key }) => key)
    expect((await readdirOf(app)).toSorted()).toEqual(keys.toSorted())
    expect(keys).toHaveLength(13)
  })

  test('beside another one makes one demo', async () => {
    const app = await startApp()
    const seeded = await Promise.all(
      Array.from({ length: 4 }, () => seedBusiness(app.systemContext())),
    )
    expect(seeded.filter(Boolean)).toHaveLength(1)
    const [row] = await app.sql('select count(*)::int as orders from orders')
    expect(row).toEqual({ orders: orderCount })
  })

  test.each([
    ['a customer', demoCustomers.joseph.email, 'customer'],
    ['the newcomer', demoNewcomer.email, 'customer'],
    ['a colleague', demoStaff[0].email, 'staff'],
    ['the invited colleague', invitedColleague.email, 'staff'],
  ] as const)(
    'leaves a business without the demo where %s is there',
    async (_who, email, audience) => {
      const app = await startApp()
      const ctx = app.systemContext()
      const person = { email, name: 'Robin Wren', password: 'violet teapot on the moor' }
      if (audience === 'customer') await registerCustomer(ctx, person)
      else await createStaffUser(ctx, { ...person, role: 'admin' })
      const prepared = await prepareBusiness(readConfig({}), ctx)
      expect(prepared).toMatchObject({ seeded: false, demo: undefined, showcase: undefined })
      expect(prepared.setupToken === undefined).toBe(audience === 'staff')
      expect(await isEmpty(ctx)).toBe(true)
      const logins = await app.sql('select email from users order by email')
      expect(logins).toEqual([{ email }])
      expect(await readdirOf(app)).toEqual([])
    },
  )

  test('needs no more than one of the ten connections, and a bounded number of statements', async () => {
    const app = await startApp()
    const ctx = app.systemContext()
    const held = await Promise.all(Array.from({ length: 9 }, () => ctx.db.driver.connect()))
    const before = ctx.db.statementCount()
    try {
      expect(await seedBusiness(ctx)).toBe(true)
    } finally {
      for (const client of held) client.release()
    }
    expect(ctx.db.statementCount() - before).toBeLessThan(maxStatements)
  })

  test('hands no mail to the server, where there is one', async () => {
    const server = await startMailServer()
    const mail = openMail({ url: server.url, sender: { name: '', address: 'office@b.example' } })
    const app = await startApp({ mail })
    expect(await seedBusiness(app.systemContext())).toBe(true)
    await app.runJobs()
    const email = demoCustomers.amelia.email
    const asked = await app.request('POST /api/auth/password/forgot', { body: { email } })
    expect(asked.status).toBe(202)
    await app.runJobs()
    expect(server.mails.map(({ to }) => to)).toEqual([[email]])
    await server.close()
  })

  test('is not held up by a scanner, by quotas or by who may register', async () => {
    const app = await startApp({
      // Nobody listens there.
      clamdUrl: 'tcp://127.0.0.1:9',
      business: {
        registration: 'verify',
        uploads: { maxBytes: 10, customerQuotaBytes: 10, storageQuotaBytes: 10 },
      },
    })
    expect(await seedBusiness(app.systemContext())).toBe(true)
    await app.runJobs()
    const [row] = await app.sql(
      `select count(*) filter (where status = 'quarantined')::int as held, count(*)::int as stored
       from documents`,
    )
    expect(row).toEqual({ held: 0, stored: 13 })
  })

  test('is refused beside a live key', () => {
    for (const key of ['sk_live_private', 'rk_live_private']) {
      const refused = (): unknown => readConfig({ DEMO: 'true', STRIPE_SECRET_KEY: key })
      expect(refused).toThrow(/DEMO=true cannot stand beside a live/)
      expect(refused).not.toThrow(key)
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

type Row = Record<string, unknown> & {
  readonly resolution?: { readonly outcome: string } | null
  readonly assignee?: { readonly name: string } | null
  readonly uploadedBy?: { readonly kind: string }
}

async function signIn(
  app: TestApp,
  email: string,
  audience: 'staff' | 'customer' = 'staff',
): Promise<string> {
  const path = audience === 'staff' ? '/api/auth/admin/login' : '/api/auth/login'
  const { status, body } = await app.request(`POST ${path}`, {
    body: { email, password: demoPasswordOf(app.ports.secrets) },
  })
  expect([email, status]).toEqual([email, 200])
  return body.accessToken
}

/** All pages of a list. */
async function listEach(app: TestApp, path: string, token: string): Promise<Row[]> {
  const rows: Row[] = []
  let cursor: string | null = null
  do {
    const url = new URL(path, app.url)
    url.searchParams.set('limit', '100')
    if (cursor !== null) url.searchParams.set('cursor', cursor)
    const { status, body } = await app.request(`GET /${url.href.slice(url.origin.length + 1)}`, {
      token,
    })
    expect([path, status]).toEqual([path, 200])
    rows.push(...body.data)
    cursor = body.nextCursor
  } while (cursor !== null)
  return rows
}

function valuesOf(rows: readonly Row[], name: string): unknown[] {
  return [...new Set(rows.map((row) => row[name]))].toSorted()
}

/** What happened is told newest first, and nothing of it is still to come. */
function expectPast(app: TestApp, { timeline }: { timeline: { at: string }[] }): void {
  const times = timeline.map(({ at }) => at)
  expect(times).toEqual(times.toSorted().toReversed())
  expect(times.every((at) => at <= app.now().toISOString())).toBe(true)
}

/** The table at the end says where each object begins, and the file where the table does. */
function expectPdf(bytes: Buffer): void {
  const file = bytes.toString('latin1')
  const table = Number(/startxref\n(\d+)\n%%EOF\n$/.exec(file)?.[1])
  expect(file.slice(table, table + 4)).toBe('xref')
  const places = [...file.slice(table).matchAll(/^(\d{10}) 00000 n $/gm)]
  expect(places.length).toBeGreaterThan(4)
  for (const [index, [, place]] of places.entries()) {
    expect(file.slice(Number(place))).toMatch(new RegExp(`^${index + 1} 0 obj\n`))
  }
  const [, length, stream] = /\/Length (\d+) >>\nstream\n(.*)\nendstream/s.exec(file) ?? []
  expect(stream).toHaveLength(Number(length))
}

/** Each part ends with its checksum, and the rows are as long as the header says. */
function expectPng(bytes: Buffer): void {
  expect(bytes.subarray(0, 8).toString('hex')).toBe('89504e470d0a1a0a')
  const parts = new Map<string, Buffer>()
  for (let at = 8; at < bytes.length;) {
    const end = at + 8 + bytes.readUInt32BE(at)
    expect(bytes.readUInt32BE(end)).toBe(crc32(bytes.subarray(at + 4, end)))
    parts.set(bytes.toString('latin1', at + 4, at + 8), bytes.subarray(at + 8, end))
    at = end + 4
  }
  expect([...parts.keys()]).toEqual(['IHDR', 'IDAT', 'IEND'])
  const header = parts.get('IHDR') ?? Buffer.alloc(13)
  const rows = inflateSync(parts.get('IDAT') ?? Buffer.alloc(0))
  expect(rows).toHaveLength((header.readUInt32BE(0) + 1) * header.readUInt32BE(4))
}

async function countRows(app: TestApp): Promise<Record<string, number>> {
  const tables = await app.sql(
    `select tablename from pg_tables where schemaname = 'public' order by tablename`,
  )
  const counts: Record<string, number> = {}
  for (const { tablename } of tables) {
    const name = String(tablename)
    const [row] = await app.sql(`select count(*)::int as rows from "${name}"`)
    counts[name] = Number(row?.['rows'])
  }
  return counts
}

function without(counts: Record<string, number>, names: readonly string[]) {
  return Object.fromEntries(Object.entries(counts).filter(([name]) => !names.includes(name)))
}

/** The names of the files that are kept. */
async function readdirOf(app: TestApp): Promise<string[]> {
  return (await app.ports.files.list(null, 1000)).map(({ name }) => name)
}
