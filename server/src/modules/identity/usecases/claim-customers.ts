import type { Id } from '../../../kernel/id.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { CustomerClaimed } from '../events.ts'
import { emailKeyOf } from '../rules.ts'
import { claimCustomer, listUnclaimed } from '../sql/customers.ts'
import { findUser } from '../sql/users.ts'

const batchSize = 100

/**
 * Has the records without a login that have the e-mail of this login, and were there when it was
 * proved, pass to the login's own record. One at a time, each with its event; run again it goes on
 * where it stopped. A later guest who types the e-mail has proved nothing and stays apart.
 */
export async function claimCustomers(
  ctx: AppContext,
  userId: Id<'usr'>,
  provedAt: Date,
): Promise<void> {
  const user = await findUser(ctx.db, userId)
  if (!user?.customerId) return
  const { customerId: ownerId } = user
  const emailKey = emailKeyOf(user.email)
  for (;;) {
    const ids = await listUnclaimed(ctx.db, { emailKey, until: provedAt, limit: batchSize })
    for (const id of ids) await claim(ctx, { id, emailKey, ownerId })
    if (ids.length < batchSize) return
  }
}

async function claim(
  ctx: AppContext,
  passing: { id: Id<'cus'>; emailKey: string; ownerId: Id<'cus'> },
): Promise<void> {
  await inTx(ctx, async (ctx) => {
    const claimed = await claimCustomer(ctx.db, passing, ctx.now)
    // Claimed by another run, or given another e-mail by staff meanwhile.
    if (!claimed) return
    const { id: rootId, ownerId } = passing
    await emit(ctx, CustomerClaimed({ rootId, rootVersion: claimed.version, data: { ownerId } }))
  })
}
