import { malformedRequest } from '../kernel/errors.ts'

const maxDepth = 64
const maxKeys = 10_000
const maxDigits = 100

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads a JSON body strictly: valid UTF-8, bounded depth and number of members before anything is
 * built, no NUL and no lone surrogate (PostgreSQL could not store them), no `__proto__` member, no
 * number that would be kept as another one.
 */
export function parseJsonBody(bytes: Buffer): unknown {
  const text = decode(bytes)
  if (text.trim() === '') return undefined
  refuseHugeStructure(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw malformedRequest({ detail: `The body is not JSON: ${reasonOf(error)}` })
  }
  // Most bodies have nothing of this, and need not be looked through.
  if (/\\u|\0|__proto__|\d{16}|\d[eE]/.test(text)) refuseHostileValue(value)
  return value
}

/** Whether PostgreSQL can store the text exactly as it came. */
export function isStorableText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

function decode(bytes: Buffer): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw malformedRequest({ detail: 'The body is not valid UTF-8.' })
  }
}

/** One pass over the text, outside of strings: a parser would already have built the tree. */
function refuseHugeStructure(text: string): void {
  let depth = 0
  let members = 0
  let digits = 0
  let inString = false
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    if (inString) {
      if (code === backslash) index += 1
      else if (code === quote) inString = false
    } else if (code === quote) inString = true
    else if (code === openBrace || code === openBracket) depth += 1
    else if (code === closeBrace || code === closeBracket) depth -= 1
    else if (code === comma) members += 1
    digits = !inString && code >= zero && code <= nine ? digits + 1 : 0
    if (depth > maxDepth) {
      throw malformedRequest({ detail: `The body is nested more than ${maxDepth} levels deep.` })
    }
    if (members > maxKeys) {
      throw malformedRequest({ detail: `The body has more than ${maxKeys} members.` })
    }
    if (digits > maxDigits) {
      throw malformedRequest({ detail: `A number has more than ${maxDigits} digits.` })
    }
  }
}

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const comma = 0x2c
const zero = 0x30
const nine = 0x39

function refuseHostileValue(value: unknown): void {
  if (typeof value === 'number' && (Number.isInteger(value) || !Number.isFinite(value))) {
    if (Number.isSafeInteger(value)) return
    throw malformedRequest({ detail: 'A number is too large to be kept exactly.' })
  }
  if (typeof value === 'string') {
    if (isStorableText(value)) return
    throw malformedRequest({
      detail: 'A text holds a NUL character or half of a surrogate pair.',
    })
  }
  if (Array.isArray(value)) {
    for (const item of value) refuseHostileValue(item)
    return
  }
  if (typeof value !== 'object' || value === null) return
  for (const [key, member] of Object.entries(value)) {
    if (key === '__proto__') throw malformedRequest({ detail: 'A member is named __proto__.' })
    refuseHostileValue(key)
    refuseHostileValue(member)
  }
}

/** Without the piece of the body that the parser quotes: it may hold a password. */
function reasonOf(error: unknown): string {
  const [reason = ''] = (error instanceof Error ? error.message : '').split(/, (?:\.{3})?"/)
  return reason.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 100)
}
