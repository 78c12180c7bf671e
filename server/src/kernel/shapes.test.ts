import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import { createValidator } from '../http/validation.ts'
import { Email, idOf, isSmallJson, maxMetadataBytes, Name, nullable, oneOf } from './shapes.ts'

describe('shapes', () => {
  const fits = (schema: Parameters<typeof createValidator>[0], value: unknown): boolean => {
    try {
      createValidator(schema, 'body')(value)
      return true
    } catch {
      return false
    }
  }

  test.each([
    ['Ada Lovelace', true],
    ['Ægir 李 ', true],
    [' x', true],
    ['', false],
    ['   ', false],
    ['a\u0007b', false],
    ['a\nb', false],
    ['\u001b', false],
    ['x'.repeat(201), false],
  ])('the name %j: %s', (text, isGood) => {
    expect(fits(Name, text)).toBe(isGood)
  })

  test.each([
    ['ada@example.com', true],
    ['ada+x@sub.example.com', true],
    ['a@b', true],
    ['a@@b', false],
    ['@b', false],
    ['a b@c', false],
    ['a@b\n', false],
  ])('the e-mail %j: %s', (text, isGood) => {
    expect(fits(Email, text)).toBe(isGood)
  })

  test('nullable lets null through and refuses what the shape refuses', () => {
    for (const [schema, good, bad] of [
      [nullable(Type.String()), 'x', 1],
      [nullable(oneOf(['a', 'b'])), 'a', 'c'],
      [nullable(idOf('ord')), 'ord_01jd8q9yg8e5v9c0m4t7k2x3za', 'cus_01jd8q9yg8e5v9c0m4t7k2x3za'],
      [nullable(Type.Object({ a: Type.Integer() })), { a: 1 }, {}],
    ] as const) {
      expect([fits(schema, null), fits(schema, good), fits(schema, bad)]).toEqual([
        true,
        true,
        false,
      ])
    }
  })

  test('free data is measured in bytes as it is stored', () => {
    expect(isSmallJson({ a: 'x'.repeat(maxMetadataBytes - 8) })).toBe(true)
    expect(isSmallJson({ a: 'x'.repeat(maxMetadataBytes - 7) })).toBe(false)
    expect(isSmallJson({ a: 'é'.repeat(maxMetadataBytes / 2) })).toBe(false)
  })
})
