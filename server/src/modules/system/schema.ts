import { Type, type Static } from 'typebox'
import { defineError } from '../../kernel/errors.ts'
import { idOf, Instant, Money, nullable, oneOf } from '../../kernel/shapes.ts'

export const jobRunning = defineError(
  409,
  'job_running',
  'The job runs at the moment; it can be run again when it has ended.',
  'Read the job again once it has ended.',
)

const HealthStatus = oneOf(['pass', 'warn', 'fail'])

export const Liveness = Type.Object({ status: oneOf(['pass']) })
export const Readiness = Type.Object({ status: oneOf(['pass', 'fail']) })

/** As the draft draft-inadarei-api-health-check has it. */
const ComponentCheck = Type.Object(
  {
    status: HealthStatus,
    time: nullable(Instant),
    output: Type.Optional(Type.String()),
    observedValue: Type.Optional(Type.Unsafe<number | string>({ type: ['number', 'string'] })),
    observedUnit: Type.Optional(Type.String()),
  },
  { title: 'ComponentCheck' },
)

export const Health = Type.Object(
  {
    status: HealthStatus,
    checks: Type.Optional(
      Type.Unsafe<Readonly<Record<string, readonly Static<typeof ComponentCheck>[]>>>({
        type: 'object',
        description: 'by the name of the part; only for staff with `system:read`',
        additionalProperties: { type: 'array', items: ComponentCheck },
      }),
    ),
  },
  { title: 'Health' },
)
export type Health = Static<typeof Health>

/** Whoever can act, of whichever module. */
const ActorId = Type.String({ pattern: '^[a-z]{2,12}_[0-9a-z]{26}$' })

/** The audit trail is of all aggregates, also of the provider's events, whose ids are its own. */
const RootId = Type.String({
  pattern: '^[a-z]{2,12}_[0-9A-Za-z_]{1,100}$',
  examples: ['ord_01jd8q9yg8e5v9c0m4t7k2x3za'],
})

export const AuditQuery = Type.Object({
  rootId: Type.Optional(RootId),
  type: Type.Optional(
    Type.String({ maxLength: 100, pattern: '^[a-z._]{1,100}$', examples: ['order.placed'] }),
  ),
  actorId: Type.Optional(ActorId),
  requestId: Type.Optional(Type.String({ maxLength: 100 })),
  from: Type.Optional(Instant),
  to: Type.Optional(Type.Unsafe<string>({ ...Instant, description: 'before this instant' })),
})

export const AuditEvent = Type.Object(
  {
    id: idOf('evt'),
    type: Type.String(),
    at: Instant,
    rootId: Type.String({ description: 'what it happened to' }),
    rootVersion: Type.Integer({ description: 'the version that it gave its aggregate' }),
    actor: Type.Object({
      id: nullable(Type.String()),
      name: nullable(Type.String({ description: 'as the login is called today' })),
      kind: Type.String(),
    }),
    requestId: nullable(Type.String()),
    changed: Type.Array(Type.String(), { description: 'names of the fields that changed' }),
    data: Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true }),
  },
  { title: 'AuditEvent' },
)
export type AuditEvent = Static<typeof AuditEvent>

export const JobParams = Type.Object({ id: Type.String({ pattern: '^[1-9][0-9]{0,14}$' }) })

const JobStatus = oneOf(['queued', 'running', 'failed'])

export const JobQuery = Type.Object({
  status: Type.Optional(JobStatus),
  task: Type.Optional(Type.String({ maxLength: 100 })),
})

export const Job = Type.Object(
  {
    id: Type.String(),
    task: Type.String(),
    queue: nullable(Type.String({ description: 'jobs of one queue run one after the other' })),
    status: JobStatus,
    attempts: Type.Integer(),
    maxAttempts: Type.Integer(),
    runAt: Instant,
    lastError: nullable(Type.String({ description: 'its first line, without secrets' })),
    createdAt: Instant,
    updatedAt: Instant,
  },
  { title: 'Job' },
)
export type Job = Static<typeof Job>

const ErrorKind = oneOf(['request', 'job', 'listener', 'process'])
export type ErrorKind = Static<typeof ErrorKind>

export const ErrorQuery = Type.Object({
  since: Type.Optional(Instant),
  kind: Type.Optional(ErrorKind),
})

export const UnexpectedError = Type.Object(
  {
    fingerprint: Type.String({ description: 'equal for errors from the same place in the code' }),
    kind: ErrorKind,
    name: Type.String(),
    code: nullable(Type.String({ description: 'SQLSTATE or the code of a system error' })),
    place: nullable(Type.String({ description: 'route, job or listener' })),
    count: Type.Integer(),
    firstSeenAt: Instant,
    lastSeenAt: Instant,
    lastRequestId: nullable(Type.String({ description: 'finds the line in the log' })),
    stack: Type.Array(Type.String(), { description: "frames in Bureau's own code" }),
  },
  { title: 'UnexpectedError' },
)
export type UnexpectedError = Static<typeof UnexpectedError>

const Milliseconds = Type.Number({ description: 'in milliseconds' })

const RouteSummary = Type.Object(
  {
    method: Type.String(),
    route: Type.String(),
    count: Type.Integer(),
    perSecond: Type.Number(),
    errorRate: Type.Number({ description: 'share of replies of 500 and above, 0 to 1' }),
    p50: Milliseconds,
    p95: Milliseconds,
    p99: Milliseconds,
  },
  { title: 'RouteSummary' },
)

export const Summary = Type.Object(
  {
    at: Instant,
    requests: Type.Object({
      windowSeconds: Type.Number({ description: 'how far back the figures of requests reach' }),
      count: Type.Integer(),
      perSecond: Type.Number(),
      errorRate: Type.Number({ description: 'share of replies of 500 and above, 0 to 1' }),
      p50: Milliseconds,
      p95: Milliseconds,
      p99: Milliseconds,
      active: Type.Integer(),
      routes: Type.Array(RouteSummary, { description: 'the most asked first' }),
    }),
    process: Type.Object({
      uptimeSeconds: Type.Integer(),
      residentBytes: Type.Integer(),
      heapUsedBytes: Type.Integer(),
      eventLoopLagMs: Milliseconds,
    }),
    database: Type.Object({
      connections: Type.Integer(),
      idle: Type.Integer(),
      maximum: Type.Integer(),
      waiting: Type.Integer({ description: 'requests that wait for a connection' }),
    }),
    jobs: nullable(
      Type.Object({
        queued: Type.Integer(),
        running: Type.Integer(),
        failed: Type.Integer(),
        oldestDueSeconds: Type.Number({ description: 'how long the oldest has been due' }),
        undeliveredEvents: Type.Integer(),
      }),
    ),
    mails: nullable(
      Type.Object({
        queued: Type.Integer(),
        failed: Type.Integer(),
      }),
    ),
    today: Type.Object({
      orders: nullable(Type.Integer({ description: 'placed since midnight in `TIME_ZONE`' })),
      revenue: nullable(Type.Array(Money, { description: 'what came in less what went back' })),
    }),
    missing: Type.Integer({
      description: 'sources of figures that did not answer: what they tell is null',
    }),
  },
  { title: 'Summary' },
)
export type Summary = Static<typeof Summary>
