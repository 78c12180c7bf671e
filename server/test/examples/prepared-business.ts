import { createHmac } from 'node:crypto'
import { expect } from 'vitest'
import { createStaffUser } from '../../src/modules/identity/index.ts'
import { webhookSecret, type Reply, type TestApp } from '../support/app.ts'
import { codeOf } from '../support/authenticator.ts'
import type { MailServer } from '../support/mail-server.ts'

/** A business in which the things exist that examples of the API talk about. */
export interface PreparedBusiness {
  readonly app: TestApp
  /** Where the mails go. */
  readonly mailServer: MailServer
  /** An admin's token. */
  readonly admin: string
  /** A category of its own for each call; gives its id. */
  category(): Promise<string>
  /** An active service with the options that examples choose by; gives its id. */
  service(): Promise<string>
  /** A registered customer, signed in. */
  customer(): Promise<SignedIn>
  /** A colleague, signed in. */
  colleague(): Promise<SignedIn>
  /** A colleague with a second factor. */
  guardedColleague(): Promise<SignedIn & { readonly secret: string }>
  /** Of a customer, not paid. */
  pendingOrder(): Promise<PlacedOrder>
  /** Paid by card as a guest, with its case. */
  paidOrder(): Promise<PlacedOrder>
  /** Of an order and shared with its customer; gives its key. */
  document(): Promise<string>
}

export interface SignedIn {
  readonly token: string
  readonly userId: string
  readonly customerId: string | null
  readonly sessionId: string
  readonly email: string
  /** The refresh cookie, as a browser sends it back. */
  readonly cookie: string
}

export interface PlacedOrder {
  readonly id: string
  readonly number: string
  readonly caseId: string | undefined
  readonly caseNumber: string | undefined
  readonly orderToken: string | undefined
}

/** What the examples of the API use as passwords of logins that exist. */
export const examplePassword = 'violet teapot on the moor'

export async function prepareBusiness(
  app: TestApp,
  mailServer: MailServer,
): Promise<PreparedBusiness> {
  const admin = await app.as('admin')
  let count = 0
  const next = (word: string): string => `${word} ${(count += 1)}`

  const make = async (route: `POST /${string}`, body: unknown, token = admin) => {
    const reply = await app.request(route, { token, body })
    expect(reply.status, `${route}: ${JSON.stringify(reply.body)}`).toBe(201)
    return reply.body
  }
  const service = async (): Promise<string> =>
    (
      await make('POST /api/services', {
        name: next('Company formation'),
        price: { amount: 14_900, currency: 'GBP' },
        status: 'active',
        options: [speedOption],
      })
    ).id
  const customer = async (): Promise<SignedIn> => {
    const email = `${next('customer').replace(' ', '-')}@customer.example`
    return await enter(app, 'POST /api/auth/register', { email, name: 'A customer' })
  }
  const colleague = async (): Promise<SignedIn> => {
    const email = `${next('colleague').replace(' ', '-')}@bureau.example`
    const password = examplePassword
    const role = 'agent'
    await createStaffUser(app.systemContext(), { email, name: 'A colleague', password, role })
    return await enter(app, 'POST /api/auth/admin/login', { email })
  }
  const paidOrder = async (): Promise<PlacedOrder> => {
    const bought = await app.request('POST /api/checkout/process', {
      body: {
        items: [{ serviceId: await service(), quantity: 1 }],
        customer: { email: 'ada@example.com', name: 'Ada Lovelace' },
        paymentMethod: 'pm_card_visa',
      },
    })
    expect(bought.body.payment.status, JSON.stringify(bought.body)).toBe('succeeded')
    return placed(bought.body.order, bought.body.orderToken)
  }
  return {
    app,
    mailServer,
    admin,
    service,
    customer,
    category: async () => (await make('POST /api/services/categories', { name: next('Law') })).id,
    colleague,
    guardedColleague: async () => {
      const guarded = await colleague()
      const { token } = guarded
      const { body } = await app.request('POST /api/auth/admin/mfa/setup', { token })
      const code = codeOf(body.secret, app.now())
      const route = 'POST /api/auth/admin/mfa/activate'
      const activated = await app.request(route, { token, body: { code } })
      expect(activated.status, JSON.stringify(activated.body)).toBe(200)
      // A code works once: the next one is due in half a minute.
      app.advance(30_000)
      return { ...guarded, secret: body.secret }
    },
    pendingOrder: async () => {
      const items = [{ serviceId: await service(), quantity: 1 }]
      const order = await make('POST /api/orders', { items }, (await customer()).token)
      return placed(order)
    },
    paidOrder,
    document: async () => {
      const fields = { orderId: (await paidOrder()).id, visibility: 'customer' }
      const form = await formOf(fields, exampleFile)
      const reply = await app.request('POST /api/documents/upload', { token: admin, ...form })
      expect(reply.status, JSON.stringify(reply.body)).toBe(201)
      return reply.body.key
    },
  }
}

/** What is uploaded wherever an example uploads something. */
export const exampleFile = new File(['Class 9: calculating machines\n'], 'goods.txt', {
  type: 'text/plain',
})

/** A form as it goes over the wire. */
export async function formOf(
  fields: Readonly<Record<string, string>>,
  file: File,
): Promise<{ rawBody: Uint8Array; headers: Record<string, string> }> {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  form.set('file', file)
  const written = new Response(form)
  const contentType = written.headers.get('content-type') ?? ''
  return {
    rawBody: new Uint8Array(await written.arrayBuffer()),
    headers: { 'content-type': contentType },
  }
}

/** The header that the provider would send with these bytes. */
export function signedByProvider(app: TestApp, body: string): string {
  const at = Math.floor(app.now().getTime() / 1000)
  const mac = createHmac('sha256', webhookSecret).update(`${at}.${body}`).digest('hex')
  return `t=${at},v1=${mac}`
}

const speedOption = {
  key: 'speed',
  name: 'Speed',
  required: false,
  choices: [{ key: 'express', name: 'Express', priceDelta: 5000 }],
}

async function enter(
  app: TestApp,
  route: `POST /${string}`,
  person: { readonly email: string; readonly name?: string },
): Promise<SignedIn> {
  const reply = await app.request(route, { body: { ...person, password: examplePassword } })
  expect([200, 201], JSON.stringify(reply.body)).toContain(reply.status)
  const token: string = reply.body.accessToken
  const own = await app.request('GET /api/auth/sessions', { token })
  const current = own.body.data.find((session: { current: boolean }) => session.current)
  return {
    token,
    userId: reply.body.user.id,
    customerId: reply.body.user.customerId,
    sessionId: current.id,
    email: person.email,
    cookie: (reply.headers.get('set-cookie') ?? '').split(';')[0] ?? '',
  }
}

function placed(order: Reply['body'], orderToken?: string): PlacedOrder {
  return {
    id: order.id,
    number: order.number,
    caseId: order.case?.id,
    caseNumber: order.case?.number,
    orderToken,
  }
}
