import type { Id } from '../../../kernel/id.ts'
import type { Page, PageRequest } from '../../../kernel/page.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { fetchPage, type ListDefinition } from '../../../platform/list.ts'
import { sql } from '../../../platform/sql.ts'

export interface CategoryRow {
  readonly id: Id<'cat'>
  readonly slug: string
  readonly name: string
  readonly description: string | null
  readonly position: number
  readonly parentId: Id<'cat'> | null
  readonly activeServices: number
  readonly version: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

export type CategoryRecord = Omit<
  CategoryRow,
  'activeServices' | 'version' | 'createdAt' | 'updatedAt'
>

const categoryColumns = sql`categories.id, categories.slug, categories.name,
  categories.description, categories.position, categories.parent_id, categories.active_services,
  categories.version, categories.created_at, categories.updated_at`

export const categoryList: ListDefinition<object> = {
  columns: categoryColumns,
  from: sql`categories`,
  id: sql`categories.id`,
  sorts: {
    position: { column: sql`categories.position`, type: sql`integer` },
    name: { column: sql`(lower(categories.name) collate "C")`, type: sql`text` },
  },
  filters: {},
}

export async function fetchCategories(db: Db, page: PageRequest): Promise<Page<CategoryRow>> {
  return await fetchPage<CategoryRow, object>(db, categoryList, { page, filters: {} })
}

/** By id, or by slug where `key` is none. */
export async function findCategory(
  db: Db,
  key: { id: Id<'cat'> } | { slug: string },
): Promise<CategoryRow | undefined> {
  return await db.maybeOne<CategoryRow>(
    'id' in key
      ? sql`select ${categoryColumns} from categories where id = ${key.id}`
      : sql`select ${categoryColumns} from categories where slug = ${key.slug}`,
  )
}

/** Nobody else changes a category, nor what services stand in it, until the transaction ends. */
export async function lockTree(tx: Tx): Promise<void> {
  await tx.run(sql`select id from category_tree where id = 'tree' for update`)
}

/** Other services may change too, but no category, until the transaction ends. */
export async function lockTreeShared(tx: Tx): Promise<void> {
  await tx.run(sql`select id from category_tree where id = 'tree' for share`)
}

/** Far above the depth that the tree may have: a bound against a damaged one. */
const deepestLevel = 20

/** The category and what stands above it, up to the root; empty when it is not there. */
export async function listLineage(tx: Tx, id: Id<'cat'>): Promise<Id<'cat'>[]> {
  const rows = await tx.many<{ id: Id<'cat'> }>(sql`
    with recursive lineage as (
      select id, parent_id, 1 as level from categories where id = ${id}
      union all
      select categories.id, categories.parent_id, lineage.level + 1
      from lineage join categories on categories.id = lineage.parent_id
      where lineage.level < ${deepestLevel}::int
    )
    select id from lineage order by level`)
  return rows.map((row) => row.id)
}

/** How many levels the category has with what stands below it; 1 without children. */
export async function measureHeight(tx: Tx, id: Id<'cat'>): Promise<number> {
  const { height } = await tx.one<{ height: number }>(sql`
    with recursive branch as (
      select id, 1 as level from categories where id = ${id}
      union all
      select categories.id, branch.level + 1
      from branch join categories on categories.parent_id = branch.id
      where branch.level < ${deepestLevel}::int
    )
    select coalesce(max(level), 0) as height from branch`)
  return height
}

/** Whether services that are not deleted, or categories, stand in this one. */
export async function findContents(
  tx: Tx,
  id: Id<'cat'>,
): Promise<{ hasServices: boolean; hasChildren: boolean }> {
  return await tx.one<{ hasServices: boolean; hasChildren: boolean }>(sql`
    select
      exists (select 1 from services where category_id = ${id} and deleted_at is null)
        as has_services,
      exists (select 1 from categories where parent_id = ${id}) as has_children`)
}

/** The first of `base-2`, `base-3` … that no category has. */
export async function findFreeCategorySlug(tx: Tx, base: string): Promise<string | undefined> {
  const row = await tx.maybeOne<{ slug: string }>(sql`
    select ${base}::text || '-' || number as slug from generate_series(2, 10000) as number
    where not exists (select 1 from categories where slug = ${base}::text || '-' || number)
    order by number limit 1`)
  return row?.slug
}

/** False when another category has the slug: the transaction goes on and may try another. */
export async function insertCategory(
  tx: Tx,
  category: CategoryRecord,
  now: Date,
): Promise<boolean> {
  const inserted = await tx.run(sql`
    insert into categories (id, slug, name, description, position, parent_id, active_services,
      version, created_at, updated_at)
    values (${category.id}, ${category.slug}, ${category.name}, ${category.description},
      ${category.position}, ${category.parentId}, 0, 1, ${now}, ${now})
    on conflict (slug) do nothing`)
  return inserted === 1
}

/** Under the lock of the tree: raises the version by one. */
export async function updateCategory(tx: Tx, category: CategoryRecord, now: Date): Promise<void> {
  await tx.run(sql`
    update categories set slug = ${category.slug}, name = ${category.name},
      description = ${category.description}, position = ${category.position},
      parent_id = ${category.parentId}, version = version + 1, updated_at = ${now}
    where id = ${category.id}`)
}

/** All children of one category below another. */
export async function moveChildren(
  tx: Tx,
  { from, to, now }: { from: Id<'cat'>; to: Id<'cat'>; now: Date },
): Promise<{ id: Id<'cat'>; version: number }[]> {
  return await tx.many<{ id: Id<'cat'>; version: number }>(sql`
    update categories set parent_id = ${to}, version = version + 1, updated_at = ${now}
    where parent_id = ${from}
    returning id, version`)
}

/** Active services came by a move: the count is shown, so the version rises. */
export async function addActiveServices(tx: Tx, id: Id<'cat'>, active: number): Promise<void> {
  await tx.run(sql`
    update categories set active_services = active_services + ${active}::int, version = version + 1
    where id = ${id}`)
}

export async function deleteCategory(tx: Tx, id: Id<'cat'>): Promise<void> {
  await tx.run(sql`delete from categories where id = ${id}`)
}
