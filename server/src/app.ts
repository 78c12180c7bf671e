import type { FastifyInstance } from 'fastify'
import type { TaskList } from 'graphile-worker'
import type { Authenticator } from './http/access.ts'
import type { Module } from './http/module.ts'
import { serve, type HttpSettings } from './http/serve.ts'
import { modules } from './modules/index.ts'
import type { Clock } from './platform/clock.ts'
import type { Actor, AppContext, Business, Origin, Ports } from './platform/context.ts'
import type { Pool } from './platform/database.ts'
import { createEventRegistry, type EventRegistry } from './platform/events.ts'
import type { Job } from './platform/jobs.ts'
import { findEvent } from './platform/outbox.ts'

/** What the process hands over: everything that reaches the outside world, and the settings. */
export interface AppOptions {
  readonly db: Pool
  readonly ports: Ports
  readonly clock: Clock
  readonly business: Business
  readonly http: HttpSettings
  /** Called after a commit: the relay of this process may have something to do. */
  readonly wake: () => void
}

export interface App {
  readonly http: FastifyInstance
  readonly events: EventRegistry
  readonly jobs: readonly Job[]
  /** One task a listener that runs after the commit. */
  readonly tasks: TaskList
  readonly contextFor: (actor: Actor, origin: Origin) => AppContext
}

/** The composition root: modules, their listeners and the web server around them. */
export async function createApp(options: AppOptions): Promise<App> {
  const { db, ports, clock, business } = options
  const events = createEventRegistry(
    modules.flatMap((module) => module.events),
    modules.flatMap((module) => module.listeners),
    options.wake,
  )
  const contextFor = (actor: Actor, origin: Origin): AppContext => ({
    actor,
    now: clock(),
    db,
    origin,
    business,
    events,
    ...ports,
  })
  const http = await serve({
    endpoints: modules.flatMap((module) => module.endpoints),
    authenticator: createAuthenticator(contextFor),
    contextFor,
    limits: ports.limits,
    log: ports.log,
    clock,
    settings: options.http,
  })
  return {
    http,
    events,
    jobs: modules.flatMap((module: Module) => module.jobs),
    tasks: tasksOf(events, contextFor),
    contextFor,
  }
}

function createAuthenticator(_contextFor: AppOptionsContext): Authenticator {
  return {
    bearer: () => ({ kind: 'anonymous' }),
    orderToken: async () => ({ kind: 'anonymous' }),
  }
}

type AppOptionsContext = (actor: Actor, origin: Origin) => AppContext

/** The job of a listener carries the event's key only: the event is read when it runs. */
function tasksOf(events: EventRegistry, contextFor: AppOptionsContext): TaskList {
  const listeners = [...events.after.values()].flat()
  return Object.fromEntries(
    listeners.map((listener) => [
      listener.name,
      async (payload, helpers) => {
        const { rootId, eventId } = payload as { rootId: string; eventId: string }
        const ctx = contextFor(
          { kind: 'system', task: listener.name },
          { requestId: `job-${helpers.job.id}`, address: undefined, lease: null },
        )
        const event = await findEvent(ctx.db, rootId, eventId)
        if (event) await listener.run(ctx, event)
      },
    ]),
  )
}
