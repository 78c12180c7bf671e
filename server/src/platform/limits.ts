import { partyOf } from '../kernel/address.ts'
import { rateLimited, type AppError } from '../kernel/errors.ts'
import { later, secondMs } from '../kernel/time.ts'
import type { Clock } from './clock.ts'
import type { Db, Pool } from './database.ts'
import { sql } from './sql.ts'

/** How many calls in how long. */
export interface LimitPolicy {
  readonly points: number
  readonly windowSeconds: number
  /** Counted in PostgreSQL, and so across all processes and nodes; otherwise in each process. */
  readonly shared: boolean
}

const minute = 60
const hour = 3600

export const limitPolicies = {
  /** Every route that names no other: by account with a good token, by address without one. */
  default: { points: 600, windowSeconds: minute, shared: false },
  /** Tokens that are no good, by address. */
  failedToken: { points: 120, windowSeconds: minute, shared: false },
  auth: { points: 60, windowSeconds: minute, shared: false },
  checkout: { points: 60, windowSeconds: minute, shared: false },
  upload: { points: 60, windowSeconds: minute, shared: false },
  probe: { points: 6000, windowSeconds: minute, shared: false },
  webhook: { points: 6000, windowSeconds: minute, shared: false },
  /** Wrong passwords, by address and by account; unknown accounts count like known ones. */
  loginByAddress: { points: 50, windowSeconds: 15 * minute, shared: true },
  loginByAccount: { points: 10, windowSeconds: 15 * minute, shared: true },
  registerByAddress: { points: 20, windowSeconds: hour, shared: true },
  /** Mailed links: asking for one, and following one. */
  forgotByAddress: { points: 20, windowSeconds: hour, shared: true },
  verifyByAddress: { points: 30, windowSeconds: 15 * minute, shared: true },
  /** Mails that somebody who is not signed in can have sent to one address, known or not. */
  mailByAccount: { points: 5, windowSeconds: hour, shared: true },
  /** Codes of a second factor, once the password was right. */
  mfaByAccount: { points: 20, windowSeconds: 24 * hour, shared: true },
  checkoutByAccount: { points: 60, windowSeconds: minute, shared: true },
  /** A guest has no account: of one e-mail as many as a customer may have open, in a day. */
  guestCheckoutByEmail: { points: 20, windowSeconds: 24 * hour, shared: true },
  uploadByAccount: { points: 60, windowSeconds: minute, shared: true },
  /** Mails that a colleague writes. */
  composedMailByAccount: { points: 60, windowSeconds: hour, shared: true },
  contactByAddress: { points: 5, windowSeconds: hour, shared: true },
  contactInAll: { points: 100, windowSeconds: hour, shared: true },
} as const satisfies Record<string, LimitPolicy>
export type LimitPolicyName = keyof typeof limitPolicies
/** Those that are counted in each process. */
export type LocalPolicyName = {
  [Name in LimitPolicyName]: (typeof limitPolicies)[Name]['shared'] extends false ? Name : never
}[LimitPolicyName]

export function isLocal(name: LimitPolicyName): name is LocalPolicyName {
  return !limitPolicies[name].shared
}

export interface LimitVerdict {
  readonly allowed: boolean
  readonly limit: number
  readonly remaining: number
  readonly windowSeconds: number
  readonly retryAfterSeconds: number
}

/**
 * Counts calls by account or by address; of IPv6 addresses by their network. Where a shared policy
 * cannot be asked because PostgreSQL is down, the call ends with 503: nobody slips past a limit.
 */
export interface Limits {
  /** Takes one point of the account's; the verdict says whether there was one. */
  spend(policy: LimitPolicyName, account: string): Promise<LimitVerdict>
  /** Returns the point that a call has taken, once it has turned out to be none that counts. */
  giveBack(policy: LimitPolicyName, account: string): Promise<void>
  /** Forgets what the account has spent, as after a right password. */
  forget(policy: LimitPolicyName, account: string): Promise<void>
  /** What is left, taking nothing. */
  look(policy: LimitPolicyName, account: string): Promise<LimitVerdict>
  /** The same at once, for what this process counts itself. */
  readonly here: {
    spend(policy: LocalPolicyName, account: string): LimitVerdict
    look(policy: LocalPolicyName, account: string): LimitVerdict
  }
}

