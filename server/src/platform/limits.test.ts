import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cloneDatabase, type TestDatabase } from '../../test/support/database.ts'
import { eventually } from '../../test/support/eventually.ts'
import { AppError } from '../kernel/errors.ts'
import { openPool, type Pool } from './database.ts'
import { createLimits, limitPolicies, maxWindowsHere, pruneLimits, type Limits } from './limits.ts'

let database: TestDatabase
let db: Pool
let now: Date
let limits: Limits

beforeAll(async () => {
  database = await cloneDatabase()
  db = open(database.serverUrl)
})
beforeEach(async () => {
  await db.driver.query('delete from rate_limits')
  now = new Date('2026-11-22T12:00:00Z')
  limits = limitsOf(db)
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

function open(url: string): Pool {
  const onError = (): void => undefined
  return openPool({ url, size: 8, namedStatements: true, timeoutMs: 5000, onError })
}

function limitsOf(pool: Pool, given: { scale?: number; processes?: number } = {}): Limits {
  return createLimits(pool, { scale: 0.01, processes: 1, clock: () => now, ...given })
}

function advance(byMs: number): void {
  now = new Date(now.getTime() + byMs)
}

/** At a hundredth: six a minute in the process, one a quarter of an hour in the database. */
describe.each([
  { policy: 'default', points: 6, windowMs: 60_000 },
  { policy: 'loginByAccount', points: 1, windowMs: 15 * 60_000 },
] as const)('the policy $policy', ({ policy, points, windowMs }) => {
  async function spendAll(account: string): Promise<void> {
    for (let spent = 1; spent <= points; spent += 1) {
      const { allowed, remaining } = await limits.spend(policy, account)
      expect([allowed, remaining]).toEqual([true, points - spent])
    }
  }

  test('gives its points, then none until the window of the first call ends', async () => {
    await spendAll('ada')
    advance(windowMs - 1)
    expect(await limits.spend(policy, 'ada')).toMatchObject({
      allowed: false,
      limit: points,
      remaining: 0,
      retryAfterSeconds: 1,
    })
    advance(1)
    expect((await limits.spend(policy, 'ada')).allowed).toBe(true)
  })

  test('counts each account for itself', async () => {
    await spendAll('ada')
    expect((await limits.spend(policy, 'bob')).allowed).toBe(true)
  })

  test('looks without taking anything', async () => {
    expect((await limits.look(policy, 'ada')).remaining).toBe(points)
    expect((await limits.look(policy, 'ada')).remaining).toBe(points)
    await limits.spend(policy, 'ada')
    expect((await limits.look(policy, 'ada')).remaining).toBe(points - 1)
  })

  test('forgets what it is told to forget', async () => {
    await spendAll('ada')
    await limits.forget(policy, 'ada')
    expect((await limits.spend(policy, 'ada')).allowed).toBe(true)
  })

  test('counts an IPv6 network of 64 bits as one, and IPv4 in it as IPv4', async () => {
    await spendAll('2001:db8:1:2::1')
    expect((await limits.spend(policy, '2001:db8:1:2:ffff::9')).allowed).toBe(false)
    expect((await limits.spend(policy, '2001:db8:1:3::1')).allowed).toBe(true)
    await spendAll('203.0.113.9')
    expect((await limits.spend(policy, '::ffff:203.0.113.9')).allowed).toBe(false)
  })

  test('locks nobody out for long when the clock is put back', async () => {
    advance(365 * 24 * 3_600_000)
    await spendAll('ada')
    advance(-365 * 24 * 3_600_000)
    expect((await limits.look(policy, 'ada')).remaining).toBe(points)
    expect((await limits.spend(policy, 'ada')).allowed).toBe(true)
  })
})

describe('what a process counts itself', () => {
  test('is answered at once, and is the same count', async () => {
    expect(limits.here.spend('default', 'ada').remaining).toBe(5)
    expect((await limits.spend('default', 'ada')).remaining).toBe(4)
    expect(limits.here.look('default', 'ada').remaining).toBe(4)
  })

  test('is divided among the processes of a node', () => {
    expect(limitsOf(db, { processes: 3 }).here.look('default', 'ada').limit).toBe(2)
    expect(limitsOf(db, { processes: 100 }).here.look('default', 'ada').limit).toBe(1)
  })

  test('is bounded in memory: of more addresses than it holds the oldest begins anew', () => {
    for (let call = 0; call < 6; call += 1) limits.here.spend('default', 'first')
    expect(limits.here.look('default', 'first').remaining).toBe(0)
    for (let count = 1; count < maxWindowsHere; count += 1) {
      limits.here.spend('default', `address-${count}`)
    }
    expect(limits.here.look('default', 'first').remaining).toBe(0)
    limits.here.spend('default', 'one more')
    expect(limits.here.look('default', 'first').remaining).toBe(6)
    expect(limits.here.look('default', 'address-1').remaining).toBe(5)
  })
})

describe('what PostgreSQL counts', () => {
  test('holds exactly across nodes under calls in parallel', async () => {
    const pools = [open(database.serverUrl), open(database.serverUrl)]
    try {
      const nodes = pools.map((pool) => limitsOf(pool, { scale: 1 }))
      const calls = nodes.flatMap((node) =>
        Array.from({ length: 20 }, () => node.spend('loginByAccount', 'ada')),
      )
      const allowed = (await Promise.all(calls)).filter((verdict) => verdict.allowed)
      expect(allowed).toHaveLength(limitPolicies.loginByAccount.points)
    } finally {
      await Promise.all(pools.map((pool) => pool.close()))
    }
  })

  test('holds also where the clocks of nodes differ', async () => {
    const ahead = createLimits(db, {
      scale: 0.01,
      processes: 1,
      clock: () => new Date(now.getTime() + 5000),
    })
    expect((await ahead.spend('loginByAccount', 'ada')).allowed).toBe(true)
    expect((await limits.spend('loginByAccount', 'ada')).allowed).toBe(false)
  })

  test('refuses with 503 where PostgreSQL cannot be asked: nobody slips past', async () => {
    const nowhere = open('postgres://nobody@127.0.0.1:1/nothing')
    try {
      const failure = await limitsOf(nowhere)
        .spend('loginByAccount', 'ada')
        .catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(AppError)
      expect(failure).toMatchObject({ status: 503, code: 'unavailable', retryAfterSeconds: 1 })
      expect(limitsOf(nowhere).here.spend('default', 'ada').allowed).toBe(true)
    } finally {
      await nowhere.close()
    }
  })

  test('is forgotten when the window has ended, and not before', async () => {
    await limits.spend('loginByAccount', 'ada')
    await limits.spend('registerByAddress', '203.0.113.9')
    expect(await pruneLimits(db, now)).toBe(0)
    advance(15 * 60_000)
    expect(await pruneLimits(db, now)).toBe(1)
    advance(45 * 60_000)
    expect(await pruneLimits(db, now)).toBe(1)
  })

  test('is forgotten whole, however much of it has ended', async () => {
    await db.driver.query(
      `insert into rate_limits (key, hits, expires_at)
      select 'loginByAccount:' || number, 1, $1 from generate_series(1, 45000) as number`,
      [now],
    )
    expect(await pruneLimits(db, now)).toBe(45_000)
  })

  test('is kept where a new window begins while old ones are forgotten', async () => {
    await limits.spend('loginByAccount', 'ada')
    advance(15 * 60_000)
    const beginner = await db.driver.connect()
    try {
      await beginner.query('begin')
      const again = [new Date(now.getTime() + 15 * 60_000)]
      await beginner.query('update rate_limits set hits = 1, expires_at = $1', again)
      const pruning = pruneLimits(db, now)
      await eventually(async () => {
        const { rows } = await db.driver.query(
          `select 1 from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`,
        )
        expect(rows).toHaveLength(1)
      })
      await beginner.query('commit')
      expect(await pruning).toBe(0)
    } finally {
      beginner.release()
    }
    expect((await limits.look('loginByAccount', 'ada')).remaining).toBe(0)
  })
})
