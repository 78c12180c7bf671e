import { describe, expect, test } from 'vitest'
import { codeOf } from '../../test/support/authenticator.ts'
import { newSharedSecret, provisioningUriOf, stepOfCode } from './one-time-codes.ts'

/** `12345678901234567890`, the secret of RFC 6238's appendix B. */
const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'

describe('stepOfCode', () => {
  // The appendix shows eight digits; six are the last of them.
  test.each([
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ])('knows the code of RFC 6238 at second %d', (second, code) => {
    const now = new Date(second * 1000)
    expect(stepOfCode(secret, code, now)).toBe(Math.floor(second / 30))
    expect(codeOf(secret, now)).toBe(code)
  })

  test('takes the codes of the period before and after, and says which', () => {
    const now = new Date(1_800_000_000_000)
    const step = now.getTime() / 30_000
    const distances = [-2, -1, 0, 1, 2]
    const steps = distances.map((distance) =>
      stepOfCode(secret, codeOf(secret, new Date((step + distance) * 30_000)), now),
    )
    expect(steps).toEqual([undefined, step - 1, step, step + 1, undefined])
  })

  test('takes nothing else', () => {
    const now = new Date(59_000)
    for (const code of ['', '28708', '2870820', '287083', 'abcdef', ' 287082']) {
      expect([code, stepOfCode(secret, code, now)]).toEqual([code, undefined])
    }
  })
})

test('newSharedSecret draws 160 bits each time', () => {
  const secrets = Array.from({ length: 50 }, newSharedSecret)
  expect(new Set(secrets).size).toBe(50)
  for (const one of secrets) expect(one).toMatch(/^[A-Z2-7]{32}$/)
})

test('provisioningUriOf is what apps read from a QR code', () => {
  const uri = new URL(provisioningUriOf(secret, { issuer: 'Bureau', account: 'sam@example.com' }))
  expect(uri.protocol + uri.host).toBe('otpauth:totp')
  expect(decodeURIComponent(uri.pathname)).toBe('/Bureau:sam@example.com')
  expect(Object.fromEntries(uri.searchParams)).toMatchObject({ issuer: 'Bureau', secret })
})
