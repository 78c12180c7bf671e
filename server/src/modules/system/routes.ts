import { answer, endpoint, textAnswer, type Answer, type Endpoint } from '../../http/endpoint.ts'
import { prefersJson } from '../../http/prefers-json.ts'
import {
  AuditEvent,
  AuditQuery,
  ErrorQuery,
  Health,
  Job,
  JobParams,
  JobQuery,
  jobRunning,
  Liveness,
  Readiness,
  Summary,
  UnexpectedError,
} from './schema.ts'
import { listEvents } from './usecases/audit.ts'
import { listErrors } from './usecases/errors.ts'
import { checkReadiness, reportHealth } from './usecases/health.ts'
import { getJob, listJobs, retryJob } from './usecases/jobs.ts'
import { summarise, writeMetrics } from './usecases/summarise.ts'

const exampleJob: Job = {
  id: '4711',
  task: 'reconcile-payments',
  queue: 'reconcile-payments',
  status: 'failed',
  attempts: 1,
  maxAttempts: 1,
  runAt: '2026-11-22T16:40:00.000Z',
  lastError: 'A part that this needs is down. Try again shortly.',
  createdAt: '2026-11-22T16:40:00.000Z',
  updatedAt: '2026-11-22T16:40:02.120Z',
}

const latency = { p50: 1.8, p95: 6.2, p99: 14.5 }

const exampleSummary: Summary = {
  at: '2026-11-22T16:40:21.000Z',
  requests: {
    windowSeconds: 300,
    count: 6042,
    perSecond: 20.14,
    errorRate: 0,
    ...latency,
    active: 1,
    routes: [
      {
        method: 'GET',
        route: '/api/services',
        count: 5120,
        perSecond: 17.07,
        errorRate: 0,
        ...latency,
      },
    ],
  },
  process: {
    uptimeSeconds: 86_400,
    residentBytes: 142_606_336,
    heapUsedBytes: 61_865_984,
    eventLoopLagMs: 1.2,
  },
  database: { connections: 4, idle: 3, maximum: 10, waiting: 0 },
  jobs: { queued: 2, running: 1, failed: 0, oldestDueSeconds: 0.4, undeliveredEvents: 0 },
  mails: { queued: 1, failed: 0 },
  today: { orders: 37, revenue: [{ amount: 551_300, currency: 'GBP' }] },
  missing: 0,
}

/** Nobody knows when it is well again; a probe that comes this often finds out soon. */
const askAgain = { 'Retry-After': '5' }

function readinessAnswer(body: Awaited<ReturnType<typeof checkReadiness>>): Answer<typeof body> {
  return body.status === 'pass' ? answer(body) : answer(body, { status: 503, headers: askAgain })
}

function healthAnswer(body: Health): Answer<Health> {
  const headers = { 'Content-Type': 'application/health+json' }
  if (body.status !== 'fail') return answer(body, { headers })
  return answer(body, { status: 503, headers: { ...headers, ...askAgain } })
}

