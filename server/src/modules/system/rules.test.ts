import { describe, expect, test } from 'vitest'
import { figuresOf, firstLineOf, quantileOf, totalOf } from './rules.ts'

const bounds = [0.001, 0.01, 0.1]

describe('quantileOf', () => {
  test('spreads what is in a bucket evenly over it', () => {
    expect(quantileOf({ buckets: [0, 100, 0, 0], bounds }, 0.5)).toBeCloseTo(0.0055)
    expect(quantileOf({ buckets: [50, 50, 0, 0], bounds }, 0.5)).toBeCloseTo(0.001)
    expect(quantileOf({ buckets: [0, 0, 10, 0], bounds }, 1)).toBeCloseTo(0.1)
  })

  test('says the highest bound for what lies beyond it, and 0 for nothing', () => {
    expect(quantileOf({ buckets: [0, 0, 0, 5], bounds }, 0.5)).toBe(0.1)
    expect(quantileOf({ buckets: [0, 0, 0, 0], bounds }, 0.99)).toBe(0)
    expect(quantileOf({ buckets: [], bounds }, 0.99)).toBe(0)
  })

  test('never falls while the share rises', () => {
    const buckets = [3, 1, 7, 2]
    const values = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1].map((share) =>
      quantileOf({ buckets, bounds }, share),
    )
    expect(values).toEqual(values.toSorted((one, other) => one - other))
  })
})

describe('figuresOf', () => {
  test('of several routes is that of all their requests', () => {
    const routes = [
      { method: 'GET', route: '/a', count: 3, errors: 0, buckets: [3, 0, 0, 0] },
      { method: 'GET', route: '/b', count: 1, errors: 1, buckets: [0, 0, 1, 0] },
    ]
    const total = totalOf(routes)
    expect(total).toEqual({ count: 4, errors: 1, buckets: [3, 0, 1, 0] })
    expect(figuresOf(total, { seconds: 2, bounds })).toMatchObject({
      count: 4,
      perSecond: 2,
      errorRate: 0.25,
    })
  })

  test('of nothing is nought everywhere', () => {
    expect(figuresOf(totalOf([]), { seconds: 60, bounds })).toEqual({
      count: 0,
      perSecond: 0,
      errorRate: 0,
      p50: 0,
      p95: 0,
      p99: 0,
    })
  })
})

describe('firstLineOf', () => {
  test('leaves out later lines and addresses of people, and is bounded', () => {
    expect(firstLineOf('no mail to <ada@example.com>, sorry\n  at send')).toBe(
      'no mail to <[address]>, sorry',
    )
    expect(firstLineOf('x'.repeat(5000))).toHaveLength(500)
    expect(firstLineOf('')).toBe('')
  })
})
