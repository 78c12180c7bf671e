import { isId, newId } from '../../../kernel/id.ts'
import { inTx, spend, type AppContext } from '../../../platform/context.ts'
import { factOf, type Fact } from '../../../platform/events.ts'
import { PasswordResetRequested, UserEmailVerified, UserPasswordReset } from '../events.ts'
import { emailKeyOf } from '../rules.ts'
import {
  invalidMailedToken,
  mailPurposes,
  type ForgottenPassword,
  type PasswordReset,
} from '../schema/index.ts'
import { deleteMailTokens, enqueueForUser, takeMailToken } from '../sql/mail-tokens.ts'
import { findUser, findUserByEmail, lockUser } from '../sql/users.ts'
import { accountOf } from './account.ts'
import { changeUser } from './change-user.ts'
import { requireMailToken } from './mail-tokens.ts'
import { hashNewPassword } from './new-password.ts'
import { endAllSessions } from './sessions.ts'

/** The job that has the mail sent, apart from the request and so from its time. */
export const announceResetJob = 'identity.announce_password_reset'

/**
 * Has a link mailed with which the login's password can be set. For an e-mail that nobody has, the
 * same statements run on behalf of nobody: neither answer nor time tells which it was. Throws 429
 * after five mails of an account in an hour, known or not.
 */
export async function requestPasswordReset(
  ctx: AppContext,
  { email, audience = 'customer' }: ForgottenPassword,
): Promise<void> {
  const emailKey = emailKeyOf(email)
  await spend(ctx, 'mailByAccount', accountOf(audience, emailKey))
  const known = await findUserByEmail(ctx.db, audience, emailKey)
  await enqueueForUser(ctx.db, announceResetJob, known?.id ?? newId('usr', ctx.now))
}

/** Says that the mail is due, where the login is there and in use. It may run twice: two mails. */
export async function announcePasswordReset(ctx: AppContext, userId: unknown): Promise<void> {
  if (typeof userId !== 'string' || !isId('usr', userId)) return
  await inTx(ctx, async (ctx) => {
    const user = await lockUser(ctx.db, userId)
    if (user?.active) await changeUser(ctx, user, {}, [factOf(PasswordResetRequested, {})])
  })
  ctx.invalidation.forget('user', userId)
}

/**
 * Sets the password with a mailed link, of a reset or of an invitation, and ends all sessions. The
 * link proves the e-mail as well. Nobody is signed in: who has a second factor still needs it.
 * Throws 401 for a link that is no good and 400 for a weak password, which leaves the link good.
 */
export async function resetPassword(
  ctx: AppContext,
  { token, password }: PasswordReset,
): Promise<void> {
  const key = await requireMailToken(ctx, token, ['password_reset', 'staff_invitation'])
  const { userId } = key
  const known = await findUser(ctx.db, userId)
  if (!known) throw invalidMailedToken()
  const passwordHash = await hashNewPassword(ctx, { password, owner: known, pointer: '/password' })
  await inTx(ctx, async (ctx) => {
    const user = await lockUser(ctx.db, userId)
    if (!user?.active || !(await takeMailToken(ctx.db, key, ctx.now))) throw invalidMailedToken()
    await deleteMailTokens(ctx.db, userId, mailPurposes)
    const facts: Fact[] = [factOf(UserPasswordReset, {})]
    if (!user.emailVerified) facts.push(factOf(UserEmailVerified, {}))
    const change = { passwordHash, emailVerified: true, invitedAt: null } as const
    await changeUser(ctx, user, change, facts)
    await endAllSessions(ctx, { userId, except: null, reason: 'password_reset' })
  })
  ctx.invalidation.forget('user', userId)
  // Whoever was locked out by wrong guesses, perhaps a stranger's, may sign in now.
  await ctx.limits.forget('loginByAccount', accountOf(known.audience, emailKeyOf(known.email)))
}
