import { later, secondMs } from '../kernel/time.ts'
import type { Db, Pool } from './database.ts'
import type { Logger } from './log.ts'
import { sql } from './sql.ts'

/** How often a process says that it is there. */
const seenEveryMs = 5 * secondMs
/** Longer than any pause of a living process; one that wakes up again finds its jobs run twice. */
const deadAfterMs = 30 * secondMs

export interface JobProcess {
  stop(): Promise<void>
}

/**
 * Says for as long as it lives that this process runs jobs, and gives free what dead ones held:
 * their jobs run again here, and the queues that these stood at the head of move on. A process that
 * goes on under another name is dead under its old one.
 */
export function keepJobProcess(
  { db, log }: { readonly db: Pool; readonly log: Logger },
  runner: { readonly id: string },
): JobProcess {
  let running: Promise<void> | undefined
  let saidId = runner.id
  const beat = async (): Promise<void> => {
    try {
      // The database's clock is the one that all processes share, and locks are stamped by it.
      const { now } = await db.one<{ now: Date }>(sql`select clock_timestamp() as now`)
      const { id } = runner
      if (id !== saidId) await forget(db, saidId)
      saidId = id
      await sayAlive(db, id, now)
      const freed = await freeDeadJobs(db, now)
      if (freed.length > 0) log.warn({ processes: freed }, 'jobs of dead processes run again')
    } catch (error) {
      log.warn({ err: error }, 'process not announced to the job queue')
    }
  }
  const beatOnce = (): void => {
    running ??= beat().finally(() => {
      running = undefined
    })
  }
  const timer = setInterval(beatOnce, seenEveryMs).unref()
  beatOnce()
  return {
    stop: async () => {
      clearInterval(timer)
      await running
      await forget(db, saidId).catch((error: unknown) => {
        log.warn({ err: error }, 'process not signed off from the job queue')
      })
    },
  }
}

export async function sayAlive(db: Db, id: string, now: Date): Promise<void> {
  await db.run(sql`
    insert into job_processes (id, seen_at) values (${id}, ${now})
    on conflict (id) do update set seen_at = excluded.seen_at`)
}

/** More than any installation has; what is left is found the next time. */
const maxDead = 100

/**
 * Gives free the jobs that were taken a while ago by processes that nobody has seen since. Returns
 * these processes. Run twice at once it does nothing twice: only what is locked is unlocked.
 */
export async function freeDeadJobs(db: Db, now: Date): Promise<string[]> {
  const before = later(now, -deadAfterMs)
  await db.run(sql`delete from job_processes where seen_at < ${before}`)
  const dead = await db.many<{ id: string }>(sql`
    select distinct jobs.locked_by as id from graphile_worker.jobs as jobs
    where jobs.locked_by is not null and jobs.locked_at < ${before}
      and not exists (select 1 from job_processes where job_processes.id = jobs.locked_by)
    limit ${maxDead}`)
  const ids = dead.map(({ id }) => id)
  if (ids.length > 0) {
    await db.run(sql`select graphile_worker.force_unlock_workers(${ids}::text[])`)
  }
  return ids
}

async function forget(db: Db, id: string): Promise<void> {
  await db.run(sql`delete from job_processes where id = ${id}`)
}
