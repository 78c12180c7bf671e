import { forbidden, notFound, unauthorized } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import { permissionsOfRole } from '../../../kernel/permissions.ts'
import { later, secondMs, toInstant } from '../../../kernel/time.ts'
import {
  inTx,
  type AppContext,
  type CustomerActor,
  type StaffActor,
  type TxContext,
} from '../../../platform/context.ts'
import { announceChange } from '../../../platform/invalidation.ts'
import { inBatches } from '../../../platform/jobs.ts'
import { emit } from '../../../platform/outbox.ts'
import { accessTokenSeconds } from '../../../platform/tokens.ts'
import { SessionEnded, SessionStarted, type SessionEndReason } from '../events.ts'
import {
  keepEndedSessionsMs,
  maxSessions,
  rotationGraceMs,
  sessionMaxMs,
  sessionSlidesTo,
} from '../rules.ts'
import { invalidRefreshToken } from '../schema/index.ts'
import type { Audience, Session, SignedIn, User } from '../schema/index.ts'
import {
  deleteSessionsEndedBefore,
  endOldestSessions,
  endReusedSession,
  endSession,
  endSessionsOfUser,
  findRotated,
  findSessionOfUser,
  insertSession,
  listLiveSessions,
  rotateSession,
  type EndedSession,
  type Exchange,
  type SessionRow,
  type SessionWithUser,
} from '../sql/sessions.ts'
import type { UserRow } from '../sql/users.ts'
import {
  firstRefreshToken,
  hashOf,
  readRefreshToken,
  successorOf,
  writeRefreshToken,
  type RefreshToken,
} from './refresh-token.ts'

/** A session as its holder gets it: the reply, and what goes into the cookie. */
export interface OpenedSession {
  readonly audience: Audience
  readonly reply: SignedIn
  readonly refreshToken: string
  readonly refreshSeconds: number
}

/** A session that stands in the database and has not been told yet. */
export interface BegunSession {
  readonly user: UserRow
  readonly sessionId: Id<'ses'>
  readonly token: RefreshToken
  readonly expiresAt: Date
  /** Whether another session of the login had to end for it. */
  readonly displaced: boolean
}

/** From where somebody signs in, as shown in the list of sessions. */
export interface Device {
  readonly userAgent: string | undefined
}

const maxUserAgentLength = 200

/** Writes a session of a login whose row is locked; where there are many the oldest one goes. */
export async function beginSession(
  ctx: TxContext,
  user: UserRow,
  { userAgent }: Device,
): Promise<BegunSession> {
  const { now } = ctx
  const sessionId = newId('ses', now)
  const token = firstRefreshToken(sessionId)
  const expiresAt = sessionSlidesTo(now)
  const reason = 'too_many'
  const kept = maxSessions - 1
  const ended = await endOldestSessions(ctx.db, { userId: user.id, kept, reason, now })
  await insertSession(ctx.db, {
    id: sessionId,
    userId: user.id,
    audience: user.audience,
    tokenHash: hashOf(token),
    userAgent: userAgent?.slice(0, maxUserAgentLength) ?? null,
    address: ctx.origin.address ?? null,
    createdAt: now,
    expiresAt,
    endsAt: later(now, sessionMaxMs),
  })
  const { id: userId, audience } = user
  await emit(
    ctx,
    SessionStarted({ rootId: sessionId, rootVersion: 1, data: { userId, audience } }),
    ...ended.map((id) => endOf(id, userId, reason)),
  )
  const displaced = ended.length > 0
  if (displaced) await announceChange(ctx.db, 'user', userId)
  return { user, sessionId, token, expiresAt, displaced }
}

/** Makes the tokens of a session that was committed. */
export async function openSession(
  ctx: AppContext,
  { user, sessionId, token, expiresAt, displaced }: BegunSession,
): Promise<OpenedSession> {
  const { id: userId, audience } = user
  if (displaced) ctx.invalidation.forget('user', userId)
  const accessToken = await ctx.tokens.sign({ audience, userId, sessionId }, ctx.now)
  return {
    audience,
    reply: { user: toUser(user), accessToken, expiresIn: accessTokenSeconds },
    refreshToken: writeRefreshToken(ctx.secrets, token),
    refreshSeconds: Math.floor((expiresAt.getTime() - ctx.now.getTime()) / secondMs),
  }
}

/**
 * Exchanges a refresh token for the next one and a new access token. Throws 401 for a token that is
 * not ours, has run out, or was exchanged more than a moment ago. The last ends the session,
 * because two parties hold its tokens then (RFC 9700, section 4.14.2).
 */
export async function refreshSession(
  ctx: AppContext,
  { audience, cookie }: { audience: Audience; cookie: string | undefined },
): Promise<OpenedSession> {
  const { now } = ctx
  const token = readRefreshToken(ctx.secrets, cookie)
  if (!token) throw invalidRefreshToken()
  const next = successorOf(ctx.secrets, token)
  const exchange: Exchange = { id: token.sessionId, audience, tokenHash: hashOf(token), now }
  const since = later(now, -rotationGraceMs)
  const session: SessionWithUser | undefined =
    (await rotateSession(ctx.db, {
      ...exchange,
      nextHash: hashOf(next),
      slidesTo: sessionSlidesTo(now),
    })) ?? (await findRotated(ctx.db, { ...exchange, since }))
  if (!session) {
    await endReused(ctx, exchange)
    throw invalidRefreshToken()
  }
  const { sessionId, expiresAt } = session
  const begun = { user: session, sessionId, token: next, expiresAt, displaced: false }
  return await openSession(ctx, begun)
}

/**
 * Ends the session of the access token and that of the refresh cookie, whichever are sent. Throws
 * 401 where there is neither, and 403 for a token of the other audience.
 */
