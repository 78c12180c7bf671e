import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { pipeline } from 'node:stream/promises'
import type { Readable } from 'node:stream'

/**
 * The queue in a form of our own: the library may change its tables, and what an old backup holds
 * goes into a newer queue by the library's own functions. What runs at the instant of the snapshot
 * is written as what it will be after a restore: not begun. The order is that of the queue.
 */
export const jobsQuery = `
  select job.id, task.identifier, job.payload, queue.queue_name, job.priority, job.run_at,
    case when job.locked_at is null then job.attempts else greatest(job.attempts - 1, 0) end,
    job.max_attempts, job.last_error, job.key
  from graphile_worker._private_jobs job
  join graphile_worker._private_tasks task on task.id = job.task_id
  left join graphile_worker._private_job_queues queue on queue.id = job.job_queue_id
  order by job.id`

/** Adds what `jobsQuery` wrote, in a transaction of the caller's; returns how many there were. */
export async function loadJobs(client: pg.Client, rows: Readable, lastId: number): Promise<number> {
  await client.query(`create temporary table kept_jobs (
    id bigint, task text, payload json, queue text, priority smallint, run_at timestamptz,
    attempts smallint, max_attempts smallint, last_error text, key text) on commit drop`)
  await pipeline(rows, client.query(copyFrom('copy kept_jobs from stdin')))
  // The audit trail and the log call a job by its number, so that none may be given again.
  if (lastId > 0) {
    await client.query(
      `select setval(pg_get_serial_sequence('graphile_worker._private_jobs', 'id'), $1)`,
      [lastId],
    )
  }
  await client.query(`
    create temporary table added_jobs on commit drop as
    select kept.*, (graphile_worker.add_job(kept.task, kept.payload, queue_name => kept.queue,
      run_at => kept.run_at, max_attempts => kept.max_attempts, job_key => kept.key,
      priority => kept.priority)).id as new_id
    from (select * from kept_jobs order by id) kept`)
  const { rowCount } = await client.query(`
    select graphile_worker.reschedule_jobs(array[new_id], attempts => attempts) from added_jobs`)
  await client.query(`
    select graphile_worker.permanently_fail_jobs(array[new_id], last_error) from added_jobs
    where attempts >= max_attempts`)
  return rowCount ?? 0
}
