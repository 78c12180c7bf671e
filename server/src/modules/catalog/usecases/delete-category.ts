import { invalidInputAt } from '../../../kernel/errors.ts'
import type { Id } from '../../../kernel/id.ts'
import type { AppContext, TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { CategoryDeleted, CategoryUpdated } from '../events.ts'
import { refusalOf } from '../rules/tree.ts'
import { categoryHasChildren, categoryInUse } from '../schema.ts'
import {
  addActiveServices,
  deleteCategory as removeCategory,
  findContents,
  listLineage,
  lockTree,
  measureHeight,
  moveChildren,
} from '../sql/categories.ts'
import { moveServices } from '../sql/service-writes.ts'
import { emitAll } from './announcing.ts'
import { getLockedCategory } from './categories.ts'
import { changeCatalogue } from './change-catalogue.ts'

export interface CategoryDeletion {
  readonly id: Id<'cat'>
  /** Takes the services and the child categories; without it the category must be empty. */
  readonly moveTo: Id<'cat'> | null
  readonly ifMatch: number | null
}

/**
 * Deletes an empty category, or one whose contents go elsewhere. 409 `category_in_use` and
 * `category_has_children` without `moveTo`; with it, the moved children obey the rules of the tree.
 */
export async function deleteCategory(ctx: AppContext, deletion: CategoryDeletion): Promise<void> {
  const { id, moveTo, ifMatch } = deletion
  await changeCatalogue(ctx, async (ctx) => {
    await lockTree(ctx.db)
    const { version } = await getLockedCategory(ctx, id, ifMatch)
    if (moveTo === null) await requireEmpty(ctx, id)
    const movedServices = moveTo === null ? 0 : await moveContents(ctx, { from: id, to: moveTo })
    await removeCategory(ctx.db, id)
    await emit(
      ctx,
      CategoryDeleted({
        rootId: id,
        rootVersion: version + 1,
        data: { movedTo: moveTo, movedServices },
      }),
    )
  })
}

async function requireEmpty(ctx: TxContext, id: Id<'cat'>): Promise<void> {
  const { hasServices, hasChildren } = await findContents(ctx.db, id)
  if (hasServices) throw categoryInUse({ facts: { category: id } })
  if (hasChildren) throw categoryHasChildren({ facts: { category: id } })
}

/** How many services went along. */
async function moveContents(
  ctx: TxContext,
  { from, to }: { from: Id<'cat'>; to: Id<'cat'> },
): Promise<number> {
  const lineage = await listLineage(ctx.db, to)
  if (lineage.length === 0 || from === to) {
    throw invalidInputAt({
      pointer: '/query/moveTo',
      code: 'unknown',
      message: 'must be the id of another category',
    })
  }
  // What moves are the children, so the level of the category itself falls away.
  const height = (await measureHeight(ctx.db, from)) - 1
  const refusal = height > 0 ? refusalOf({ categoryId: from, height, lineage }) : undefined
  if (refusal) throw refusal
  const children = await moveChildren(ctx.db, { from, to, now: ctx.now })
  const { moved, active } = await moveServices(ctx.db, { from, to })
  if (active > 0) await addActiveServices(ctx.db, to, active)
  await emitAll(
    ctx,
    children.map((child) =>
      CategoryUpdated({
        rootId: child.id,
        rootVersion: child.version,
        data: { fields: ['parentId'] },
      }),
    ),
  )
  return moved
}
