import { randomBytes } from 'node:crypto'
import { isId, type Id } from '../../../kernel/id.ts'
import { later } from '../../../kernel/time.ts'
import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import { inBatches } from '../../../platform/jobs.ts'
import { mailedTokenLifeMs, maxMailedTokens } from '../rules.ts'
import { invalidMailedToken, type MailPurpose } from '../schema/index.ts'
import {
  deleteMailTokensBefore,
  findMailToken,
  insertMailToken,
  type MailTokenKey,
} from '../sql/mail-tokens.ts'
import { lockRegistration } from '../sql/registrations.ts'
import { lockUser } from '../sql/users.ts'
import { hashOfToken } from './token-hash.ts'

/** What a mail with a link is made of. */
export interface MailedLink {
  readonly token: string
  readonly email: string
  readonly name: string
  readonly expiresAt: Date
}

/**
 * The token of a link, made at the moment its mail is sent: only its hash is stored. Null when the
 * mail is no longer due: the login is gone or shut, the e-mail proved, the invitation taken up. The
 * token made before stays good too, because a mail whose delivery was in doubt is sent twice.
 */
export async function issueMailToken(
  ctx: AppContext,
  { userId, purpose }: { userId: Id<'usr'>; purpose: MailPurpose },
): Promise<MailedLink | null> {
  const secret = randomBytes(32).toString('base64url')
  return await inTx(ctx, async (ctx) => {
    const recipient = await lockRecipient(ctx, userId, purpose)
    if (!recipient) return null
    const expiresAt = later(ctx.now, mailedTokenLifeMs[purpose])
    const row = { userId, hash: hashOfToken(secret), purpose, createdAt: ctx.now, expiresAt }
    await insertMailToken(ctx.db, row, maxMailedTokens)
    return { token: `${userId}.${secret}`, ...recipient, expiresAt }
  })
}

/** The key of a token that is good now. Throws 401 for any other, by one statement. */
export async function requireMailToken(
  ctx: AppContext,
  token: string,
  purposes: readonly MailPurpose[],
): Promise<MailTokenKey & { readonly purpose: MailPurpose }> {
  const [userId = '', secret = '', ...rest] = token.split('.')
  if (rest.length > 0 || !isId('usr', userId)) throw invalidMailedToken()
  const key = { userId, hash: hashOfToken(secret) }
  const purpose = await findMailToken(ctx.db, key, ctx.now)
  if (!purpose || !purposes.includes(purpose)) throw invalidMailedToken()
  return { ...key, purpose }
}

/** Forgets tokens that have run out. */
export async function pruneMailTokens(ctx: AppContext): Promise<void> {
  await inBatches(pruned, (limit) => deleteMailTokensBefore(ctx.db, ctx.now, limit))
}

const pruned = { size: 5000, maxBatches: 20 }

interface Recipient {
  readonly email: string
  readonly name: string
}

async function lockRecipient(
  ctx: TxContext,
  userId: Id<'usr'>,
  purpose: MailPurpose,
): Promise<Recipient | undefined> {
  const user = await lockUser(ctx.db, userId)
  if (!user) {
    const registration =
      purpose === 'verify_email' ? await lockRegistration(ctx.db, userId) : undefined
    return registration && { email: registration.email, name: registration.name }
  }
  const isDue: Readonly<Record<MailPurpose, boolean>> = {
    verify_email: !user.emailVerified,
    password_reset: true,
    staff_invitation: user.invitedAt !== null,
  }
  return user.active && isDue[purpose] ? { email: user.email, name: user.name } : undefined
}
