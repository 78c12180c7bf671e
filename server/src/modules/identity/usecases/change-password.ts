import { notFound } from '../../../kernel/errors.ts'
import { inTx, spend, type AppContext } from '../../../platform/context.ts'
import { factOf } from '../../../platform/events.ts'
import { UserPasswordChanged } from '../events.ts'
import { wrongPassword, type PasswordChange } from '../schema/index.ts'
import { deleteMailTokens } from '../sql/mail-tokens.ts'
import { findUser, lockUser } from '../sql/users.ts'
import { changeUser } from './change-user.ts'
import { hashNewPassword } from './new-password.ts'
import {
  beginSession,
  endAllSessions,
  openSession,
  signedInActor,
  type Device,
  type OpenedSession,
} from './sessions.ts'

/**
 * Replaces the password of whoever asks, ends all sessions of the login, takes mailed links that
 * would set another password out of use, and begins a new session.
 * Throws 422 for a wrong current password, 429 after ten of them in a quarter of an hour, and 400
 * for a weak new one.
 */
export async function changePassword(
  ctx: AppContext,
  { currentPassword, newPassword }: PasswordChange,
  device: Device,
): Promise<OpenedSession> {
  const { userId } = signedInActor(ctx)
  const known = await findUser(ctx.db, userId)
  if (!known) throw notFound()
  // Apart from sign-ins: what strangers try must not bind whoever is signed in.
  const account = `change of ${userId}`
  await spend(ctx, 'loginByAccount', account)
  if (!(await ctx.passwords.verify(known.passwordHash, currentPassword))) throw wrongPassword()
  const passwordHash = await hashNewPassword(ctx, {
    password: newPassword,
    owner: known,
    pointer: '/newPassword',
  })
  const begun = await inTx(ctx, async (ctx) => {
    const before = await lockUser(ctx.db, userId)
    // Another change won: what was typed as the current password no longer is.
    if (before?.passwordHash !== known.passwordHash) throw wrongPassword()
    const user = await changeUser(ctx, before, { passwordHash }, [factOf(UserPasswordChanged, {})])
    await deleteMailTokens(ctx.db, userId, ['password_reset'])
    await endAllSessions(ctx, { userId, except: null, reason: 'password_changed' })
    return await beginSession(ctx, user, device)
  })
  ctx.invalidation.forget('user', userId)
  await ctx.limits.forget('loginByAccount', account)
  return await openSession(ctx, begun)
}
