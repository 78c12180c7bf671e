import type { Id } from '../../../kernel/id.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { OrderUpdated } from '../events.ts'
import * as sql from '../sql.ts'

const batchSize = 100

/**
 * Gives the orders of a customer's record to the one that it has passed to; what they were placed
 * with, e-mail and name, stays. One order at a time, each with its event; run again it goes on
 * where it stopped.
 */
export async function claimOrders(
  ctx: AppContext,
  { fromId, toId }: { fromId: Id<'cus'>; toId: Id<'cus'> },
): Promise<void> {
  for (;;) {
    const orders = await sql.listOrdersOfCustomer(ctx.db, fromId, batchSize)
    for (const { id } of orders) {
      await inTx(ctx, async (ctx) => {
        const order = await sql.lockOrder(ctx.db, id)
        if (order?.customerId !== fromId) return
        const { version } = await sql.setCustomer(ctx.db, id, toId, ctx.now)
        const data = { fields: ['customerId'] }
        await emit(ctx, OrderUpdated({ rootId: id, rootVersion: version, data }))
      })
    }
    if (orders.length < batchSize) return
  }
}
