import { isId, type Id } from '../../../kernel/id.ts'
import { maxAmount } from '../../../kernel/money.ts'
import type { Page, PageRequest } from '../../../kernel/page.ts'
import type { Db } from '../../../platform/database.ts'
import { fetchPage, type ListDefinition } from '../../../platform/list.ts'
import { nothing, sql } from '../../../platform/sql.ts'
import { serviceStatuses, type ServiceOption, type ServiceStatus } from '../schema.ts'

/** A service with the name of its category, as every representation needs it. */
export interface ServiceRow {
  readonly id: Id<'svc'>
  readonly slug: string
  readonly name: string
  readonly summary: string | null
  readonly description: string | null
  readonly categoryId: Id<'cat'> | null
  readonly categorySlug: string | null
  readonly categoryName: string | null
  readonly priceAmount: number
  readonly priceCurrency: string
  readonly options: readonly ServiceOption[]
  readonly status: ServiceStatus
  readonly turnaroundDays: number | null
  readonly position: number
  readonly metadata: Readonly<Record<string, unknown>>
  readonly version: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface ServiceFilters {
  readonly status?: ServiceStatus | undefined
  /** Id or slug. */
  readonly category?: string | undefined
  readonly priceMin?: number | undefined
  readonly priceMax?: number | undefined
  readonly currency?: string | undefined
  /** All of these words, each as it is or as the words nearest to it. */
  readonly words?: readonly string[] | undefined
}

const serviceColumns = sql`services.id, services.slug, services.name, services.summary,
  services.description, services.category_id, categories.slug as category_slug,
  categories.name as category_name, services.price_amount, services.price_currency,
  services.options, services.status, services.turnaround_days, services.position,
  services.metadata, services.version, services.created_at, services.updated_at`

/**
 * The query of the words in `asked (words)`, of type `tsquery`. A word that some service's word
 * begins with is taken as that beginning; any other of three letters or more is taken for a typing
 * error and replaced by the nearest words that services use. Trigrams find those of long words; in
 * a short one two exchanged letters leave no trigram alike, so that all words of about its length
 * are compared. Numbers are never corrected: form 1098 is not form 1099.
 */
const correctedQuery = sql`(
  select string_agg(
    case
      when length(term.word) = 1 then quote_literal(term.word)
      when term.word !~ '^[^0-9]{3,}$' or exists (
        select 1 from service_words as known
        where known.word >= term.word and known.word < term.word || chr(1114111)
          and known.services > 0
      ) then quote_literal(term.word) || ':*'
      else coalesce((
        select '(' || string_agg(quote_literal(near.word), ' | ') || ')'
        from (
          select known.word from service_words as known
          where (
              known.word % term.word
              or length(known.word) between length(term.word) - 1
                and case when length(term.word) <= 6 then length(term.word) + 1 end
            )
            and known.services > 0
            and levenshtein_less_equal(known.word, term.word, 3)
              <= case when length(term.word) = 3 then 1 when length(term.word) < 9 then 2 else 3 end
          order by levenshtein(known.word, term.word), similarity(known.word, term.word) desc,
            known.services desc, known.word
          limit 4
        ) as near
      ), quote_literal(term.word))
    end, ' & ')::tsquery
  from unnest(asked.words) as term (word)
)`

export const serviceList: ListDefinition<ServiceFilters> = {
  columns: serviceColumns,
  from: sql`services left join categories on categories.id = services.category_id`,
  where: sql`services.deleted_at is null`,
  id: sql`services.id`,
  sorts: {
    position: { column: sql`services.position`, type: sql`integer` },
    name: { column: sql`(lower(services.name) collate "C")`, type: sql`text` },
    price: { column: sql`services.price_amount`, type: sql`integer` },
    createdAt: { column: sql`services.created_at`, type: sql`timestamptz` },
  },
  filters: {
    status: (status) => sql`services.status = ${status}`,
    category: (category) =>
      isId('cat', category)
        ? sql`services.category_id = ${category}`
        : sql`services.category_id = (select id from categories where slug = ${category})`,
    priceMin: (priceMin) => sql`services.price_amount >= ${priceMin}::int`,
    priceMax: (priceMax) => sql`services.price_amount <= ${priceMax}::int`,
    currency: (currency) => sql`services.price_currency = ${currency}`,
    words: (words) => sql`services.search @@ (
      with asked as (select ${words}::text[] as words) select ${correctedQuery} from asked)`,
  },
}

export async function fetchServices(
  db: Db,
  page: PageRequest,
  filters: ServiceFilters,
): Promise<Page<ServiceRow>> {
  return await fetchPage<ServiceRow, ServiceFilters>(db, serviceList, { page, filters })
}

/** How many services pass the filters, counted as every list counts. */
export async function countServices(
  db: Db,
  filters: ServiceFilters,
): Promise<Pick<Page<unknown>, 'total' | 'totalIsMore'>> {
  const sort = { field: 'position', direction: 'asc' } as const
  const page = await fetchServices(db, { limit: 1, sort, after: null, count: true }, filters)
  const { data: _data, next: _next, ...total } = page
  return total
}

/** Of words that very many services use, so many are ranked: the work of a search is bounded. */
const rankedAtMost = 500

/**
 * The services that match best, from the `offset`th on; of equal ones the first by position. Those
 * that match by their names are ranked before any others are looked for.
 */
export async function rankServices(
  db: Db,
  filters: ServiceFilters & { readonly words: readonly string[] },
  { offset, limit }: { offset: number; limit: number },
): Promise<ServiceRow[]> {
  const { words, status, category, priceMin = 0, priceMax = maxAmount, currency } = filters
  const statuses = status === undefined ? serviceStatuses : [status]
  const inFilters = sql`services.deleted_at is null
    and services.status = any(${statuses}::text[])
    and services.price_amount between ${priceMin}::int and ${priceMax}::int
    ${currency === undefined ? nothing : sql`and services.price_currency = ${currency}`}
    ${
      category === undefined
        ? nothing
        : sql`and services.category_id =
            (select id from categories where id = ${category} or slug = ${category})`
    }`
  return await db.many<ServiceRow>(sql`
    with asked as (select ${words}::text[] as words),
    question as materialized (select ${correctedQuery} as query from asked),
    matched as materialized (
      (
        select services.id, services.position, services.search from services
        where ${inFilters} and ts_filter(services.search, '{a}') @@ (select query from question)
        limit ${rankedAtMost}
      )
      union all
      (
        select services.id, services.position, services.search from services
        where ${inFilters} and services.search @@ (select query from question)
          and not ts_filter(services.search, '{a}') @@ (select query from question)
        limit ${rankedAtMost}
      )
      limit ${rankedAtMost}
    ),
    ranked as (
      select matched.id, matched.position,
        ts_rank('{0, 0.1, 0.4, 1}', matched.search, (select query from question), 1) as rank
      from matched
      order by rank desc, matched.position, matched.id
      limit ${limit} offset ${offset}
    )
    select ${serviceColumns}
    from ranked join services on services.id = ranked.id
      left join categories on categories.id = services.category_id
    order by ranked.rank desc, ranked.position, ranked.id`)
}

/** By id, or by slug where `key` has none. `status` narrows to what the reader may see. */
export async function findService(
  db: Db,
  key: { id: Id<'svc'> } | { slug: string },
  status?: ServiceStatus,
): Promise<ServiceRow | undefined> {
  return await db.maybeOne<ServiceRow>(sql`
    select ${serviceColumns}
    from services left join categories on categories.id = services.category_id
    where services.deleted_at is null
      and ${'id' in key ? sql`services.id = ${key.id}` : sql`services.slug = ${key.slug}`}
      ${status === undefined ? nothing : sql`and services.status = ${status}`}`)
}

export interface ServiceForSaleRow {
  readonly id: Id<'svc'>
  readonly name: string
  readonly priceAmount: number
  readonly priceCurrency: string
  readonly options: readonly ServiceOption[]
  readonly turnaroundDays: number | null
  readonly status: ServiceStatus
}

/** Those of the services that are not deleted. */
export async function listByIds(db: Db, ids: readonly Id<'svc'>[]): Promise<ServiceForSaleRow[]> {
  return await db.many<ServiceForSaleRow>(sql`
    select id, name, price_amount, price_currency, options, turnaround_days, status
    from services where id = any(${ids}::text[]) and deleted_at is null`)
}