/** 429 that names the policy and what is left of it. */
export function limitExceeded(policy: LimitPolicyName, verdict: LimitVerdict): AppError {
  return rateLimited({
    retryAfterSeconds: verdict.retryAfterSeconds,
    members: { violatedPolicies: [policy] },
    facts: { policy, verdict },
  })
}

export interface LimitOptions {
  /** Multiplies every limit, for load tests behind one address. */
  readonly scale: number
  /** How many processes share the port: limits counted in memory are divided by it. */
  readonly processes: number
  readonly clock: Clock
}

export function createLimits(db: Pool, options: LimitOptions): Limits {
  const local = new Map<LimitPolicyName, LocalCounter>()
  const counters = new Map<LimitPolicyName, Counter>()
  for (const name of Object.keys(limitPolicies) as LimitPolicyName[]) {
    if (isLocal(name)) {
      const counter = countHere(name, options)
      local.set(name, counter)
      counters.set(name, asPromised(counter))
    } else counters.set(name, countInDatabase(db, name, options))
  }
  return {
    spend: (name, account) => found(counters, name).spend(partyOf(account)),
    look: (name, account) => found(counters, name).look(partyOf(account)),
    giveBack: (name, account) => found(counters, name).giveBack(partyOf(account)),
    forget: (name, account) => found(counters, name).forget(partyOf(account)),
    here: {
      spend: (name, account) => found(local, name).spend(partyOf(account)),
      look: (name, account) => found(local, name).look(partyOf(account)),
    },
  }
}

const prunedAtOnce = 20_000

/** Forgets the accounts whose window has ended, and says how many; a job calls this. */
export async function pruneLimits(db: Db, now: Date): Promise<number> {
  let pruned = 0
  for (;;) {
    // Named twice: a window that begins anew meanwhile is not the one that was found.
    const ended = await db.run(sql`
      delete from rate_limits where expires_at <= ${now} and key in (
        select key from rate_limits where expires_at <= ${now} limit ${prunedAtOnce})`)
    pruned += ended
    if (ended < prunedAtOnce) return pruned
  }
}

function found<T>(counters: ReadonlyMap<LimitPolicyName, T>, name: LimitPolicyName): T {
  const counter = counters.get(name)
  if (!counter) throw new Error(`no limit policy ${name}`)
  return counter
}

interface Counter {
  spend(account: string): Promise<LimitVerdict>
  look(account: string): Promise<LimitVerdict>
  giveBack(account: string): Promise<void>
  forget(account: string): Promise<void>
}

interface LocalCounter {
  spend(account: string): LimitVerdict
  look(account: string): LimitVerdict
  giveBack(account: string): void
  forget(account: string): void
}

function asPromised({ spend, look, giveBack, forget }: LocalCounter): Counter {
  return {
    spend: async (account) => spend(account),
    look: async (account) => look(account),
    giveBack: async (account) => giveBack(account),
    forget: async (account) => forget(account),
  }
}

/** Some 3 MB a policy. Whoever has more networks than this can call as often as he likes anyway. */
export const maxWindowsHere = 20_000

/** An account's window starts with its first call (a fixed window). */
interface Window {
  spent: number
  readonly endsAtMs: number
}

