import { maxSlugLength } from '../schema.ts'

/** Service slugs that are paths of the API. */
export const reservedSlugs: ReadonlySet<string> = new Set(['categories', 'bulk'])

/** Room for the number that tells two equal names apart: a hyphen and up to five digits. */
const suffixLength = 6

/**
 * The slug of a name: transliterated to a–z and 0–9, hyphens between the words. Empty where the
 * name has no letter that can be written so (the caller then takes a word of its own).
 */
export function slugFrom(name: string): string {
  return toLatin(name)
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, maxSlugLength - suffixLength)
    .replaceAll(/^-+|-+$/g, '')
}

/** Lower case, without accents, with Latin letters for those of other alphabets that we know. */
export function toLatin(text: string): string {
  return text
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[\u0300-\u036f]/g, '')
    .replaceAll(/\P{ASCII}/gu, (letter) => latinOf.get(letter) ?? letter)
    .normalize('NFC')
}

/**
 * What decomposing does not reduce to a–z: the letters of Latin alphabets, then Greek and Cyrillic
 * by their common transliteration.
 */
const latinOf: ReadonlyMap<string, string> = new Map(
  `ß ss æ ae œ oe ø o đ d ð d þ th ł l ħ h ı i ŋ ng ŧ t ĸ k ə e
  α a β v γ g δ d ε e ζ z η i θ th ι i κ k λ l μ m ν n ξ x ο o π p ρ r σ s ς s τ t υ y φ f χ ch
  ψ ps ω o
  а a б b в v г g д d е e ж zh з z и i к k л l м m н n о o п p р r с s т t у u ф f х kh ц ts ч ch
  ш sh щ shch ъ - ы y ь - э e ю yu я ya є ye і i ґ g ђ dj ј j љ lj њ nj ћ c џ dz ѕ dz`
    .trim()
    .split(/\s+/)
    .reduce<[string, string][]>((pairs, part, index, parts) => {
      // Hard and soft signs have no sound of their own.
      if (index % 2 === 0) pairs.push([part, (parts[index + 1] ?? '').replace('-', '')])
      return pairs
    }, []),
)
