import { randomBytes } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** A new id as Stripe writes them: the prefix, then 24 letters and digits (or as many as told). */
export function newId(prefix: string, length = 24): string {
  return prefix + randomText(length)
}

/** Unguessable text of the given length, 62 symbols a character. */
export function randomText(length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      // Bytes from 248 up would favour the first symbols of the alphabet.
      if (byte < 248 && text.length < length) text += ALPHABET.charAt(byte % 62)
    }
  }
  return text
}
