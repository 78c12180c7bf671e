import { invalidInputAt, notFound, preconditionFailed } from '../../../kernel/errors.ts'
import { isId, newId, type Id } from '../../../kernel/id.ts'
import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import type { AppContext, Context, TxContext } from '../../../platform/context.ts'
import { isUniqueViolation } from '../../../platform/database.ts'
import { emit } from '../../../platform/outbox.ts'
import { CategoryCreated, CategoryUpdated } from '../events.ts'
import { changedFields } from '../rules/patch.ts'
import { slugFrom } from '../rules/text.ts'
import { refusalOf, type Move } from '../rules/tree.ts'
import { slugTaken, type Category, type CategoryPatch, type NewCategory } from '../schema.ts'
import {
  fetchCategories,
  findCategory,
  findFreeCategorySlug,
  insertCategory,
  listLineage,
  lockTree,
  measureHeight,
  updateCategory as writeCategory,
  type CategoryRecord,
  type CategoryRow,
} from '../sql/categories.ts'
import { raiseVersionsIn } from '../sql/service-writes.ts'
import { changeCatalogue } from './change-catalogue.ts'
import { toCategory } from './representation.ts'
import { insertWithFreeSlug } from './slugs.ts'

/** By id or slug. */
export async function getCategory(ctx: Context, idOrSlug: string): Promise<Category> {
  const key = isId('cat', idOrSlug) ? { id: idOrSlug } : { slug: idOrSlug }
  return toCategory(found(await findCategory(ctx.db, key), idOrSlug))
}

export async function listCategories(ctx: Context, page: PageRequest): Promise<Page<Category>> {
  return mapPage(await fetchCategories(ctx.db, page), toCategory)
}

/** 409 `slug_taken` for a given slug that is in use, 422 `category_too_deep` below level five. */
export async function createCategory(ctx: AppContext, input: NewCategory): Promise<Category> {
  const { name, description = null, position = 0, parentId = null } = input
  const id = newId('cat', ctx.now)
  return await changeCatalogue(ctx, async (ctx) => {
    await lockTree(ctx.db)
    await requirePlace(ctx, { categoryId: undefined, height: 1 }, parentId)
    await insertWithFreeSlug({
      given: input.slug,
      fallback: 'category',
      proposed: slugFrom(name),
      isReserved: () => false,
      insert: (slug) =>
        insertCategory(ctx.db, { id, slug, name, description, position, parentId }, ctx.now),
      findFree: (base) => findFreeCategorySlug(ctx.db, base),
    })
    await emit(ctx, CategoryCreated({ rootId: id, rootVersion: 1, data: { parentId } }))
    return toCategory(found(await findCategory(ctx.db, { id }), id))
  })
}

export interface CategoryChange {
  readonly id: Id<'cat'>
  readonly patch: CategoryPatch
  /** The version that the client has seen; null when any will do. */
  readonly ifMatch: number | null
}

/**
 * Applies a merge patch. A move is refused with 409 `category_cycle` or 422 `category_too_deep`;
 * a new name or slug raises the versions of the category's services, which show it.
 */
export async function updateCategory(ctx: AppContext, change: CategoryChange): Promise<Category> {
  const { id, patch, ifMatch } = change
  return await changeCatalogue(ctx, async (ctx) => {
    await lockTree(ctx.db)
    const row = await getLockedCategory(ctx, id, ifMatch)
    const before = toRecord(row)
    const { position = before.position, ...plain } = patch
    const after: CategoryRecord = { ...before, ...plain, position: position ?? 0 }
    const fields = changedFields(before, after)
    if (fields.length > 0) {
      if (fields.includes('parentId')) {
        const height = await measureHeight(ctx.db, id)
        await requirePlace(ctx, { categoryId: id, height }, after.parentId)
      }
      if (fields.includes('name') || fields.includes('slug')) await raiseVersionsIn(ctx.db, id)
      await writeCategory(ctx.db, after, ctx.now)
      const fact = { rootId: id, rootVersion: row.version + 1, data: { fields } }
      await emit(ctx, CategoryUpdated(fact))
    }
    return toCategory(found(await findCategory(ctx.db, { id }), id))
  }).catch((error: unknown) => {
    throw isUniqueViolation(error, 'categories_slug')
      ? slugTaken({ facts: { slug: patch.slug }, cause: error })
      : error
  })
}

/** Under the lock of the tree; 404 when it is not there, 412 when it has another version. */
export async function getLockedCategory(
  ctx: TxContext,
  id: Id<'cat'>,
  ifMatch: number | null,
): Promise<CategoryRow> {
  const row = found(await findCategory(ctx.db, { id }), id)
  if (ifMatch !== null && ifMatch !== row.version) {
    throw preconditionFailed({ facts: { version: row.version } })
  }
  return row
}

/** Judges the move below `parentId` under the lock of the tree. */
async function requirePlace(
  ctx: TxContext,
  moved: Omit<Move, 'lineage'>,
  parentId: Id<'cat'> | null,
): Promise<void> {
  const lineage = parentId === null ? [] : await listLineage(ctx.db, parentId)
  if (parentId !== null && lineage.length === 0) {
    throw invalidInputAt({
      pointer: '/parentId',
      code: 'unknown',
      message: 'must be the id of a category',
    })
  }
  const refusal = refusalOf({ ...moved, lineage })
  if (refusal) throw refusal
}

function found(row: CategoryRow | undefined, idOrSlug: string): CategoryRow {
  if (!row) throw notFound({ facts: { category: idOrSlug } })
  return row
}

function toRecord(row: CategoryRow): CategoryRecord {
  const { id, slug, name, description, position, parentId } = row
  return { id, slug, name, description, position, parentId }
}
