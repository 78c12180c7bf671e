import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { later, secondMs } from '../kernel/time.ts'
import type { Clock } from './clock.ts'
import type { Db, Pool } from './database.ts'
import { sql } from './sql.ts'

/** How many calls in how long. `shared` counts in PostgreSQL and so holds across all nodes. */
export interface LimitPolicy {
  readonly points: number
  readonly windowSeconds: number
  readonly shared: boolean
}

const minute = 60
const hour = 3600

export const limitPolicies = {
  /** Every route that names no other, by address. */
  default: { points: 600, windowSeconds: minute, shared: false },
  auth: { points: 30, windowSeconds: minute, shared: false },
  checkout: { points: 60, windowSeconds: minute, shared: false },
  upload: { points: 60, windowSeconds: minute, shared: false },
  probe: { points: 6000, windowSeconds: minute, shared: false },
  webhook: { points: 6000, windowSeconds: minute, shared: false },
  /** Wrong passwords, by address and by account; unknown accounts count like known ones. */
  loginByAddress: { points: 50, windowSeconds: 15 * minute, shared: true },
  loginByAccount: { points: 10, windowSeconds: 15 * minute, shared: true },
  registerByAddress: { points: 20, windowSeconds: hour, shared: true },
  checkoutByAccount: { points: 60, windowSeconds: minute, shared: true },
  contactByAddress: { points: 5, windowSeconds: hour, shared: true },
  contactInAll: { points: 100, windowSeconds: hour, shared: true },
} as const satisfies Record<string, LimitPolicy>
export type LimitPolicyName = keyof typeof limitPolicies

export interface LimitVerdict {
  readonly allowed: boolean
  readonly limit: number
  readonly remaining: number
  readonly windowSeconds: number
  readonly retryAfterSeconds: number
}

export interface Limits {
  /** Takes one point of the account's; the verdict says whether there was one. */
  spend(policy: LimitPolicyName, account: string): Promise<LimitVerdict>
  /** Forgets what the account has spent, as after a right password. */
  forget(policy: LimitPolicyName, account: string): Promise<void>
  /** What is left, taking nothing. */
  look(policy: LimitPolicyName, account: string): Promise<LimitVerdict>
}

export interface LimitOptions {
  /** Multiplies every limit, for load tests behind one address. */
  readonly scale: number
  /** How many processes share the port: limits counted in memory are divided by it. */
  readonly processes: number
  readonly clock: Clock
}

export function createLimits(db: Pool, options: LimitOptions): Limits {
  const counters = new Map(
    Object.entries(limitPolicies).map(([name, policy]) => [
      name,
      policy.shared ? countInDatabase(db, name, policy, options) : countInMemory(policy, options),
    ]),
  )
  const find = (name: LimitPolicyName): Counter => {
    const found = counters.get(name)
    if (!found) throw new Error(`no limit policy ${name}`)
    return found
  }
  return {
    spend: (name, account) => find(name).spend(account),
    look: (name, account) => find(name).look(account),
    forget: (name, account) => find(name).forget(account),
  }
}

/** Accounts whose window has ended, a bounded number at a time; a job calls this. */
export async function pruneLimits(db: Db, now: Date): Promise<number> {
  return await db.run(sql`
    delete from rate_limits where key in (
      select key from rate_limits where expires_at <= ${now} limit 20000)`)
}

interface Counter {
  spend(account: string): Promise<LimitVerdict>
  look(account: string): Promise<LimitVerdict>
  forget(account: string): Promise<void>
}

function countInMemory(policy: LimitPolicy, { scale, processes }: LimitOptions): Counter {
  const points = Math.max(1, Math.floor((policy.points * scale) / processes))
  const limiter = new RateLimiterMemory({ points, duration: policy.windowSeconds })
  const verdict = (state: RateLimiterRes | null): LimitVerdict =>
    toVerdict(policy, points, state?.consumedPoints ?? 0, state?.msBeforeNext ?? 0)
  return {
    spend: async (account) =>
      verdict(
        await limiter.consume(account).catch((rejection: unknown) => {
          if (rejection instanceof RateLimiterRes) return rejection
          throw rejection
        }),
      ),
    look: async (account) => verdict(await limiter.get(account)),
    forget: async (account) => {
      await limiter.delete(account)
    },
  }
}

/** One statement a call; an account's window starts with its first call (a fixed window). */
function countInDatabase(
  db: Pool,
  name: string,
  policy: LimitPolicy,
  { scale, clock }: LimitOptions,
): Counter {
  const points = Math.max(1, Math.floor(policy.points * scale))
  const keyOf = (account: string): string => `${name}:${account}`
  const verdict = (row: { hits: number; expiresAt: Date } | undefined, now: Date): LimitVerdict => {
    const open = row !== undefined && row.expiresAt > now
    const leftMs = open ? row.expiresAt.getTime() - now.getTime() : 0
    return toVerdict(policy, points, open ? row.hits : 0, leftMs)
  }
  return {
    spend: async (account) => {
      const now = clock()
      const end = later(now, policy.windowSeconds * secondMs)
      const row = await db.one<{ hits: number; expiresAt: Date }>(sql`
        insert into rate_limits as known (key, hits, expires_at)
        values (${keyOf(account)}, 1, ${end})
        on conflict (key) do update set
          hits = case when known.expires_at <= ${now} then 1 else known.hits + 1 end,
          expires_at = case when known.expires_at <= ${now} then excluded.expires_at
            else known.expires_at end
        returning hits, expires_at`)
      return verdict(row, now)
    },
    look: async (account) =>
      verdict(
        await db.maybeOne(sql`
          select hits, expires_at from rate_limits where key = ${keyOf(account)}`),
        clock(),
      ),
    forget: async (account) => {
      await db.run(sql`delete from rate_limits where key = ${keyOf(account)}`)
    },
  }
}

function toVerdict(
  policy: LimitPolicy,
  points: number,
  spent: number,
  leftMs: number,
): LimitVerdict {
  return {
    allowed: spent <= points,
    limit: points,
    remaining: Math.max(0, points - spent),
    windowSeconds: policy.windowSeconds,
    retryAfterSeconds: Math.max(1, Math.ceil(leftMs / secondMs)),
  }
}
