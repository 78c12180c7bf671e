import { expect } from 'vitest'
import type { Reply, TestApp } from '../support/app.ts'
import { eventually } from '../support/eventually.ts'

/** What journeys have in common: something to buy, and the ways to buy it. */
export interface Shop {
  readonly app: TestApp
  /** A service of 149.00 GBP with a turnaround of five days. */
  readonly serviceId: string
}

export const price = 14_900
const fullPrice = { amount: price, currency: 'GBP' }

export async function openShop(app: TestApp): Promise<Shop> {
  const category = await publish(app, 'POST /api/services/categories', { name: 'Companies' })
  const service = await publish(app, 'POST /api/services', {
    name: 'Company formation',
    categoryId: category.id,
    price: fullPrice,
    status: 'active',
    turnaroundDays: 5,
  })
  return { app, serviceId: service.id }
}

/** A further service, such as one that costs next to nothing. */
export async function offer(shop: Shop, amount: number, currency = 'GBP'): Promise<string> {
  const body = {
    name: `Costs ${amount} ${currency}`,
    price: { amount, currency },
    status: 'active',
  }
  return (await publish(shop.app, 'POST /api/services', body)).id
}

export interface Buying {
  /** A customer's name; a guest buys without. */
  readonly as?: string
  readonly serviceId?: string
  readonly quantity?: number
  readonly key?: string
  readonly mode?: 'intent' | 'hosted'
  readonly paymentMethod?: string
}

/** `POST /api/checkout/process` with items. */
export async function buy(shop: Shop, buying: Buying = {}): Promise<Reply> {
  const { as, key, mode, paymentMethod } = buying
  const token = as === undefined ? undefined : (await shop.app.asCustomer(as)).token
  const item = { serviceId: buying.serviceId ?? shop.serviceId, quantity: buying.quantity ?? 1 }
  return await shop.app.request('POST /api/checkout/process', {
    ...(token === undefined ? {} : { token }),
    ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
    body: {
      items: [item],
      ...(token === undefined ? { customer: { email: 'guest@example.com', name: 'Grace' } } : {}),
      ...(mode === undefined ? {} : { mode }),
      ...(paymentMethod === undefined ? {} : { paymentMethod }),
    },
  })
}

/** The order of a purchase that is expected to be answered with 201. */
export async function bought(shop: Shop, buying: Buying = {}): Promise<Purchase> {
  const { status, body } = await buy(shop, buying)
  expect(status, JSON.stringify(body)).toBe(201)
  const token = buying.as === undefined ? undefined : (await shop.app.asCustomer(buying.as)).token
  return {
    orderId: body.order.id,
    payment: body.payment,
    order: body.order,
    payer: token === undefined ? { orderToken: body.orderToken } : { token },
  }
}

export interface Purchase {
  readonly orderId: string
  readonly order: Reply['body']
  readonly payment: Reply['body']
  /** How the payer proves to be the payer. */
  readonly payer: { readonly token: string } | { readonly orderToken: string }
}

/** Pays an order that stands, or begins to. */
export async function payAgain(
  shop: Shop,
  purchase: Pick<Purchase, 'orderId' | 'payer'>,
  wish: Record<string, unknown> = {},
): Promise<Reply> {
  return await shop.app.request('POST /api/checkout/process', {
    ...purchase.payer,
    body: { orderId: purchase.orderId, ...wish },
  })
}

export async function confirm(
  shop: Shop,
  { orderId, payer }: Pick<Purchase, 'orderId' | 'payer'>,
): Promise<Reply> {
  return await shop.app.request(`POST /api/checkout/confirm/${orderId}`, { ...payer })
}

/** What Stripe's own script does with the client secret. */
export async function payInBrowser(
  { app }: Shop,
  clientSecret: string,
  paymentMethod: string,
): Promise<void> {
  const [id = ''] = clientSecret.split('_secret_')
  const response = await fetch(`${app.sandbox.url}/v1/payment_intents/${id}/confirm`, {
    method: 'POST',
    headers: {
      authorization: 'Bearer sk_test_bureau',
      'content-type': 'application/x-www-form-urlencoded',
      'idempotency-key': `${id}:browser`,
    },
    body: new URLSearchParams({
      payment_method: paymentMethod,
      return_url: 'https://shop.example/back',
    }),
  })
  expect(response.status).toBe(200)
}

/** What a person types into the hosted page. */
export async function payOnPage(url: string, cardNumber: string): Promise<Response> {
  return await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      email: 'guest@example.com',
      payWith: 'card',
      name: 'Grace Hopper',
      cardNumber,
      expiry: '12 / 34',
      cvc: '123',
    }),
  })
}

/** The order as staff see it. */
export async function readOrder(shop: Shop, orderId: string): Promise<Reply['body']> {
  const { status, body } = await shop.app.request(`GET /api/orders/${orderId}`, {
    token: await shop.app.as('admin'),
  })
  expect(status, JSON.stringify(body)).toBe(200)
  return body
}

export async function changeStatus(
  shop: Shop,
  orderId: string,
  change: Record<string, unknown>,
): Promise<Reply> {
  return await shop.app.request(`PATCH /api/orders/${orderId}/status`, {
    token: await shop.app.as('admin'),
    body: change,
  })
}

/** `POST /api/orders/:id/payments` or `…/refunds` by the finance staff. */
export async function bookMoney(
  shop: Shop,
  route: `POST /api/orders/${string}`,
  amount: number,
): Promise<Reply> {
  const isPayment = route.endsWith('/payments')
  return await shop.app.request(route, {
    token: await shop.app.as('finance'),
    body: {
      amount: { amount, currency: 'GBP' },
      ...(isPayment ? { reference: 'Bank transfer' } : { reason: 'Asked for by the customer' }),
    },
  })
}

/** Until all that was announced, by the provider and by ourselves, was heard and done. */
export async function settleAll({ app }: Shop): Promise<void> {
  await eventually(async () => {
    await app.sandbox.webhooksSettled()
    await app.runJobs()
    // What failed need not wait for its next turn.
    await app.sql('update graphile_worker._private_jobs set run_at = now() where attempts > 0')
    const [open] = await app.sql(`
      select (select count(*) from provider_events where processed_at is null)
        + (select count(*) from event_delivery)
        + (select count(*) from graphile_worker.jobs where attempts < max_attempts) as things`)
    expect(Number(open?.['things'])).toBe(0)
  })
}

/** One run of a scheduled job, as at its next tick. */
export async function runScheduled({ app }: Shop, name: string): Promise<void> {
  const job = app.app.jobs.find((one) => one.name === name)
  expect(job, name).toBeDefined()
  await job?.run(app.systemContext(), {})
}

/** What the provider has of an order's payment: `pi_…` of its charge. */
export function chargesOf({ app }: Shop, orderId: string) {
  return app.sandbox.audit().chargesByOrder[orderId] ?? []
}

async function publish(
  app: TestApp,
  route: `POST /${string}`,
  body: unknown,
): Promise<Reply['body']> {
  const reply = await app.request(route, { token: await app.as('admin'), body })
  expect(reply.status, JSON.stringify(reply.body)).toBe(201)
  return reply.body
}
