import { notFound } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { inTx, withoutLease, type Context, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { CustomerCreated } from '../events.ts'
import type { CustomerDetails, CustomerRecord } from '../schema/index.ts'
import { insertCustomer, lockCustomer, selectCustomer, type CustomerRow } from '../sql/customers.ts'

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
    const created = CustomerCreated({ rootId: record.id, rootVersion: 1, data: {} })
    await emit(withoutLease(ctx), created)
    return record
  })
}

/** The record, or the one that it has passed to: what is new is written down there. */
export async function findCustomer(
  ctx: Context,
  id: Id<'cus'>,
): Promise<CustomerRecord | undefined> {
  const known = await selectCustomer(ctx.db, id)
  // One that has passed on leads to a login's own, which never passes on.
  const current = known?.claimedBy ? await selectCustomer(ctx.db, known.claimedBy) : known
  return current && toRecord(current)
}

/**
 * The same with its row locked, for whoever is about to write the record's id down: until the
 * transaction ends it passes to nobody, and what was written is there for those who follow it.
 */
export async function lockCustomerRecord(
  ctx: TxContext,
  id: Id<'cus'>,
): Promise<CustomerRecord | undefined> {
  const known = await lockCustomer(ctx.db, id)
  const current = known?.claimedBy ? await lockCustomer(ctx.db, known.claimedBy) : known
  return current && toRecord(current)
}

/** Throws 404. */
export async function getCustomer(ctx: Context, id: Id<'cus'>): Promise<CustomerRecord> {
  const customer = await findCustomer(ctx, id)
  if (!customer) throw noCustomer()
  return customer
}

export function noCustomer(): Error {
  return notFound({ detail: 'There is no such customer.' })
}

/** Inserts a record at version 1; the caller says by an event why it came to be. */
export async function writeCustomer(
  ctx: TxContext,
  { id, userId, ...details }: CustomerDetails & { id: Id<'cus'>; userId: Id<'usr'> | null },
): Promise<CustomerRecord> {
  const { email, name, phone = null } = details
  await insertCustomer(ctx.db, { id, name, email, phone, userId, createdAt: ctx.now })
  return { id, email, name, phone, version: 1 }
}

function toRecord({ id, email, name, phone, version }: CustomerRow): CustomerRecord {
  return { id, email, name, phone, version }
}
