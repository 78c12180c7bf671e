import { expect } from 'vitest'
import type { RequestOptions, Reply, TestApp } from './app.ts'
import { uploaded } from './desk.ts'
import { pdf } from './sample-files.ts'

/** What somebody has of their own in a business, and by what they are known there. */
export interface Holdings {
  readonly name: string
  readonly email: string
  /** Undefined for a guest. */
  readonly userId: string | undefined
  readonly sessionId: string | undefined
  readonly customerId: string
  /** How they call: with an access token, or with the token of their order. */
  readonly as: RequestOptions
  /** An order that is confirmed, with its case. */
  readonly orderId: string
  readonly orderNumber: string
  readonly caseId: string
  readonly caseNumber: string
  /** One that waits to be paid, of a guest with a token of its own. */
  readonly openOrderId: string
  /** Of that order. */
  readonly paymentId: string
  readonly documentKey: string
  /** Shown to staff alone. */
  readonly internalDocumentKey: string
  readonly mailId: string
}

/** What the business sells: one service for nothing and one for money. */
export interface Shelf {
  readonly free: string
  readonly paid: string
}

export async function fillShelf(app: TestApp): Promise<Shelf> {
  const sell = async (name: string, amount: number): Promise<string> => {
    const body = { name, price: { amount, currency: 'GBP' }, status: 'active' }
    const token = await app.as('admin')
    return (await made(app.request('POST /api/services', { token, body }))).id
  }
  return { free: await sell('Advice', 0), paid: await sell('Company formation', 14_900) }
}

/** What staff write down about a case and never tell. */
export const internalRemark = 'keep-this-from-whoever-it-is-about'

export interface Settler {
  readonly name: string
  readonly kind: 'customer' | 'guest'
}

export async function settle(
  app: TestApp,
  shelf: Shelf,
  settlers: readonly Settler[],
): Promise<Holdings[]> {
  const token = await app.as('agent')
  const settled = await Promise.all(
    settlers.map(async (settler) => await settleOne({ app, shelf, token }, settler)),
  )
  await app.runJobs()
  const mails = await app.sql('select id, recipient_email from notifications')
  return settled.map((one) => {
    const mail = mails.find((row) => row['recipient_email'] === one.email)
    expect(mail).toBeDefined()
    return { ...one, mailId: String(mail?.['id']) }
  })
}

async function settleOne(
  { app, shelf, token }: { app: TestApp; shelf: Shelf; token: string },
  { name, kind }: Settler,
): Promise<Omit<Holdings, 'mailId'>> {
  const login = kind === 'customer' ? await app.asCustomer(name) : undefined
  const email = login?.email ?? `${name}@guest.example`
  const buyer = login ? { token: login.token } : {}
  const guest = login ? {} : { customer: { email, name } }
  const buy = async (serviceId: string): Promise<Reply['body']> => {
    const body = { items: [{ serviceId, quantity: 1 }], ...guest }
    return await made(app.request('POST /api/checkout/process', { ...buyer, body }))
  }
  const [bought, unpaid] = [await buy(shelf.free), await buy(shelf.paid)]
  const { order } = bought
  const as = login ? buyer : { orderToken: bought.orderToken }
  const ofOrder = { fields: { orderId: order.id } }
  const ofCase = { fields: { caseId: order.case.id } }
  const document = await uploaded(app, { ...as, ...ofOrder }, pdf(`${name}.pdf`, `of ${name}`))
  await uploaded(app, { ...as, ...ofCase }, pdf(`${name}-more.pdf`))
  const internal = await uploaded(app, { token, ...ofOrder }, pdf(`about-${name}.pdf`))
  for (const [visibility, body] of [
    ['internal', `${internalRemark} ${name}`],
    ['public', `What shall we do, ${name}?`],
  ]) {
    const note = { visibility, body }
    await made(app.request(`POST /api/crm/${order.case.id}/notes`, { token, body: note }))
  }
  const sessions = login && (await app.request('GET /api/auth/sessions', as))
  return {
    name,
    email,
    userId: login?.userId,
    sessionId: sessions?.body.data[0].id,
    customerId: order.customer.id,
    as,
    orderId: order.id,
    orderNumber: order.number,
    caseId: order.case.id,
    caseNumber: order.case.number,
    openOrderId: unpaid.order.id,
    paymentId: unpaid.payment.id,
    documentKey: document.key,
    internalDocumentKey: internal.key,
  }
}

async function made(asked: Promise<Reply>): Promise<Reply['body']> {
  const { status, body } = await asked
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}
