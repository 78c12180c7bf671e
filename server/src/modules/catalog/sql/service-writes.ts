import type { Id } from '../../../kernel/id.ts'
import type { Tx } from '../../../platform/database.ts'
import { json, sql } from '../../../platform/sql.ts'
import type { ServiceStatus } from '../schema.ts'
import type { ServiceRow } from './services.ts'

/** What a write says of a service: everything but what the statement works out itself. */
export interface ServiceRecord extends Omit<
  ServiceRow,
  'categorySlug' | 'categoryName' | 'version' | 'createdAt' | 'updatedAt'
> {
  /** In the notation of `tsvector`. */
  readonly search: string
}

/** Follows `spoken (search, step)`: the words that services took up (1) and gave up (-1). */
const countWords = sql`counted_words as (
  insert into service_words (word, services)
  select word, sum(step)::int from spoken, unnest(tsvector_to_array(spoken.search)) as word
  where word ~ '^[^0-9]{3,}$'
  group by word having sum(step) <> 0
  order by word collate "C"
  on conflict (word) do update set services = service_words.services + excluded.services
)`

/**
 * Follows `moved (category_id, step)`: active services that came (1) and went (-1). The counts are
 * taken from the locked rows, in the order of their ids: an UPDATE would first check its own sum on
 * the row as the statement found it, which may be older.
 */
const countActive = sql`tally as (
  select category_id, sum(step)::int as step from moved
  where category_id is not null group by category_id having sum(step) <> 0
),
locked as (
  select categories.id, categories.active_services, categories.version from categories
  where categories.id in (select category_id from tally)
  order by categories.id for no key update
),
counted_services as (
  update categories
  set active_services = locked.active_services + tally.step, version = locked.version + 1
  from locked join tally on tally.category_id = locked.id
  where categories.id = locked.id
)`

/** Locks the service's row until the transaction ends; undefined when it is not there. */
export async function lockService(tx: Tx, id: Id<'svc'>): Promise<number | undefined> {
  const row = await tx.maybeOne<{ version: number }>(sql`
    select version from services where id = ${id} and deleted_at is null for update`)
  return row?.version
}

/** The first of `base-2`, `base-3` … that no service has. */
export async function findFreeSlug(tx: Tx, base: string): Promise<string | undefined> {
  const row = await tx.maybeOne<{ slug: string }>(sql`
    select ${base}::text || '-' || number as slug from generate_series(2, 10000) as number
    where not exists (
      select 1 from services where slug = ${base}::text || '-' || number and deleted_at is null
    )
    order by number limit 1`)
  return row?.slug
}

/** False when another service has the slug: the transaction goes on and may try another. */
export async function insertService(tx: Tx, service: ServiceRecord, now: Date): Promise<boolean> {
  const inserted = await tx.run(sql`
    with created as (
      insert into services (id, slug, name, summary, description, category_id, price_amount,
        price_currency, options, status, turnaround_days, position, metadata, search, version,
        created_at, updated_at)
      values (${service.id}, ${service.slug}, ${service.name}, ${service.summary},
        ${service.description}, ${service.categoryId}, ${service.priceAmount},
        ${service.priceCurrency}, ${json(service.options)}::jsonb, ${service.status},
        ${service.turnaroundDays}, ${service.position}, ${json(service.metadata)}::jsonb,
        ${service.search}::tsvector, 1, ${now}, ${now})
      on conflict (slug) where deleted_at is null do nothing
      returning category_id, status, search
    ),
    spoken as (select search, 1 as step from created),
    ${countWords},
    moved as (select category_id, 1 as step from created where status = 'active'),
    ${countActive}
    select 1 from created`)
  return inserted === 1
}