export const routes: readonly Endpoint[] = [
  endpoint(
    'GET /livez',
    {
      summary: 'Whether the process lives',
      description: 'Asks nothing of anybody: a process that answers is alive.',
      access: 'public',
      reply: Liveness,
      limit: 'probe',
      example: { reply: { status: 'pass' } },
    },
    async () => ({ status: 'pass' as const }),
  ),
  endpoint(
    'GET /readyz',
    {
      summary: 'Whether the process can serve',
      description:
        'The database answers, its schema is not older than this version, and the keys that sign ' +
        'tokens are there; looked at within the last second. 503 otherwise, and from the moment ' +
        'at which the process is told to stop.',
      access: 'public',
      reply: Readiness,
      alsoStatus: [503],
      limit: 'probe',
      example: { reply: { status: 'pass' } },
    },
    async (ctx) => readinessAnswer(await checkReadiness(ctx)),
  ),
  endpoint(
    'GET /api/system/health',
    {
      summary: 'How Bureau is',
      description:
        '`application/health+json`. `fail` (503) only for the database or the storage of ' +
        'documents; other parts are at worst `warn`. Parts that are not configured pass. Looked ' +
        'at within the last five seconds; a call never makes Bureau call anybody.',
      access: 'public',
      reply: Health,
      alsoStatus: [503],
      limit: 'probe',
      example: {
        reply: {
          status: 'warn',
          checks: {
            database: [
              {
                status: 'pass',
                time: '2026-11-22T16:40:21.000Z',
                observedValue: 0.8,
                observedUnit: 'ms',
              },
            ],
            jobs: [
              {
                status: 'warn',
                time: '2026-11-22T16:40:21.000Z',
                output: 'Jobs have failed for good: see GET /api/system/jobs?status=failed.',
                observedValue: 2,
                observedUnit: 'failed jobs',
              },
            ],
          },
        },
      },
    },
    async (ctx) => healthAnswer(await reportHealth(ctx)),
  ),
  endpoint(
    'GET /api/system/metrics',
    {
      summary: 'Read the figures',
      description:
        "Prometheus' text form; with `Accept: application/json` the summary that a console draws. " +
        'Figures of requests and of memory are those of the process that answers, figures of the ' +
        'business are of all.',
      access: ['system:read', 'metrics-token'],
      reply: Summary,
      alsoProduces: ['text/plain'],
      limit: 'probe',
      example: { reply: exampleSummary },
    },
    async (ctx, { http }) => {
      if (prefersJson(String(http.headers['accept'] ?? ''))) return await summarise(ctx)
      const { text, contentType } = await writeMetrics(ctx)
      return textAnswer(text, contentType)
    },
  ),
  endpoint(
    'GET /api/events',
    {
      summary: 'Read the audit trail',
      description:
        'Everything that happened: who did it, to what, when and by which request. What people ' +
        'wrote is not in it, only which fields they changed. Nothing in it can be altered.',
      access: ['system:read'],
      query: AuditQuery,
      list: { sorts: ['at'], defaultSort: '-at' },
      reply: AuditEvent,
      example: {
        query: { type: 'customer.updated', limit: '50' },
        reply: {
          id: 'evt_01jd8q9yg8e5v9c0m4t7k2x3za',
          type: 'customer.updated',
          at: '2026-11-22T16:40:21.000Z',
          rootId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3za',
          rootVersion: 4,
          actor: { id: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za', name: 'Grace Bell', kind: 'staff' },
          requestId: 'req_01jd8q9yg8e5v9c0m4t7k2x3za',
          changed: ['phone'],
          data: { fields: ['phone'] },
        },
      },
    },
    (ctx, { query, page }) => listEvents(ctx, query, page),
  ),
  endpoint(
    'GET /api/system/jobs',
    {
      summary: 'List jobs',
      description: 'Work that waits, runs or has failed for good; what has ended well is gone.',
      access: ['system:read'],
      query: JobQuery,
      list: { sorts: ['createdAt'], defaultSort: '-createdAt' },
      reply: Job,
      example: { query: { status: 'failed' }, reply: exampleJob },
    },
    (ctx, { query, page }) => listJobs(ctx, query, page),
  ),
  endpoint(
    'POST /api/system/jobs/:id/retry',
    {
      summary: 'Run a job again',
      description: 'As soon as there is time, with all its tries before it, failed or waiting.',
      access: ['system:write'],
      params: JobParams,
      reply: Job,
      status: 202,
      errors: [jobRunning],
      idempotency: { resume: (ctx, id) => getJob(ctx, id) },
      example: {
        params: { id: exampleJob.id },
        reply: { ...exampleJob, status: 'queued', attempts: 0 },
      },
    },
    (ctx, { params }) => retryJob(ctx, params.id),
  ),
  endpoint(
    'GET /api/system/errors',
    {
      summary: 'List unexpected errors',
      description:
        'Faults of Bureau itself, one entry for each place in its code that they come from, ' +
        'without what they quote: the request id leads to the line in the log that has all of it.',
      access: ['system:read'],
      query: ErrorQuery,
      list: { sorts: ['lastSeenAt', 'count'], defaultSort: '-lastSeenAt' },
      reply: UnexpectedError,
      example: {
        query: { since: '2026-11-22T00:00:00.000Z' },
        reply: {
          fingerprint: '3f9a1c0b7d2e4856',
          kind: 'request',
          name: 'error',
          code: '42P01',
          place: 'GET /api/orders',
          count: 3,
          firstSeenAt: '2026-11-22T16:38:02.000Z',
          lastSeenAt: '2026-11-22T16:40:21.000Z',
          lastRequestId: 'req_01jd8q9yg8e5v9c0m4t7k2x3za',
          stack: ['at listOrders (modules/orders/usecases/read-orders:41:9)'],
        },
      },
    },
    (ctx, { query, page }) => listErrors(ctx, query, page),
  ),
]
