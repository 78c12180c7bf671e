import type { Id } from '../../../kernel/id.ts'
import type { Page } from '../../../kernel/page.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import type { StoredEvent } from '../../../platform/events.ts'
import { enqueued } from '../../../platform/jobs.ts'
import { fetchPage, type ListDefinition, type ListQuery } from '../../../platform/list.ts'
import { json, sql } from '../../../platform/sql.ts'
import type { NotificationFilters, NotificationStatus, TemplateName } from '../schema.ts'

export interface NotificationRow {
  readonly id: Id<'mail'>
  readonly template: TemplateName
  readonly recipientEmail: string
  readonly recipientName: string | null
  readonly customerId: Id<'cus'> | null
  readonly userId: Id<'usr'> | null
  readonly aboutId: string | null
  readonly subject: string
  /** Null once it was pruned. */
  readonly data: unknown
  readonly status: NotificationStatus
  readonly attempts: number
  readonly lastError: string | null
  readonly messageId: string | null
  readonly waitingSince: Date | null
  readonly nextAttemptAt: Date | null
  readonly version: number
  readonly createdAt: Date
  readonly sentAt: Date | null
}

const listColumns = sql`id, template, recipient_email, subject, status, attempts, last_error,
  customer_id, about_id, next_attempt_at, created_at, sent_at`
const columns = sql`${listColumns}, recipient_name, user_id, data, message_id, waiting_since,
  version`

export interface NewNotification {
  readonly id: Id<'mail'>
  readonly template: TemplateName
  readonly to: { readonly email: string; readonly name: string | null }
  readonly recipientKey: string
  readonly customerId: string | null
  readonly userId: string | null
  readonly aboutId: string | null
  readonly subject: string
  readonly data: unknown
  readonly createdAt: Date
  /** When it is first tried; null for one that counts as sent already. */
  readonly dueAt: Date | null
}

/**
 * Written at version 1 and, where it is due at once, given to the queue in the same statement. A
 * mail that is there already stays as it is: then nothing is enqueued, and the answer is 0. Only
 * one that was suppressed waits again: the reason that it had lost has come back.
 */
export const insertNotification = (
  db: Db,
  mail: NewNotification,
  job: string | null,
): Promise<number> =>
  db.run(sql`
    with stored as (
      insert into notifications (id, template, recipient_email, recipient_key, recipient_name,
        customer_id, user_id, about_id, subject, data, status, attempts, waiting_since,
        next_attempt_at, version, created_at, sent_at)
      values (${mail.id}, ${mail.template}, ${mail.to.email}, ${mail.recipientKey},
        ${mail.to.name}, ${mail.customerId}, ${mail.userId}, ${mail.aboutId}, ${mail.subject},
        ${json(mail.data)}::jsonb, case when ${mail.dueAt}::timestamptz is null then 'sent'
          else 'queued' end, 0, ${mail.dueAt}::timestamptz, ${mail.dueAt}::timestamptz, 1,
        ${mail.createdAt}::timestamptz, case when ${mail.dueAt}::timestamptz is null
          then ${mail.createdAt}::timestamptz end)
      on conflict (id) do update set subject = excluded.subject, data = excluded.data,
        status = excluded.status, last_error = null, waiting_since = excluded.waiting_since,
        next_attempt_at = excluded.next_attempt_at, version = notifications.version + 1
      where notifications.status = 'suppressed' and excluded.status = 'queued'
      returning id
    )
    ${
      job === null
        ? sql`select id from stored`
        : sql`select ${enqueued(job, { id: mail.id }, `${job}:${mail.id}`)} from stored`
    }`)

export const findNotification = (db: Db, id: string): Promise<NotificationRow | undefined> =>
  db.maybeOne(sql`select ${columns} from notifications where id = ${id}`)

export interface Claim {
  readonly now: Date
  readonly leasedUntil: Date
  /** Used unless an earlier attempt has fixed it. */
  readonly messageId: string
  /** Only mails of these templates; all when null. */
  readonly templates: readonly TemplateName[] | null
}

/**
 * Takes a mail that is due and that nobody else is sending, and counts the attempt. Undefined for
 * any other: then there is nothing to do.
 */
export const claimNotification = (
  db: Db,
  id: string,
  { now, leasedUntil, messageId, templates }: Claim,
): Promise<NotificationRow | undefined> =>
  db.maybeOne(sql`
    update notifications set leased_until = ${leasedUntil}, attempts = attempts + 1,
      message_id = coalesce(message_id, ${messageId}), version = version + 1
    where id = ${id} and status = 'queued' and next_attempt_at <= ${now}
      and (leased_until is null or leased_until <= ${now})
      and (${templates}::text[] is null or template = any(${templates}::text[]))
    returning ${columns}`)

/** The server has it: that is so whoever else may have taken the mail up since. */
export const writeSent = (db: Db, id: string, now: Date): Promise<number> =>
  db.run(sql`
    update notifications set status = 'sent', sent_at = ${now}, last_error = null,
      waiting_since = null, next_attempt_at = null, leased_until = null, version = version + 1
    where id = ${id} and status = 'queued'`)

/** Tried again at `nextAt`. Only whoever made the last attempt may say so. */
export const writeDeferred = (
  db: Db,
  { id, attempts }: Pick<NotificationRow, 'id' | 'attempts'>,
  { reason, nextAt }: { reason: string; nextAt: Date },
): Promise<number> =>
  db.run(sql`
    update notifications set last_error = ${reason}, next_attempt_at = ${nextAt},
      leased_until = null, version = version + 1
    where id = ${id} and status = 'queued' and attempts = ${attempts}`)

