/** Which secrets and passwords are no protection, however well they are kept. */

/** Enough different characters that it was not typed by hand, and none of the examples. */
export function isStrongSecret(text: string, minBytes = 32): boolean {
  return Buffer.byteLength(text) >= minBytes && new Set(text).size >= 10 && !looksTyped(text)
}

/**
 * Whether the address holds a password that everybody tries first: an example's, or the login's own
 * name (OWASP ASVS 5.0, V13.2.3). One without a password is let in by other means.
 */
export function hasDefaultPassword(address: string): boolean {
  if (!URL.canParse(address)) return false
  const { username, password: written } = new URL(address)
  if (written === '') return false
  const password = decoded(written)
  const isUsual = /^(admin|bureau|guest|postgres|root|test)?\d{0,10}$/i.test(password)
  return isUsual || password === decoded(username) || looksTyped(password)
}

/** What cannot be decoded is taken as it is written. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

function looksTyped(text: string): boolean {
  return /change|example|secret|password|passwd|default|replace/i.test(text)
}
