/** One way in which a part of the input can be wrong. */
interface InputFault {
  /** What is wrong with the member: a public sentence. */
  readonly cause: string
  /** What a developer does about it, one sentence for docs/guides/errors.md. */
  readonly remedy: string
}

/**
 * Every `code` that an entry of `errors` can carry. Those of the first group are keywords of JSON
 * Schema, said by the validator; the others are rules that no schema can say.
 */
export const inputCodes = {
  additionalProperties: {
    cause: 'The member is not known here.',
    remedy: 'Remove it, or correct its spelling: nothing that is sent is dropped in silence.',
  },
  const: {
    cause: 'The value is not the one that is asked for.',
    remedy: 'Send the value of the message, and nothing else.',
  },
  enum: {
    cause: 'The value is none of the words that are allowed.',
    remedy: 'Use one of the words that the message lists.',
  },
  format: {
    cause: 'The text is not of the format.',
    remedy: 'Write instants as RFC 3339 in UTC and addresses in full, with https://.',
  },
  maximum: { cause: 'The number is too large.', remedy: 'Stay within the bound of the message.' },
  maxItems: { cause: 'The list is too long.', remedy: 'Split it over several requests.' },
  maxLength: { cause: 'The text is too long.', remedy: 'Shorten it to the bound of the message.' },
  maxProperties: {
    cause: 'The object has too many members.',
    remedy: 'Keep what is needed here, and the rest in a system of your own.',
  },
  minimum: { cause: 'The number is too small.', remedy: 'Stay within the bound of the message.' },
  minItems: { cause: 'The list is too short.', remedy: 'Send at least one item.' },
  minLength: { cause: 'The text is too short.', remedy: 'Send something to read, or no member.' },
  minProperties: {
    cause: 'The object has too few members.',
    remedy: 'Send at least one member: there is nothing to do without.',
  },
  pattern: {
    cause: 'The text is not of the form that is asked for.',
    remedy: 'Compare it with the example of the endpoint: prefix of an id, letters of a currency.',
  },
  required: { cause: 'The member is missing.', remedy: 'Send it.' },
  type: {
    cause: 'The value is of another type.',
    remedy: 'Send a number as a number and a text as a text: nothing is converted in a body.',
  },
  uniqueItems: { cause: 'The list holds an item twice.', remedy: 'Send each item once.' },

  combination: {
    cause: 'The members do not go together.',
    remedy: 'Send one of them, as the message says.',
  },
  common: {
    cause: 'The password is among those that are tried first.',
    remedy: 'Choose another, such as four words that have nothing to do with each other.',
  },
  conflict: {
    cause: 'The member contradicts what another one says.',
    remedy: 'Leave one of the two out.',
  },
  currency: {
    cause: 'There is no such currency.',
    remedy: 'Use a code of ISO 4217, such as GBP.',
  },
  duplicate: {
    cause: 'The key is the key of another one before it.',
    remedy: 'Give each a key of its own.',
  },
  forbidden: {
    cause: 'The member is not yours to set.',
    remedy: 'Leave it out, or send the request as somebody who may set it.',
  },
  ids: {
    cause: 'The ids are not a list of ids.',
    remedy: 'Separate ids of the right prefix by commas, 100 at most.',
  },
  maxBytes: {
    cause: 'The value is more than 16 KiB of JSON.',
    remedy: 'Keep what is needed here, and the rest in a system of your own.',
  },
  negative_price: {
    cause: 'Some choice of options would bring the price below zero.',
    remedy: 'Lower what the choices take off, or raise the price.',
  },
  not_allowed: {
    cause: 'The member is not yours to set, or not to this value.',
    remedy: 'Leave it out, or send the request as somebody who may set it.',
  },
  not_assignable: {
    cause: 'The login cannot have cases: it is shut, or its role may not work on them.',
    remedy: 'Name an active member of staff with `crm:write`.',
  },
  origin: {
    cause: 'The address leads elsewhere than to this business.',
    remedy: 'Stay on PUBLIC_URL, or add the origin to ALLOWED_ORIGINS.',
  },
  personal: {
    cause: 'The password is your own e-mail or name, or the name of the site.',
    remedy: 'Choose one that nobody who knows you would try.',
  },
  range: {
    cause: 'The instant is outside of what makes sense here.',
    remedy: 'Stay within the bounds of the message.',
  },
  relevance: {
    cause: 'There is no relevance without a search.',
    remedy: 'Send `q` too, or sort by something else.',
  },
  reserved: {
    cause: 'The word is one of the API itself.',
    remedy: 'Choose another one.',
  },
  text: {
    cause: 'The text holds a character that cannot be stored.',
    remedy: 'Take out NUL characters and halves of surrogate pairs.',
  },
  too_large: {
    cause: 'The value has more than 50 members or 16 KiB of JSON.',
    remedy: 'Keep what is needed here, and the rest in a system of your own.',
  },
  too_long: { cause: 'The password is too long.', remedy: 'Use at most 128 characters.' },
  too_short: { cause: 'The password is too short.', remedy: 'Use at least 12 characters.' },
  twice: {
    cause: 'The same is said in two places.',
    remedy: 'Say it either in the body or in the address.',
  },
  unknown: {
    cause: 'There is nothing of that id.',
    remedy: 'Check the id; what was deleted or shut counts as unknown.',
  },
  unknown_choice: {
    cause: 'The option has no such choice.',
    remedy: 'Use one of the choices that the message lists.',
  },
  unknown_option: {
    cause: 'The service has no such option.',
    remedy: 'Read the service: its `options` may have changed since.',
  },
} as const satisfies Readonly<Record<string, InputFault>>

export type InputCode = keyof typeof inputCodes
