import { createHash, randomFillSync } from 'node:crypto'

/** Every kind of thing that has an id, by the prefix that people and logs see. */
export const idPrefixes = [
  'svc',
  'cat',
  'cus',
  'usr',
  'ses',
  'key',
  'ord',
  'line',
  'pay',
  'ref',
  'dsp',
  'case',
  'note',
  'doc',
  'evt',
  'mail',
  'rec',
  'diff',
  'job',
  'req',
] as const
export type IdPrefix = (typeof idPrefixes)[number]

/** A TypeID as text, branded by its prefix so that a customer's id is no order's. */
export type Id<Prefix extends IdPrefix> = string & { readonly __id: Prefix }

/** Crockford's base 32 in lower case, as TypeID 0.3 prescribes (jetify-com/typeid). */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
/** 128 bits in 26 characters leave the first one at most 7. */
const suffixPattern = '[0-7][0-9a-hjkmnp-tv-z]{25}'

/** The regular expression source of ids with this prefix, for schemas. */
export function idPattern(prefix: IdPrefix): string {
  return `^${prefix}_${suffixPattern}$`
}

const patterns = new Map<IdPrefix, RegExp>(
  idPrefixes.map((prefix) => [prefix, new RegExp(idPattern(prefix))]),
)

export function isId<Prefix extends IdPrefix>(prefix: Prefix, text: string): text is Id<Prefix> {
  return patterns.get(prefix)?.test(text) ?? false
}

/** A new id: UUIDv7 of `now` (RFC 9562, milliseconds first, then 74 random bits) as TypeID. */
export function newId<Prefix extends IdPrefix>(prefix: Prefix, now: Date): Id<Prefix> {
  const bytes = Buffer.allocUnsafe(16)
  bytes.writeUIntBE(now.getTime(), 0, 6)
  takeRandomBytes(bytes, 6)
  markAsVersion7(bytes)
  return `${prefix}_${encode(bytes)}` as Id<Prefix>
}

function markAsVersion7(bytes: Buffer): void {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
}

/** Two bits that are always zero and the 48 bits of the instant are exactly ten digits. */
const instantDigits = 10

/** When the id was made, to the millisecond. */
export function instantOfId(id: Id<IdPrefix>): Date {
  const digits = id.slice(id.indexOf('_') + 1, id.indexOf('_') + 1 + instantDigits)
  return new Date(
    Array.from(digits).reduce((value, digit) => value * 32 + alphabet.indexOf(digit), 0),
  )
}

/**
 * The one id that belongs to another and to a word: always the same for the same two, so that its
 * row can be made only once however often it is asked for. It keeps the other's instant.
 */
export function derivedId<Prefix extends IdPrefix>(
  prefix: Prefix,
  from: Id<IdPrefix>,
  word: string,
): Id<Prefix> {
  const suffix = from.slice(from.indexOf('_') + 1)
  const bytes = createHash('sha256').update(`${from} ${word}`).digest().subarray(0, 16)
  markAsVersion7(bytes)
  const rest = encode(bytes).slice(instantDigits)
  return `${prefix}_${suffix.slice(0, instantDigits)}${rest}` as Id<Prefix>
}

/** The regular expression source of what `newKey` makes. */
export const keyPattern = '^[0-9a-hjkmnp-tv-z]{32}$'

/** 160 random bits in 32 characters: a name that tells nothing and that nobody can guess. */
export function newKey(): string {
  const bytes = Buffer.allocUnsafe(20)
  takeRandomBytes(bytes, 0)
  return encode(bytes, 0)
}

/** Random bytes are drawn in blocks: one system call serves some hundred ids. */
const pool = Buffer.allocUnsafe(4096)
let poolOffset = pool.length

function takeRandomBytes(target: Buffer, offset: number): void {
  const length = target.length - offset
  if (poolOffset + length > pool.length) {
    randomFillSync(pool)
    poolOffset = 0
  }
  pool.copy(target, offset, poolOffset, poolOffset + length)
  poolOffset += length
}

/** As digits of 5 bits: 128 bits make 26 of them, with two more high bits that are zero. */
function encode(bytes: Buffer, leadingZeros = 2): string {
  let text = ''
  let bits = leadingZeros
  let value = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(value >>> bits) & 31]
    }
    value &= (1 << bits) - 1
  }
  return text
}
