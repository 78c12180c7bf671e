import type { Id } from '../../kernel/id.ts'
import { after, within } from '../../platform/events.ts'
import { CustomerClaimed } from '../identity/index.ts'
import { OrderCancelled, OrderConfirmed } from '../orders/index.ts'
import { claimCases } from './usecases/claim-cases.ts'
import { openOrderCase } from './usecases/open-case.ts'
import { recordOrderCancellation } from './usecases/record-cancellation.ts'

/** The first two run in the order's own transaction, which holds the order's row: order before case. */
export const listeners = [
  within(OrderConfirmed, 'open-case', async (ctx, event) => {
    await openOrderCase(ctx, event.rootId as Id<'ord'>)
  }),
  within(OrderCancelled, 'record-cancellation-on-case', async (ctx, event) => {
    await recordOrderCancellation(ctx, event.rootId as Id<'ord'>)
  }),
  after(CustomerClaimed, 'crm.claim_cases', async (ctx, event) => {
    await claimCases(ctx, { fromId: event.rootId as Id<'cus'>, toId: event.data.ownerId })
  }),
]
