import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AppContext } from './context.ts'
import { createHealth, type Finding, type HealthCheck } from './health.ts'

const contextFor = (): AppContext =>
  ({ now: new Date(0), log: { warn: () => undefined } }) as unknown as AppContext

interface Counted extends HealthCheck {
  looks(): number
}

/** A check that counts how often it was looked at. */
function counted(
  name: string,
  more: Partial<HealthCheck> & { find?: () => Promise<Finding> } = {},
): Counted {
  let looks = 0
  const { find = async () => ({ status: 'pass' as const }), ...rest } = more
  return {
    name,
    critical: false,
    run: () => {
      looks += 1
      return find()
    },
    looks: () => looks,
    ...rest,
  }
}

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
  })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a report', () => {
  test('looks once for all who ask at a time, and not again within five seconds', async () => {
    const check = counted('database')
    const health = createHealth([check], contextFor)
    await Promise.all(Array.from({ length: 50 }, () => health.report()))
    await vi.advanceTimersByTimeAsync(4999)
    await health.report()
    expect(check.looks()).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    await health.report()
    expect(check.looks()).toBe(2)
  })

  test('never asks anybody outside: it tells what the timer found last', async () => {
    const answers: Finding[] = [{ status: 'pass' }, { status: 'warn', output: 'It is away.' }]
    const check = counted('vendor', {
      reachesOutside: true,
      find: async () => answers.shift() ?? { status: 'pass' },
    })
    const health = createHealth([check], contextFor)
    for (let count = 0; count < 10; count += 1) await health.report()
    expect(check.looks()).toBe(0)
    expect((await health.report()).checks[0]).toMatchObject({ status: 'pass', at: null })
    await health.lookOutside()
    await health.lookOutside()
    expect(check.looks()).toBe(2)
    expect(await health.report()).toMatchObject({
      status: 'warn',
      checks: [{ name: 'vendor', output: 'It is away.' }],
    })
  })

  test('is of what the timer finds outside every minute, from the start to the stop', async () => {
    const check = counted('vendor', { reachesOutside: true })
    const health = createHealth([check], contextFor)
    health.start()
    await vi.advanceTimersByTimeAsync(2 * 60_000)
    expect(check.looks()).toBe(3)
    health.stop()
    await vi.advanceTimersByTimeAsync(10 * 60_000)
    expect(check.looks()).toBe(3)
  })

  test('is as bad as its worst part, and fails for what is critical only', async () => {
    const failing = async (): Promise<Finding> => ({ status: 'fail' })
    const minor = createHealth([counted('jobs', { find: failing }), counted('mail')], contextFor)
    expect((await minor.report()).status).toBe('warn')
    const major = createHealth([counted('database', { critical: true, find: failing })], contextFor)
    expect((await major.report()).status).toBe('fail')
  })

  test('takes a look that throws for a failure, and keeps what it said to the log', async () => {
    const check = counted('storage', {
      critical: true,
      find: async () => {
        throw new Error('the password is hunter2')
      },
    })
    const { status, checks } = await createHealth([check], contextFor).report()
    expect([status, checks[0]?.output]).toEqual(['fail', 'It does not answer.'])
  })

  test('waits two seconds for a look, and never has two of one part under way', async () => {
    let answer: (finding: Finding) => void = () => undefined
    const hanging = new Promise<Finding>((resolve) => (answer = resolve))
    const check = counted('database', { neededToServe: true, find: () => hanging })
    const health = createHealth([check], contextFor)
    const report = health.readiness()
    await vi.advanceTimersByTimeAsync(2000)
    const { status, checks } = await report
    expect([status, checks[0]?.output]).toEqual(['fail', 'No answer within 2000 ms.'])
    // Looked at again after a second: what was asked is waited for, rather than asked again.
    await vi.advanceTimersByTimeAsync(1000)
    const later = health.readiness()
    answer({ status: 'pass' })
    expect((await later).status).toBe('pass')
    expect(check.looks()).toBe(1)
  })
})

describe('readiness', () => {
  test('asks what the process cannot serve without, and nothing else', async () => {
    const needed = counted('keys', { neededToServe: true, find: async () => ({ status: 'fail' }) })
    const other = counted('jobs')
    const health = createHealth([needed, other], contextFor)
    expect((await health.readiness()).status).toBe('fail')
    expect([needed.looks(), other.looks()]).toEqual([1, 0])
  })

  test('is gone from the moment at which the process is told to stop', async () => {
    const check = counted('database', { neededToServe: true })
    const health = createHealth([check], contextFor)
    health.stop()
    expect(await health.readiness()).toMatchObject({
      status: 'fail',
      checks: [{ name: 'process' }],
    })
    expect(check.looks()).toBe(0)
  })
})

test('two checks of one name are refused', () => {
  expect(() => createHealth([counted('jobs'), counted('jobs')], contextFor)).toThrow(/same name/)
})
