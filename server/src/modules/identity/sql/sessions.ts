import type { Id } from '../../../kernel/id.ts'
import type { Page, PageRequest } from '../../../kernel/page.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { fetchPage, type ListDefinition } from '../../../platform/list.ts'
import { sql } from '../../../platform/sql.ts'
import type { SessionEndReason } from '../events.ts'
import type { Audience } from '../schema/index.ts'
import type { UserRow } from './users.ts'

export interface NewSession {
  readonly id: Id<'ses'>
  readonly userId: Id<'usr'>
  readonly audience: Audience
  readonly tokenHash: string
  readonly userAgent: string | null
  readonly address: string | null
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly endsAt: Date
}

export async function insertSession(tx: Tx, session: NewSession): Promise<void> {
  const { id, userId, audience, tokenHash, userAgent, address, createdAt } = session
  await tx.run(sql`
    insert into sessions
      (id, user_id, audience, token_hash, rotated_at, user_agent, address, created_at,
        expires_at, ends_at)
    values (${id}, ${userId}, ${audience}, ${tokenHash}, ${createdAt}, ${userAgent}, ${address},
      ${createdAt}, ${session.expiresAt}, ${session.endsAt})`)
}

/** A session together with the login that it belongs to. */
export interface SessionWithUser extends UserRow {
  readonly sessionId: Id<'ses'>
  readonly expiresAt: Date
  readonly endsAt: Date
}

/** A session that is neither ended nor run out, of a login that is active. */
export async function findLiveSession(
  db: Db,
  id: Id<'ses'>,
  now: Date,
): Promise<SessionWithUser | undefined> {
  return await db.maybeOne<SessionWithUser>(sql`
    select ${sessionWithUserColumns}
    from sessions join users on users.id = sessions.user_id
    where sessions.id = ${id} and sessions.revoked_at is null and sessions.expires_at > ${now}
      and users.active`)
}

/** A refresh token on its way to be exchanged. */
export interface Exchange {
  readonly id: Id<'ses'>
  readonly audience: Audience
  readonly tokenHash: string
  readonly now: Date
}

export interface Rotation extends Exchange {
  readonly nextHash: string
  /** Where the session's end moves to, unless it must end before. */
  readonly slidesTo: Date
}

/**
 * Puts the next token in the place of the live one. Of two requests with one token the second finds
 * nothing here: it then asks `findRotated`.
 */
export async function rotateSession(
  db: Db,
  { id, audience, tokenHash, nextHash, now, slidesTo }: Rotation,
): Promise<SessionWithUser | undefined> {
  return await db.maybeOne<SessionWithUser>(sql`
    update sessions set token_hash = ${nextHash}, previous_hash = token_hash, rotated_at = ${now},
      expires_at = least(${slidesTo}::timestamptz, ends_at)
    from users
    where sessions.id = ${id} and sessions.token_hash = ${tokenHash}
      and sessions.audience = ${audience} and sessions.revoked_at is null
      and sessions.expires_at > ${now} and users.id = sessions.user_id and users.active
    returning ${sessionWithUserColumns}`)
}

/** The live session whose token was this one until a moment ago. */
export async function findRotated(
  db: Db,
  { id, audience, tokenHash, now, since }: Exchange & { since: Date },
): Promise<SessionWithUser | undefined> {
  return await db.maybeOne<SessionWithUser>(sql`
    select ${sessionWithUserColumns}
    from sessions join users on users.id = sessions.user_id
    where sessions.id = ${id} and sessions.previous_hash = ${tokenHash}
      and sessions.rotated_at > ${since} and sessions.audience = ${audience}
      and sessions.revoked_at is null and sessions.expires_at > ${now} and users.active`)
}

const sessionWithUserColumns = sql`
  sessions.id as session_id, sessions.expires_at, sessions.ends_at, users.id, users.audience,
  users.email, users.name, users.role, users.customer_id, users.email_verified, users.mfa_enabled,
  users.active, users.invited_at, users.version, users.created_at`

export interface SessionEnd {
  readonly reason: SessionEndReason
  readonly now: Date
}

