import { invalidInputAt, notFound } from '../../../kernel/errors.ts'
import { isId } from '../../../kernel/id.ts'
import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import type { Actor, Context } from '../../../platform/context.ts'
import { askedWords } from '../rules/search.ts'
import type { Service, ServiceQuery, ServiceStatus } from '../schema.ts'
import {
  countServices,
  fetchServices,
  findService,
  rankServices,
  type ServiceFilters,
  type ServiceRow,
} from '../sql/services.ts'
import { toService } from './representation.ts'

/** By id or slug; 404 for what the reader may not see. */
export async function getService(ctx: Context, idOrSlug: string): Promise<Service> {
  const key = isId('svc', idOrSlug) ? { id: idOrSlug } : { slug: idOrSlug }
  const row = await findService(ctx.db, key, seesAll(ctx.actor) ? undefined : 'active')
  if (!row) throw notFound({ facts: { service: idOrSlug } })
  return toService(row)
}

export interface ServiceSearch {
  readonly page: PageRequest
  readonly query: ServiceQuery
}

export async function listServices(ctx: Context, search: ServiceSearch): Promise<Page<Service>> {
  const filters = filtersOf(ctx, search)
  const { sort } = search.page
  const page =
    sort.field === 'relevance'
      ? await listByRelevance(ctx, search.page, filters)
      : await fetchServices(ctx.db, search.page, filters)
  return mapPage(page, toService)
}

/** The public, customers and holders of an order token see what is for sale. */
function seesAll(actor: Actor): boolean {
  if (actor.kind === 'staff') return actor.permissions.has('catalog:read')
  return actor.kind === 'system'
}

function filtersOf(ctx: Context, { query, page }: ServiceSearch): ServiceFilters {
  const { q, category, priceMin, priceMax } = query
  const isAboutPrice =
    priceMin !== undefined || priceMax !== undefined || page.sort.field === 'price'
  return {
    status: visibleStatus(ctx.actor, query.status),
    category,
    priceMin,
    priceMax,
    // Amounts of two currencies cannot be compared.
    currency: query.currency ?? (isAboutPrice ? ctx.business.currency : undefined),
    words: q === undefined ? undefined : askedWords(q),
  }
}

function visibleStatus(actor: Actor, asked: ServiceStatus | undefined): ServiceStatus | undefined {
  if (seesAll(actor)) return asked
  if (asked === undefined || asked === 'active') return 'active'
  throw invalidInputAt({
    pointer: '/query/status',
    code: 'enum',
    message: 'must be active: other services are for staff to see',
  })
}

/** A ranking ends here: who has not found it by then asks for something else. */
const relevantAtMost = 200

/** The ranking is short, so that a place in it is a number of rows and not a row's values. */
async function listByRelevance(
  ctx: Context,
  { limit, sort, after, count }: PageRequest,
  { words, ...filters }: ServiceFilters,
): Promise<Page<ServiceRow>> {
  if (words === undefined || sort.direction === 'desc') {
    throw invalidInputAt({
      pointer: '/query/sort',
      code: 'relevance',
      message: 'relevance needs q, and puts the best first always',
    })
  }
  const offset = Number(after?.[0] ?? 0)
  const [rows, total] = await Promise.all([
    rankServices(ctx.db, { ...filters, words }, { offset, limit: limit + 1 }),
    count ? countServices(ctx.db, { ...filters, words }) : undefined,
  ])
  const end = Math.min(offset + limit, relevantAtMost)
  const hasMore = rows.length > limit && end < relevantAtMost
  return { data: rows.slice(0, end - offset), next: hasMore ? [end] : null, ...total }
}
