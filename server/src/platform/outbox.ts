import { idempotencyInProgress } from '../kernel/errors.ts'
import { newId } from '../kernel/id.ts'
import type { Context, IdempotencyLease, TxContext } from './context.ts'
import type { Db, Pool } from './database.ts'
import type { Audience, EventRegistry, NewEvent, StoredEvent } from './events.ts'
import { joinSql, json, sql, type Sql } from './sql.ts'
import type { Part } from './together.ts'

/**
 * Writes events with the fact they announce and runs the listeners that belong to the same
 * transaction. Throws 409 when another request has taken over this one's Idempotency-Key: the
 * transaction then rolls back, so a key never makes two facts.
 */
export async function emit(ctx: TxContext, ...news: readonly NewEvent[]): Promise<void> {
  const events = news.map((event) => toStored(ctx, event))
  const announced = announcement(ctx, events, { resourceId: resourceOf(news) })
  const written = await ctx.db.many(sql`with ${announced} select id from announced`)
  if (written.length !== events.length) throw idempotencyInProgress({ retryAfterSeconds: 1 })
  for (const event of events) {
    for (const listener of ctx.events.within.get(event.type) ?? []) await listener.run(ctx, event)
  }
}

/** Names what a request stands for on its key, where it still holds it; it never refuses. */
export async function nameKey(
  { db }: TxContext,
  resourceId: string,
  lease: IdempotencyLease | null,
): Promise<void> {
  if (lease === null) return
  await db.run(sql`
    update idempotency_keys set resource_id = coalesce(resource_id, ${resourceId})
    where id = ${lease.keyId} and holder = ${lease.holder}`)
}

/** The event as it will stand in the table, with its id, instant and actor. */
export function toStored(ctx: Context, event: NewEvent): StoredEvent {
  return {
    id: newId('evt', ctx.now),
    rootId: event.rootId,
    rootVersion: event.rootVersion,
    type: event.type.name,
    at: ctx.now,
    ...actorOf(ctx),
    data: event.data,
  }
}

/**
 * The common table expressions that write events, their deliveries and the name of the resource on
 * the Idempotency-Key, for a hot write that is one statement. Its own insert must depend on
 * `${leaseHeld}`, what it depends on itself is `condition`, and it must not announce an event that
 * a listener hears within the transaction.
 */
export function announcement(
  ctx: Context,
  events: readonly StoredEvent[],
  { condition = sql`true`, resourceId = events[0]?.rootId }: AnnouncementOptions = {},
): Sql {
  const rows = joinSql(
    events.map(
      (event) => sql`(${event.id}, ${event.rootId}, ${event.rootVersion}::int, ${event.type},
        ${event.at}::timestamptz, ${event.actorId}, ${event.actorKind}, ${ctx.origin.requestId},
        ${json(event.data)}::jsonb)`,
    ),
    ', ',
  )
  const { lease } = ctx.origin
  const leaseRow = lease
    ? sql`update idempotency_keys set resource_id = coalesce(resource_id, ${resourceId ?? null})
        where id = ${lease.keyId} and holder = ${lease.holder} and ${condition} returning id`
    : sql`select 1 where ${condition}`
  return sql`lease as (${leaseRow}),
    announced as (
      insert into events
        (id, root_id, root_version, type, at, actor_id, actor_kind, request_id, data)
      select v.id, v.root_id, v.root_version, v.type, v.at, v.actor_id, v.actor_kind,
        v.request_id, v.data
      from (values ${rows})
        as v (id, root_id, root_version, type, at, actor_id, actor_kind, request_id, data)
      where ${leaseHeld}
      returning id, root_id
    ),
    delivered as (
      insert into event_delivery (root_id, event_id) select root_id, id from announced
    )`
}

export interface AnnouncementOptions {
  /** What must hold, such as a row of an earlier expression of the same statement. */
  readonly condition?: Sql
  /** What the Idempotency-Key stands for; the first event's aggregate when absent. */
  readonly resourceId?: string | undefined
}

/** Holds in a statement with an `announcement` while the request still owns its key. */
export const leaseHeld: Sql = sql`exists (select 1 from lease)`

/** Of one aggregate, newest first; a timeline longer than this is read from the audit trail. */
const maxTimeline = 200

export type TimelineEvent = StoredEvent<Record<string, unknown>>

/** The events of one aggregate that this audience may see; what of them is for `showTimeline`. */
export function timelineOf(ctx: Context, rootId: string, audience: Audience): Part<TimelineEvent> {
  // Asked by type, so that what others may see does not push out what this audience may.
  const types = [...ctx.events.types.values()]
    .filter((type) => type.audiences[audience] !== undefined)
    .map((type) => type.name)
  return {
    query: sql`
      select id, root_id, root_version, type, at, actor_id, actor_kind, data
      from events where root_id = ${rootId} and type = any(${types}::text[])
      order by root_version desc limit ${maxTimeline}`,
    instants: { at: true },
  }
}

