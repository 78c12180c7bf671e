import type { AppError } from '../../../kernel/errors.ts'
import type { Id } from '../../../kernel/id.ts'
import { categoryCycle, categoryTooDeep } from '../schema.ts'

const maxDepth = 5

/** A move as the tree stands: judged under the lock of the tree. */
export interface Move {
  /** What moves; undefined for a new category. */
  readonly categoryId: Id<'cat'> | undefined
  /** How many levels it brings along: 1 for a category without children. */
  readonly height: number
  /** The new parent and what stands above it, up to the root; empty for the top level. */
  readonly lineage: readonly Id<'cat'>[]
}

/** Why the move is impossible; undefined when it may be made. */
export function refusalOf({ categoryId, height, lineage }: Move): AppError | undefined {
  if (categoryId !== undefined && lineage.includes(categoryId)) {
    return categoryCycle({ facts: { categoryId, lineage } })
  }
  if (lineage.length + height > maxDepth) return categoryTooDeep({ facts: { categoryId, height } })
  return undefined
}
