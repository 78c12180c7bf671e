import { toInstant } from '../../../kernel/time.ts'
import type { Category, Service } from '../schema.ts'
import type { CategoryRow } from '../sql/categories.ts'
import type { ServiceRow } from '../sql/services.ts'

/** The service as it goes on the wire. */
export function toService(row: ServiceRow): Service {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    summary: row.summary,
    description: row.description,
    category: toCategoryReference(row),
    price: { amount: row.priceAmount, currency: row.priceCurrency },
    options: [...row.options],
    status: row.status,
    turnaroundDays: row.turnaroundDays,
    position: row.position,
    metadata: row.metadata,
    version: row.version,
    createdAt: toInstant(row.createdAt),
    updatedAt: toInstant(row.updatedAt),
  }
}

/** The category as it goes on the wire. */
export function toCategory(row: CategoryRow): Category {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    description: row.description,
    position: row.position,
    parentId: row.parentId,
    serviceCount: row.activeServices,
    version: row.version,
    createdAt: toInstant(row.createdAt),
    updatedAt: toInstant(row.updatedAt),
  }
}

function toCategoryReference(row: ServiceRow): Service['category'] {
  const { categoryId, categorySlug, categoryName } = row
  if (categoryId === null || categorySlug === null || categoryName === null) return null
  return { id: categoryId, slug: categorySlug, name: categoryName }
}