/** Of whom a timeline tells this audience: customers are told of no staff. */
export function peopleIn({ query }: Part<TimelineEvent>, audience: Audience): Sql {
  return sql`select actor_id from (${query}) as shown
    where actor_id is not null and (${audience === 'staff'}::boolean or actor_kind <> 'staff')`
}

/** The events with the fields that this audience may see. */
export function showTimeline(
  ctx: Context,
  events: readonly TimelineEvent[],
  audience: Audience,
): TimelineEvent[] {
  return events.flatMap((event) => {
    const schema = ctx.events.types.get(event.type)?.audiences[audience]
    if (!schema) return []
    const seen = Object.keys(schema.properties).filter((key) => key in event.data)
    return [{ ...event, data: Object.fromEntries(seen.map((key) => [key, event.data[key]])) }]
  })
}

/** The same, read by itself. */
export async function listTimeline(
  ctx: Context,
  rootId: string,
  audience: Audience,
): Promise<TimelineEvent[]> {
  const events = await ctx.db.many<TimelineEvent>(timelineOf(ctx, rootId, audience).query)
  return showTimeline(ctx, events, audience)
}

/** One event by its key, for a listener that runs after the commit. */
export async function findEvent(
  db: Db,
  rootId: string,
  eventId: string,
): Promise<StoredEvent | undefined> {
  return await db.maybeOne<StoredEvent>(sql`
    select id, root_id, root_version, type, at, actor_id, actor_kind, data
    from events where root_id = ${rootId} and id = ${eventId}`)
}

const relayBatchSize = 500

/**
 * Hands one bounded batch of announced events over to the job queue: the deliveries are deleted in
 * the transaction that adds the jobs, so neither can be without the other. Returns how many it
 * took.
 */
export async function relayEvents(db: Pool, registry: EventRegistry): Promise<number> {
  const types = await db.transaction(async (tx) => {
    const taken = await tx.many<{ rootId: string; eventId: string; type: string }>(sql`
      with taken as (
        delete from event_delivery where (root_id, event_id) in (
          select root_id, event_id from event_delivery order by event_id limit ${relayBatchSize})
        returning root_id, event_id
      )
      select taken.root_id, taken.event_id, events.type
      from taken join events on events.root_id = taken.root_id and events.id = taken.event_id
      order by events.root_id, events.root_version`)
    const jobs = taken.flatMap(({ rootId, eventId, type }) =>
      (registry.after.get(type) ?? []).map((listener) => ({
        identifier: listener.name,
        payload: { rootId, eventId },
        jobKey: `${listener.name}:${eventId}`,
        // Jobs of one aggregate run one after the other, in the order of its events.
        queueName: rootId,
      })),
    )
    if (jobs.length > 0) {
      await tx.run(sql`
        select graphile_worker.add_jobs(array(
          select json_populate_record(null::graphile_worker.job_spec, value)
          from json_array_elements(${json(jobs.map(toJobSpec))}::json)))`)
    }
    return taken.map(({ type }) => type)
  })
  for (const type of types) {
    registry.handedOver.set(type, (registry.handedOver.get(type) ?? 0) + 1)
  }
  return types.length
}

/** How many events wait to be handed over, counted to ten thousand. */
export async function countUndelivered(db: Db): Promise<number> {
  const { count } = await db.one<{ count: number }>(sql`
    select count(*) from (select 1 from event_delivery limit 10000) as waiting`)
  return count
}

function resourceOf(news: readonly NewEvent[]): string | undefined {
  return news.find((event) => event.resourceId !== undefined)?.resourceId ?? news[0]?.rootId
}

function toJobSpec(job: {
  identifier: string
  payload: object
  jobKey: string
  queueName: string
}): Record<string, unknown> {
  return {
    identifier: job.identifier,
    payload: job.payload,
    job_key: job.jobKey,
    queue_name: job.queueName,
  }
}

function actorOf({ actor }: Context): { actorId: string | null; actorKind: string } {
  switch (actor.kind) {
    case 'customer':
    case 'staff':
      return { actorId: actor.userId, actorKind: actor.kind }
    case 'order':
      return { actorId: actor.customerId, actorKind: 'guest' }
    case 'system':
    case 'anonymous':
      return { actorId: null, actorKind: actor.kind }
    default:
      return actor satisfies never
  }
}
