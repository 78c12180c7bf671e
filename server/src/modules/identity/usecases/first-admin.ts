import { randomBytes } from 'node:crypto'
import { later } from '../../../kernel/time.ts'
import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import { emailKeyOf, setupTokenMs } from '../rules.ts'
import { alreadySetUp, invalidSetupToken, type FirstAdmin } from '../schema/index.ts'
import { findUserByEmail, hasStaff, lockStaffRoster, updateSetupToken } from '../sql/users.ts'
import { hashNewPassword } from './new-password.ts'
import { beginSession, openSession, type Device, type OpenedSession } from './sessions.ts'
import { writeStaffUser } from './staff.ts'
import { hashOfToken } from './token-hash.ts'

/**
 * The admin that the operator names in the environment. Makes it where no staff login has that
 * e-mail and says so; an existing login is never changed. Throws 400 for a weak password.
 */
export async function ensureFirstAdmin(
  ctx: AppContext,
  { email, password }: { email: string; password: string },
): Promise<boolean> {
  if (await findUserByEmail(ctx.db, 'staff', emailKeyOf(email))) return false
  const owner = { email, name: 'Administrator' }
  const passwordHash = await hashNewPassword(ctx, { password, owner, pointer: '/password' })
  const user = await inTx(ctx, (ctx) =>
    writeStaffUser(ctx, { ...owner, role: 'admin', passwordHash, invitedAt: null }),
  )
  return user !== undefined
}

/**
 * A one-use token with which somebody may become the first admin within a day; only its hash is
 * stored and a newer one replaces it. Undefined when there is staff already.
 */
export async function createSetupToken(ctx: AppContext): Promise<string | undefined> {
  const token = randomBytes(32).toString('base64url')
  return await inTx(ctx, async (ctx) => {
    await lockStaffRoster(ctx.db)
    if (await hasStaff(ctx.db)) return undefined
    const setupExpiresAt = later(ctx.now, setupTokenMs)
    await updateSetupToken(ctx.db, { setupTokenHash: hashOfToken(token), setupExpiresAt })
    return token
  })
}

/**
 * Makes the first admin with the token of the set-up link and signs them in. Throws 401 for a token
 * that is wrong or old, 409 once there is staff and 400 for a weak password.
 */
export async function setUpFirstAdmin(
  ctx: AppContext,
  { token, password, ...owner }: FirstAdmin,
  device: Device,
): Promise<OpenedSession> {
  const hash = hashOfToken(token)
  // Before the slow hash, so that strangers cannot ask for it; judged again under the lock.
  await inTx(ctx, (ctx) => requireSetupToken(ctx, hash))
  const passwordHash = await hashNewPassword(ctx, { password, owner, pointer: '/password' })
  const begun = await inTx(ctx, async (ctx) => {
    await requireSetupToken(ctx, hash)
    await updateSetupToken(ctx.db, { setupTokenHash: null, setupExpiresAt: null })
    const admin = { ...owner, role: 'admin', passwordHash, invitedAt: null } as const
    const user = await writeStaffUser(ctx, admin)
    if (!user) throw alreadySetUp()
    return await beginSession(ctx, user, device)
  })
  return await openSession(ctx, begun)
}

/** Locks the roster, so that what is judged stays true for the rest of the transaction. */
async function requireSetupToken(ctx: TxContext, hash: string): Promise<void> {
  const { setupTokenHash, setupExpiresAt } = await lockStaffRoster(ctx.db)
  if (await hasStaff(ctx.db)) throw alreadySetUp()
  const isAlive = setupExpiresAt !== null && setupExpiresAt > ctx.now
  if (!isAlive || setupTokenHash !== hash) throw invalidSetupToken()
}