/** It waits no more. Undefined where somebody else has taken it up, or it was sent after all. */
export const writeEnded = (
  db: Tx,
  { id, attempts }: EndingMail,
  { status, reason }: { status: 'failed' | 'suppressed'; reason: string },
): Promise<{ version: number } | undefined> =>
  db.maybeOne(sql`
    update notifications set status = ${status}, last_error = ${reason}, waiting_since = null,
      next_attempt_at = null, leased_until = null, version = version + 1
    where id = ${id} and status = 'queued' and attempts = ${attempts}
    returning version`)

/** Queued again as if new. Undefined unless it has failed and still has its text. */
export const writeRetried = (
  db: Tx,
  id: string,
  now: Date,
): Promise<{ version: number } | undefined> =>
  db.maybeOne(sql`
    update notifications set status = 'queued', waiting_since = ${now}, next_attempt_at = ${now},
      version = version + 1
    where id = ${id} and status = 'failed' and data is not null
    returning version`)

/** That somebody read it takes a version, as every fact about a mail does. */
export const raiseVersion = (db: Tx, id: string): Promise<NotificationRow | undefined> =>
  db.maybeOne(sql`
    update notifications set version = version + 1 where id = ${id} returning ${columns}`)

/** Gives one mail to the queue, beside the statement that made it due. */
export const enqueueDelivery = (db: Db, id: string, job: string): Promise<number> =>
  db.run(sql`
    select ${enqueued(job, { id }, `${job}:${id}`)} from notifications where id = ${id}`)

export interface DueMails {
  readonly job: string
  readonly now: Date
  readonly limit: number
  /** Only mails of these templates; all when null. */
  readonly templates: readonly TemplateName[] | null
}

/**
 * Gives the longest due mails to the queue: those that were put off, and those whose sender died.
 * A job that is there already is not doubled.
 */
export const enqueueDue = (db: Db, { job, now, limit, templates }: DueMails): Promise<number> =>
  db.run(sql`
    with due as (
      select id from notifications
      where status = 'queued' and next_attempt_at <= ${now}
        and (leased_until is null or leased_until <= ${now})
        and (${templates}::text[] is null or template = any(${templates}::text[]))
      order by next_attempt_at, id limit ${limit}
    )
    select graphile_worker.add_job(${job}::text, json_build_object('id', due.id),
      job_key => ${job}::text || ':' || due.id, max_attempts => 3) from due`)

export type EndingMail = Pick<NotificationRow, 'id' | 'template' | 'attempts'>

export interface Untaken {
  readonly before: Date
  readonly waitingBefore: Date
  readonly now: Date
  readonly limit: number
}

/** Mails from `before` that wait since `waitingBefore`, and that nobody is sending. */
export const listUntaken = (
  db: Db,
  { before, waitingBefore, now, limit }: Untaken,
): Promise<EndingMail[]> =>
  db.many(sql`
    select id, template, attempts from notifications
    where status = 'queued' and created_at < ${before} and waiting_since < ${waitingBefore}
      and (leased_until is null or leased_until <= ${now})
    order by created_at limit ${limit}`)

/**
 * What the mails said is forgotten; that there were mails is not. The status is asked for twice:
 * one that a colleague has tried again meanwhile keeps its text.
 */
export const pruneTexts = (
  db: Db,
  { before, limit }: { before: Date; limit: number },
): Promise<number> =>
  db.run(sql`
    update notifications set data = null, recipient_name = null, version = version + 1
    where status <> 'queued' and id in (
      select id from notifications
      where data is not null and status <> 'queued' and created_at < ${before}
      order by created_at limit ${limit})`)

export const pruneRows = (
  db: Db,
  { before, limit }: { before: Date; limit: number },
): Promise<number> =>
  db.run(sql`
    delete from notifications where status <> 'queued' and id in (
      select id from notifications where status <> 'queued' and created_at < ${before}
      order by created_at limit ${limit})`)

/** How many there are of each status; of those that only grow, the last day's. */
export const countByStatus = (
  db: Db,
  since: Date,
): Promise<{ status: NotificationStatus; count: number }[]> =>
  db.many(sql`
    select status, count(*) as count from notifications
    where status = 'queued' or created_at >= ${since} group by status limit 4`)

export type NotificationListRow = Pick<
  NotificationRow,
  | 'id'
  | 'template'
  | 'recipientEmail'
  | 'subject'
  | 'status'
  | 'attempts'
  | 'lastError'
  | 'customerId'
  | 'aboutId'
  | 'nextAttemptAt'
  | 'createdAt'
  | 'sentAt'
>

/** `to` comes folded. */
export const notificationList: ListDefinition<NotificationFilters> = {
  columns: listColumns,
  from: sql`notifications`,
  id: sql`id`,
  sorts: { createdAt: { column: sql`created_at`, type: sql`timestamptz` } },
  filters: {
    status: (status) => sql`status = ${status}`,
    template: (template) => sql`template = ${template}`,
    to: (key) => sql`recipient_key = ${key}`,
    customerId: (id) => sql`customer_id = ${id}`,
    aboutId: (id) => sql`about_id = ${id}`,
  },
}

export const listNotifications = (
  db: Db,
  query: ListQuery<NotificationFilters>,
): Promise<Page<NotificationListRow>> => fetchPage(db, notificationList, query)

/** Events that no listener has heard yet, in the order of their ids. */
export const listUnheard = (
  db: Db,
  { types, after, limit }: { types: readonly string[]; after: string; limit: number },
): Promise<StoredEvent[]> =>
  db.many(sql`
    select events.id, events.root_id, events.root_version, events.type, events.at,
      events.actor_id, events.actor_kind, events.data
    from event_delivery join events
      on events.root_id = event_delivery.root_id and events.id = event_delivery.event_id
    where event_delivery.event_id > ${after} and events.type = any(${types}::text[])
    order by event_delivery.event_id limit ${limit}`)
