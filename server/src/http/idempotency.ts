import { createHash } from 'node:crypto'
import {
  idempotencyInProgress,
  idempotencyKeyInvalid,
  idempotencyKeyReused,
  idempotencyKeyWeak,
} from '../kernel/errors.ts'
import { newId } from '../kernel/id.ts'
import { later, secondMs } from '../kernel/time.ts'
import {
  actorKeyOf,
  type Actor,
  type AppContext,
  type IdempotencyLease,
} from '../platform/context.ts'
import type { Db } from '../platform/database.ts'
import { json, sql } from '../platform/sql.ts'

/** A kept reply: only 2xx, without secrets. */
export interface KeptReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** What claiming a key came to. */
export type Claim =
  | { readonly outcome: 'run'; readonly lease: IdempotencyLease }
  /** An earlier request with this key made the resource and died before it answered. */
  | { readonly outcome: 'resume'; readonly lease: IdempotencyLease; readonly resourceId: string }
  | { readonly outcome: 'replay'; readonly reply: KeptReply }

/** A request that runs longer than this is taken for dead: twice any request's deadline. */
const leaseMs = 30 * secondMs

export interface KeyedRequest {
  readonly key: string
  readonly actor: Actor
  readonly method: string
  /** The path with its ids: a key for one order says nothing of another. */
  readonly path: string
  readonly body: unknown
}

/** Throws 400 for a key that is no key, or too easy to guess without a token. */
export function readIdempotencyKey(header: string | undefined, actor: Actor): string | undefined {
  if (header === undefined) return undefined
  if (!/^[\x21-\x7e]{1,255}$/.test(header)) throw idempotencyKeyInvalid()
  if (actor.kind === 'anonymous' && header.length < 20) throw idempotencyKeyWeak()
  return header
}

/**
 * Claims the key in one statement, before the work begins. The key's row is confirmed and given its
 * resource by the transaction that makes the fact (`emit`), so a key never makes two.
 */
export async function claimKey(ctx: AppContext, request: KeyedRequest): Promise<Claim> {
  const keyId = hash([actorKeyOf(request.actor), request.method, request.path, request.key])
  const fingerprint = hash([request.body ?? null])
  // Not the request's own id: a client may send the same X-Request-Id with its next try.
  const lease: IdempotencyLease = { keyId, holder: newId('req', ctx.now) }
  const claimed = await ctx.db.maybeOne<{ resourceId: string | null }>(sql`
    insert into idempotency_keys as known (id, fingerprint, holder, lease_until, created_at)
    values (${keyId}, ${fingerprint}, ${lease.holder}, ${later(ctx.now, leaseMs)}, ${ctx.now})
    on conflict (id) do update
      set holder = excluded.holder, lease_until = excluded.lease_until
      where known.status is null and known.lease_until <= ${ctx.now}
        and known.fingerprint = excluded.fingerprint
    returning resource_id`)
  if (claimed) {
    return claimed.resourceId === null
      ? { outcome: 'run', lease }
      : { outcome: 'resume', lease, resourceId: claimed.resourceId }
  }
  return await readTakenKey(ctx, keyId, fingerprint)
}

/** Keeps a 2xx reply for the next request with this key. */
export async function keepReply(db: Db, lease: IdempotencyLease, reply: KeptReply): Promise<void> {
  await db.run(sql`
    update idempotency_keys
    set status = ${reply.status}, headers = ${json(reply.headers)}::jsonb,
      reply = ${json(reply.body ?? null)}
    where id = ${lease.keyId} and holder = ${lease.holder}`)
}

/**
 * Lets a failed request be tried again at once: a key that made nothing is forgotten, one whose
 * fact stands keeps its resource and gives up its lease.
 */
export async function releaseKey(db: Db, lease: IdempotencyLease, now: Date): Promise<void> {
  await db.run(sql`
    with forgotten as (
      delete from idempotency_keys
      where id = ${lease.keyId} and holder = ${lease.holder} and resource_id is null
    )
    update idempotency_keys set lease_until = ${now}
    where id = ${lease.keyId} and holder = ${lease.holder} and resource_id is not null`)
}

const keptForMs = 24 * 3600 * secondMs

/** Forgets keys older than 24 hours, a bounded number at a time. */
export async function pruneKeys(db: Db, now: Date): Promise<number> {
  return await db.run(sql`
    delete from idempotency_keys where id in (
      select id from idempotency_keys where created_at < ${later(now, -keptForMs)} limit 5000)`)
}

async function readTakenKey(ctx: AppContext, keyId: string, fingerprint: string): Promise<Claim> {
  const known = await ctx.db.maybeOne<{
    fingerprint: string
    leaseUntil: Date
    status: number | null
    headers: Record<string, string>
    reply: string | null
  }>(sql`
    select fingerprint, lease_until, status, headers, reply
    from idempotency_keys where id = ${keyId}`)
  // Released between the two statements: the client's next try finds the way free.
  if (!known) throw idempotencyInProgress({ retryAfterSeconds: 1 })
  if (known.fingerprint !== fingerprint) throw idempotencyKeyReused()
  if (known.status === null) {
    const leftMs = known.leaseUntil.getTime() - ctx.now.getTime()
    const retryAfterSeconds = Math.max(1, Math.ceil(leftMs / secondMs))
    throw idempotencyInProgress({ retryAfterSeconds: Math.min(retryAfterSeconds, 2) })
  }
  const body: unknown = JSON.parse(known.reply ?? 'null')
  return { outcome: 'replay', reply: { status: known.status, headers: known.headers, body } }
}

function hash(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}
