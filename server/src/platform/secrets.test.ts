import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSecrets } from './secrets.ts'

const secrets = createSecrets('a key for tests, thirty-two bytes or more of it')
const others = createSecrets('another key for tests, also of thirty-two bytes')

describe('signatures', () => {
  test('hold for their text, purpose and key alone', () => {
    const signature = secrets.sign('cursor', 'text')
    expect(signature).toMatch(/^[\w-]{43}$/)
    expect(secrets.verify('cursor', 'text', signature)).toBe(true)
    expect(secrets.verify('cursor', 'texts', signature)).toBe(false)
    expect(secrets.verify('order-token', 'text', signature)).toBe(false)
    expect(others.verify('cursor', 'text', signature)).toBe(false)
    expect(secrets.verify('cursor', 'text', '')).toBe(false)
    expect(secrets.verify('cursor', 'text', signature.slice(1))).toBe(false)
  })
})

describe('encryption', () => {
  test('gives back any text, and never the same twice', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const [a, b] = [secrets.encrypt('stored-keys', text), secrets.encrypt('stored-keys', text)]
        expect(a).not.toBe(b)
        expect(secrets.decrypt('stored-keys', a)).toBe(text)
      }),
    )
  })

  test('refuses an altered text, another purpose and another key', () => {
    const sealed = secrets.encrypt('stored-keys', 'private')
    expect(() => secrets.decrypt('cursor', sealed)).toThrow()
    expect(() => others.decrypt('stored-keys', sealed)).toThrow()
    const bytes = Buffer.from(sealed, 'base64url')
    for (let index = 0; index < bytes.length; index += 1) {
      const altered = Buffer.from(bytes)
      altered[index] = (altered[index] ?? 0) ^ 1
      expect(() => secrets.decrypt('stored-keys', altered.toString('base64url'))).toThrow()
    }
  })

  test('refuses a text cut short: a shorter tag would be easier to guess', () => {
    const bytes = Buffer.from(secrets.encrypt('stored-keys', ''), 'base64url')
    for (let length = 0; length < bytes.length; length += 1) {
      const cut = bytes.subarray(0, length).toString('base64url')
      expect(() => secrets.decrypt('stored-keys', cut)).toThrow()
    }
  })
})
