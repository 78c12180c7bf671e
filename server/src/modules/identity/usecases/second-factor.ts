import { randomInt } from 'node:crypto'
import { notFound } from '../../../kernel/errors.ts'
import type { Id } from '../../../kernel/id.ts'
import { inTx, spend, type AppContext, type TxContext } from '../../../platform/context.ts'
import { factOf } from '../../../platform/events.ts'
import { newSharedSecret, provisioningUriOf, stepOfCode } from '../../../platform/one-time-codes.ts'
import type { SecretPurpose } from '../../../platform/secrets.ts'
import { RecoveryCodeUsed, SecondFactorActivated, SecondFactorRemoved } from '../events.ts'
import { recoveryCodeCount } from '../rules.ts'
import {
  mfaEnabledAlready,
  mfaNotSetUp,
  mfaRequired,
  wrongCode,
  wrongPassword,
  type RecoveryCodes,
  type SecondFactorRemoval,
  type SecondFactorSetup,
} from '../schema/index.ts'
import {
  activateFactor,
  deleteSecondFactor,
  findSecondFactor,
  insertPendingFactor,
  insertRecoveryCodes,
  useRecoveryCode,
  useStep,
} from '../sql/second-factors.ts'
import { findUser, lockUser, type UserRow, type UserWithPassword } from '../sql/users.ts'
import { changeUser } from './change-user.ts'
import { endAllSessions, signedInActor } from './sessions.ts'

const purpose: SecretPurpose = 'second-factor'
/** What the authenticator lists the code under, before the e-mail. */
const issuer = 'Bureau'

/**
 * A new shared secret for whoever asks, in the place of one that was not activated. It asks for
 * nothing before a code has shown that the authenticator has it. Throws 409 where one is active.
 */
export async function setUpSecondFactor(ctx: AppContext): Promise<SecondFactorSetup> {
  const { userId } = signedInActor(ctx)
  const secret = newSharedSecret()
  const encrypted = ctx.secrets.encrypt(purpose, secret)
  const { email } = await inTx(ctx, async (ctx) => {
    const user = await lockUser(ctx.db, userId)
    if (!user) throw notFound()
    if (user.mfaEnabled) throw mfaEnabledAlready()
    await insertPendingFactor(ctx.db, { userId, secret: encrypted, now: ctx.now })
    return user
  })
  return { secret, uri: provisioningUriOf(secret, { issuer, account: email }) }
}

/**
 * Asks for the second factor from now on and signs the other devices out. Throws 409 where nothing
 * is set up or one is active, 422 for a wrong code and 429 after twenty in a day.
 */
export async function activateSecondFactor(ctx: AppContext, code: string): Promise<RecoveryCodes> {
  const { userId, sessionId } = signedInActor(ctx)
  const pending = await findSecondFactor(ctx.db, userId)
  if (!pending) throw mfaNotSetUp()
  if (pending.activatedAt) throw mfaEnabledAlready()
  await spend(ctx, 'mfaByAccount', userId)
  const { secret } = pending
  const step = stepOfCode(ctx.secrets.decrypt(purpose, secret), code, ctx.now)
  if (step === undefined) throw wrongCode()
  const recoveryCodes = Array.from({ length: recoveryCodeCount }, newRecoveryCode)
  const hashes = recoveryCodes.map((one) => hashOf(ctx, userId, one))
  await inTx(ctx, async (ctx) => {
    const user = await lockUser(ctx.db, userId)
    const activated = await activateFactor(ctx.db, { userId, secret, step, now: ctx.now })
    // Set up anew or activated meanwhile, from another window.
    if (!user || !activated) throw mfaNotSetUp()
    await insertRecoveryCodes(ctx.db, { userId, hashes, now: ctx.now })
    await changeUser(ctx, user, { mfaEnabled: true }, [factOf(SecondFactorActivated, {})])
    await endAllSessions(ctx, { userId, except: sessionId, reason: 'second_factor_changed' })
  })
  ctx.invalidation.forget('user', userId)
  await ctx.limits.forget('mfaByAccount', userId)
  return { recoveryCodes }
}

/**
 * Asks for it no more and signs the other devices out. Throws 409 where there is none, 422 for a
 * wrong password or code, and 429: codes are counted only once the password was right.
 */
