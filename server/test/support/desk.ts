import { expect } from 'vitest'
import type { Reply, TestApp } from './app.ts'
import { pdf, type SampleFile } from './sample-files.ts'
import { upload, type UploadOptions } from './upload.ts'

/** A business with one free service, so that whatever is ordered has its case at once. */
export interface Desk {
  readonly app: TestApp
  readonly serviceId: string
}

export interface Ordered {
  readonly orderId: string
  readonly caseId: string
  /** Of a guest's order. */
  readonly orderToken: string
}

export async function openDesk(app: TestApp): Promise<Desk> {
  const { status, body } = await app.request('POST /api/services', {
    token: await app.as('admin'),
    body: { name: 'Advice', price: { amount: 0, currency: 'GBP' }, status: 'active' },
  })
  expect(status, JSON.stringify(body)).toBe(201)
  return { app, serviceId: body.id }
}

/** By a customer of that name, or by a guest. */
export async function order({ app, serviceId }: Desk, name?: string): Promise<Ordered> {
  const guest = { customer: { email: 'guest@example.com', name: 'Grace' } }
  const { status, body } = await app.request('POST /api/checkout/process', {
    ...(name === undefined ? {} : { token: (await app.asCustomer(name)).token }),
    body: { items: [{ serviceId, quantity: 1 }], ...(name === undefined ? guest : {}) },
  })
  expect(status, JSON.stringify(body)).toBe(201)
  return { orderId: body.order.id, caseId: body.order.case.id, orderToken: body.orderToken ?? '' }
}

/** The document of an upload that is expected to be answered with 201. */
export async function uploaded(
  app: TestApp,
  options: UploadOptions,
  file: SampleFile = pdf(),
): Promise<Reply['body']> {
  const { status, body } = await upload(app, file, options)
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}