export async function signOut(
  ctx: AppContext,
  { audience, cookie }: { audience: Audience; cookie: string | undefined },
): Promise<void> {
  const ids = new Set<Id<'ses'>>()
  if (ctx.actor.kind !== 'anonymous') {
    if (ctx.actor.kind !== audience) throw forbidden()
    ids.add(signedInActor(ctx).sessionId)
  }
  const token = readRefreshToken(ctx.secrets, cookie)
  if (token) ids.add(token.sessionId)
  if (ids.size === 0) throw unauthorized()
  for (const id of ids) await endOneSession(ctx, id, 'signed_out')
}

/** The live sessions of whoever asks, newest first. */
export async function listSessions(ctx: AppContext, page: PageRequest): Promise<Page<Session>> {
  const actor = signedInActor(ctx)
  const rows = await listLiveSessions(ctx.db, page, { userId: actor.userId, liveAt: ctx.now })
  return mapPage(rows, (row) => toSession(row, actor.sessionId))
}

/** Throws 404 for one that has ended or is somebody else's. */
export async function getSession(ctx: AppContext, id: Id<'ses'>): Promise<Session> {
  const { userId, sessionId } = signedInActor(ctx)
  const row = await findSessionOfUser(ctx.db, id, { userId, liveAt: ctx.now })
  if (!row) throw notFound()
  return toSession(row, sessionId)
}

/** Signs a device of one's own out. Throws 404 for a session that is gone or somebody else's. */
export async function endOwnSession(ctx: AppContext, id: Id<'ses'>): Promise<void> {
  await getSession(ctx, id)
  await endOneSession(ctx, id, 'ended_by_user')
}

/** Signs all one's devices out but the one that asks. */
export async function endOtherSessions(ctx: AppContext): Promise<void> {
  const { userId, sessionId } = signedInActor(ctx)
  await inTx(ctx, (ctx) =>
    endAllSessions(ctx, { userId, except: sessionId, reason: 'ended_by_user' }),
  )
  ctx.invalidation.forget('user', userId)
}

/** Ends a login's live sessions; the caller has its own cache forget the user after the commit. */
export async function endAllSessions(
  ctx: TxContext,
  {
    userId,
    except,
    reason,
  }: { userId: Id<'usr'>; except: Id<'ses'> | null; reason: SessionEndReason },
): Promise<void> {
  const ended = await endSessionsOfUser(ctx.db, { userId, except, reason, now: ctx.now })
  if (ended.length === 0) return
  await emit(ctx, ...ended.map((id) => endOf(id, userId, reason)))
  await announceChange(ctx.db, 'user', userId)
}

/**
 * Deletes sessions a month after their end: so long one may ask when a device was signed out. A run
 * takes a bounded number and leaves the rest to the next.
 */
export async function pruneOldSessions(ctx: AppContext): Promise<void> {
  const instant = later(ctx.now, -keepEndedSessionsMs)
  await inBatches(pruned, (limit) => deleteSessionsEndedBefore(ctx.db, instant, limit))
}

const pruned = { size: 5000, maxBatches: 20 }

/** Whoever holds a token of a login. Throws 401 for anybody else. */
export function signedInActor({ actor }: Pick<AppContext, 'actor'>): CustomerActor | StaffActor {
  if (actor.kind !== 'customer' && actor.kind !== 'staff') throw unauthorized()
  return actor
}

/** A login as its owner sees it. */
export function toUser(row: UserRow): User {
  const { id, email, name, role, customerId, emailVerified, mfaEnabled, version } = row
  return {
    id,
    email,
    name,
    role,
    permissions: role === 'customer' ? [] : [...permissionsOfRole[role]],
    customerId,
    emailVerified,
    mfaEnabled,
    version,
    createdAt: toInstant(row.createdAt),
  }
}

async function endOneSession(
  ctx: AppContext,
  id: Id<'ses'>,
  reason: SessionEndReason,
): Promise<void> {
  await endBy(ctx, reason, (tx) => endSession(tx, id, { reason, now: ctx.now }))
}

async function endReused(ctx: AppContext, exchange: Exchange): Promise<void> {
  const reason = 'token_reused'
  const ended = await endBy(ctx, reason, (tx) => endReusedSession(tx, exchange, reason))
  if (ended) ctx.log.warn({ session: exchange.id }, 'a refresh token came twice: session ended')
}

/** Ends what `end` finds, announces it, and tells the caches once it is committed. */
async function endBy(
  ctx: AppContext,
  reason: SessionEndReason,
  end: (tx: TxContext['db']) => Promise<EndedSession | undefined>,
): Promise<boolean> {
  const ended = await inTx(ctx, async (ctx) => {
    const session = await end(ctx.db)
    if (!session) return undefined
    await emit(ctx, endOf(session.id, session.userId, reason))
    await announceChange(ctx.db, 'user', session.userId)
    return session
  })
  if (ended) ctx.invalidation.forget('user', ended.userId)
  return ended !== undefined
}

function endOf(
  sessionId: Id<'ses'>,
  userId: Id<'usr'>,
  reason: SessionEndReason,
): ReturnType<typeof SessionEnded> {
  return SessionEnded({ rootId: sessionId, rootVersion: 2, data: { userId, reason } })
}

function toSession(row: SessionRow, currentId: Id<'ses'>): Session {
  return {
    id: row.id,
    current: row.id === currentId,
    userAgent: row.userAgent,
    address: row.address,
    createdAt: toInstant(row.createdAt),
    refreshedAt: toInstant(row.rotatedAt),
    expiresAt: toInstant(row.expiresAt),
  }
}
