import { expect } from 'vitest'
import type { RequestOptions, Reply } from '../support/app.ts'
import { codeOf } from '../support/authenticator.ts'
import { mailedTokenFor } from '../support/mailed-token.ts'
import { signedByProvider, type PreparedBusiness, type SignedIn } from './prepared-business.ts'

/** What an example needs around it. */
export interface Scene extends RequestOptions {
  /** What stands here for a text of the example. */
  readonly stands?: Readonly<Record<string, string>>
  /** Where the example can be played but once, and was. */
  readonly reply?: Reply
  /** A list of what goes wrong, and here nothing does. */
  readonly mayBeEmpty?: true
}

type Setting = (business: PreparedBusiness) => Promise<Scene>

const asCustomer: Setting = async ({ customer }) => ({ token: (await customer()).token })
const asColleague: Setting = async ({ colleague }) => ({ token: (await colleague()).token })

const ownSession: Setting = async ({ customer }) => {
  const { token, sessionId } = await customer()
  return { token, stands: { ses_01jd8q9yg8e5v9c0m4t7k2x3zc: sessionId } }
}

const mailedToken = 'usr_01jd8q9yg8e5v9c0m4t7k2x3za.lRr2zOqM0m1nqZ0b3v0c7k0m2k5H0m8s1dQ1kqkqT0E'

/** The link that a mail to this customer holds, in the place of the example's. */
async function withLink({ app }: PreparedBusiness, { email }: SignedIn): Promise<Scene> {
  const token = await mailedTokenFor(app, email)
  expect(token).toBeDefined()
  return { stands: { [mailedToken]: token ?? '' } }
}

const logins: Readonly<Record<string, Setting>> = {
  'POST /api/auth/login': async ({ customer }) => ({
    stands: { 'ada@example.com': (await customer()).email },
  }),
  // Sam is the one who was set up.
  'POST /api/auth/admin/login': async () => ({}),
  'POST /api/auth/refresh': async ({ customer }) => ({
    headers: { cookie: (await customer()).cookie },
  }),
  'POST /api/auth/admin/refresh': async ({ colleague }) => ({
    headers: { cookie: (await colleague()).cookie },
  }),
  'POST /api/auth/logout': asCustomer,
  'POST /api/auth/admin/logout': asColleague,
  'GET /api/auth/me': asCustomer,
  'POST /api/auth/password/change': asCustomer,
  'POST /api/auth/password/reset': async (business) => {
    const customer = await business.customer()
    const body = { email: customer.email }
    await business.app.request('POST /api/auth/password/forgot', { body })
    return await withLink(business, customer)
  },
  'POST /api/auth/email/verify': async (business) => {
    const customer = await business.customer()
    const { token } = customer
    await business.app.request('POST /api/auth/email/verify/resend', { token })
    return await withLink(business, customer)
  },
  'POST /api/auth/email/verify/resend': asCustomer,
  'GET /api/auth/sessions/:id': ownSession,
  'DELETE /api/auth/sessions/:id': ownSession,
  'DELETE /api/auth/sessions': asCustomer,
  'POST /api/auth/admin/mfa/setup': asColleague,
  'POST /api/auth/admin/mfa/activate': async ({ app, colleague }) => {
    const { token } = await colleague()
    const { body } = await app.request('POST /api/auth/admin/mfa/setup', { token })
    return { token, stands: { '492039': codeOf(body.secret, app.now()) } }
  },
  'POST /api/auth/admin/mfa/disable': async ({ app, guardedColleague }) => {
    const { token, secret } = await guardedColleague()
    return { token, stands: { '492039': codeOf(secret, app.now()) } }
  },
}

const people: Readonly<Record<string, Setting>> = {
  'POST /api/users': async ({ admin }) => ({
    token: admin,
    stands: { 'sam@example.com': 'newcomer@bureau.example' },
  }),
  'POST /api/users/:id/invitation': async ({ app, admin }) => {
    const { body } = await app.request('POST /api/users', {
      token: admin,
      body: { email: 'invited@bureau.example', name: 'A newcomer', role: 'agent' },
    })
    return { token: admin, stands: { usr_01jd8q9yg8e5v9c0m4t7k2x3za: body.id } }
  },
  'DELETE /api/users/:id/mfa': async ({ admin, guardedColleague }) => ({
    token: admin,
    stands: { usr_01jd8q9yg8e5v9c0m4t7k2x3za: (await guardedColleague()).userId },
  }),
  'GET /api/users': async ({ admin, colleague }) => {
    await colleague()
    return { token: admin }
  },
  'GET /api/customers': async ({ admin, paidOrder }) => {
    await paidOrder()
    return { token: admin }
  },
}

let publishing: Promise<unknown> | undefined

