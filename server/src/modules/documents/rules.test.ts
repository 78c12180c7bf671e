import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyUpdate, cleanFilename, transitionsOf, type DocumentState } from './rules.ts'
import { documentStatuses } from './schema.ts'

const state: DocumentState = {
  status: 'uploaded',
  reason: null,
  label: null,
  visibility: 'customer',
  hasBytes: true,
}

describe('cleanFilename', () => {
  test.each([
    ['passport.pdf', 'passport.pdf'],
    ['/etc/passwd', 'passwd'],
    ['..\\..\\boot.ini', 'boot.ini'],
    ['a\r\nSet-Cookie: x.pdf', 'aSet-Cookie_ x.pdf'],
    ['a\0b.pdf', 'ab.pdf'],
    ['  spaced   out .pdf', 'spaced out .pdf'],
    ['', 'document'],
    ['...', 'document'],
    ['/', 'document'],
    ['\u202e\u2066\u200f', 'document'],
    ['NUL', '_NUL'],
    ['com1.txt', '_com1.txt'],
    ['u\u0308.pdf', 'ü.pdf'],
    ['\ud800.pdf', '_.pdf'],
  ])('of %j is %j', (name, clean) => {
    expect(cleanFilename(name)).toBe(clean)
  })

  test('is short, visible, without a path, and clean already when cleaned again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (name) => {
        const clean = cleanFilename(name)
        expect(clean).not.toMatch(/[/\\<>:"|?*\p{Cc}\p{Cf}\p{Cs}]|^\.|^$/u)
        expect(Buffer.byteLength(clean)).toBeLessThanOrEqual(255)
        expect(cleanFilename(clean)).toBe(clean)
      }),
    )
  })
})

describe('a review', () => {
  test.each([
    ['quarantined', []],
    ['uploaded', ['accepted', 'rejected']],
    ['accepted', ['rejected']],
    ['rejected', ['accepted']],
  ] as const)('leads from %s to %j', (status, following) => {
    expect(transitionsOf({ status, hasBytes: true }).map(({ to }) => to)).toEqual(following)
    expect(transitionsOf({ status, hasBytes: false })).toEqual([])
  })

  test('does what its transitions say, and nothing else', () => {
    for (const from of documentStatuses) {
      const reason = from === 'rejected' ? 'Blurred.' : null
      for (const to of ['accepted', 'rejected'] as const) {
        const input = to === 'rejected' ? { status: to, reason: 'New.' } : { status: to }
        const update = () => applyUpdate({ ...state, status: from, reason }, input)
        const isAllowed = transitionsOf({ status: from, hasBytes: true }).some(
          (one) => one.to === to,
        )
        if (isAllowed || from === to) expect(update().status).toBe(to)
        else expect(update).toThrow(/cannot become/)
      }
    }
  })

  test('drops the reason with the rejection', () => {
    const rejected: DocumentState = { ...state, status: 'rejected', reason: 'Blurred.' }
    expect(applyUpdate(rejected, { status: 'accepted' }).reason).toBeNull()
    expect(applyUpdate(rejected, { label: 'x' }).reason).toBe('Blurred.')
  })
})
