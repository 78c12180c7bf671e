import { randomFillSync } from 'node:crypto'

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
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return `${prefix}_${encode(bytes)}` as Id<Prefix>
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

/** 128 bits as 26 digits of 5 bits; the two missing high bits are zero. */
function encode(bytes: Buffer): string {
  let text = ''
  let bits = 2
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
