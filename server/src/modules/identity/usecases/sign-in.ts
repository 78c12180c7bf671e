import { inTx, spend, type AppContext } from '../../../platform/context.ts'
import { limitExceeded } from '../../../platform/limits.ts'
import { emailKeyOf } from '../rules.ts'
import { invalidCredentials, type Audience, type Credentials } from '../schema/index.ts'
import { findUserByEmail, lockUser, type UserRow, type UserWithPassword } from '../sql/users.ts'
import { accountOf } from './account.ts'
import { readSignInProof, useProof, type SecondFactorProof } from './second-factor.ts'
import {
  beginSession,
  openSession,
  type BegunSession,
  type Device,
  type OpenedSession,
} from './sessions.ts'

export interface SignIn extends Device {
  readonly audience: Audience
  readonly credentials: Credentials
  /** Of the second factor. */
  readonly code?: string | undefined
}

/**
 * Signs a login in. Throws 401, the same in words and in time, for a wrong password, an unknown
 * e-mail, a login of the other audience and one that may not sign in; once the password is right,
 * 401 `mfa_required` for a missing code and the first 401 again for a wrong one; 429 once the
 * address or the account has used up its failures.
 */
export async function signIn(
  ctx: AppContext,
  { audience, credentials, code, userAgent }: SignIn,
): Promise<OpenedSession> {
  const emailKey = emailKeyOf(credentials.email)
  const account = accountOf(audience, emailKey)
  await refuseSpentAddress(ctx)
  // Taken before the answer is known: many guesses at once must not all find room.
  await spend(ctx, 'loginByAccount', account)
  await spend(ctx, 'loginByAddress', addressOf(ctx))
  const known = await findUserByEmail(ctx.db, audience, emailKey)
  const { password } = credentials
  const matches = await ctx.passwords.verify(known?.passwordHash ?? null, password)
  if (!known || !matches || !maySignIn(ctx, known)) throw invalidCredentials()
  // No guess: what people behind one address know by heart is not counted against it.
  await ctx.limits.giveBack('loginByAddress', addressOf(ctx))
  const proof = await readSignInProof(ctx, known, code)
  const begun = await begin(ctx, { known, proof, userAgent })
  if (!begun) {
    await spend(ctx, 'loginByAddress', addressOf(ctx))
    throw invalidCredentials()
  }
  await ctx.limits.forget('loginByAccount', account)
  if (proof.kind !== 'not asked') await ctx.limits.forget('mfaByAccount', known.id)
  return await openSession(ctx, begun)
}

/** Undefined where the login has changed since its password was compared, or for a bad code. */
async function begin(
  ctx: AppContext,
  { known, proof, userAgent }: Device & { known: UserWithPassword; proof: SecondFactorProof },
): Promise<BegunSession | undefined> {
  const begun = await inTx(ctx, async (ctx) => {
    const user = await lockUser(ctx.db, known.id)
    if (!isUnchanged(user, known)) return undefined
    const proved = await useProof(ctx, user, proof)
    return proved && (await beginSession(ctx, proved, { userAgent }))
  })
  if (proof.kind === 'recovery') ctx.invalidation.forget('user', known.id)
  return begun
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
  const verdict = await ctx.limits.look('loginByAddress', addressOf(ctx))
  if (verdict.remaining === 0) throw limitExceeded('loginByAddress', verdict)
}

/** Calls from within the process, such as a seed's, share one count. */
function addressOf({ origin }: AppContext): string {
  return origin.address ?? 'local'
}
