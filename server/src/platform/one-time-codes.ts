import { Secret, TOTP } from 'otpauth'

/**
 * Codes of an authenticator app (RFC 6238): six digits that follow from a shared secret and the
 * thirty seconds of the moment. These numbers are the only ones that every app knows.
 */
const parameters = { algorithm: 'SHA1', digits: 6, period: 30 }
/** RFC 4226, section 4: at least 128 bits, 160 recommended. */
const secretBytes = 20
/** A phone's clock may be half a minute wrong, and typing takes time (RFC 6238, section 5.2). */
const toleratedSteps = 1

/** A new shared secret in base 32, as people type it into their app. */
export function newSharedSecret(): string {
  return new Secret({ size: secretBytes }).base32
}

/** What a QR code holds: `otpauth://totp/…`. The issuer and account are what the app shows. */
export function provisioningUriOf(
  secret: string,
  { issuer, account }: { issuer: string; account: string },
): string {
  return totpOf(secret, { issuer, label: account }).toString()
}

/**
 * Which period of thirty seconds, counted since 1970, the code is of; undefined for a code that is
 * none of this moment, the period before and the one after.
 */
export function stepOfCode(secret: string, code: string, now: Date): number | undefined {
  const totp = totpOf(secret, {})
  const timestamp = now.getTime()
  const distance = totp.validate({ token: code, timestamp, window: toleratedSteps })
  return distance === null ? undefined : totp.counter({ timestamp }) + distance
}

function totpOf(secret: string, named: { issuer?: string; label?: string }): TOTP {
  return new TOTP({ ...parameters, ...named, secret: Secret.fromBase32(secret) })
}