export async function disableSecondFactor(
  ctx: AppContext,
  { password, code }: SecondFactorRemoval,
): Promise<void> {
  const { userId, sessionId } = signedInActor(ctx)
  const known = await findUser(ctx.db, userId)
  if (!known?.mfaEnabled) throw mfaNotSetUp()
  // Apart from sign-ins: a stolen session must not use up what its owner needs to come back.
  const account = `second factor of ${userId}`
  await spend(ctx, 'loginByAccount', account)
  if (!(await ctx.passwords.verify(known.passwordHash, password))) throw wrongPassword()
  await spend(ctx, 'mfaByAccount', userId)
  const proof = await readProof(ctx, known, code)
  await inTx(ctx, async (ctx) => {
    const user = await lockUser(ctx.db, userId)
    if (!user?.mfaEnabled) throw mfaNotSetUp()
    if (user.passwordHash !== known.passwordHash) throw wrongPassword()
    const proved = await useProof(ctx, user, proof)
    if (!proved) throw wrongCode()
    await removeFactor(ctx, proved, 'owner')
    await endAllSessions(ctx, { userId, except: sessionId, reason: 'second_factor_changed' })
  })
  ctx.invalidation.forget('user', userId)
  await ctx.limits.forget('loginByAccount', account)
  await ctx.limits.forget('mfaByAccount', userId)
}

/** Takes the factor off a login whose row is locked, and says so. */
export async function removeFactor(
  ctx: TxContext,
  user: UserRow,
  by: 'owner' | 'colleague',
): Promise<UserRow> {
  await deleteSecondFactor(ctx.db, user.id)
  return await changeUser(ctx, user, { mfaEnabled: false }, [factOf(SecondFactorRemoved, { by })])
}

/** What a code comes to before anything is written: the rest is decided under the row's lock. */
export type SecondFactorProof =
  | { readonly kind: 'not asked' }
  | { readonly kind: 'wrong' }
  | { readonly kind: 'code'; readonly secret: string; readonly step: number }
  | { readonly kind: 'recovery'; readonly hash: string }

/**
 * Reads the code of somebody whose password was right. Throws 401 `mfa_required` for a missing one
 * and 429 after twenty wrong ones in a day.
 */
export async function readSignInProof(
  ctx: AppContext,
  user: UserWithPassword,
  code: string | undefined,
): Promise<SecondFactorProof> {
  if (!user.mfaEnabled) return { kind: 'not asked' }
  if (code === undefined) throw mfaRequired()
  await spend(ctx, 'mfaByAccount', user.id)
  return await readProof(ctx, user, code)
}

/** Uses the code up. Undefined when it was wrong or used, or not asked for when it was read. */
export async function useProof(
  ctx: TxContext,
  user: UserRow,
  proof: SecondFactorProof,
): Promise<UserRow | undefined> {
  switch (proof.kind) {
    case 'not asked':
      return user.mfaEnabled ? undefined : user
    case 'wrong':
      return undefined
    case 'code': {
      const { secret, step } = proof
      return (await useStep(ctx.db, { userId: user.id, secret, step })) ? user : undefined
    }
    case 'recovery': {
      const left = await useRecoveryCode(ctx.db, user.id, proof.hash)
      if (left === undefined) return undefined
      return await changeUser(ctx, user, {}, [factOf(RecoveryCodeUsed, { left })])
    }
    default:
      return proof satisfies never
  }
}

async function readProof(
  ctx: AppContext,
  { id }: UserRow,
  code: string,
): Promise<SecondFactorProof> {
  if (code.includes('-')) return { kind: 'recovery', hash: hashOf(ctx, id, code) }
  const factor = await findSecondFactor(ctx.db, id)
  if (!factor?.activatedAt) return { kind: 'wrong' }
  const { secret } = factor
  const step = stepOfCode(ctx.secrets.decrypt(purpose, secret), code, ctx.now)
  return step === undefined ? { kind: 'wrong' } : { kind: 'code', secret, step }
}

/** Without `i`, `l`, `o` and `u`: nobody reads one sign for another. */
const codeAlphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** Fifty random bits: `4k8vq-z0m2x`. */
function newRecoveryCode(): string {
  const signs = Array.from({ length: 10 }, () => codeAlphabet[randomInt(codeAlphabet.length)])
  return `${signs.slice(0, 5).join('')}-${signs.slice(5).join('')}`
}

/** Under our key: fifty bits alone could be guessed by whoever has read the table. */
function hashOf({ secrets }: AppContext, userId: Id<'usr'>, code: string): string {
  return secrets.sign(purpose, `recovery code ${userId} ${code.toLowerCase()}`)
}
