import {
  type CronItem,
  type Job as QueuedJob,
  Logger as JobLogger,
  makeWorkerUtils,
  parseCronItems,
  run,
  type Runner,
  type TaskList,
  type WorkerEvents,
} from 'graphile-worker'
import { EventEmitter, once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import type pg from 'pg'
import { later } from '../kernel/time.ts'
import type { AppContext } from './context.ts'
import type { Pool } from './database.ts'
import type { Logger } from './log.ts'
import { openPrimaryPool } from './primary.ts'
import { json, sql, type Sql } from './sql.ts'

/** Work outside a request: on a schedule, or when a statement has enqueued it. */
export interface Job {
  readonly name: string
  /** Crontab of five fields in UTC, each tick run once over all nodes; null: only when enqueued. */
  readonly schedule: string | null
  run(ctx: AppContext, payload: Readonly<Record<string, unknown>>): Promise<void>
}

/** Declares work. It must bear to run twice, and on a schedule to have been missed. */
export function defineJob(name: string, schedule: Job['schedule'], run: Job['run']): Job {
  return { name, schedule, run }
}

/**
 * Repeats bounded work, such as deleting what is old, until a turn finds less than a whole batch.
 * After `maxBatches` turns the rest waits for the job's next run.
 */
export async function inBatches(
  { size, maxBatches }: { readonly size: number; readonly maxBatches: number },
  work: (limit: number) => Promise<number>,
): Promise<void> {
  for (let batch = 0; batch < maxBatches; batch += 1) {
    if ((await work(size)) < size) return
  }
}

/** An expression that adds a job in the caller's statement; `key` makes it one job. */
export function enqueued(name: string, payload: Record<string, unknown>, key: string): Sql {
  return sql`graphile_worker.add_job(${name}, ${json(payload)}::json, job_key => ${key},
    max_attempts => ${jobAttempts})`
}

export interface JobsOptions {
  /** A direct connection, never through a pooler: the queue uses LISTEN. */
  readonly directUrl: string
  readonly tasks: TaskList
  readonly jobs: readonly Job[]
  /** A fresh context for one run. */
  readonly contextFor: (task: string, jobId: string) => AppContext
  readonly log: Logger
}

const concurrency = 4
const pollIntervalMs = 2000
/** Every statement of the queue is quick: one without an answer for so long was never heard. */
const queueTimeoutMs = 10_000
const restartAfterMs = 1000
/** The library may wait for ever for the end of a queue whose connections broke while it began. */
const lostQueueEndsInMs = queueTimeoutMs
/** A failed job is tried again after e^n seconds: 25 tries are about three days. */
const jobAttempts = 25

/** The worker of this process. */
export interface JobRunner {
  /** What it writes at the moment into the locks of the jobs that it takes. */
  readonly id: string
  /** Waits for what runs. */
  stop(): Promise<void>
}

/**
 * Runs jobs for as long as the process lives. A queue whose connection broke cannot know which jobs
 * it holds: one may have been taken whose name never arrived, another be done and not written down.
 * So it ends, and another begins under a new name; what the old name holds is given free with that
 * of dead processes (`job-processes.ts`).
 */
export async function startJobs(options: JobsOptions): Promise<JobRunner> {
  const { log } = options
  const pool = openPrimaryPool(
    {
      connectionString: options.directUrl,
      max: concurrency + 2,
      connectionTimeoutMillis: queueTimeoutMs,
      query_timeout: queueTimeoutMs,
      application_name: 'bureau jobs',
    },
    (error) => log.warn({ err: error }, 'job queue connection lost'),
  )
  const stopping = new AbortController()
  const stopped = once(stopping.signal, 'abort')
  const clock = watchClock(() => timeOf(options))
  let queue = await beginQueue(pool, options)
  /** What ran when its queue was lost may wait for its own deadline: the next queue does not. */
  const ending = new Set<Promise<void>>()

  const leave = (left: Queue): void => {
    const givenUp = wait(lostQueueEndsInMs, undefined, { ref: false })
    const end = Promise.race([left.stop(), givenUp]).finally(() => ending.delete(end))
    ending.add(end)
  }

  const beginAgain = async (): Promise<void> => {
    await wait(restartAfterMs, undefined, { signal: stopping.signal })
    queue = await beginQueue(pool, options)
    log.info({ queue: queue.id }, 'job queue runs again')
  }
  const keepRunning = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await Promise.race([queue.failed, clock.nextJump(), stopped])
      leave(queue)
      await beginAgain().catch((error: unknown) => {
        if (!stopping.signal.aborted) log.warn({ err: error }, 'job queue cannot begin')
      })
    }
    await Promise.all([queue.stop(), ...ending])
  }
  const running = keepRunning()
  return {
    get id() {
      return queue.id
    },
    stop: async () => {
      stopping.abort()
      clock.stop()
      await running
      await pool.end()
    },
  }
}

