import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'
import { randomBytes, timingSafeEqual } from 'node:crypto'

/** What each derived key is for; a signature made for one purpose is worthless for another. */
export type SecretPurpose =
  | 'backup'
  | 'cursor'
  | 'demo-password'
  | 'installation'
  | 'order-token'
  | 'refresh-token'
  | 'second-factor'
  | 'signed-link'
  | 'stored-keys'

/** Everything that derives from `SECRET_KEY`: one HKDF label a purpose (RFC 5869). */
export interface Secrets {
  /** HMAC-SHA256 in base64url, 43 characters. */
  sign(purpose: SecretPurpose, text: string): string
  /** Compares in constant time. */
  verify(purpose: SecretPurpose, text: string, signature: string): boolean
  /** AES-256-GCM: nonce, tag and ciphertext in base64url. */
  encrypt(purpose: SecretPurpose, plaintext: string): string
  /** Throws where the text was altered or made under another key. */
  decrypt(purpose: SecretPurpose, ciphertext: string): string
}

const nonceBytes = 12
const tagBytes = 16

/** `secretKey` has at least 32 random bytes, in any encoding: it is used as it is written. */
export function createSecrets(secretKey: string): Secrets {
  const keys = new Map<SecretPurpose, Buffer>()
  const keyFor = (purpose: SecretPurpose): Buffer => {
    const known = keys.get(purpose)
    if (known) return known
    const key = Buffer.from(hkdfSync('sha256', secretKey, '', `bureau:${purpose}`, 32))
    keys.set(purpose, key)
    return key
  }
  const sign = (purpose: SecretPurpose, text: string): string =>
    createHmac('sha256', keyFor(purpose)).update(text).digest('base64url')

  return {
    sign,
    verify: (purpose, text, signature) => {
      const expected = Buffer.from(sign(purpose, text))
      const given = Buffer.from(signature)
      return expected.length === given.length && timingSafeEqual(expected, given)
    },
    encrypt: (purpose, plaintext) => {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', keyFor(purpose), nonce)
      const body = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')
    },
    decrypt: (purpose, ciphertext) => {
      const bytes = Buffer.from(ciphertext, 'base64url')
      const nonce = bytes.subarray(0, nonceBytes)
      // A tag cut short would be easier to guess: it must have its full length.
      const decipher = createDecipheriv('aes-256-gcm', keyFor(purpose), nonce, {
        authTagLength: tagBytes,
      })
      decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes))
      const body = bytes.subarray(nonceBytes + tagBytes)
      return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8')
    },
  }
}
