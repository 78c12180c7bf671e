import type { Subject } from '../../../platform/subjects.ts'
import { findOrder } from '../sql.ts'
import { maySee } from './read-orders.ts'

/** Documents are attached to an order by whoever may see it. */
export const orderSubject: Subject = {
  prefix: 'ord',
  find: async (ctx, id) => {
    const order = await findOrder(ctx.db, id)
    if (!order || !maySee(ctx, order)) return undefined
    return { customerId: order.customerId, orderId: order.id }
  },
}