/** Of a locked service: raises its version by one. */
export async function updateService(tx: Tx, service: ServiceRecord, now: Date): Promise<void> {
  await tx.run(sql`
    with before as (
      select category_id, status, search from services where id = ${service.id}
    ),
    changed as (
      update services set slug = ${service.slug}, name = ${service.name},
        summary = ${service.summary}, description = ${service.description},
        category_id = ${service.categoryId}, price_amount = ${service.priceAmount},
        price_currency = ${service.priceCurrency}, options = ${json(service.options)}::jsonb,
        status = ${service.status}, turnaround_days = ${service.turnaroundDays},
        position = ${service.position}, metadata = ${json(service.metadata)}::jsonb,
        search = ${service.search}::tsvector, version = version + 1, updated_at = ${now}
      where id = ${service.id}
      returning category_id, status, search
    ),
    spoken as (
      select search, 1 as step from changed union all select search, -1 from before
    ),
    ${countWords},
    moved as (
      select category_id, 1 as step from changed where status = 'active'
      union all select category_id, -1 from before where status = 'active'
    ),
    ${countActive}
    select 1 from changed`)
}

export interface ChangedService {
  readonly id: Id<'svc'>
  /** The version that the change gave it; null where it stood so before. */
  readonly version: number | null
}

/** Those of the services that are there, locked in the order of their ids, all with this status. */
export async function updateStatuses(
  tx: Tx,
  ids: readonly Id<'svc'>[],
  { status, now }: { status: ServiceStatus; now: Date },
): Promise<ChangedService[]> {
  return await tx.many<ChangedService>(sql`
    with held as (
      select id, status, category_id from services
      where id = any(${ids}::text[]) and deleted_at is null order by id for update
    ),
    changed as (
      update services set status = ${status}, version = services.version + 1, updated_at = ${now}
      from held where services.id = held.id and held.status <> ${status}
      returning services.id, services.version
    ),
    moved as (
      select category_id, case when status = 'active' then -1 else 1 end as step from held
      where (status = 'active') <> (${status} = 'active')
    ),
    ${countActive}
    select held.id, changed.version from held left join changed on changed.id = held.id`)
}

/** Takes those of the services that are there out of the catalogue; their slugs are free again. */
export async function markDeleted(
  tx: Tx,
  ids: readonly Id<'svc'>[],
  now: Date,
): Promise<{ id: Id<'svc'>; version: number }[]> {
  return await tx.many<{ id: Id<'svc'>; version: number }>(sql`
    with held as (
      select id, status, category_id, search from services
      where id = any(${ids}::text[]) and deleted_at is null order by id for update
    ),
    changed as (
      update services
      set deleted_at = ${now}, category_id = null, version = services.version + 1
      from held where services.id = held.id
      returning services.id, services.version
    ),
    spoken as (select search, -1 as step from held),
    ${countWords},
    moved as (select category_id, -1 as step from held where status = 'active'),
    ${countActive}
    select id, version from changed`)
}

/** A category's new name or slug shows in its services: their versions rise with it. */
export async function raiseVersionsIn(tx: Tx, categoryId: Id<'cat'>): Promise<void> {
  await tx.run(sql`
    update services set version = version + 1
    where category_id = ${categoryId} and deleted_at is null`)
}

/** All services of one category into another: how many came, and how many of them are active. */
export async function moveServices(
  tx: Tx,
  { from, to }: { from: Id<'cat'>; to: Id<'cat'> },
): Promise<{ moved: number; active: number }> {
  return await tx.one<{ moved: number; active: number }>(sql`
    with moved as (
      update services set category_id = ${to}, version = version + 1
      where category_id = ${from} and deleted_at is null
      returning status
    )
    select count(*) as moved, count(*) filter (where status = 'active') as active from moved`)
}

/** Words that no service uses any more, a bounded number at a time. */
export async function deleteUnusedWords(tx: Tx, atMost: number): Promise<number> {
  return await tx.run(sql`
    delete from service_words where services <= 0 and word in (
      select word from service_words where services <= 0 limit ${atMost})`)
}

/** Words and active services counted anew, where services came by another way than by the above. */
export async function recountServices(tx: Tx): Promise<void> {
  await tx.run(sql`delete from service_words`)
  await tx.run(sql`
    with spoken as (select search, 1 as step from services where deleted_at is null),
    ${countWords}
    select 1`)
  await tx.run(sql`
    update categories set active_services = (
      select count(*) from services
      where category_id = categories.id and status = 'active' and deleted_at is null)`)
}
