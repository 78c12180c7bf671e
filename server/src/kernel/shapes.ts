import { Type, type Static, type TSchema, type TUnsafe } from 'typebox'
import { idPattern, type Id, type IdPrefix } from './id.ts'
import { maxAmount } from './money.ts'

/** The shapes that every module's wire has in common. */

/** An id of one kind, as a pattern: a wrong prefix is invalid input, not a missing resource. */
export function idOf<Prefix extends IdPrefix>(prefix: Prefix): TUnsafe<Id<Prefix>> {
  return Type.Unsafe<Id<Prefix>>({
    type: 'string',
    pattern: idPattern(prefix),
    examples: [`${prefix}_01jd8q9yg8e5v9c0m4t7k2x3za`],
  })
}

/** The value or null, written so that the serialiser needs no union. */
export function nullable<S extends TSchema>(schema: S): TUnsafe<Static<S> | null> {
  const { type, enum: values } = schema as { type?: string; enum?: readonly unknown[] }
  return Type.Unsafe<Static<S> | null>({
    ...schema,
    type: [type, 'null'],
    ...(values ? { enum: [...values, null] } : {}),
  })
}

/** One of a closed set of words. */
export function oneOf<const Words extends readonly string[]>(
  words: Words,
  options: { description?: string } = {},
): TUnsafe<Words[number]> {
  return Type.Unsafe<Words[number]>({ type: 'string', enum: [...words], ...options })
}

/** An object of exactly these members: for everything that comes in. */
export function strictObject<P extends Record<string, TSchema>>(
  properties: P,
  options: { minProperties?: number; description?: string } = {},
) {
  return Type.Object(properties, { ...options, additionalProperties: false })
}

export const Instant = Type.String({
  format: 'date-time',
  // In UTC, in a year that PostgreSQL knows, and without the leap second that `Date` cannot read.
  pattern: '^(?!0000)\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:[0-5]\\d(\\.\\d{1,9})?Z$',
  description: 'RFC 3339 in UTC with milliseconds',
  examples: ['2026-11-22T16:40:21.000Z'],
})

export const Currency = Type.String({
  pattern: '^[A-Z]{3}$',
  description: 'ISO 4217',
  examples: ['GBP'],
})

/** Integer minor units; `Money` of what comes in is bounded, of what goes out is not. */
export const Money = Type.Object(
  { amount: Type.Integer({ description: 'in minor units' }), currency: Currency },
  { title: 'Money', examples: [{ amount: 14_900, currency: 'GBP' }] },
)

export const MoneyInput = strictObject({
  amount: Type.Integer({ minimum: 0, maximum: maxAmount, description: 'in minor units' }),
  currency: Currency,
})

/** Free data of an integrator: up to 50 members, 16 KiB in all (checked by `isSmallJson`). */
export const Metadata = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  additionalProperties: true,
  maxProperties: 50,
})

export const maxMetadataBytes = 16 * 1024

const maxMetadataMembers = 50

/** Whether free data fits its bounds, also after a patch was merged into it. */
export function isSmallMetadata(value: object): boolean {
  return Object.keys(value).length <= maxMetadataMembers && isSmallJson(value)
}

/** Whether the value as JSON fits the bound for free data. */
export function isSmallJson(value: unknown): boolean {
  return Buffer.byteLength(JSON.stringify(value) ?? '') <= maxMetadataBytes
}

/** A person's or a thing's name on one line: something visible in it, no control characters. */
export const Name = Type.String({
  minLength: 1,
  maxLength: 200,
  // The two parts cannot share a character: the time stays linear in a text of any length.
  pattern: '^(?=\\s*\\S)[^\\p{Cc}]*$',
})

/** Simple on purpose: one @, no spaces or control characters; a mail proves the rest. */
export const Email = Type.String({
  minLength: 3,
  maxLength: 254,
  pattern: '^[^\\s@\\p{Cc}]+@[^\\s@\\p{Cc}]+$',
  examples: ['ada@example.com'],
})

export const Phone = Type.String({ minLength: 3, maxLength: 40, pattern: '^[0-9+()./ -]+$' })

/** What a list is searched for; `platform/list.ts` keeps the work of it in bounds. */
export function searchedIn(places: string) {
  return Type.String({
    minLength: 1,
    maxLength: 100,
    description:
      `part of ${places}; without three letters or digits in a row it is looked for among the ` +
      'newest 10 000 alone',
  })
}

/** The state that a resource may move to, and what stands in the way. */
export const Transition = Type.Object(
  { to: Type.String(), blockedBy: nullable(Type.String()) },
  { title: 'Transition' },
)
export type Transition = Static<typeof Transition>

/** One line of a timeline, with the data that the reader's audience may see. */
export const TimelineEntry = Type.Object(
  {
    id: idOf('evt'),
    type: Type.String(),
    at: Instant,
    actor: nullable(
      Type.Object({
        id: nullable(Type.String()),
        name: nullable(Type.String()),
        kind: Type.String(),
      }),
    ),
    data: Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true }),
  },
  { title: 'TimelineEntry' },
)
export type TimelineEntry = Static<typeof TimelineEntry>
