import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { bought, confirm, openShop, readOrder, settleAll, type Shop } from './shop.ts'

let app: TestApp
let shop: Shop

beforeAll(async () => {
  app = await startTestApp()
  shop = await openShop(app)
})

afterAll(async () => {
  await app.close()
})

describe('buying with a card', () => {
  test('a customer pays, confirms, and the case stands open', async () => {
    const purchase = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    expect(purchase.order).toMatchObject({ status: 'confirmed', paymentStatus: 'paid' })
    const confirmed = await confirm(shop, purchase)
    expect(confirmed.status, JSON.stringify(confirmed.body)).toBe(200)
    await settleAll(shop)
    console.log(JSON.stringify(await readOrder(shop, purchase.orderId), null, 1))
  })
})
