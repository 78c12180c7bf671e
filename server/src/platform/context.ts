import type { Id } from '../kernel/id.ts'
import type { Permission, StaffRole } from '../kernel/permissions.ts'
import { isRetriable, retried, type Db, type Pool, type Tx } from './database.ts'
import type { EventRegistry } from './events.ts'
import type { FileStore } from './files.ts'
import type { Instruments } from './instruments.ts'
import type { Invalidation } from './invalidation.ts'
import { limitExceeded, type Limits } from './limits.ts'
import type { Logger } from './log.ts'
import type { Mail } from './mail.ts'
import type { Passwords } from './passwords.ts'
import type { Scanner } from './scanner.ts'
import type { Secrets } from './secrets.ts'
import type { StripePort } from './stripe.ts'
import type { Subjects } from './subjects.ts'
import type { Tokens } from './tokens.ts'

/** Who acts. A customer's token and a staff token are different kinds, never one with two hats. */
export type Actor =
  | { readonly kind: 'anonymous' }
  | CustomerActor
  | StaffActor
  | OrderTokenActor
  | { readonly kind: 'system'; readonly task: string }

export interface CustomerActor {
  readonly kind: 'customer'
  readonly userId: Id<'usr'>
  readonly customerId: Id<'cus'>
  readonly sessionId: Id<'ses'>
}

export interface StaffActor {
  readonly kind: 'staff'
  readonly userId: Id<'usr'>
  readonly sessionId: Id<'ses'>
  readonly role: StaffRole
  readonly permissions: ReadonlySet<Permission>
}

/** Whoever holds the token of one order: a guest who bought it. */
export interface OrderTokenActor {
  readonly kind: 'order'
  readonly orderId: Id<'ord'>
  readonly customerId: Id<'cus'>
}

/**
 * Whose calls belong together, as one word: a login's, or those of everybody who holds an order's
 * token. Limits are counted and Idempotency-Keys scoped by it.
 */
export function actorKeyOf(actor: Actor): string {
  switch (actor.kind) {
    case 'customer':
    case 'staff':
      return actor.userId
    case 'order':
      return actor.orderId
    case 'anonymous':
    case 'system':
      return actor.kind
    default:
      return actor satisfies never
  }
}

/** What is the same for every request of this business. */
export interface Business {
  /** ISO 4217: the default of price filters and of new prices. */
  readonly currency: string
  /** IANA name: where a day ends. */
  readonly timeZone: string
  readonly orderPrefix: string
  readonly unpaidOrderHours: number
  /** Without a trailing slash: links and allowed return addresses. */
  readonly publicUrl: string
  readonly allowedOrigins: readonly string[]
  /** `verify`: a new login exists only once its e-mail is proved, so nobody can tell who has one. */
  readonly registration: 'open' | 'verify'
  readonly uploads: UploadBounds
}

/** All in bytes. */
export interface UploadBounds {
  /** One file. */
  readonly maxBytes: number
  /** What one customer has stored. */
  readonly customerQuotaBytes: number
  /** What everybody has stored; undefined where only the disk is the bound. */
  readonly storageQuotaBytes: number | undefined
}

/** The request or job that runs. */
export interface Origin {
  /** `X-Request-Id`, or the job's id. */
  readonly requestId: string
  /** The client's address; undefined in a job. */
  readonly address: string | undefined
  /** The Idempotency-Key's lease, which the transaction of the fact confirms and names. */
  readonly lease: IdempotencyLease | null
}

export interface IdempotencyLease {
  /** Hash of actor, method, route and key. */
  readonly keyId: string
  readonly holder: string
}

/** Enough for most use-cases, in or out of a transaction. */
export interface Context<D extends Db = Db> {
  readonly actor: Actor
  readonly now: Date
  readonly db: D
  readonly origin: Origin
  readonly business: Business
  readonly events: EventRegistry
  /** What documents can be attached to, as the modules that own it tell. */
  readonly subjects: Subjects
}

/** Inside a transaction: no ports, because a vendor must never be waited for under a row lock. */
export type TxContext = Context<Tx>

export interface Ports {
  readonly stripe: StripePort
  readonly secrets: Secrets
  readonly tokens: Tokens
  readonly passwords: Passwords
  readonly limits: Limits
  readonly invalidation: Invalidation
  readonly files: FileStore
  /** Null where nothing is scanned. */
  readonly scanner: Scanner | null
  readonly mail: Mail
  readonly log: Logger
}

/** What the modules registered, put together once in `app.ts`. */
export interface Registered {
  readonly instruments: Instruments
  /** What those are called who act in the audit trail; ids of nobody known are left out. */
  readonly actorNames: (ids: readonly string[]) => Promise<ReadonlyMap<string, string>>
}

/** What routes, listeners and jobs start with. */
export type AppContext = Context<Pool> & Ports & Registered

/**
 * Runs `work` in one transaction; inside another it joins that one. Serialisation failures and
 * deadlocks are retried here, at the outermost level only, a bounded number of times.
 */
export async function inTx<T>(ctx: Context, work: (ctx: TxContext) => Promise<T>): Promise<T> {
  const { actor, now, db, origin, business, events, subjects } = ctx
  const within = (tx: Tx): Promise<T> =>
    work({ actor, now, db: tx, origin, business, events, subjects })
  if (db.kind === 'transaction') return await within(db)
  return await retried(() => db.transaction(within), isRetriable)
}

/** The same context acting as Bureau itself: what a job or a provider's word does. */
export function asSystem<C extends Context>(ctx: C, task: string): C {
  return { ...ctx, actor: { kind: 'system', task } }
}

/**
 * The same context with the Idempotency-Key laid aside: for a fact beside the one that the key
 * stands for, such as the customer record that a guest's order needs first.
 */
export function withoutLease<C extends Context>(ctx: C): C {
  return { ...ctx, origin: { ...ctx.origin, lease: null } }
}

/** Throws 429 with the seconds to wait when the policy's account is used up. */
export async function spend(
  ctx: Pick<AppContext, 'limits'>,
  policy: Parameters<Limits['spend']>[0],
  account: string,
): Promise<void> {
  const verdict = await ctx.limits.spend(policy, account)
  if (!verdict.allowed) throw limitExceeded(policy, verdict)
}