/** The queue between two losses of its connection. */
interface Queue {
  readonly id: string
  /** Resolves when it can go on no more. */
  readonly failed: Promise<unknown>
  /** Waits for what runs; a second time it does nothing. */
  stop(): Promise<void>
}

async function beginQueue(pool: pg.Pool, options: JobsOptions): Promise<Queue> {
  const { log } = options
  await forgetTicksToCome(pool, timeOf(options))
  const scheduled: TaskList = Object.fromEntries(
    options.jobs.map((job) => [
      job.name,
      async (payload, helpers) => {
        const ctx = options.contextFor(job.name, helpers.job.id)
        await job.run(ctx, payload as Record<string, unknown>)
      },
    ]),
  )
  let id = ''
  const events: WorkerEvents = new EventEmitter()
  events.once('pool:create', ({ workerPool }) => {
    id = workerPool.id
  })
  const failed = Promise.race([
    once(events as EventEmitter, 'worker:getJob:error'),
    once(events as EventEmitter, 'pool:fatalError'),
  ])
  const runner: Runner = await run({
    pgPool: pool,
    events,
    taskList: { ...scheduled, ...options.tasks },
    parsedCronItems: parseCronItems(options.jobs.flatMap(cronItemsOf)),
    concurrency,
    pollInterval: pollIntervalMs,
    noHandleSignals: true,
    logger: jobLoggerTo(log),
    // Without these, a job whose end cannot be written is a rejection that nobody handles.
    preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
  })
  const ended = runner.promise.catch((error: unknown) => {
    log.warn({ err: error }, 'job queue ended')
  })
  let stop: Promise<void> | undefined
  return {
    id,
    failed: Promise.race([failed, ended]),
    stop: () => (stop ??= runner.stop().catch(() => ended)),
  }
}

function timeOf({ contextFor }: JobsOptions): Date {
  return contextFor('jobs', 'clock').now
}

/** By so much clocks of several machines may differ. */
const clockToleranceMs = 2 * 60_000

/**
 * The queue never repeats a tick, nor any before the last: after a clock that was ahead was put
 * right, schedules would rest until it is as late again.
 */
async function forgetTicksToCome(pool: pg.Pool, now: Date): Promise<void> {
  await pool.query(
    `update graphile_worker._private_known_crontabs set last_execution = null
     where last_execution > $1`,
    [later(now, clockToleranceMs)],
  )
}

const lookAtClockEveryMs = 5000
const jumpMs = 60_000

/** Tells when the clock was set, by one that only counts: the queue waits for the old minute. */
function watchClock(now: () => Date): { nextJump(): Promise<unknown>; stop(): void } {
  const jumps = new EventEmitter()
  const difference = (): number => now().getTime() - performance.now()
  let before = difference()
  // One for all who wait: a queue that cannot begin asks again each second.
  let jump = once(jumps, 'jump')
  const timer = setInterval(() => {
    const after = difference()
    if (Math.abs(after - before) > jumpMs) {
      jumps.emit('jump')
      jump = once(jumps, 'jump')
    }
    before = after
  }, lookAtClockEveryMs).unref()
  return { nextJump: () => jump, stop: () => clearInterval(timer) }
}

function cronItemsOf({ name, schedule }: Job): CronItem[] {
  if (schedule === null) return []
  // One at a time and one waiting: a slow run must not take everybody's place.
  const options = { maxAttempts: 1, backfillPeriod: 0, queueName: name, jobKey: name }
  return [{ task: name, match: schedule, identifier: name, options }]
}

/** Each aggregate's jobs have a queue of their own: those that stand empty are forgotten. */
export async function pruneJobQueues(db: Pool): Promise<void> {
  const utils = await makeWorkerUtils({ pgPool: db.driver, logger: silentJobLogger })
  await utils.cleanup({ tasks: ['GC_JOB_QUEUES'] })
  await utils.release()
}

export const silentJobLogger = new JobLogger(() => () => undefined)

function jobLoggerTo(log: Logger): JobLogger {
  return new JobLogger(() => (level, message, meta) => {
    // The queue reports each job it runs at info; one line a failure is what an operator needs.
    const write = level === 'error' ? 'error' : level === 'warning' ? 'warn' : 'debug'
    const { error, job } = (meta ?? {}) as QueueMeta
    const reason = error === undefined ? {} : { err: error }
    if (!job) return log[write](reason, message)
    const { id, task_identifier: task, attempts, max_attempts: maxAttempts } = job
    const told = { requestId: requestIdOf(id), jobId: id, job: task, attempts, maxAttempts }
    // Its own sentence has the error in it a second time, with all of its stack.
    log[write]({ ...told, ...reason }, error === undefined ? message : 'job failed')
  })
}

/** What the queue tells beside its sentence, as far as a line of the log needs it. */
interface QueueMeta {
  readonly error?: unknown
  readonly job?: Pick<QueuedJob, 'id' | 'task_identifier' | 'attempts' | 'max_attempts'>
}

/** What a job goes by where requests go by their id: in the log, in events, in error reports. */
export function requestIdOf(jobId: string): string {
  return `job-${jobId}`
}
