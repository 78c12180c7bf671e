import { dayMs, hourMs, later, secondMs } from '../../kernel/time.ts'
import { maxPasswordLength, minPasswordLength, type MailPurpose } from './schema/index.ts'

/** By what two spellings of an e-mail are the same login: NFC, in lower case. */
export function emailKeyOf(email: string): string {
  // Lower-casing can undo the composition of a few characters, hence the second pass.
  return email.normalize('NFC').toLowerCase().normalize('NFC')
}

/** What a search among customers compares: one form of each letter, and the phone's bare digits. */
export function searchedTextOf(customer: {
  readonly name: string
  readonly email: string
  readonly phone: string | null
}): string {
  const { name, email, phone } = customer
  return foldText([name, email, phone ?? '', phone?.replaceAll(/\D/g, '') ?? ''].join(' '))
}

export function foldText(text: string): string {
  return text.normalize('NFC').toLowerCase()
}

/** The names of the members that a patch changes. */
export function changedFields<T extends object>(before: T, after: T): string[] {
  return (Object.keys(after) as (keyof T & string)[]).filter((name) => before[name] !== after[name])
}

export type PasswordFault = 'too_short' | 'too_long' | 'common' | 'personal'

/** What a password's owner is known by, which therefore is no password. */
export interface PasswordOwner {
  readonly email: string
  readonly name: string
  /** Where the business is found. */
  readonly publicUrl: string
}

/**
 * What is wrong with a new password. Length and guessability only: no rule asks for digits or
 * capitals (NIST 800-63B-4, section 3.1.1.2).
 */
export function findPasswordFault(
  password: string,
  owner: PasswordOwner,
  isCommon: (text: string) => boolean,
): PasswordFault | undefined {
  const text = password.normalize('NFC')
  const length = Array.from(text).length
  if (length < minPasswordLength) return 'too_short'
  if (length > maxPasswordLength) return 'too_long'
  const folded = text.toLowerCase()
  const core = coreOf(folded)
  if (personalWords(owner).some((word) => word === folded || word === core)) return 'personal'
  if (isCommon(folded) || isCommon(core) || isPatterned(folded)) return 'common'
  return undefined
}

export const passwordFaults: Readonly<Record<PasswordFault, string>> = {
  too_short: `must have at least ${minPasswordLength} characters`,
  too_long: `must have at most ${maxPasswordLength} characters`,
  common: 'is among the passwords that are tried first',
  personal: 'must not be your own e-mail or name, nor that of this site',
}

/** Without the digits and signs around it: `!password2026` is as easily guessed as its middle. */
function coreOf(text: string): string {
  return text.replace(/^[^\p{L}]+/u, '').replace(/[^\p{L}]+$/u, '')
}

function personalWords({ email, name, publicUrl }: PasswordOwner): string[] {
  const [localPart = ''] = email.split('@')
  const words = [email, localPart, name, name.replaceAll(/\s/gu, ''), new URL(publicUrl).hostname]
  const folded = words.map((word) => word.normalize('NFC').toLowerCase())
  // A name of digits alone has no core, and a password of digits alone is none the worse for it.
  return [...folded, ...folded.map(coreOf).filter((core) => core !== '')]
}

/** Rows of a keyboard, the alphabet, and the digits round and round. */
const runs = [
  '1234567890qwertyuiopasdfghjklzxcvbnm',
  'abcdefghijklmnopqrstuvwxyz',
  '0123456789'.repeat(Math.ceil(maxPasswordLength / 10) + 1),
]
const maxUnitLength = 8

/** One short piece again and again, or a run along the keyboard, the alphabet or the digits. */
function isPatterned(text: string): boolean {
  return repeatsAUnit(text) || runs.some((run) => run.includes(text) || reverse(run).includes(text))
}

/** The last time the unit may be cut short. */
function repeatsAUnit(text: string): boolean {
  const longest = Math.min(maxUnitLength, Math.floor(text.length / 2))
  for (let length = 1; length <= longest; length += 1) {
    const unit = text.slice(0, length)
    if (unit.repeat(Math.ceil(text.length / length)).startsWith(text)) return true
  }
  return false
}

function reverse(text: string): string {
  return Array.from(text).toReversed().join('')
}

/** Thirty days without a visit end a session, and ninety in any case. */
export const sessionSlideMs = 30 * dayMs
export const sessionMaxMs = 90 * dayMs
/** A login with more devices than this has its oldest one signed out. */
export const maxSessions = 100
/** A reply may be lost, or two tabs ask at once: so long the token before is as good. */
export const rotationGraceMs = 10 * secondMs
export const setupTokenMs = dayMs
export const keepEndedSessionsMs = 30 * dayMs
/** Who has not proved an e-mail in a week may register again. */
export const keepRegistrationsMs = 7 * dayMs

/** How long a mailed link is good. */
export const mailedTokenLifeMs: Readonly<Record<MailPurpose, number>> = {
  verify_email: dayMs,
  password_reset: hourMs,
  staff_invitation: 3 * dayMs,
}
/** A mail may be sent twice where its delivery is in doubt: the link of either works. */
export const maxMailedTokens = 2

export const recoveryCodeCount = 10

export function sessionSlidesTo(now: Date): Date {
  return later(now, sessionSlideMs)
}

/** The headers by which a browser says where a request comes from. */
export interface BrowserOrigin {
  readonly origin: string | undefined
  readonly site: string | undefined
}

/**
 * Whether a page of somebody else's made the browser send this. No browser lets a page write these
 * two headers, and a client that is no browser sends neither.
 */
export function isCrossSite({ origin, site }: BrowserOrigin, trusted: readonly string[]): boolean {
  if (site === 'same-origin' || site === 'none') return false
  if (origin !== undefined) return !trusted.includes(origin)
  return site !== undefined
}
