import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { emailKeyOf, findPasswordFault, isCrossSite } from './rules.ts'

const owner = {
  email: 'ada.lovelace@example.com',
  name: 'Ada Lovelace',
  publicUrl: 'https://consulting.example',
}
const common = new Set(['password', 'administration'])

describe('emailKeyOf', () => {
  test('is the same for every case and every composition', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const key = emailKeyOf(text)
        expect(emailKeyOf(text.normalize('NFD'))).toBe(key)
        expect(emailKeyOf(key)).toBe(key)
      }),
    )
    expect(emailKeyOf('ZOË@Example.COM'.normalize('NFD'))).toBe('zoë@example.com')
  })

  test('keeps different people apart', () => {
    expect(emailKeyOf('ada+shop@example.com')).not.toBe(emailKeyOf('ada@example.com'))
    expect(emailKeyOf('a.da@example.com')).not.toBe(emailKeyOf('ada@example.com'))
  })
})

describe('findPasswordFault', () => {
  test.each([
    ['', 'too_short'],
    ['elevenchars', 'too_short'],
    ['🐎🐎🐎🐎🐎🐎', 'too_short'],
    ['x'.repeat(129), 'too_long'],
    ['administration', 'common'],
    ['Administration', 'common'],
    ['!!password2026', 'common'],
    ['aaaaaaaaaaaa', 'common'],
    ['abcabcabcabcab', 'common'],
    ['hunter12hunter12', 'common'],
    ['123456789012', 'common'],
    ['987654321098', 'common'],
    ['qwertyuiopasdf', 'common'],
    ['mnbvcxzlkjhgf', 'common'],
    ['Ada.Lovelace@example.com', 'personal'],
    ['ada.lovelace', 'personal'],
    ['adalovelace1815', 'personal'],
    ['Ada Lovelace!', 'personal'],
    ['consulting.example', 'personal'],
  ])('%j is %s', (password, fault) => {
    expect(findPasswordFault(password, owner, (text) => common.has(text))).toBe(fault)
  })

  test.each([
    'correct horse battery staple',
    'violet teapot on the moor',
    'žlutý kůň pěl ódy',
    'x7$Kq!w2Zp0r',
    '皆さんこんにちは世界よ、元気ですか',
    `${'0123456789ab'.split('').toReversed().join('-')}-tall-heron`,
    'lower case only and no digits',
  ])('%j is good', (password) => {
    expect(findPasswordFault(password, owner, (text) => common.has(text))).toBeUndefined()
  })

  test('does not take digits for personal because name or e-mail are digits too', () => {
    const numbered = { ...owner, email: '447911123456@sms.example', name: '007' }
    const judge = (password: string) => findPasswordFault(password, numbered, () => false)
    expect(judge('739150284417')).toBeUndefined()
    expect(judge('447911123456')).toBe('personal')
  })

  test('counts characters after composition, so both spellings are judged alike', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 140 }), (text) => {
        const judge = (given: string) => findPasswordFault(given, owner, () => false)
        expect(judge(text.normalize('NFD'))).toBe(judge(text.normalize('NFC')))
      }),
    )
  })
})

describe('isCrossSite', () => {
  const trusted = ['https://bureau.example', 'https://shop.example']

  test.each([
    ['no browser', undefined, undefined, false],
    ['the own page', 'https://bureau.example', 'same-origin', false],
    ['the own page by another name', 'http://localhost:3000', 'same-origin', false],
    ['somebody who typed the address', undefined, 'none', false],
    ['an allowed page', 'https://shop.example', 'cross-site', false],
    ['an allowed page of an old browser', 'https://shop.example', undefined, false],
    ['a foreign page', 'https://evil.example', 'cross-site', true],
    ['a foreign page of an old browser', 'https://evil.example', undefined, true],
    ['a page without an origin', 'null', 'cross-site', true],
    ['a sibling host', 'https://blog.bureau.example', 'same-site', true],
    ['a foreign navigation', undefined, 'cross-site', true],
  ])('%s', (_name, origin, site, expected) => {
    expect(isCrossSite({ origin, site }, trusted)).toBe(expected)
  })
})
