import type { Db } from './database.ts'
import { sql, type Sql } from './sql.ts'

/** The queue as it is looked at: through its public view and its functions, never its tables. */

export const jobStatuses = ['queued', 'running', 'failed'] as const
export type JobStatus = (typeof jobStatuses)[number]

export interface JobRow {
  readonly id: number
  readonly task: string
  /** Jobs of one queue run one after the other; those of an aggregate's events have its id here. */
  readonly queue: string | null
  readonly status: JobStatus
  readonly attempts: number
  readonly maxAttempts: number
  readonly runAt: Date
  readonly lastError: string | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** Every job of the queue. */
export const queuedJobs: Sql = sql`graphile_worker.jobs as jobs`

/** Tried as often as it may be: nobody tries it again until somebody says so. */
const isFailed: Sql = sql`(jobs.locked_at is null and jobs.attempts >= jobs.max_attempts)`
const isQueued: Sql = sql`(jobs.locked_at is null and jobs.attempts < jobs.max_attempts)`
const isRunning: Sql = sql`(jobs.locked_at is not null)`

/** How a job of `queuedJobs` stands, as one of `jobStatuses`. */
export const jobStanding: Sql = sql`case when jobs.locked_at is not null then 'running'
  when jobs.attempts >= jobs.max_attempts then 'failed' else 'queued' end`

/** Of a row of `queuedJobs`, beside how it stands. */
export const jobColumns: Sql = sql`jobs.id, jobs.task_identifier as task, jobs.queue_name as queue,
  jobs.attempts, jobs.max_attempts, jobs.run_at, jobs.last_error, jobs.created_at,
  jobs.updated_at`

export async function findJob(db: Db, id: number): Promise<JobRow | undefined> {
  return await db.maybeOne<JobRow>(sql`
    select ${jobColumns}, ${jobStanding} as status from ${queuedJobs}
    where jobs.id = ${id}::bigint`)
}

/** What letting a job run again changed of it. */
export type RescheduledJob = Pick<JobRow, 'attempts' | 'runAt' | 'updatedAt'>

/**
 * Lets a job run as soon as there is time, with all its tries before it again. Undefined where it
 * runs at the moment or is gone.
 */
export async function runJobAgain(
  db: Db,
  id: number,
  now: Date,
): Promise<RescheduledJob | undefined> {
  return await db.maybeOne<RescheduledJob>(sql`
    select attempts, run_at, updated_at from graphile_worker.reschedule_jobs(
      array[${id}::bigint], run_at => ${now}::timestamptz, attempts => 0)`)
}

export interface JobCounts {
  readonly queued: number
  readonly running: number
  readonly failed: number
  /** When the job that has waited longest should have run; null where none is due. */
  readonly oldestDueAt: Date | null
}

/** How the jobs stand, counted to a hundred thousand. */
export async function countJobs(db: Db, now: Date): Promise<JobCounts> {
  return await db.one<JobCounts>(sql`
    select count(*) filter (where ${isQueued}) as queued,
      count(*) filter (where ${isRunning}) as running,
      count(*) filter (where ${isFailed}) as failed,
      min(jobs.run_at) filter (where ${isQueued} and jobs.run_at <= ${now}::timestamptz)
        as oldest_due_at
    from (
      select locked_at, attempts, max_attempts, run_at from graphile_worker.jobs limit 100000
    ) as jobs`)
}
