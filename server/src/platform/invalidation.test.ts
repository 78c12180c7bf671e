import { beforeEach, describe, expect, test } from 'vitest'
import { createCache, type Cache, type Invalidation } from './invalidation.ts'

/** Notices by hand: whether they arrive is for each test to say. */
let invalidation: Invalidation & { isArriving: boolean; tell(key: string | null): void }

beforeEach(() => {
  const subscribers: ((key: string | null) => void)[] = []
  const tell = (key: string | null): void => subscribers.forEach((forget) => forget(key))
  invalidation = {
    isArriving: true,
    isFresh: () => invalidation.isArriving,
    tell,
    forget: (_topic, key) => tell(key),
    subscribe: (_topic, forget) => void subscribers.push(forget),
    stop: async () => undefined,
  }
})

/** A load that ends when the test says so. */
function pending<T>(): { load: () => Promise<T>; end: (value: T) => void; begun: () => number } {
  let begun = 0
  let end: (value: T) => void = () => undefined
  const promise = new Promise<T>((resolve) => {
    end = resolve
  })
  return {
    load: () => {
      begun += 1
      return promise
    },
    end,
    begun: () => begun,
  }
}

function cacheOf(options: Partial<Parameters<typeof createCache<string>>[1]> = {}): Cache<string> {
  return createCache<string>(invalidation, { topic: 'catalog', maxEntries: 3, ...options })
}

describe('a cache', () => {
  test('loads once, and once more after a notice of that entry', async () => {
    const cache = cacheOf()
    let loads = 0
    const load = async (): Promise<string> => `value ${(loads += 1)}`
    expect(await cache.get('a', load)).toBe('value 1')
    expect(await cache.get('a', load)).toBe('value 1')
    invalidation.tell('b')
    expect(cache.peek('a')).toBe('value 1')
    invalidation.tell('a')
    expect(cache.peek('a')).toBeUndefined()
    expect(await cache.get('a', load)).toBe('value 2')
    invalidation.tell(null)
    expect(cache.peek('a')).toBeUndefined()
    expect(cache.figures()).toEqual({ hits: 2, misses: 2, entries: 0, bytes: 0 })
  })

  test('forgets by what a value says of itself, or everything at any notice', async () => {
    const byValue = cacheOf({ noticeKeyOf: (value) => value.slice(0, 3) })
    const byAny = cacheOf({ noticeKeyOf: 'any' })
    for (const cache of [byValue, byAny]) {
      await cache.get('1', async () => 'ada 1')
      await cache.get('2', async () => 'bob 2')
    }
    invalidation.tell('ada')
    expect([byValue.peek('1'), byValue.peek('2')]).toEqual([undefined, 'bob 2'])
    expect([byAny.peek('1'), byAny.peek('2')]).toEqual([undefined, undefined])
  })

  test('lets all who ask at a time wait for one load', async () => {
    const cache = cacheOf()
    const { load, end, begun } = pending<string>()
    const asked = Array.from({ length: 50 }, () => cache.get('a', load))
    end('value')
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['value']))
    expect(begun()).toBe(1)
  })

  test('never hands a load to whoever asks after a notice, nor keeps it', async () => {
    const cache = cacheOf()
    const before = pending<string>()
    const early = cache.get('a', before.load)
    invalidation.tell('a')
    const late = cache.get('a', async () => 'new')
    before.end('old')
    expect([await early, await late]).toEqual(['old', 'new'])
    expect(cache.peek('a')).toBe('new')
  })

  test('is neither served from, joined nor filled while notices may be missing', async () => {
    const cache = cacheOf()
    await cache.get('a', async () => 'old')
    invalidation.isArriving = false
    expect(cache.peek('a')).toBeUndefined()
    const slow = pending<string>()
    const first = cache.get('a', slow.load)
    expect(await cache.get('a', async () => 'new')).toBe('new')
    slow.end('slow')
    expect(await first).toBe('slow')
    invalidation.tell(null)
    invalidation.isArriving = true
    expect(cache.peek('a')).toBeUndefined()
  })

  test('tells all who wait of a failure, and tries again for the next', async () => {
    const cache = cacheOf()
    const failing = async (): Promise<string> => {
      throw new Error('no')
    }
    const asked = await Promise.allSettled([cache.get('a', failing), cache.get('a', failing)])
    expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await cache.get('a', async () => 'yes')).toBe('yes')
  })

  test('lets go first of what nobody asked for the longest', async () => {
    const cache = cacheOf()
    for (const key of ['a', 'b', 'c']) await cache.get(key, async () => key)
    cache.peek('a')
    await cache.get('d', async () => 'd')
    expect(['a', 'b', 'c', 'd'].map((key) => cache.peek(key))).toEqual(['a', undefined, 'c', 'd'])
  })

  test('stays within its bytes, whatever it is asked for', async () => {
    const maxBytes = 20_000
    const sizeOf = (value: string): number => value.length
    const cache = cacheOf({ maxEntries: 1000, maxBytes, sizeOf })
    for (let key = 0; key < 200; key += 1) {
      await cache.get(`key ${key}`, async () => 'x'.repeat(key * 5))
      expect(cache.figures().bytes).toBeLessThanOrEqual(maxBytes)
    }
    expect(cache.peek('key 199')).toHaveLength(995)
    await cache.get('too large', async () => 'x'.repeat(maxBytes / 16))
    expect(cache.peek('too large')).toBeUndefined()
    expect(cache.peek('key 199')).toHaveLength(995)
    invalidation.tell(null)
    expect(cache.figures()).toMatchObject({ entries: 0, bytes: 0 })
  })
})
