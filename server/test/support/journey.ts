import { expect } from 'vitest'
import { expectReply, type Reply } from './client.ts'

/** A service that can be bought; gives its id. */
export async function publishService(url: string, token: string): Promise<string> {
  const body = {
    name: 'Company formation',
    price: { amount: 14_900, currency: 'GBP' },
    status: 'active',
    turnaroundDays: 5,
  }
  return (await expectReply(201, url, 'POST /api/services', { token, body })).id
}

/** A guest's purchase, paid with a card of the sandbox. */
export async function buyAsGuest(
  url: string,
  serviceId: string,
  guest: string,
): Promise<Reply['body']> {
  return await expectReply(201, url, 'POST /api/checkout/process', {
    body: {
      items: [{ serviceId, quantity: 1 }],
      customer: { email: `${guest}@example.com`, name: guest },
      paymentMethod: 'pm_card_visa',
    },
  })
}

/** The whole life of an order, from the basket to its completion; gives it as it is at the end. */
export async function liveOrder(url: string, token: string): Promise<Reply['body']> {
  const serviceId = await publishService(url, token)
  const { order, orderToken } = await buyAsGuest(url, serviceId, 'ada')
  const confirm: `POST /${string}` = `POST /api/checkout/confirm/${order.id}`
  const confirmed = await expectReply(200, url, confirm, { orderToken })
  expect(confirmed).toMatchObject({
    order: { status: 'confirmed', paymentStatus: 'paid' },
    payment: { status: 'succeeded' },
    case: { status: 'new' },
  })

  const address = `/api/crm/${confirmed.case.id}` as const
  await expectReply(201, url, `POST ${address}/notes`, {
    token,
    body: { body: 'Which name shall the company have?', visibility: 'public' },
  })
  await expectReply(201, url, `POST ${address}/notes`, {
    orderToken,
    body: { body: 'Analytical Engines Limited, please.', visibility: 'public' },
  })
  await expectReply(200, url, `PATCH /api/orders/${order.id}/status`, {
    token,
    body: { status: 'in_progress' },
  })
  await expectReply(200, url, `POST ${address}/resolve`, {
    token,
    body: { outcome: 'completed', summary: 'The company is registered.' },
  })
  const completed = await expectReply(200, url, `PATCH /api/orders/${order.id}/status`, {
    token,
    body: { status: 'completed' },
  })
  const seen = await expectReply(200, url, `GET ${address}`, { orderToken })
  expect(seen.status).toBe('resolved')
  expect(seen.notes.map(({ body }: { body: string }) => body)).toHaveLength(2)
  return completed
}
