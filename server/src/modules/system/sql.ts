import type { Id } from '../../kernel/id.ts'
import type { Db } from '../../platform/database.ts'
import { jobColumns, jobStanding, queuedJobs, type JobStatus } from '../../platform/job-queue.ts'
import type { ListDefinition } from '../../platform/list.ts'
import { sql } from '../../platform/sql.ts'
import type { ErrorKind } from './schema.ts'

export interface DatabaseState {
  /** How many of the named migrations are applied. */
  readonly applied: number
  /** The database's clock, in milliseconds since the epoch. */
  readonly clockMs: number
  /** It is a standby, or was told to refuse writes. */
  readonly onlyReads: boolean
}

/** One way to the database and back, which also tells its time: its clock is what is asked for. */
export const readDatabaseState = (db: Db, migrations: readonly string[]): Promise<DatabaseState> =>
  db.one(sql`
    select count(*) as applied,
      extract(epoch from transaction_timestamp())::float8 * 1000 as clock_ms,
      current_setting('transaction_read_only') = 'on' as only_reads
    from schema_migrations where name = any(${migrations}::text[])`)

export interface AuditRow {
  readonly id: Id<'evt'>
  readonly rootId: string
  readonly rootVersion: number
  readonly type: string
  readonly at: Date
  readonly actorId: string | null
  readonly actorKind: string
  readonly requestId: string | null
  readonly data: Readonly<Record<string, unknown>>
}

export interface AuditFilters {
  readonly rootId?: string
  readonly type?: string
  readonly actorId?: string
  readonly requestId?: string
  /** This instant and later. */
  readonly from?: string
  /** Before this instant. */
  readonly to?: string
}

export const auditTrail: ListDefinition<AuditFilters> = {
  columns: sql`id, root_id, root_version, type, at, actor_id, actor_kind, request_id, data`,
  from: sql`events`,
  id: sql`id`,
  sorts: { at: { column: sql`at`, type: sql`timestamptz` } },
  filters: {
    rootId: (id) => sql`root_id = ${id}`,
    type: (type) => sql`type = ${type}`,
    actorId: (id) => sql`actor_id = ${id}`,
    requestId: (id) => sql`request_id = ${id}`,
    from: (instant) => sql`at >= ${instant}::timestamptz`,
    to: (instant) => sql`at < ${instant}::timestamptz`,
  },
}

export interface JobFilters {
  readonly status?: JobStatus
  readonly task?: string
}

/** In the order in which they were added, which their numbers tell. */
export const jobs: ListDefinition<JobFilters> = {
  columns: sql`${jobColumns}, ${jobStanding} as status`,
  from: queuedJobs,
  id: sql`jobs.id`,
  sorts: { createdAt: { column: sql`jobs.id`, type: sql`bigint` } },
  filters: {
    status: (status) => sql`${jobStanding} = ${status}`,
    task: (task) => sql`jobs.task_identifier = ${task}`,
  },
}

export interface ErrorRow {
  readonly fingerprint: string
  readonly kind: ErrorKind
  readonly name: string
  readonly code: string | null
  readonly place: string | null
  readonly stack: string[]
  readonly count: number
  readonly firstSeenAt: Date
  readonly lastSeenAt: Date
  readonly lastRequestId: string | null
}

export interface ErrorFilters {
  /** Seen at this instant or later. */
  readonly since?: string
  readonly kind?: ErrorKind
}

export const unexpectedErrors: ListDefinition<ErrorFilters> = {
  columns: sql`id as fingerprint, kind, name, code, place, stack, count, first_seen_at,
    last_seen_at, last_request_id`,
  from: sql`unexpected_errors`,
  id: sql`id`,
  sorts: {
    lastSeenAt: { column: sql`last_seen_at`, type: sql`timestamptz` },
    count: { column: sql`count`, type: sql`bigint` },
  },
  filters: {
    since: (instant) => sql`last_seen_at >= ${instant}::timestamptz`,
    kind: (kind) => sql`kind = ${kind}`,
  },
}
