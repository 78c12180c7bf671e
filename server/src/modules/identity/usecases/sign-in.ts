import { createHash } from 'node:crypto'
import { rateLimited } from '../../../kernel/errors.ts'
import { inTx, spend, type AppContext } from '../../../platform/context.ts'
import { emailKeyOf } from '../rules.ts'
import { invalidCredentials, type Audience, type Credentials } from '../schema.ts'
import { findUserByEmail, lockUser, type UserRow, type UserWithPassword } from '../sql/users.ts'
import { beginSession, openSession, type Device, type OpenedSession } from './sessions.ts'

export interface SignIn extends Device {
  readonly audience: Audience
  readonly credentials: Credentials
}

/**
 * Signs a login in. Throws 401, the same in words and in time, for a wrong password, an unknown
 * e-mail, a login of the other audience and one that may not sign in; 429 once the address or the
 * account has used up its failures.
 */
export async function signIn(
  ctx: AppContext,
  { audience, credentials, userAgent }: SignIn,
): Promise<OpenedSession> {
  const emailKey = emailKeyOf(credentials.email)
  const account = accountOf(audience, emailKey)
  await refuseSpentAddress(ctx)
  // Taken before the answer is known: many guesses at once must not all find room.
  await spend(ctx, 'loginByAccount', account)
  const known = await findUserByEmail(ctx.db, audience, emailKey)
  const { password } = credentials
  const matches = await ctx.passwords.verify(known?.passwordHash ?? null, password)
  if (!known || !matches || !maySignIn(ctx, known)) {
    await spend(ctx, 'loginByAddress', addressOf(ctx))
    throw invalidCredentials()
  }
  // Guesses that ran meanwhile may have spent the rest: the last one must not slip through.
  await refuseSpentAddress(ctx)
  const begun = await inTx(ctx, async (ctx) => {
    const user = await lockUser(ctx.db, known.id)
    if (!isUnchanged(user, known)) throw invalidCredentials()
    return await beginSession(ctx, user, { userAgent })
  })
  await ctx.limits.forget('loginByAccount', account)
  return await openSession(ctx, begun)
}

/** By what failures are counted: a hash, because the table of limits shall hold no e-mails. */
function accountOf(audience: Audience, emailKey: string): string {
  return createHash('sha256').update(`${audience} ${emailKey}`).digest('base64url')
}

function maySignIn({ business }: AppContext, user: UserRow): boolean {
  const unproven = business.registration === 'verify' && !user.emailVerified
  return user.active && !(user.audience === 'customer' && unproven)
}

/** Whether the password that was verified is still the login's. */
function isUnchanged(
  user: UserWithPassword | undefined,
  known: UserWithPassword,
): user is UserWithPassword {
  return user !== undefined && user.active && user.passwordHash === known.passwordHash
}

async function refuseSpentAddress(ctx: AppContext): Promise<void> {
  const { remaining, retryAfterSeconds } = await ctx.limits.look('loginByAddress', addressOf(ctx))
  if (remaining === 0) throw rateLimited({ retryAfterSeconds })
}

/** Calls from within the process, such as a seed's, share one count. */
function addressOf({ origin }: AppContext): string {
  return origin.address ?? 'local'
}