/** The service that the catalogue's examples talk about. */
const withService: Setting = async ({ app, admin }) => {
  publishing ??= app.request('POST /api/services', {
    token: admin,
    body: {
      name: 'UK limited company',
      price: { amount: 14_900, currency: 'GBP' },
      status: 'active',
    },
  })
  await publishing
  return {}
}

const sales: Readonly<Record<string, Setting>> = {
  'GET /api/services/categories/:id': async ({ category }) => ({
    stands: { 'company-formation': await category() },
  }),
  'GET /api/services': withService,
  'GET /api/services/:id': withService,
  'GET /api/orders': async ({ admin, pendingOrder }) => {
    await pendingOrder()
    return { token: admin }
  },
  'POST /api/orders': async ({ customer, service }) => ({
    token: (await customer()).token,
    stands: { svc_01jd8q9yg8e5v9c0m4t7k2x3za: await service() },
  }),
  'POST /api/orders/:id/payments': async ({ admin, pendingOrder }) => ({
    token: admin,
    stands: { 'B-1042': (await pendingOrder()).number },
  }),
  'POST /api/checkout/confirm/:orderId': async ({ paidOrder }) => {
    const { number, orderToken } = await paidOrder()
    return { ...(orderToken ? { orderToken } : {}), stands: { 'B-1042': number } }
  },
  'POST /api/webhook/stripe': async ({ app }) => {
    const event = {
      id: 'evt_of_an_example',
      object: 'event',
      type: 'customer.created',
      livemode: false,
      created: Math.floor(app.now().getTime() / 1000),
      data: { object: { id: 'cus_of_an_example', object: 'customer' } },
    }
    const rawBody = JSON.stringify(event)
    return { rawBody, headers: { 'stripe-signature': signedByProvider(app, rawBody) } }
  },
  'GET /api/system/reconciliation/differences': async ({ admin }) => ({
    token: admin,
    mayBeEmpty: true,
  }),
  'GET /api/crm': async ({ app, admin, paidOrder }) => {
    const { caseId } = await paidOrder()
    const waiting = await app.request(`PATCH /api/crm/${caseId}/status`, {
      token: admin,
      body: { status: 'waiting_customer' },
    })
    expect(waiting.status).toBe(200)
    return { token: admin }
  },
}

const operation: Readonly<Record<string, Setting>> = {
  // The public sees the verdict alone; staff what is the matter, such as a job that has failed.
  'GET /api/system/health': async (business) => {
    await addFailedJob(business)
    return { token: business.admin }
  },
  'GET /api/system/metrics': async ({ admin }) => ({
    token: admin,
    headers: { accept: 'application/json' },
  }),
  'GET /api/documents': async ({ admin, document }) => {
    await document()
    return { token: admin }
  },
  'GET /api/events': async ({ app, admin, customer }) => {
    const { customerId } = await customer()
    const body = { phone: '+44 20 7946 0000' }
    await app.request(`PATCH /api/customers/${customerId}`, { token: admin, body })
    return { token: admin }
  },
  'GET /api/system/jobs': async (business) => {
    await addFailedJob(business)
    return { token: business.admin }
  },
  'POST /api/system/jobs/:id/retry': async (business) => ({
    token: business.admin,
    stands: { '4711': await addFailedJob(business) },
  }),
  'GET /api/system/errors': async ({ admin }) => ({ token: admin, mayBeEmpty: true }),
  'GET /api/notifications': async (business) => {
    await business.customer()
    await business.app.runJobs()
    return { token: business.admin }
  },
  'GET /api/notifications/:id': async (business) => await withMail(business, 'sent'),
  'POST /api/notifications/:id/retry': async (business) => {
    business.mailServer.trouble('rcpt', 'refuse')
    const scene = await withMail(business, 'failed')
    business.mailServer.wellAgain()
    return scene
  },
}

/** A mail that has gone out, or never will. */
async function withMail(
  { app, admin, customer }: PreparedBusiness,
  status: 'sent' | 'failed',
): Promise<Scene> {
  const { email } = await customer()
  await app.runJobs()
  const filters = `to=${encodeURIComponent(email)}&status=${status}`
  const { body } = await app.request(`GET /api/notifications?${filters}`, { token: admin })
  expect(body.data.length, JSON.stringify(body)).toBeGreaterThan(0)
  return { token: admin, stands: { mail_01jd8q9yg8e5v9c0m4t7k2x3za: body.data[0].id } }
}

/** A job that was tried as often as it may be; gives its id. */
async function addFailedJob({ app }: PreparedBusiness): Promise<string> {
  const [job] = await app.sql(
    `select id from graphile_worker.add_job('prune-platform', '{}', max_attempts => 1)`,
  )
  const id = String(job?.['id'])
  await app.sql(
    `update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'no'
     where id = $1`,
    [id],
  )
  return id
}

/** Those that differ from the usual one: the admin calls, and each id stands for a new thing. */
export const scenes: Readonly<Record<string, Setting>> = {
  ...logins,
  ...people,
  ...sales,
  ...operation,
}
