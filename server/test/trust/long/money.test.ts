import { afterAll, beforeAll, expect } from 'vitest'
import { booksAgree } from '../../journeys/books.ts'
import {
  bought,
  chargesOf,
  openShop,
  price,
  readOrder,
  settleAll,
  type Shop,
} from '../../journeys/shop.ts'
import { startTestApp, type TestApp } from '../../support/app.ts'
import { promise } from '../promise.ts'
import { listAtProvider } from '../provider.ts'

let app: TestApp
/** A second node on the same database. */
let other: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  other = await startTestApp({ beside: app })
  shop = await openShop(app)
})

afterAll(async () => {
  await other.close()
  await app.close()
})

/** The largest of the refunds, as a part of what came: they fit all, mostly or hardly. */
const largest = [1 / 40, 1 / 12, 1 / 8, 1 / 2]

promise(
  13,
  '50 refunds of any size at once never give back more than came',
  async (proof) => {
    const given: number[] = []
    for (const part of largest) {
      const amounts = Array.from({ length: 50 }, () => Math.ceil(proof.random() * price * part))
      given.push(await refundAtOnce(amounts))
    }
    proof.measured(
      `${largest.length} × 50 at once over 2 nodes: ${given.join(', ')} given, no more`,
    )
  },
  { timeoutMs: 300_000 },
)

/** Answers how many were given. */
async function refundAtOnce(amounts: readonly number[]): Promise<number> {
  const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
  const token = await app.as('finance')
  const asked = await Promise.all(
    amounts.map(async (amount, nth) => {
      const node = nth % 2 === 0 ? app : other
      const reply = await node.request(`POST /api/orders/${purchase.orderId}/refunds`, {
        token,
        body: { amount: { amount, currency: 'GBP' }, reason: 'Part not delivered' },
      })
      return { amount, reply }
    }),
  )
  await settleAll(shop)
  const given = asked.filter(({ reply }) => reply.status === 201)
  const refused = asked.filter(({ reply }) => reply.status !== 201)
  const sum = given.reduce((total, { amount }) => total + amount, 0)
  expect(sum).toBeLessThanOrEqual(price)
  for (const { amount, reply } of refused) {
    expect(reply.status, JSON.stringify(reply.body)).toBe(409)
    expect(['refund_too_large', 'nothing_to_refund']).toContain(reply.body.code)
    // What was refused did not fit any more.
    expect(sum + amount).toBeGreaterThan(price)
  }
  expect(chargesOf(shop, purchase.orderId)).toMatchObject([{ amountRefunded: sum }])
  expect((await readOrder(shop, purchase.orderId)).refunded.amount).toBe(sum)
  const refunds = await listAtProvider(app, 'refunds')
  const sent = refunds.filter(({ metadata }) => metadata.order_id === purchase.orderId)
  expect(new Map(sent.map(({ metadata, amount }) => [metadata.refund_id, amount]))).toEqual(
    new Map(given.map(({ amount, reply }) => [reply.body.id, amount])),
  )
  expect(sent).toHaveLength(given.length)
  await booksAgree(app)
  return given.length
}
