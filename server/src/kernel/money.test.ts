import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { allocate, decimalsOf, isCurrency, money, sum } from './money.ts'

const amounts = fc.integer({ min: -99_999_999, max: 99_999_999 })
const weights = fc
  .array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 50 })
  .filter((list) => list.some((weight) => weight > 0))

describe('allocate', () => {
  test('never loses or makes a cent', () => {
    fc.assert(
      fc.property(amounts, weights, (total, list) => {
        expect(sum(allocate(total, list))).toBe(total)
      }),
    )
  })

  test('gives each part its exact share, rounded by less than one', () => {
    fc.assert(
      fc.property(amounts, weights, (total, list) => {
        const whole = sum(list)
        allocate(total, list).forEach((part, index) => {
          const exact = (total * (list[index] ?? 0)) / whole
          expect(Math.abs(part - exact)).toBeLessThan(1)
        })
      }),
    )
  })

  test('gives nothing to what weighs nothing, and equal weights differ by one at most', () => {
    fc.assert(
      fc.property(amounts, fc.integer({ min: 1, max: 50 }), (total, count) => {
        const parts = allocate(total, [...Array.from({ length: count }, () => 1), 0])
        expect(parts.at(-1)).toBe(0)
        const equal = parts.slice(0, -1)
        expect(Math.max(...equal) - Math.min(...equal)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('is the same for the negative sum', () => {
    fc.assert(
      fc.property(amounts, weights, (total, list) => {
        const mirrored = allocate(-total, list).map((part) => 0 - part)
        expect(mirrored).toEqual(allocate(total, list))
      }),
    )
  })

  test('gives the spare cents to the largest remainders, the first of equals first', () => {
    expect(allocate(100, [1, 1, 1])).toEqual([34, 33, 33])
    expect(allocate(5, [3, 7])).toEqual([2, 3])
    expect(allocate(0, [1, 2])).toEqual([0, 0])
  })

  test.each([[[]], [[0, 0]], [[1, -1]], [[2, -1]]])('refuses the weights %j', (list) => {
    expect(() => allocate(100, list)).toThrow(/weights/)
  })
})

describe('sum and money', () => {
  test('stop where a number would be rounded', () => {
    expect(sum([])).toBe(0)
    expect(() => sum([Number.MAX_SAFE_INTEGER, 1])).toThrow(/safe integers/)
    for (const amount of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(() => money(amount, 'GBP')).toThrow(/integer/)
    }
  })
})

describe('currencies', () => {
  test.each([
    ['GBP', 2],
    ['JPY', 0],
    ['HUF', 2],
    ['IDR', 2],
    ['KWD', 3],
  ])('%s has %i decimals', (code, decimals) => {
    expect([isCurrency(code), decimalsOf(code)]).toEqual([true, decimals])
  })

  test.each([['gbp'], ['XYZ'], [''], ['GBPX'], ['ISK'], ['MGA']])('%j is none', (code) => {
    expect(isCurrency(code)).toBe(false)
  })
})
