import type { Id } from '../../kernel/id.ts'
import type { Page } from '../../kernel/page.ts'
import type { Db, Tx } from '../../platform/database.ts'
import { fetchPage, type ListDefinition, type ListQuery } from '../../platform/list.ts'
import { sql, type Sql } from '../../platform/sql.ts'
import type { DocumentStatus, DocumentVisibility, UploaderKind } from './schema.ts'

export interface DocumentRow {
  readonly id: Id<'doc'>
  readonly key: string
  readonly filename: string
  readonly contentType: string
  readonly size: number
  readonly sha256: string
  readonly status: DocumentStatus
  readonly reason: string | null
  readonly label: string | null
  readonly visibility: DocumentVisibility
  readonly orderId: Id<'ord'> | null
  readonly caseId: Id<'case'> | null
  readonly customerId: Id<'cus'> | null
  readonly tokenOrderId: Id<'ord'> | null
  readonly uploaderId: string | null
  readonly uploaderKind: UploaderKind
  readonly quotaCustomerId: Id<'cus'> | null
  readonly hasBytes: boolean
  readonly version: number
  readonly eventVersion: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

const documentColumns = sql`id, key, filename, content_type, size, sha256, status, reason, label,
  visibility, order_id, case_id, customer_id, token_order_id, uploader_id, uploader_kind,
  quota_customer_id, has_bytes, version, event_version, created_at, updated_at`

export type NewDocument = Omit<
  DocumentRow,
  'reason' | 'hasBytes' | 'version' | 'eventVersion' | 'updatedAt'
>

/** At version 1, with its first event; what is quarantined is due to be scanned at once. */
export async function insertDocument(tx: Tx, draft: NewDocument): Promise<DocumentRow> {
  const { id, key, filename, contentType, size, sha256, status, label, visibility } = draft
  const { orderId, caseId, customerId, tokenOrderId, quotaCustomerId, createdAt } = draft
  const dueAt = status === 'quarantined' ? createdAt : null
  return await tx.one<DocumentRow>(sql`
    insert into documents (id, key, filename, content_type, size, sha256, status, label,
      visibility, order_id, case_id, customer_id, token_order_id, uploader_id, uploader_kind,
      quota_customer_id, scan_due_at, version, event_version, created_at, updated_at)
    values (${id}, ${key}, ${filename}, ${contentType}, ${size}, ${sha256}, ${status}, ${label},
      ${visibility}, ${orderId}, ${caseId}, ${customerId}, ${tokenOrderId}, ${draft.uploaderId},
      ${draft.uploaderKind}, ${quotaCustomerId}, ${dueAt}, 1, 1, ${createdAt}, ${createdAt})
    returning ${documentColumns}`)
}

export async function findDocument(db: Db, id: string): Promise<DocumentRow | undefined> {
  return await db.maybeOne<DocumentRow>(sql`
    select ${documentColumns} from documents where id = ${id}`)
}

export async function findByKey(db: Db, key: string): Promise<DocumentRow | undefined> {
  return await db.maybeOne<DocumentRow>(sql`
    select ${documentColumns} from documents where key = ${key}`)
}

export async function lockDocument(tx: Tx, id: string): Promise<DocumentRow | undefined> {
  return await tx.maybeOne<DocumentRow>(sql`
    select ${documentColumns} from documents where id = ${id} for update`)
}

/** A note has twenty, and a case shows two hundred notes. */
const maxAttached = 4000

export async function listByKeys(db: Db, keys: readonly string[]): Promise<DocumentRow[]> {
  return await db.many<DocumentRow>(sql`
    select ${documentColumns} from documents where key = any(${keys}::text[])
    limit ${maxAttached}`)
}

/** The same for a customer's eyes: what is internal is never read. */
export async function listSharedByKeys(db: Db, keys: readonly string[]): Promise<DocumentRow[]> {
  return await db.many<DocumentRow>(sql`
    select ${documentColumns} from documents
    where key = any(${keys}::text[]) and visibility = 'customer' limit ${maxAttached}`)
}

export interface DocumentChange {
  readonly status: DocumentStatus
  readonly reason: string | null
  readonly label: string | null
  readonly visibility: DocumentVisibility
}

/** With the row locked by the caller; `events` is how many will announce it. */
export async function updateDocument(
  tx: Tx,
  id: string,
  change: DocumentChange,
  { events, now }: { events: number; now: Date },
): Promise<DocumentRow> {
  return await tx.one<DocumentRow>(sql`
    update documents set status = ${change.status}, reason = ${change.reason},
      label = ${change.label}, visibility = ${change.visibility}, version = version + 1,
      event_version = event_version + ${events}::int, updated_at = ${now}
    where id = ${id} returning ${documentColumns}`)
}

/** The scanner's word; nothing where it has spoken already. */
export async function settleScan(
  tx: Tx,
  id: string,
  { reason, now }: { reason: string | null; now: Date },
): Promise<DocumentRow | undefined> {
  return await tx.maybeOne<DocumentRow>(sql`
    update documents set reason = ${reason},
      status = case when ${reason}::text is null then 'uploaded' else 'rejected' end,
      has_bytes = ${reason}::text is null, scan_due_at = null, version = version + 1,
      event_version = event_version + 1, updated_at = ${now}
    where id = ${id} and status = 'quarantined' returning ${documentColumns}`)
}

/** A fact that changes nothing of what is shown: its place among the document's events. */
export async function raiseEventVersion(
  tx: Tx,
  id: string,
): Promise<{ eventVersion: number } | undefined> {
  return await tx.maybeOne(sql`
    update documents set event_version = event_version + 1 where id = ${id}
    returning event_version`)
}

/** The same for a reading; nothing where the same reader has read it since `since`. */
export async function raiseForReading(
  tx: Tx,
  id: string,
  { reader, since, now }: { reader: string; since: Date; now: Date },
): Promise<{ eventVersion: number } | undefined> {
  return await tx.maybeOne(sql`
    update documents set event_version = event_version + 1, read_by = ${reader}, read_at = ${now}
    where id = ${id} and (read_by is distinct from ${reader} or read_at <= ${since})
    returning event_version`)
}

export async function deleteDocument(tx: Tx, id: string): Promise<void> {
  await tx.run(sql`delete from documents where id = ${id}`)
}

/** Gives to a case what was linked to nothing; fewer come back where another was faster. */
export async function linkToCase(
  tx: Tx,
  ids: readonly string[],
  owner: { caseId: string; customerId: string | null; orderId: string | null },
  now: Date,
): Promise<{ id: Id<'doc'>; eventVersion: number }[]> {
  return await tx.many(sql`
    update documents set case_id = ${owner.caseId}, customer_id = ${owner.customerId},
      token_order_id = ${owner.orderId}, version = version + 1,
      event_version = event_version + 1, updated_at = ${now}
    where id = any(${ids}::text[]) and order_id is null and case_id is null
    returning id, event_version`)
}

/** A case that gets another customer takes its documents along. */
export async function setCustomerOfCase(
  tx: Tx,
  caseId: string,
  customerId: string | null,
): Promise<void> {
  await tx.run(sql`
    update documents set customer_id = ${customerId} where case_id = ${caseId}`)
}

/** A customer's record that passes to another takes its documents along; how many were taken. */
export async function claimSome(
  db: Db,
  { fromId, toId, limit }: { fromId: string; toId: string; limit: number },
): Promise<number> {
  return await db.run(sql`
    update documents set customer_id = ${toId} where id in (
      select id from documents where customer_id = ${fromId} order by created_at, id
      limit ${limit})`)
}

/** Whose documents a list shows. Of what is internal, and what is nobody's yet, only to staff. */
export type Reader =
  | { readonly customerId: Id<'cus'>; readonly userId: Id<'usr'> }
  | { readonly orderId: Id<'ord'> }

export interface DocumentListFilters {
  readonly reader?: Reader | undefined
  /** Staff: all that is linked, and what they have uploaded themselves. */
  readonly staffId?: Id<'usr'> | undefined
  readonly orderId?: Id<'ord'> | undefined
  readonly caseId?: Id<'case'> | undefined
  readonly customerId?: Id<'cus'> | undefined
  readonly status?: DocumentStatus | undefined
}

const isLinked = sql`(order_id is not null or case_id is not null)`

export const documentList: ListDefinition<DocumentListFilters> = {
  columns: documentColumns,
  from: sql`documents`,
  id: sql`id`,
  sorts: { createdAt: { column: sql`created_at`, type: sql`timestamptz` } },
  filters: {
    reader: (reader) =>
      'orderId' in reader
        ? sql`(token_order_id = ${reader.orderId} and visibility = 'customer')`
        : sql`(customer_id = ${reader.customerId} and visibility = 'customer'
            and (${isLinked} or uploader_id = ${reader.userId}))`,
    staffId: (id) => sql`(${isLinked} or uploader_id = ${id})`,
    orderId: (id) => sql`order_id = ${id}`,
    caseId: (id) => sql`case_id = ${id}`,
    customerId: (id) => sql`customer_id = ${id}`,
    status: (status) => sql`status = ${status}`,
  },
}

export async function listDocuments(
  db: Db,
  query: ListQuery<DocumentListFilters>,
): Promise<Page<DocumentRow>> {
  return await fetchPage(db, documentList, query)
}

/** Under this name stands what is stored for everybody. */
export const usageOfAll = 'all'

/** Counts a file; false where it would go beyond the quota, which then stays as it was. */
export async function takeRoom(
  tx: Tx,
  { id, bytes, quota }: { id: string; bytes: number; quota: number },
): Promise<boolean> {
  if (bytes > quota) return false
  const taken = await tx.run(sql`
    insert into document_usage as known (id, bytes, files) values (${id}, ${bytes}, 1)
    on conflict (id) do update
      set bytes = known.bytes + excluded.bytes, files = known.files + 1
      where known.bytes + excluded.bytes <= ${quota}`)
  return taken === 1
}

export async function giveRoom(
  tx: Tx,
  { id, bytes }: { id: string; bytes: number },
): Promise<void> {
  await tx.run(sql`
    update document_usage set bytes = bytes - ${bytes}, files = files - 1 where id = ${id}`)
}

export async function findUsage(
  db: Db,
  id: string,
): Promise<{ bytes: number; files: number } | undefined> {
  return await db.maybeOne(sql`select bytes, files from document_usage where id = ${id}`)
}

/** Counts anew, where documents came by another way than uploads. */
export async function recountUsage(tx: Tx): Promise<void> {
  await tx.run(sql`delete from document_usage`)
  await tx.run(sql`
    insert into document_usage (id, bytes, files)
    select coalesce(quota_customer_id, ${usageOfAll}), sum(size), count(*) from documents
    where has_bytes
    group by grouping sets ((), (quota_customer_id))
    having grouping(quota_customer_id) = 1 or quota_customer_id is not null`)
}

/** What has been linked to nothing since before that instant, the oldest first. */
export async function listUnlinked(db: Db, before: Date, limit: number): Promise<string[]> {
  const rows = await db.many<{ id: string }>(sql`
    select id from documents
    where order_id is null and case_id is null and created_at < ${before}
    order by created_at, id limit ${limit}`)
  return rows.map(({ id }) => id)
}

/** What waits for the scanner and may be tried now, the longest waiting first. */
export async function listDueForScan(db: Db, now: Date, limit: number): Promise<string[]> {
  const rows = await db.many<{ id: string }>(sql`
    select id from documents where status = 'quarantined' and scan_due_at <= ${now}
    order by scan_due_at, id limit ${limit}`)
  return rows.map(({ id }) => id)
}

/** Tried in vain: again in a minute, then in two, up to an hour. */
export async function postponeScan(db: Db, id: string, now: Date): Promise<void> {
  await db.run(sql`
    update documents set scan_attempts = scan_attempts + 1,
      scan_due_at = ${now}::timestamptz
        + make_interval(mins => least(60, 1 << least(scan_attempts, 6)))
    where id = ${id} and status = 'quarantined'`)
}

/** Of these names those that a document has its bytes under. */
export async function listKeysWithBytes(db: Db, keys: readonly string[]): Promise<Set<string>> {
  const rows = await db.many<{ key: string }>(sql`
    select key from documents where key = any(${keys}::text[]) and has_bytes
    limit ${keys.length}`)
  return new Set(rows.map(({ key }) => key))
}

/** All bytes that rows name, for whoever copies the store. */
export const namedBytes: Sql = sql`
  select id, key, size, sha256 from documents where has_bytes order by key`

export interface ExpectedBytes {
  readonly id: string
  readonly key: string
  readonly bytesMissingSince: Date | null
}

/** Documents whose bytes should be there, after a key in the order of keys. */
export async function listExpected(db: Db, after: string, limit: number): Promise<ExpectedBytes[]> {
  return await db.many<ExpectedBytes>(sql`
    select id, key, bytes_missing_since from documents where key > ${after} and has_bytes
    order by key limit ${limit}`)
}

export async function markBytes(db: Db, id: string, missingSince: Date | null): Promise<void> {
  await db.run(sql`
    update documents set bytes_missing_since = ${missingSince} where id = ${id}`)
}

/** Figures are counted to here: beyond, something is wrong whatever the number. */
const maxCounted = 10_000

export async function countTroubled(
  db: Db,
): Promise<{ quarantined: number; unreviewed: number; missing: number }> {
  return await db.one(sql`
    select
      (select count(*) from (select 1 from documents where status = 'quarantined'
        limit ${maxCounted}) as counted) as quarantined,
      (select count(*) from (select 1 from documents where status = 'uploaded'
        limit ${maxCounted}) as counted) as unreviewed,
      (select count(*) from (select 1 from documents where bytes_missing_since is not null
        limit ${maxCounted}) as counted) as missing`)
}
