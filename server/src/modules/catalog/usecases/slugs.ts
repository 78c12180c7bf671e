import { slugTaken } from '../schema.ts'

export interface SlugChoice {
  /** What the client asked for; then nothing else will do. */
  readonly given: string | undefined
  /** Made from the name; may be empty. */
  readonly proposed: string
  /** Taken where a name has no letter that a slug can hold. */
  readonly fallback: string
  readonly isReserved: (slug: string) => boolean
  /** False when the slug is in use. */
  readonly insert: (slug: string) => Promise<boolean>
  readonly findFree: (base: string) => Promise<string | undefined>
}

/** Each failure means that another one won that slug meanwhile: so many may race at once. */
const maxAttempts = 100

/** Inserts under the given slug, or under the first free one of the name. 409 `slug_taken`. */
export async function insertWithFreeSlug(choice: SlugChoice): Promise<void> {
  const { given, insert, findFree } = choice
  if (given !== undefined) {
    if (await insert(given)) return
    throw slugTaken({ facts: { slug: given } })
  }
  const base = choice.proposed === '' ? choice.fallback : choice.proposed
  let slug: string | undefined = choice.isReserved(base) ? await findFree(base) : base
  for (let attempt = 0; slug !== undefined && attempt < maxAttempts; attempt += 1) {
    if (await insert(slug)) return
    slug = await findFree(base)
  }
  throw slugTaken({ detail: 'Too many have this name: give a slug of your own.', facts: { base } })
}
