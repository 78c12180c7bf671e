import { isDeepStrictEqual } from 'node:util'

/** The members whose value differs, in the order of the first object. */
export function changedFields<T extends object>(before: T, after: T): string[] {
  return Object.keys(before).filter(
    (key) => !isDeepStrictEqual(before[key as keyof T], after[key as keyof T]),
  )
}
