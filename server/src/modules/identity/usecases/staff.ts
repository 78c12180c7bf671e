import { notFound, preconditionFailed } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import type { StaffRole } from '../../../kernel/permissions.ts'
import { toInstantOrNull } from '../../../kernel/time.ts'
import { inTx, type AppContext, type Context, type TxContext } from '../../../platform/context.ts'
import { factOf, type Fact } from '../../../platform/events.ts'
import { emit } from '../../../platform/outbox.ts'
import {
  StaffInvited,
  UserCreated,
  UserDeactivated,
  UserReactivated,
  UserRoleChanged,
  UserUpdated,
  type SessionEndReason,
} from '../events.ts'
import {
  emailTaken,
  lastAdmin,
  mailPurposes,
  ownLogin,
  type StaffDetails,
  type StaffFilters,
  type StaffPatch,
  type StaffUser,
  type User,
} from '../schema/index.ts'
import { deleteMailTokens } from '../sql/mail-tokens.ts'
import { listStaffRows } from '../sql/staff.ts'
import {
  findUser,
  hasOtherActiveAdmin,
  lockStaffRoster,
  lockUser,
  type LoginChange,
  type UserRow,
} from '../sql/users.ts'
import { changeUser } from './change-user.ts'
import { hashNewPassword } from './new-password.ts'
import { writeUser } from './register.ts'
import { removeFactor } from './second-factor.ts'
import { endAllSessions, toUser } from './sessions.ts'

/** A login for staff, without a session. Throws 400 for a weak password, 409 for a taken e-mail. */
export async function createStaffUser(ctx: AppContext, details: StaffDetails): Promise<User> {
  const { password, ...owner } = details
  const passwordHash = await hashNewPassword(ctx, { password, owner, pointer: '/password' })
  const user = await inTx(ctx, (ctx) =>
    writeStaffUser(ctx, { ...owner, passwordHash, invitedAt: null }),
  )
  if (!user) throw emailTaken()
  return toUser(user)
}

/** Undefined when staff with that e-mail is there already. */
export async function writeStaffUser(
  ctx: TxContext,
  details: Omit<StaffDetails, 'password'> & { passwordHash: string; invitedAt: Date | null },
): Promise<UserRow | undefined> {
  const { role, invitedAt } = details
  const id = newId('usr', ctx.now)
  const user = await writeUser(ctx, {
    ...details,
    id,
    audience: 'staff',
    customerId: null,
    emailVerified: false,
    version: invitedAt ? 2 : 1,
  })
  if (!user) return undefined
  await emit(
    ctx,
    UserCreated({ rootId: id, rootVersion: 1, data: { audience: 'staff', role } }),
    ...(invitedAt ? [StaffInvited({ rootId: id, rootVersion: 2, data: {} })] : []),
  )
  return user
}

export async function listStaff(
  ctx: Context,
  { page, filters }: { page: PageRequest; filters: StaffFilters },
): Promise<Page<StaffUser>> {
  return mapPage(await listStaffRows(ctx.db, page, filters), toStaffUser)
}

/** Throws 404 for a customer's login and for nobody. */
export async function getStaff(ctx: Context, id: Id<'usr'>): Promise<StaffUser> {
  const user = await findUser(ctx.db, id)
  if (user?.audience !== 'staff') throw noColleague()
  return toStaffUser(user)
}

export interface StaffChange {
  readonly userId: Id<'usr'>
  readonly patch: StaffPatch
  /** The version that the client has seen; null when any will do. */
  readonly ifMatch?: number | null
}

/**
 * Renames a colleague, gives another role, shuts a login or opens it again. A new role and a shut
 * login end its sessions. What is so already is not written again. Throws 404, 412, 403 for the own
 * role or login, and 409 where no active admin would remain.
 */
