import { notFound } from '../../../kernel/errors.ts'
import { inTx, spend, type AppContext } from '../../../platform/context.ts'
import { factOf } from '../../../platform/events.ts'
import { EmailVerificationRequested, UserEmailVerified, UserPasswordReset } from '../events.ts'
import { emailKeyOf } from '../rules.ts'
import {
  emailTaken,
  emailVerifiedAlready,
  invalidMailedToken,
  mailPurposes,
  passwordRequired,
  type EmailProof,
  type User,
} from '../schema/index.ts'
import { deleteMailTokens, takeMailToken, type MailTokenKey } from '../sql/mail-tokens.ts'
import { deleteRegistration, findRegistration, lockRegistration } from '../sql/registrations.ts'
import { findUser, lockUser, type UserRow, type UserWithPassword } from '../sql/users.ts'
import { accountOf } from './account.ts'
import { changeUser } from './change-user.ts'
import { requireMailToken } from './mail-tokens.ts'
import { hashNewPassword } from './new-password.ts'
import { writeLogin } from './register.ts'
import { endAllSessions, signedInActor, toUser } from './sessions.ts'

const purpose = 'verify_email'

/**
 * Takes a mailed link as proof of the login's e-mail. The link proves the mailbox alone, and a
 * stranger may have registered it: so it needs the access token of the login with it, or the
 * password, which then is the login's and ends the sessions of one that was another. Throws 401 for
 * a link that is no good, 422 where neither comes with it, 400 for a weak password, and 409 where
 * another registration of the e-mail was proved first.
 */
export async function verifyEmail(ctx: AppContext, { token, password }: EmailProof): Promise<User> {
  const key = await requireMailToken(ctx, token, [purpose])
  const known = await findUser(ctx.db, key.userId)
  const isOwn = 'userId' in ctx.actor && ctx.actor.userId === key.userId
  if (password === undefined && !isOwn) throw passwordRequired()
  const user = known
    ? await proveLogin(ctx, key, { known, password })
    : await proveRegistration(ctx, key, password)
  ctx.invalidation.forget('user', user.id)
  return toUser(user)
}

/**
 * Has a new link mailed to whoever asks. Throws 409 where the e-mail is proved, and 429 after five
 * mails of the kind in an hour.
 */
export async function requestEmailVerification(ctx: AppContext): Promise<void> {
  const { userId } = signedInActor(ctx)
  const known = await findUser(ctx.db, userId)
  if (!known) throw notFound()
  if (known.emailVerified) throw emailVerifiedAlready()
  await spend(ctx, 'mailByAccount', accountOf(known.audience, emailKeyOf(known.email)))
  await inTx(ctx, async (ctx) => {
    const user = await lockUser(ctx.db, userId)
    if (!user || user.emailVerified) throw emailVerifiedAlready()
    await changeUser(ctx, user, {}, [factOf(EmailVerificationRequested, {})])
  })
  ctx.invalidation.forget('user', userId)
}

async function proveLogin(
  ctx: AppContext,
  key: MailTokenKey,
  { known, password }: { known: UserWithPassword; password: string | undefined },
): Promise<UserRow> {
  const isSame =
    password === undefined || (await ctx.passwords.verify(known.passwordHash, password))
  const passwordHash = isSame
    ? undefined
    : await hashNewPassword(ctx, { password, owner: known, pointer: '/password' })
  return await inTx(ctx, async (ctx) => {
    const user = await lockUser(ctx.db, known.id)
    const isTaken = await takeMailToken(ctx.db, { ...key, purpose }, ctx.now)
    // Changed meanwhile, the password that was compared proves nothing any more.
    const isUnchanged = user?.active === true && user.passwordHash === known.passwordHash
    if (!isTaken || !isUnchanged) throw invalidMailedToken()
    if (passwordHash === undefined) {
      await deleteMailTokens(ctx.db, user.id, [purpose])
      return await changeUser(ctx, user, { emailVerified: true }, [factOf(UserEmailVerified, {})])
    }
    await deleteMailTokens(ctx.db, user.id, mailPurposes)
    const facts = [factOf(UserPasswordReset, {}), factOf(UserEmailVerified, {})]
    const proved = await changeUser(ctx, user, { emailVerified: true, passwordHash }, facts)
    await endAllSessions(ctx, { userId: user.id, except: null, reason: 'password_reset' })
    return proved
  })
}

/** The login comes to be with the proof. */
async function proveRegistration(
  ctx: AppContext,
  key: MailTokenKey,
  password: string | undefined,
): Promise<UserRow> {
  const { userId: id } = key
  const known = await findRegistration(ctx.db, id)
  if (!known || password === undefined) throw invalidMailedToken()
  const passwordHash = await hashNewPassword(ctx, { password, owner: known, pointer: '/password' })
  return await inTx(ctx, async (ctx) => {
    const registration = await lockRegistration(ctx.db, id)
    if (!registration || !(await takeMailToken(ctx.db, { ...key, purpose }, ctx.now))) {
      throw invalidMailedToken()
    }
    await deleteMailTokens(ctx.db, id, [purpose])
    await deleteRegistration(ctx.db, id)
    const user = await writeLogin(ctx, { ...registration, passwordHash }, 'proved')
    if (!user) throw emailTaken()
    return user
  })
}
