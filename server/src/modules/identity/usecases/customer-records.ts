import { preconditionFailed } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import { toInstant } from '../../../kernel/time.ts'
import { inTx, type AppContext, type Context, type TxContext } from '../../../platform/context.ts'
import { factOf } from '../../../platform/events.ts'
import { emit } from '../../../platform/outbox.ts'
import { CustomerCreated, CustomerUpdated, UserUpdated } from '../events.ts'
import { changedFields } from '../rules.ts'
import {
  customerClaimed,
  emailOfLogin,
  type Customer,
  type CustomerDetail,
  type CustomerFilters,
  type CustomerPatch,
  type NewCustomer,
} from '../schema/index.ts'
import {
  listCustomerRows,
  lockCustomer,
  selectCustomer,
  updateCustomer,
  type CustomerRow,
} from '../sql/customers.ts'
import { findUser, lockUser, type UserRow } from '../sql/users.ts'
import { changeUser } from './change-user.ts'
import { noCustomer, writeCustomer } from './customers.ts'

/** All records but those that have passed to another one. */
export async function listCustomers(
  ctx: Context,
  { page, filters }: { page: PageRequest; filters: CustomerFilters },
): Promise<Page<Customer>> {
  return mapPage(await listCustomerRows(ctx.db, page, filters), toCustomer)
}

/** The record itself, also one that has passed to another. Throws 404. */
export async function getCustomerDetail(ctx: Context, id: Id<'cus'>): Promise<CustomerDetail> {
  const row = await selectCustomer(ctx.db, id)
  if (!row) throw noCustomer()
  return toDetail(row, row.userId ? await findUser(ctx.db, row.userId) : undefined)
}

/** A record without a login. Always a new one: e-mails are not unique among records. */
export async function createCustomer(ctx: Context, input: NewCustomer): Promise<CustomerDetail> {
  const id = newId('cus', ctx.now)
  return await inTx(ctx, async (ctx) => {
    await writeCustomer(ctx, { ...input, phone: input.phone ?? null, id, userId: null })
    await emit(ctx, CustomerCreated({ rootId: id, rootVersion: 1, data: {} }))
    return await getCustomerDetail(ctx, id)
  })
}

export interface CustomerChange {
  readonly id: Id<'cus'>
  readonly patch: CustomerPatch
  /** The version that the client has seen; null when any will do. */
  readonly ifMatch: number | null
}

/**
 * Applies a merge patch; what is so already is not written again. The name is the login's too.
 * Throws 404, 412, 409 for a record that has passed to another, and for the e-mail of a login.
 */
export async function changeCustomer(
  ctx: AppContext,
  { id, patch, ifMatch }: CustomerChange,
): Promise<CustomerDetail> {
  const known = await selectCustomer(ctx.db, id)
  const detail = await inTx(ctx, async (ctx) => {
    // The login's row first, as wherever both are written; whose login it is never changes.
    const user = known?.userId ? await lockUser(ctx.db, known.userId) : undefined
    const before = await lockCustomer(ctx.db, id)
    if (!before) throw noCustomer()
    if (ifMatch !== null && ifMatch !== before.version) throw preconditionFailed()
    return await write(ctx, { before, user }, patch)
  })
  if (known?.userId) ctx.invalidation.forget('user', known.userId)
  return detail
}

interface Known {
  readonly before: CustomerRow
  readonly user: UserRow | undefined
}

async function write(
  ctx: TxContext,
  { before, user }: Known,
  patch: CustomerPatch,
): Promise<CustomerDetail> {
  const { email, name, phone } = before
  const details = { email, name, phone, ...patch }
  const fields = changedFields({ email, name, phone }, details)
  if (fields.length === 0) return toDetail(before, user)
  if (before.claimedBy !== null) throw customerClaimed()
  if (user && fields.includes('email')) throw emailOfLogin()
  const row = await updateCustomer(ctx.db, before.id, details, ctx.now)
  const { id: rootId, version: rootVersion } = row
  await emit(ctx, CustomerUpdated({ rootId, rootVersion, data: { fields } }))
  if (!user || user.name === row.name) return toDetail(row, user)
  const renamed = await changeUser(ctx, user, { name: row.name }, [
    factOf(UserUpdated, { fields: ['name'] }),
  ])
  return toDetail(row, renamed)
}

function toDetail(row: CustomerRow, user: UserRow | undefined): CustomerDetail {
  if (!user) return { ...toCustomer(row), login: null }
  const { id: userId, email, emailVerified, active } = user
  const createdAt = toInstant(user.createdAt)
  return { ...toCustomer(row), login: { userId, email, emailVerified, active, createdAt } }
}

function toCustomer(row: CustomerRow): Customer {
  return {
    id: row.id,
    email: row.email,
    name: row.name,
    phone: row.phone,
    hasLogin: row.userId !== null,
    claimedBy: row.claimedBy,
    version: row.version,
    createdAt: toInstant(row.createdAt),
    updatedAt: toInstant(row.updatedAt),
  }
}
