import type { Id } from '../../kernel/id.ts'
import { within } from '../../platform/events.ts'
import { OrderCancelled, OrderConfirmed } from '../orders/index.ts'
import { openOrderCase } from './usecases/open-case.ts'
import { recordOrderCancellation } from './usecases/record-cancellation.ts'

/** Both run in the order's own transaction, which holds the order's row: order before case. */
export const listeners = [
  within(OrderConfirmed, 'open-case', async (ctx, event) => {
    await openOrderCase(ctx, event.rootId as Id<'ord'>)
  }),
  within(OrderCancelled, 'record-cancellation-on-case', async (ctx, event) => {
    await recordOrderCancellation(ctx, event.rootId as Id<'ord'>)
  }),
]
