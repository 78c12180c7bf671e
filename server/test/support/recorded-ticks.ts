import { query } from './fresh-database.ts'

/** One tick of a schedule, as it came into the queue, or the end of a run of its job. */
export interface Recorded {
  readonly task: string
  readonly kind: 'tick' | 'run'
  /** The minute that the scheduler means. */
  readonly tick: string
}

/** From here on the database writes down what schedules add to the queue and what is run of it. */
export async function recordTicks(superuserUrl: string): Promise<void> {
  for (const statement of statements) await query(superuserUrl, statement)
}

/** In the order of what happened. */
export async function readTicks(superuserUrl: string): Promise<Recorded[]> {
  return await query<Recorded>(
    superuserUrl,
    'select task, kind, tick from recorded.ticks order by number',
  )
}

/** Adding to what waits already is an update; that a worker takes a job is one of other columns. */
const statements = [
  'create schema recorded',
  'create table recorded.ticks (number bigserial, task text, kind text, tick text)',
  `create function recorded.write() returns trigger language plpgsql security definer as $$
    declare job graphile_worker._private_jobs := coalesce(new, old);
    begin
      if job.payload -> '_cron' is not null then
        insert into recorded.ticks (task, kind, tick)
          select identifier, tg_argv[0], job.payload -> '_cron' ->> 'ts'
          from graphile_worker._private_tasks as tasks where tasks.id = job.task_id;
      end if;
      return null;
    end $$`,
  `create trigger added after insert or update of payload on graphile_worker._private_jobs
    for each row execute function recorded.write('tick')`,
  `create trigger done after delete on graphile_worker._private_jobs
    for each row execute function recorded.write('run')`,
]
