import { afterAll, beforeAll, expect } from 'vitest'
import { bought, buy, openShop, readOrder, type Shop } from '../journeys/shop.ts'
import { startTestApp } from '../support/app.ts'
import { promise } from './promise.ts'

let shop: Shop

beforeAll(async () => {
  shop = await openShop(await startTestApp())
})
afterAll(async () => {
  await shop.app.close()
})

/** SQLSTATE 53100 is what PostgreSQL says when its own disk is full. */
const fullTables = ['orders', 'events', 'payments'] as const

promise(36, 'a full disk of the database is 503, and nothing is half there', async (proof) => {
  const { app } = shop
  await app.sql(`create function refuse_for_want_of_room() returns trigger language plpgsql as
    $$ begin raise exception 'No space left' using errcode = '53100'; end $$`)
  for (const table of fullTables) {
    const key = `twenty-characters-and-more-${table}`
    await app.sql(`create trigger full_disk before insert on ${table}
      for each row execute function refuse_for_want_of_room()`)
    const before = await countRows()
    const refused = await buy(shop, { key, paymentMethod: 'pm_card_visa' })
    expect([table, refused.status, refused.body.code]).toEqual([table, 503, 'unavailable'])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    // A payment is begun after its order was acknowledged by its own commit: that one stays.
    const kept = table === 'payments' ? 1 : 0
    expect(await countRows()).toEqual({ orders: before.orders + kept, charges: before.charges })
    await app.sql(`drop trigger full_disk on ${table}`)

    const again = await bought(shop, { key, paymentMethod: 'pm_card_visa' })
    expect(await countRows()).toEqual({ orders: before.orders + 1, charges: before.charges + 1 })
    expect((await readOrder(shop, again.orderId)).paymentStatus).toBe('paid')
  }
  proof.measured(`${fullTables.length} tables without room: 503, the same key buys once there is`)
})

async function countRows(): Promise<{ orders: number; charges: number }> {
  const [row] = await shop.app.sql('select count(*)::int as orders from orders')
  const charges = Object.values(shop.app.sandbox.audit().chargesByOrder).flat()
  return { orders: Number(row?.['orders']), charges: charges.length }
}
