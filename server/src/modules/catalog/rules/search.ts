import { toLatin } from './text.ts'

/** More say nothing new of a service and would make each write and each search slower. */
const maxDistinctWords = 1000
/** Of one word: beyond, another occurrence hardly changes its rank. */
const maxOccurrences = 8
/** PostgreSQL keeps positions up to here. */
const maxPosition = 16_383
/** Of a query; further ones would only narrow what is narrow by then. */
const maxAskedWords = 12

/**
 * The words of a text, as they are kept and searched for: Latin, lower case, no punctuation. One of
 * more than 40 characters counts as several.
 */
export function wordsOf(text: string): string[] {
  return toLatin(text).match(/[\p{L}\p{M}\p{N}]{1,40}/gu) ?? []
}

/** The distinct words that somebody asks for; none where `q` holds no letter and no digit. */
export function askedWords(q: string): string[] {
  return [...new Set(wordsOf(q))].slice(0, maxAskedWords)
}

export interface SearchableText {
  readonly name: string
  readonly summary: string | null
  readonly description: string | null
}

/**
 * What PostgreSQL searches, in the notation of its type `tsvector`: each word with its places and
 * their weight, A for the name, B for the summary, C for the description. It is made here and not
 * by PostgreSQL's parser, so that it is the same under every locale.
 */
export function searchVector({ name, summary, description }: SearchableText): string {
  const places = new Map<string, string[]>()
  let position = 0
  const add = (text: string | null, weight: 'A' | 'B' | 'C'): void => {
    for (const word of text === null ? [] : wordsOf(text)) {
      position = Math.min(position + 1, maxPosition)
      const known = places.get(word)
      if (known && known.length < maxOccurrences) known.push(`${position}${weight}`)
      if (!known && places.size < maxDistinctWords) places.set(word, [`${position}${weight}`])
    }
  }
  add(name, 'A')
  add(summary, 'B')
  add(description, 'C')
  return [...places].map(([word, where]) => `'${word}':${where.join(',')}`).join(' ')
}