export async function updateStaff(
  ctx: AppContext,
  { userId, patch, ifMatch = null }: StaffChange,
): Promise<StaffUser> {
  const user = await inTx(ctx, async (ctx) => {
    const before = await lockStaff(ctx, userId)
    requireVersion(before, ifMatch)
    const { change, facts, ending } = judge(before, patch)
    if (facts.length === 0) return before
    if (ending) {
      refuseOwn(ctx, userId)
      await keepAnAdmin(ctx, before)
      await endAllSessions(ctx, { userId, except: null, reason: ending })
      if (ending === 'deactivated') await deleteMailTokens(ctx.db, userId, mailPurposes)
    }
    return await changeUser(ctx, before, change, facts)
  })
  ctx.invalidation.forget('user', userId)
  return toStaffUser(user)
}

/**
 * Takes a colleague's second factor off, where the authenticator is lost, and signs them out.
 * Nothing happens where there is none. Throws 403 for the own one, 404 and 412.
 */
export async function resetSecondFactor(
  ctx: AppContext,
  userId: Id<'usr'>,
  ifMatch: number | null,
): Promise<void> {
  await inTx(ctx, async (ctx) => {
    const user = await lockStaff(ctx, userId)
    requireVersion(user, ifMatch)
    refuseOwn(ctx, userId)
    if (!user.mfaEnabled) return
    await removeFactor(ctx, user, 'colleague')
    await endAllSessions(ctx, { userId, except: null, reason: 'second_factor_changed' })
  })
  ctx.invalidation.forget('user', userId)
}

/** The login with what only colleagues see of it. */
export function toStaffUser(row: UserRow): StaffUser {
  return { ...toUser(row), active: row.active, invitedAt: toInstantOrNull(row.invitedAt) }
}

export type StaffRow = UserRow & { readonly role: StaffRole }

/**
 * The roster's row first: two admins who demote each other come one after the other. Throws 404 for
 * a customer's login and for nobody.
 */
export async function lockStaff(ctx: TxContext, userId: Id<'usr'>): Promise<StaffRow> {
  await lockStaffRoster(ctx.db)
  const user = await lockUser(ctx.db, userId)
  if (!user || user.role === 'customer') throw noColleague()
  return { ...user, role: user.role }
}

interface Judgement {
  readonly change: LoginChange
  readonly facts: readonly Fact[]
  /** Why its sessions end, where they do. */
  readonly ending: SessionEndReason | undefined
}

function judge(before: StaffRow, { name, role, active }: StaffPatch): Judgement {
  const facts: Fact[] = []
  let ending: SessionEndReason | undefined
  if (name !== undefined && name !== before.name) {
    facts.push(factOf(UserUpdated, { fields: ['name'] }))
  }
  if (role !== undefined && role !== before.role) {
    facts.push(factOf(UserRoleChanged, { from: before.role, to: role }))
    ending = 'role_changed'
  }
  if (active === false && before.active) {
    facts.push(factOf(UserDeactivated, {}))
    ending = 'deactivated'
  }
  if (active === true && !before.active) facts.push(factOf(UserReactivated, {}))
  return {
    change: {
      ...(name === undefined ? {} : { name }),
      ...(role === undefined ? {} : { role }),
      ...(active === undefined ? {} : { active }),
    },
    facts,
    ending,
  }
}

/** For whoever takes something away from an admin. */
async function keepAnAdmin(ctx: TxContext, { id, role, active }: UserRow): Promise<void> {
  if (role !== 'admin' || !active) return
  if (!(await hasOtherActiveAdmin(ctx.db, id))) throw lastAdmin()
}

function refuseOwn({ actor }: TxContext, userId: Id<'usr'>): void {
  if (actor.kind === 'staff' && actor.userId === userId) throw ownLogin()
}

function requireVersion({ version }: UserRow, ifMatch: number | null): void {
  if (ifMatch !== null && ifMatch !== version) throw preconditionFailed()
}

function noColleague(): Error {
  return notFound({ detail: 'There is no such colleague.' })
}
