import type { Id } from '../../kernel/id.ts'
import { after } from '../../platform/events.ts'
import { CustomerClaimed } from '../identity/index.ts'
import { claimOrders } from './usecases/index.ts'

export const listeners = [
  after(CustomerClaimed, 'orders.claim_orders', async (ctx, event) => {
    await claimOrders(ctx, { fromId: event.rootId as Id<'cus'>, toId: event.data.ownerId })
  }),
]
