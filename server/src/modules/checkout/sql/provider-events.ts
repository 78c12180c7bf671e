import type { Db } from '../../../platform/database.ts'
import { enqueued } from '../../../platform/jobs.ts'
import { sql } from '../../../platform/sql.ts'

export interface ProviderEventRow {
  readonly id: string
  readonly type: string
  readonly objectKind: string
  readonly objectId: string
  readonly account: string | null
  readonly livemode: boolean
  readonly processedAt: Date | null
}

export type NewProviderEvent = Omit<ProviderEventRow, 'processedAt'>

/** Stored and given to the queue in one statement; a repeat of the same event does nothing. */
export const insertProviderEvent = (
  db: Db,
  event: NewProviderEvent,
  { job, now }: { job: string; now: Date },
): Promise<number> =>
  db.run(sql`
    with stored as (
      insert into provider_events
        (id, type, object_kind, object_id, account, livemode, received_at)
      values (${event.id}, ${event.type}, ${event.objectKind}, ${event.objectId},
        ${event.account}, ${event.livemode}, ${now})
      on conflict (id) do nothing
      returning id
    )
    select ${enqueued(job, { eventId: event.id }, `${job}:${event.id}`)} from stored`)

export const findProviderEvent = (db: Db, id: string): Promise<ProviderEventRow | undefined> =>
  db.maybeOne(sql`
    select id, type, object_kind, object_id, account, livemode, processed_at
    from provider_events where id = ${id}`)

/** Which of these events are here; a page of the provider has 100 at most. */
export const listKnownEvents = (db: Db, ids: readonly string[]): Promise<{ id: string }[]> =>
  db.many(sql`select id from provider_events where id = any(${ids}::text[]) limit 100`)

export const setProcessed = (db: Db, id: string, outcome: string, now: Date): Promise<number> =>
  db.run(sql`
    update provider_events set processed_at = ${now}, outcome = ${outcome} where id = ${id}`)

/** Events are kept long enough that a late repeat is still recognised. */
export const deleteOldEvents = (db: Db, before: Date, limit: number): Promise<number> =>
  db.run(sql`
    delete from provider_events where id in (
      select id from provider_events
      where received_at < ${before} and processed_at is not null limit ${limit})`)

/** Events that wait for their job since before the instant, oldest first. */
export const listWaitingEvents = (
  db: Db,
  before: Date,
  limit: number,
): Promise<Pick<ProviderEventRow, 'id' | 'type' | 'objectId'>[]> =>
  db.many(sql`
    select id, type, object_id from provider_events
    where processed_at is null and received_at < ${before}
    order by received_at limit ${limit}`)

export const findOldestWaiting = (db: Db): Promise<{ receivedAt: Date } | undefined> =>
  db.maybeOne(sql`
    select received_at from provider_events where processed_at is null
    order by received_at limit 1`)

/** What came of the events since an instant; `waiting` where nothing has yet. */
export const countEvents = (db: Db, since: Date): Promise<{ outcome: string; events: number }[]> =>
  db.many(sql`
    select coalesce(outcome, 'waiting') as outcome, count(*) as events from provider_events
    where received_at >= ${since} group by 1 limit 10`)
