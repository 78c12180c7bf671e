import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { derivedId, idPattern, idPrefixes, isId, keyPattern, newId, newKey } from './id.ts'

const instants = fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true })

describe('ids', () => {
  test('fit their pattern and no other prefix', () => {
    fc.assert(
      fc.property(fc.constantFrom(...idPrefixes), instants, (prefix, now) => {
        const id = newId(prefix, now)
        expect(id).toMatch(new RegExp(idPattern(prefix)))
        expect(idPrefixes.filter((other) => isId(other, id))).toEqual([prefix])
      }),
    )
  })

  test('sort by the instant they were made at', () => {
    fc.assert(
      fc.property(instants, instants, (a, b) => {
        fc.pre(a.getTime() !== b.getTime())
        const [earlier, later] = a < b ? [a, b] : [b, a]
        expect(newId('ord', earlier) < newId('ord', later)).toBe(true)
      }),
    )
  })

  test('are UUIDs of version 7 that carry their instant', () => {
    const now = new Date('2026-11-22T16:40:21.123Z')
    const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
    const bits = newId('ord', now)
      .slice('ord_'.length)
      .split('')
      .map((digit) => alphabet.indexOf(digit).toString(2).padStart(5, '0'))
      .join('')
    expect(Number.parseInt(bits.slice(2, 50), 2)).toBe(now.getTime())
    expect(Number.parseInt(bits.slice(50, 54), 2)).toBe(7)
    expect(bits.slice(66, 68)).toBe('10')
  })

  test('of one instant differ, over more than one block of random bytes', () => {
    const now = new Date(0)
    const ids = Array.from({ length: 5000 }, () => newId('evt', now))
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('that are derived are the same for the same two, and others for any other', () => {
    fc.assert(
      fc.property(instants, fc.string(), fc.string(), (now, word, other) => {
        fc.pre(word !== other)
        const [from, twin] = [newId('evt', now), newId('evt', now)]
        const id = derivedId('mail', from, word)
        expect(id).toMatch(new RegExp(idPattern('mail')))
        expect(derivedId('mail', from, word)).toBe(id)
        expect(
          new Set([id, derivedId('mail', from, other), derivedId('mail', twin, word)]).size,
        ).toBe(3)
        // The same instant, and the marks of version 7 where an id that was drawn has them.
        expect(id.slice('mail_'.length, 'mail_'.length + 10)).toBe(from.slice(4, 14))
        expect(id.slice(5).charAt(10)).toMatch(/[ef]/)
      }),
    )
  })

  test.each([
    ['ord_8zzzzzzzzzzzzzzzzzzzzzzzzz'],
    ['ord_01JD8Q9YG8E5V9C0M4T7K2X3ZA'],
    ['ord_01jd8q9yg8e5v9c0m4t7k2x3z'],
    ['ord_01jd8q9yg8e5v9c0m4t7k2x3zi'],
    ['01jd8q9yg8e5v9c0m4t7k2x3za'],
    ['ord_01jd8q9yg8e5v9c0m4t7k2x3za\n'],
  ])('%j is none', (text) => {
    expect(isId('ord', text)).toBe(false)
  })
})

describe('newKey', () => {
  test('is 160 bits in 32 characters, each of them by chance', () => {
    const keys = Array.from({ length: 2000 }, () => newKey())
    for (const key of keys) expect(key).toMatch(new RegExp(keyPattern))
    expect(new Set(keys).size).toBe(keys.length)
    for (let at = 0; at < 32; at += 1) {
      expect(new Set(keys.map((key) => key[at])).size).toBe(32)
    }
  })
})
