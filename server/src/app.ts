import type { FastifyInstance } from 'fastify'
import type { TaskList } from 'graphile-worker'
import type { Authenticator } from './http/access.ts'
import { pruneKeys } from './http/idempotency.ts'
import { createReplyCache, figuresOfReplies, type ReplyCache } from './http/reply-cache.ts'
import { serve, type HttpSettings } from './http/serve.ts'
import { describeApi } from './http/openapi.ts'
import { mountDocs } from './http/docs.ts'
import { createBearerAuthenticator } from './modules/identity/index.ts'
import { modules } from './modules/index.ts'
import { authenticateOrderToken } from './modules/orders/index.ts'
import type { Clock } from './platform/clock.ts'
import type { Actor, AppContext, Business, Origin, Ports } from './platform/context.ts'
import type { Db, Pool } from './platform/database.ts'
import { pruneErrors, type ErrorPlace, type ErrorReports } from './platform/error-reports.ts'
import { createEventRegistry, type EventRegistry } from './platform/events.ts'
import { createInstruments, type Instruments } from './platform/instruments.ts'
import { defineJob, pruneJobQueues, requestIdOf, type Job } from './platform/jobs.ts'
import { pruneLimits } from './platform/limits.ts'
import { findEvent } from './platform/outbox.ts'
import { createSubjects } from './platform/subjects.ts'

/** What the process hands over: everything that reaches the outside world, and the settings. */
export interface AppOptions {
  readonly db: Pool
  readonly ports: Ports
  readonly clock: Clock
  readonly business: Business
  readonly http: HttpSettings
  /** The migrations that this version's code was written for, by file name. */
  readonly migrations: readonly string[]
  /** Of the product, for the API's description. */
  readonly version: string
  /** Called after a commit: the relay of this process may have something to do. */
  readonly wake: () => void
}

export interface App {
  readonly http: FastifyInstance
  readonly events: EventRegistry
  /** What this node keeps of the public catalogue. */
  readonly replies: ReplyCache
  readonly instruments: Instruments
  readonly jobs: readonly Job[]
  /** One task a listener that runs after the commit. */
  readonly tasks: TaskList
  readonly contextFor: ContextFor
}

/** The composition root: modules, their listeners and the web server around them. */
export async function createApp(options: AppOptions): Promise<App> {
  const { db, ports, clock, business } = options
  const events = createEventRegistry(
    modules.flatMap((module) => module.events),
    modules.flatMap((module) => module.listeners),
    options.wake,
  )
  const subjects = createSubjects(modules.flatMap((module) => module.subjects ?? []))
  const replies = createReplyCache(ports.invalidation, 'catalog')
  const instruments: Instruments = createInstruments({
    db,
    clock,
    log: ports.log,
    checks: modules.flatMap(({ checks }) => checks ?? []),
    sources: [...modules.flatMap(({ figures }) => figures ?? []), figuresOfReplies(replies)],
    migrations: options.migrations,
    contextFor: () =>
      contextFor(
        { kind: 'system', task: 'watch' },
        { requestId: 'watch', address: undefined, lease: null },
      ),
  })
  const contextFor: ContextFor = (actor, origin) => ({
    actor,
    now: clock(),
    db,
    origin,
    business,
    events,
    subjects,
    instruments,
    actorNames: (ids) => listActorNames(db, ids),
    ...ports,
  })
  const http = await serve({
    endpoints: modules.flatMap((module) => module.endpoints),
    authenticator: createAuthenticator(options),
    contextFor,
    limits: ports.limits,
    replies,
    instruments,
    log: ports.log,
    clock,
    settings: options.http,
  })
  http.addHook('onReady', async () => instruments.start())
  // Before the port closes, so that whoever asks by an open connection is told.
  http.addHook('preClose', async () => instruments.health.stop())
  http.addHook('onClose', () => instruments.stop())
  await mountDocs(http, describeApi(modules, { version: options.version }))
  return {
    http,
    events,
    replies,
    instruments,
    jobs: [...modules.flatMap((module) => module.jobs), housekeeping].map((job) =>
      watchedJob(job, instruments.errorReports),
    ),
    tasks: tasksOf(events, contextFor),
    contextFor,
  }
}

/** The platform's own tables stay small: keys after a day, limits after their window. */
const housekeeping = defineJob('prune-platform', '*/10 * * * *', async ({ db, now }) => {
  await pruneKeys(db, now)
  await pruneLimits(db, now)
  await pruneJobQueues(db)
  await pruneErrors(db, now)
})

/** Who calls, as the modules that know tokens tell it. */
function createAuthenticator({ db, ports, clock }: AppOptions): Authenticator {
  const { tokens, secrets, invalidation } = ports
  return {
    bearer: createBearerAuthenticator({ tokens, db, invalidation, clock }),
    orderToken: (token) => authenticateOrderToken({ db, secrets, now: clock() }, token),
  }
}

/** Of all modules that know people; usually one. */
async function listActorNames(db: Db, ids: readonly string[]): Promise<Map<string, string>> {
  const found = await Promise.all(
    modules.flatMap(({ actorNames }) => (actorNames ? [actorNames(db, ids)] : [])),
  )
  return new Map(found.flatMap((names) => [...names]))
}

type ContextFor = (actor: Actor, origin: Origin) => AppContext

/** The job of a listener carries the event's key only: the event is read when it runs. */
function tasksOf(events: EventRegistry, contextFor: ContextFor): TaskList {
  const listeners = [...events.after.values()].flat()
  return Object.fromEntries(
    listeners.map((listener) => [
      listener.name,
      async (payload, helpers) => {
        const { rootId, eventId } = payload as { rootId: string; eventId: string }
        const ctx = contextFor(
          { kind: 'system', task: listener.name },
          { requestId: requestIdOf(helpers.job.id), address: undefined, lease: null },
        )
        await reportingFailure(
          ctx.instruments.errorReports,
          { kind: 'listener', place: listener.name, requestId: ctx.origin.requestId },
          async () => {
            const event = await findEvent(ctx.db, rootId, eventId)
            if (event) await listener.run(ctx, event)
          },
        )
      },
    ]),
  )
}

/** The same job, whose failures are counted where unexpected errors are. */
function watchedJob(job: Job, errorReports: ErrorReports): Job {
  return {
    ...job,
    run: (ctx, payload) =>
      reportingFailure(
        errorReports,
        { kind: 'job', place: job.name, requestId: ctx.origin.requestId },
        () => job.run(ctx, payload),
      ),
  }
}

/** The queue tries again and keeps the last error; here it is told apart from the others. */
async function reportingFailure(
  errorReports: ErrorReports,
  place: ErrorPlace,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    errorReports.report(error, place)
    throw error
  }
}
