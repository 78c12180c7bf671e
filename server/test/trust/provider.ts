import { expect } from 'vitest'
import type { TestApp } from '../support/app.ts'

/** An object of the provider, as its own API shows it; proofs look into it freely. */
// oxlint-disable-next-line typescript/no-explicit-any
type ProviderObject = any

type Form = Readonly<Record<string, string>>

/** Asks the provider behind Bureau's back, as its dashboard or a stranger with its key does. */
export async function askProvider(
  { sandbox }: TestApp,
  route: `${'GET' | 'POST'} /v1/${string}`,
  form?: Form,
): Promise<{ status: number; body: ProviderObject }> {
  const [method = '', path = ''] = route.split(' ')
  const response = await fetch(sandbox.url + path, {
    method,
    headers: {
      authorization: 'Bearer sk_test_bureau',
      // Never random, and one for each call: the books are audited for those.
      ...(method === 'POST' ? { 'idempotency-key': `stranger-${(asked += 1)}` } : {}),
    },
    ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
  })
  return { status: response.status, body: await response.json() }
}

let asked = 0

/** The newest hundred of a list, such as `payment_intents`. */
export async function listAtProvider(app: TestApp, list: string): Promise<ProviderObject[]> {
  const { status, body } = await askProvider(app, `GET /v1/${list}?limit=100`)
  expect(status, JSON.stringify(body)).toBe(200)
  return body.data
}

/** What an order's payer could still pay at the provider: open intents and open pages. */
export async function payableAtProvider(app: TestApp, orderId: string): Promise<ProviderObject[]> {
  const intents = await listAtProvider(app, 'payment_intents')
  const sessions = await listAtProvider(app, 'checkout/sessions')
  const isOver = new Set(['canceled', 'succeeded', 'complete', 'expired'])
  return [...intents, ...sessions].filter(
    ({ metadata, status }) => metadata?.order_id === orderId && !isOver.has(status),
  )
}
