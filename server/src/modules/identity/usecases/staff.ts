import { notFound } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import type { StaffRole } from '../../../kernel/permissions.ts'
import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import { announceChange } from '../../../platform/invalidation.ts'
import { emit } from '../../../platform/outbox.ts'
import { userCreated, userDeactivated, userRoleChanged } from '../events.ts'
import { emailTaken, lastAdmin, type StaffDetails, type User } from '../schema.ts'
import {
  hasOtherActiveAdmin,
  lockStaffRoster,
  lockUser,
  updateInactive,
  updateRole,
  type UserRow,
} from '../sql/users.ts'
import { hashNewPassword } from './new-password.ts'
import { writeUser } from './register.ts'
import { endAllSessions, toUser } from './sessions.ts'

/** A login for staff, without a session. Throws 400 for a weak password, 409 for a taken e-mail. */
export async function createStaffUser(ctx: AppContext, details: StaffDetails): Promise<User> {
  const { password, ...owner } = details
  const passwordHash = await hashNewPassword(ctx, { password, owner, pointer: '/password' })
  const user = await inTx(ctx, (ctx) => writeStaffUser(ctx, { ...owner, passwordHash }))
  if (!user) throw emailTaken()
  return toUser(user)
}

/** Undefined when staff with that e-mail is there already. */
export async function writeStaffUser(
  ctx: TxContext,
  details: Omit<StaffDetails, 'password'> & { passwordHash: string },
): Promise<UserRow | undefined> {
  const { role } = details
  const id = newId('usr', ctx.now)
  const user = await writeUser(ctx, { ...details, id, audience: 'staff', customerId: null })
  if (user) {
    await emit(ctx, userCreated({ rootId: id, rootVersion: 1, data: { audience: 'staff', role } }))
  }
  return user
}

/**
 * Gives staff another role; it holds from the next request of every session. Throws 404 for nobody
 * and 409 where no active admin would remain.
 */
export async function changeRole(
  ctx: AppContext,
  { userId, role }: { userId: Id<'usr'>; role: StaffRole },
): Promise<User> {
  const user = await inTx(ctx, async (ctx) => {
    const before = await lockStaff(ctx, userId)
    const { role: from } = before
    if (from === role) return before
    if (role !== 'admin') await keepAnAdmin(ctx, before)
    const user = await updateRole(ctx.db, { id: userId, role, now: ctx.now })
    const { version: rootVersion } = user
    await emit(ctx, userRoleChanged({ rootId: userId, rootVersion, data: { from, to: role } }))
    await announceChange(ctx.db, 'user', userId)
    return user
  })
  ctx.invalidation.forget('user', userId)
  return toUser(user)
}

/**
 * Shuts a login for good and ends its sessions. Throws 404 for nobody and 409 for the last active
 * admin.
 */
export async function deactivateUser(ctx: AppContext, userId: Id<'usr'>): Promise<User> {
  const user = await inTx(ctx, async (ctx) => {
    await lockStaffRoster(ctx.db)
    const before = await lockUser(ctx.db, userId)
    if (!before) throw notFound()
    if (!before.active) return before
    await keepAnAdmin(ctx, before)
    const user = await updateInactive(ctx.db, { id: userId, now: ctx.now })
    await emit(ctx, userDeactivated({ rootId: userId, rootVersion: user.version, data: {} }))
    await endAllSessions(ctx, { userId, except: null, reason: 'deactivated' })
    await announceChange(ctx.db, 'user', userId)
    return user
  })
  ctx.invalidation.forget('user', userId)
  return toUser(user)
}

type StaffRow = UserRow & { readonly role: StaffRole }

/** The roster's row first: two admins who demote each other come one after the other. */
async function lockStaff(ctx: TxContext, userId: Id<'usr'>): Promise<StaffRow> {
  await lockStaffRoster(ctx.db)
  const user = await lockUser(ctx.db, userId)
  if (!user || user.role === 'customer') throw notFound()
  return { ...user, role: user.role }
}

async function keepAnAdmin(ctx: TxContext, { id, role, active }: UserRow): Promise<void> {
  if (role !== 'admin' || !active) return
  if (!(await hasOtherActiveAdmin(ctx.db, id))) throw lastAdmin()
}
