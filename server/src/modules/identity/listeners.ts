import type { Id } from '../../kernel/id.ts'
import { after } from '../../platform/events.ts'
import { UserEmailVerified } from './events.ts'
import { claimCustomers } from './usecases/claim-customers.ts'

export const listeners = [
  after(UserEmailVerified, 'identity.claim_customers', async (ctx, event) => {
    await claimCustomers(ctx, event.rootId as Id<'usr'>, event.at)
  }),
]
