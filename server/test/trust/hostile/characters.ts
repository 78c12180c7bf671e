/** Characters, and what is none, that get lost or bent where text is not taken care of. */

/**
 * What UTF-8 and PostgreSQL can hold, and many a program bends on its way. The first and the last
 * of them are space to whoever trims, so that all of them in a row are trimmed at both ends.
 */
export const keepable: readonly (readonly [string, string])[] = [
  ['byte order mark', '\uFEFF'],
  ['right to left override', '\u202E'],
  ['isolates', '\u2066\u2067\u2068\u2069'],
  ['marks of direction', '\u200E\u200F\u061C'],
  ['composed', '\u00E9\u1EC7'],
  ['decomposed', 'e\u0301e\u0323\u0302'],
  ['joined emoji', '👩‍👩‍👧‍👦❤️‍🔥'],
  ['replacement character', '\uFFFD'],
  ['noncharacters', '\uFFFF\u{10FFFF}'],
  ['ligature and case', 'ﬁİß'],
  ['line and paragraph separators', '\u2028\u2029'],
]

/** What no column of text can hold, as it stands between the quotes of JSON. */
export const escapes: readonly (readonly [string, string])[] = [
  ['NUL', 'a\\u0000b'],
  ['high surrogate', 'a\\ud83db'],
  ['low surrogate', '\\ude00'],
  ['surrogates the wrong way round', '\\ude00\\ud83d'],
]

/** Bytes that are no UTF-8, and a NUL that is not escaped. */
export const strayBytes: readonly (readonly [string, readonly number[]])[] = [
  ['NUL as a byte', [0]],
  ['no beginning', [0xff]],
  ['Latin-1', [0xe9]],
  ['NUL in two bytes', [0xc0, 0x80]],
  ['a surrogate in three bytes', [0xed, 0xa0, 0x80]],
  ['the beginning of an emoji', [0xf0, 0x9f, 0x98]],
  ['above the last character', [0xf4, 0x90, 0x80, 0x80]],
]

/** As they stand in an address; what is no UTF-8 in it is no address. */
export const strayEscapes = [
  '%00',
  'a%00b',
  '%ff',
  '%c0%80',
  '%ed%a0%80',
  '%f0%9f%98',
  '%u0000',
  '%',
]