export interface EndedSession {
  readonly id: Id<'ses'>
  readonly userId: Id<'usr'>
}

/** Undefined when it had ended before. */
export async function endSession(
  tx: Tx,
  id: Id<'ses'>,
  { reason, now }: SessionEnd,
): Promise<EndedSession | undefined> {
  return await tx.maybeOne<EndedSession>(sql`
    update sessions set revoked_at = ${now}, end_reason = ${reason}
    where id = ${id} and revoked_at is null returning id, user_id`)
}

/** Ends a live session whose token has since been exchanged; undefined when there is none. */
export async function endReusedSession(
  tx: Tx,
  { id, audience, tokenHash, now }: Exchange,
  reason: SessionEndReason,
): Promise<EndedSession | undefined> {
  return await tx.maybeOne<EndedSession>(sql`
    update sessions set revoked_at = ${now}, end_reason = ${reason}
    where id = ${id} and audience = ${audience} and token_hash <> ${tokenHash}
      and revoked_at is null and expires_at > ${now}
    returning id, user_id`)
}

/** Ends a login's live sessions but for `except`; returns their ids. */
export async function endSessionsOfUser(
  tx: Tx,
  { userId, except, reason, now }: SessionEnd & { userId: Id<'usr'>; except: Id<'ses'> | null },
): Promise<Id<'ses'>[]> {
  const ended = await tx.many<{ id: Id<'ses'> }>(sql`
    update sessions set revoked_at = ${now}, end_reason = ${reason}
    where user_id = ${userId} and revoked_at is null and expires_at > ${now}
      and id is distinct from ${except}
    returning id`)
  return ended.map(({ id }) => id)
}

/** Ends the oldest live sessions of a login, so that `kept` remain. */
export async function endOldestSessions(
  tx: Tx,
  { userId, kept, reason, now }: SessionEnd & { userId: Id<'usr'>; kept: number },
): Promise<Id<'ses'>[]> {
  const ended = await tx.many<{ id: Id<'ses'> }>(sql`
    update sessions set revoked_at = ${now}, end_reason = ${reason}
    where revoked_at is null and id in (
      select id from sessions
      where user_id = ${userId} and revoked_at is null and expires_at > ${now}
      order by created_at desc, id desc limit 100 offset ${kept})
    returning id`)
  return ended.map(({ id }) => id)
}

export interface SessionRow {
  readonly id: Id<'ses'>
  readonly userAgent: string | null
  readonly address: string | null
  readonly createdAt: Date
  readonly rotatedAt: Date
  readonly expiresAt: Date
}

interface SessionFilters {
  readonly userId: Id<'usr'>
  readonly liveAt: Date
}

export async function listLiveSessions(
  db: Db,
  page: PageRequest,
  filters: SessionFilters,
): Promise<Page<SessionRow>> {
  return await fetchPage<SessionRow, SessionFilters>(db, sessionList, { page, filters })
}

export async function findSessionOfUser(
  db: Db,
  id: Id<'ses'>,
  { userId, liveAt }: SessionFilters,
): Promise<SessionRow | undefined> {
  return await db.maybeOne<SessionRow>(sql`
    select ${sessionColumns} from sessions
    where id = ${id} and user_id = ${userId} and revoked_at is null and expires_at > ${liveAt}`)
}

const sessionColumns = sql`id, user_agent, address, created_at, rotated_at, expires_at`

export const sessionList: ListDefinition<SessionFilters> = {
  columns: sessionColumns,
  from: sql`sessions`,
  id: sql`id`,
  sorts: { createdAt: { column: sql`created_at`, type: sql`timestamptz` } },
  filters: {
    userId: (userId) => sql`user_id = ${userId}`,
    liveAt: (instant) => sql`(revoked_at is null and expires_at > ${instant})`,
  },
}

/** Removes sessions that can no longer live, a bounded number at a time. */
export async function deleteSessionsEndedBefore(
  db: Db,
  instant: Date,
  limit: number,
): Promise<number> {
  return await db.run(sql`
    delete from sessions where id in (
      select id from sessions where ends_at < ${instant} order by ends_at limit ${limit})`)
}