/** Costs no promise: every request goes through here. */
function countHere(name: LocalPolicyName, { scale, processes, clock }: LimitOptions): LocalCounter {
  const { points: perBusiness, windowSeconds } = limitPolicies[name]
  const points = Math.max(1, Math.floor((perBusiness * scale) / processes))
  const windowMs = windowSeconds * secondMs
  const windows = new Map<string, Window>()

  const findOpen = (account: string, nowMs: number): Window | undefined => {
    const known = windows.get(account)
    const leftMs = known === undefined ? 0 : known.endsAtMs - nowMs
    // A window that ends too late was begun before the clock was put back.
    return leftMs > 0 && leftMs <= windowMs ? known : undefined
  }
  const begin = (account: string, nowMs: number): Window => {
    windows.delete(account)
    // A Map keeps the order of insertion: what ends first stands first.
    for (const [oldest, { endsAtMs }] of windows) {
      if (endsAtMs > nowMs && windows.size < maxWindowsHere) break
      windows.delete(oldest)
    }
    const window = { spent: 0, endsAtMs: nowMs + windowMs }
    windows.set(account, window)
    return window
  }
  const verdict = (window: Window | undefined, nowMs: number): LimitVerdict =>
    toVerdict(name, points, {
      spent: window?.spent ?? 0,
      leftMs: window === undefined ? 0 : window.endsAtMs - nowMs,
    })
  return {
    spend: (account) => {
      const nowMs = clock().getTime()
      const window = findOpen(account, nowMs) ?? begin(account, nowMs)
      window.spent += 1
      return verdict(window, nowMs)
    },
    look: (account) => {
      const nowMs = clock().getTime()
      return verdict(findOpen(account, nowMs), nowMs)
    },
    giveBack: (account) => {
      const window = windows.get(account)
      if (window) window.spent = Math.max(0, window.spent - 1)
    },
    forget: (account) => void windows.delete(account),
  }
}

/** One statement a call, with the same windows. */
function countInDatabase(db: Pool, name: LimitPolicyName, options: LimitOptions): Counter {
  const { scale, clock } = options
  const { points: perBusiness, windowSeconds } = limitPolicies[name]
  const points = Math.max(1, Math.floor(perBusiness * scale))
  const windowMs = windowSeconds * secondMs
  const keyOf = (account: string): string => `${name}:${account}`
  const verdict = (row: { hits: number; expiresAt: Date } | undefined, now: Date): LimitVerdict => {
    const leftMs = row === undefined ? 0 : row.expiresAt.getTime() - now.getTime()
    const isOpen = leftMs > 0 && leftMs <= 2 * windowMs
    return toVerdict(name, points, {
      spent: row !== undefined && isOpen ? row.hits : 0,
      leftMs: isOpen ? leftMs : 0,
    })
  }
  return {
    spend: async (account) => {
      const now = clock()
      // Nodes' clocks differ a little; only one that was put back leaves a window this far ahead.
      const farthest = later(now, 2 * windowMs)
      const row = await db.one<{ hits: number; expiresAt: Date }>(sql`
        insert into rate_limits as known (key, hits, expires_at)
        values (${keyOf(account)}, 1, ${later(now, windowMs)})
        on conflict (key) do update set
          hits = case when known.expires_at > ${now} and known.expires_at <= ${farthest}
            then known.hits + 1 else 1 end,
          expires_at = case when known.expires_at > ${now} and known.expires_at <= ${farthest}
            then known.expires_at else excluded.expires_at end
        returning hits, expires_at`)
      return verdict(row, now)
    },
    look: async (account) =>
      verdict(
        await db.maybeOne(sql`
          select hits, expires_at from rate_limits where key = ${keyOf(account)}`),
        clock(),
      ),
    giveBack: async (account) => {
      await db.run(sql`
        update rate_limits set hits = hits - 1 where key = ${keyOf(account)} and hits > 0`)
    },
    forget: async (account) => {
      await db.run(sql`delete from rate_limits where key = ${keyOf(account)}`)
    },
  }
}

function toVerdict(
  policy: LimitPolicyName,
  points: number,
  { spent, leftMs }: { spent: number; leftMs: number },
): LimitVerdict {
  return {
    allowed: spent <= points,
    limit: points,
    remaining: Math.max(0, points - spent),
    windowSeconds: limitPolicies[policy].windowSeconds,
    retryAfterSeconds: Math.max(1, Math.ceil(leftMs / secondMs)),
  }
}
