import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../kernel/errors.ts'
import { later, dayMs, secondMs } from '../kernel/time.ts'
import type { Clock } from './clock.ts'
import { sqlStateOf, type Db, type Pool } from './database.ts'
import type { Logger } from './log.ts'
import { json, sql } from './sql.ts'

/** Where an unexpected error came up. */
export const errorOrigins = ['request', 'job', 'listener', 'process'] as const
export type ErrorOrigin = (typeof errorOrigins)[number]

export interface ErrorPlace {
  readonly kind: ErrorOrigin
  /** The route's template, or the name of the job or listener: never what a client wrote. */
  readonly place: string | null
  /** Leads to the log line that has the whole of it. */
  readonly requestId: string | null
}

/**
 * Groups unexpected errors by where in our code they come from. Nothing of this is on a request's
 * path, and nothing of it fails: while the database is away the groups wait, bounded, in memory.
 */
export interface ErrorReports {
  report(error: unknown, place: ErrorPlace): void
  /** Writes what waits, all in one statement. */
  flush(): Promise<void>
  start(): void
  /** Writes what waits for a last time. */
  stop(): Promise<void>
}

export interface ErrorReportOptions {
  readonly db: Pool
  readonly clock: Clock
  readonly log: Logger
}

const flushEveryMs = 2 * secondMs
/** Our code has a bounded number of places; more than this waiting is a storm. */
const maxWaiting = 200

export function createErrorReports({ db, clock, log }: ErrorReportOptions): ErrorReports {
  let waiting = new Map<string, ErrorGroup>()
  let flushing: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined

  const keep = (group: ErrorGroup): void => {
    const known = waiting.get(group.fingerprint)
    if (known) waiting.set(group.fingerprint, joined(known, group))
    else if (waiting.size < maxWaiting) waiting.set(group.fingerprint, group)
  }
  const write = async (): Promise<void> => {
    if (waiting.size === 0) return
    const batch = waiting
    waiting = new Map()
    try {
      await upsertGroups(db, [...batch.values()])
    } catch (error) {
      const { size } = batch
      log.warn({ err: error, groups: size }, 'error reports not written; they wait')
      for (const group of batch.values()) keep(group)
    }
  }
  const flush = async (): Promise<void> => {
    // One at a time: a slow database is not asked again while it still thinks.
    await flushing
    flushing ??= write().finally(() => {
      flushing = undefined
    })
    await flushing
  }
  return {
    report: (error, place) => {
      if (!isPartDown(error)) keep(toGroup(error, place, clock()))
    },
    flush,
    start: () => {
      timer = setInterval(() => void flush(), flushEveryMs).unref()
    },
    stop: async () => {
      clearInterval(timer)
      // A database that is away must not hold up the end of the process.
      const given = new AbortController()
      const enough = sleep(flushEveryMs, undefined, { signal: given.signal, ref: false })
      await Promise.race([flush(), enough.catch(() => undefined)])
      given.abort()
    },
  }
}

/** Expected, and no fault of ours: health tells of it, and the queue tries again. */
function isPartDown(error: unknown): boolean {
  return error instanceof AppError && error.status >= 500
}

/** One kind of error with how often it came since it was last written. */
export interface ErrorGroup extends ErrorPlace {
  readonly fingerprint: string
  readonly name: string
  /** PostgreSQL's SQLSTATE or the code of a system error. */
  readonly code: string | null
  /** Without messages: they may quote what a person wrote. */
  readonly stack: readonly string[]
  readonly count: number
  readonly firstSeenAt: Date
  readonly lastSeenAt: Date
}

function joined(before: ErrorGroup, after: ErrorGroup): ErrorGroup {
  return {
    // The newest example, for the log line that it leads to is kept longest.
    ...after,
    count: before.count + after.count,
    firstSeenAt: before.firstSeenAt < after.firstSeenAt ? before.firstSeenAt : after.firstSeenAt,
    lastSeenAt: before.lastSeenAt > after.lastSeenAt ? before.lastSeenAt : after.lastSeenAt,
  }
}

const maxFrames = 20
const maxFrameLength = 200
/** An error that another one caused, and so on, this deep. */
const maxCauses = 3
/** Frames of our own that tell one place from another. */
const framesInFingerprint = 3

function toGroup(error: unknown, place: ErrorPlace, now: Date): ErrorGroup {
  const name = nameOf(error)
  const code = codeOf(error)
  const stack = describeStack(error)
  const ours = stack.filter((frame) => frame.includes('(')).slice(0, framesInFingerprint)
  // Line numbers move with every release, and one fault must stay one group.
  const places = ours.map((frame) => frame.replace(/:\d+:\d+\)$/, ')'))
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([place.kind, name, code, places.length > 0 ? places : place.place]))
    .digest('hex')
    .slice(0, 16)
  return { fingerprint, name, code, stack, ...place, count: 1, firstSeenAt: now, lastSeenAt: now }
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'thrown value'
  return /^[\w.$-]{1,100}$/.test(error.name) ? error.name : 'Error'
}

function codeOf(error: unknown): string | null {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return sqlStateOf(error) ?? (/^[A-Z0-9_]{1,60}$/.test(code) ? code : null)
}

/** The frames in our own code, of the error and of what caused it; no message, no foreign path. */
function describeStack(error: unknown): string[] {
  const lines: string[] = []
  let current = error
  for (let depth = 0; depth <= maxCauses && current instanceof Error; depth += 1) {
    if (depth > 0)
      lines.push(['caused by', nameOf(current), codeOf(current) ?? ''].join(' ').trim())
    lines.push(...ownFrames(current))
    current = current.cause
  }
  return lines.slice(0, maxFrames)
}

/** `at place (modules/orders/usecases/place-order:41:9)`, whether from sources or from a build. */
function ownFrames({ stack = '', message }: Error): string[] {
  const frame = /^\s+at (?:(.+?) \()?.*\/server\/(?:src|dist)\/([\w./-]+?)\.[jt]s:(\d+:\d+)\)?$/
  // The message stands before the frames, and what it quotes may look like one.
  const lines = stack.replace(message, '').split('\n')
  return lines.flatMap((line) => {
    const [, caller = 'module', file, position] = frame.exec(line) ?? []
    return file === undefined ? [] : [`at ${caller} (${file}:${position})`.slice(-maxFrameLength)]
  })
}

async function upsertGroups(db: Db, groups: readonly ErrorGroup[]): Promise<void> {
  await db.run(sql`
    insert into unexpected_errors as known (id, kind, name, code, place, stack, count,
      first_seen_at, last_seen_at, last_request_id)
    select v.fingerprint, v.kind, v.name, v.code, v.place, v.stack, v.count, v."firstSeenAt",
      v."lastSeenAt", v."requestId"
    from jsonb_to_recordset(${json(groups)}::jsonb) as v (fingerprint text, kind text, name text,
      code text, place text, stack jsonb, count integer, "firstSeenAt" timestamptz,
      "lastSeenAt" timestamptz, "requestId" text)
    -- Two nodes that write the same groups take their rows in the same order.
    order by v.fingerprint
    on conflict (id) do update set
      place = excluded.place,
      stack = excluded.stack,
      count = known.count + excluded.count,
      first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
      last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
      last_request_id = excluded.last_request_id`)
}

const keptMs = 90 * dayMs

/** What has not come again for three months is forgotten, a bounded number at a time. */
export async function pruneErrors(db: Db, now: Date): Promise<number> {
  return await db.run(sql`
    delete from unexpected_errors where id in (
      select id from unexpected_errors
      where last_seen_at < ${later(now, -keptMs)} limit 1000)`)
}
