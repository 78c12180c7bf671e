import { notFound } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { inTx, withoutLease, type Context, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { customerCreated } from '../events.ts'
import { emailKeyOf } from '../rules.ts'
import type { CustomerDetails, CustomerRecord } from '../schema.ts'
import { insertCustomer, selectCustomer } from '../sql/customers.ts'

/**
 * A record without a login, for guests and for what staff write down. It is always a new one: an
 * e-mail that somebody typed proves nothing, so it never leads to a login or to another's record.
 */
export async function createCustomerRecord(
  ctx: Context,
  details: CustomerDetails,
): Promise<CustomerRecord> {
  return await inTx(ctx, async (ctx) => {
    const id = newId('cus', ctx.now)
    const record = await writeCustomer(ctx, { ...details, id, userId: null })
    // The record comes along with something else, such as an order: that is what the
    // Idempotency-Key of the request has to name.
    const created = customerCreated({ rootId: record.id, rootVersion: 1, data: {} })
    await emit(withoutLease(ctx), created)
    return record
  })
}

export async function findCustomer(
  ctx: Context,
  id: Id<'cus'>,
): Promise<CustomerRecord | undefined> {
  return await selectCustomer(ctx.db, id)
}

/** Throws 404. */
export async function getCustomer(ctx: Context, id: Id<'cus'>): Promise<CustomerRecord> {
  const customer = await findCustomer(ctx, id)
  if (!customer) throw notFound({ detail: 'There is no such customer.' })
  return customer
}

/** Inserts a record at version 1; the caller says by an event why it came to be. */
export async function writeCustomer(
  ctx: TxContext,
  { id, userId, ...details }: CustomerDetails & { id: Id<'cus'>; userId: Id<'usr'> | null },
): Promise<CustomerRecord> {
  const { email, name, phone = null } = details
  const emailLower = emailKeyOf(email)
  await insertCustomer(ctx.db, { id, name, email, emailLower, phone, userId, createdAt: ctx.now })
  return { id, email, name, phone, version: 1 }
}
