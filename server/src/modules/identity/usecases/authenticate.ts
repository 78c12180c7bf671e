import { unauthorized } from '../../../kernel/errors.ts'
import type { Id } from '../../../kernel/id.ts'
import { permissionsOfRole } from '../../../kernel/permissions.ts'
import type { Clock } from '../../../platform/clock.ts'
import type { Actor, AppContext, CustomerActor, StaffActor } from '../../../platform/context.ts'
import type { Db } from '../../../platform/database.ts'
import { createCache, type Cache, type Invalidation } from '../../../platform/invalidation.ts'
import type { AccessClaims, Tokens } from '../../../platform/tokens.ts'
import type { User } from '../schema/index.ts'
import { findLiveSession, type SessionWithUser } from '../sql/sessions.ts'
import { signedInActor, toUser } from './sessions.ts'

export interface BearerOptions {
  readonly tokens: Tokens
  readonly db: Db
  readonly invalidation: Invalidation
  readonly clock: Clock
}

/**
 * Turns an access token into who calls. Throws 401 for a token that is no good, whose session has
 * ended or whose login was shut. What is known already is answered without a promise and without a
 * statement.
 */
export function createBearerAuthenticator(
  options: BearerOptions,
): (token: string) => Actor | Promise<Actor> {
  const { tokens, db, invalidation, clock } = options
  const sessions = sessionCacheOf(invalidation)

  function actorOf(claims: AccessClaims, now: Date): Actor | Promise<Actor> {
    const known = sessions.peek(claims.sessionId)
    if (known) return checkedActor(known, claims, now)
    return loadSession(sessions, { db, id: claims.sessionId, now }).then((session) =>
      checkedActor(session, claims, now),
    )
  }

  return (token) => {
    const now = clock()
    const claims = tokens.verify(token, now)
    return claims instanceof Promise
      ? claims.then((claims) => actorOf(claims, now))
      : actorOf(claims, now)
  }
}

/** The profile of whoever asks, from the state that let them in. Throws 401 for anybody else. */
export async function getMe(ctx: AppContext): Promise<User> {
  const { sessionId: id } = signedInActor(ctx)
  const sessions = sessionCacheOf(ctx.invalidation)
  const { user } = await loadSession(sessions, { db: ctx.db, id, now: ctx.now })
  return user
}

/** What a session lets its holder do, made once for many requests. */
interface SessionState {
  readonly actor: CustomerActor | StaffActor
  readonly user: User
  readonly endsAt: Date
}

const maxCachedSessions = 10_000

/**
 * One cache for each node, found by the port that keeps it honest: the authenticator fills it, and
 * the profile is read from it. Every change of a login or of its sessions publishes the login.
 */
const caches = new WeakMap<Invalidation, Cache<SessionState>>()

function sessionCacheOf(invalidation: Invalidation): Cache<SessionState> {
  const known = caches.get(invalidation)
  if (known) return known
  const cache = createCache<SessionState>(invalidation, {
    topic: 'user',
    maxEntries: maxCachedSessions,
    noticeKeyOf: ({ user }) => user.id,
  })
  caches.set(invalidation, cache)
  return cache
}

async function loadSession(
  sessions: Cache<SessionState>,
  { db, id, now }: { db: Db; id: Id<'ses'>; now: Date },
): Promise<SessionState> {
  return await sessions.get(id, async () => {
    const session = await findLiveSession(db, id, now)
    // Thrown and so not kept: a session that has ended is asked for once more at most.
    if (!session) throw unauthorized()
    return { actor: toActor(session), user: toUser(session), endsAt: session.endsAt }
  })
}

/**
 * The moving end of a session need not be looked at: an access token lives for 15 minutes from a
 * sign-in or refresh, which moved that end much further. Only the fixed end can come before.
 */
function checkedActor(
  { actor, user, endsAt }: SessionState,
  claims: AccessClaims,
  now: Date,
): Actor {
  const isTheirs = user.id === claims.userId && actor.kind === claims.audience
  if (!isTheirs || endsAt <= now) throw unauthorized()
  return actor
}

function toActor(session: SessionWithUser): CustomerActor | StaffActor {
  const { id: userId, sessionId, role, customerId } = session
  if (role === 'customer') {
    if (customerId === null) throw new Error(`login ${userId} has no customer`)
    return { kind: 'customer', userId, customerId, sessionId }
  }
  const permissions = new Set(permissionsOfRole[role])
  return { kind: 'staff', userId, sessionId, role, permissions }
}
