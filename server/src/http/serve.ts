import cookiePlugin from '@fastify/cookie'
import corsPlugin from '@fastify/cors'
import fastify, {
  LogController,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import {
  malformedRequest,
  methodNotAllowed,
  notAcceptable,
  notFound,
  rateLimited,
} from '../kernel/errors.ts'
import { newId } from '../kernel/id.ts'
import type { Actor, AppContext, Origin } from '../platform/context.ts'
import type { Clock } from '../platform/clock.ts'
import type { LimitPolicyName, Limits } from '../platform/limits.ts'
import type { Logger } from '../platform/log.ts'
import { authenticate, authorize, type Authenticator } from './access.ts'
import { compileEndpoint, type ServedEndpoint } from './compile.ts'
import type { Endpoint } from './endpoint.ts'
import { respond, type RespondOptions } from './respond.ts'
import { toAppError, toProblem } from './problem.ts'
import { parseJsonBody } from './json-body.ts'
import { limitHeaders } from './rate-limit.ts'

export interface ServeOptions {
  readonly endpoints: readonly Endpoint[]
  readonly authenticator: Authenticator
  /** The context of one request: one instant, one actor. */
  readonly contextFor: (actor: Actor, origin: Origin) => AppContext
  readonly limits: Limits
  readonly log: Logger
  readonly clock: Clock
  readonly settings: HttpSettings
}

export interface HttpSettings {
  readonly requestTimeoutMs: number
  readonly allowedOrigins: readonly string[]
  /** Whose `X-Forwarded-For` counts: false, or a list of addresses and networks. */
  readonly trustProxy: false | string[]
  /** Whether a 500 carries its message and stack. */
  readonly errorDetail: boolean
  /** Whether cookies are `Secure`: they are where people come by https. */
  readonly secureCookies: boolean
}

const bodyLimitBytes = 1024 * 1024
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/** Mounts the table of endpoints; everything that each request has in common stands here once. */
export async function serve(options: ServeOptions): Promise<FastifyInstance> {
  const { endpoints, settings } = options
  const app = createFastify(options)
  await app.register(cookiePlugin)
  await app.register(corsPlugin, {
    origin: [...settings.allowedOrigins],
    methods: [...methods],
    allowedHeaders: corsRequestHeaders,
    exposedHeaders: corsReplyHeaders,
    maxAge: 600,
  })
  readBodies(app)
  answerFailures(app, options)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(constantHeaders)
    reply.header('X-Request-Id', request.id)
    refuseAmbiguousRequest(request)
  })
  app.addHook('onResponse', async (request, reply) => logRequest(options.log, request, reply))
  for (const endpoint of endpoints) mount(app, compileEndpoint(endpoint), options)
  mountRefusedMethods(app, endpoints)
  return app
}

/** Longer than any request may take, shorter than a process has to end. */
const finishWithinMs = 11_000

/**
 * Stops accepting and waits for what runs. A connection that never sends its request would hold the
 * server open for as long as it may be slow, so what is left after the last deadline is cut off.
 */
export async function closeServer(
  app: FastifyInstance,
  withinMs: number = finishWithinMs,
): Promise<void> {
  const deadline = setTimeout(() => app.server.closeAllConnections(), withinMs)
  await app.close()
  clearTimeout(deadline)
}

function createFastify(options: ServeOptions): FastifyInstance {
  const { log, settings, clock } = options
  return fastify({
    loggerInstance: log as never,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimitBytes,
    trustProxy: settings.trustProxy,
    genReqId: (request) => readRequestId(request.headers['x-request-id'], clock),
    handlerTimeout: settings.requestTimeoutMs,
    requestTimeout: 30_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 300 },
    // An address that cannot be read never reaches the hooks and the error handler below.
    frameworkErrors: (error, request, reply) => {
      reply.headers(constantHeaders).header('X-Request-Id', request.id)
      answerFailure(error, { request, reply, options })
    },
    // Node looks for slow clients only every 30 s unless told otherwise.
    http: { connectionsCheckingInterval: 2000, headersTimeout: 20_000 },
  }) as unknown as FastifyInstance
}

const corsRequestHeaders = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'X-Order-Token',
  'X-Request-Id',
  'traceparent',
]
const corsReplyHeaders = [
  'ETag',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Idempotent-Replayed',
  'X-Request-Id',
]

/** Made once: the API sends data, so nothing of it may be run, framed or guessed. */
const constantHeaders = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cache-Control': 'no-store',
}

function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const types = ['application/json', 'application/merge-patch+json']
  app.addContentTypeParser(types, { parseAs: 'buffer' }, (request, body, done) => {
    const bytes = body as Buffer
    const { config } = request.routeOptions
    if ((config as RouteConfig).rawBody) return done(null, bytes)
    try {
      done(null, parseJsonBody(bytes))
    } catch (error) {
      done(error as Error)
    }
  })
}

interface RouteConfig {
  readonly rawBody?: boolean
}

function mount(app: FastifyInstance, served: ServedEndpoint, options: ServeOptions): void {
  const { method, path, contract } = served.endpoint
  const respondOptions: RespondOptions = { secureCookies: options.settings.secureCookies }
  app.route({
    method,
    url: path,
    config: { rawBody: contract.rawBody === true },
    schema: { response: served.replySchemas },
    onRequest: async (request, reply) => {
      await limitByAddress(options, contract.limit ?? 'default', { request, reply })
      refuseUnreadableReply(request)
      const actor = await authenticate(options.authenticator, {
        authorization: request.headers.authorization,
        orderToken: headerOf(request, 'x-order-token'),
      })
      authorize(actor, contract.access)
      request.actor = actor
    },
    handler: async (request, reply) => {
      const origin: Origin = { requestId: request.id, address: request.ip, lease: null }
      const ctx = options.contextFor(request.actor, origin)
      return await respond(served, ctx, { request, reply, options: respondOptions })
    },
  })
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls; set before the body is read. */
    actor: Actor
  }
}

/** Takes one point of the address; 429 with `Retry-After` when there was none. */
async function limitByAddress(
  { limits }: ServeOptions,
  name: LimitPolicyName,
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
): Promise<void> {
  const verdict = await limits.spend(name, request.ip)
  reply.headers(limitHeaders(name, verdict))
  if (!verdict.allowed) throw rateLimited({ retryAfterSeconds: verdict.retryAfterSeconds })
}

/** A known path with a method it does not have is 405 with `Allow`, not 404. */
function mountRefusedMethods(app: FastifyInstance, endpoints: readonly Endpoint[]): void {
  const methodsOfPath = new Map<string, Set<string>>()
  for (const { method, path } of endpoints) {
    methodsOfPath.set(path, (methodsOfPath.get(path) ?? new Set()).add(method))
  }
  for (const [path, known] of methodsOfPath) {
    const refused = methods.filter((method) => !known.has(method))
    const allow = [...known].join(', ')
    app.route({
      method: refused,
      url: path,
      onRequest: async (_request, reply) => {
        reply.header('Allow', allow)
        throw methodNotAllowed({ detail: `This resource knows ${allow}.` })
      },
      handler: async () => undefined,
    })
  }
}

function answerFailures(app: FastifyInstance, options: ServeOptions): void {
  app.setErrorHandler(async (error, request, reply) => {
    answerFailure(error, { request, reply, options })
    return await reply
  })
  app.setNotFoundHandler(async () => {
    throw notFound({ detail: 'There is nothing at this address.' })
  })
}

interface FailedExchange {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly options: ServeOptions
}

function answerFailure(error: unknown, { request, reply, options }: FailedExchange): void {
  const { log, settings } = options
  const known = toAppError(error)
  if (!known) log.error({ err: error, requestId: request.id }, 'unexpected error')
  else if (known.status >= 500) {
    log.warn({ err: known, facts: known.facts, requestId: request.id }, known.message)
  }
  const { url, id } = request
  const problem = toProblem(error, { url, id, showDetail: settings.errorDetail })
  if (known?.retryAfterSeconds !== undefined) {
    reply.header('Retry-After', known.retryAfterSeconds)
  }
  if (problem.status === 401) reply.header('WWW-Authenticate', 'Bearer')
  reply
    .code(problem.status)
    .header('Cache-Control', 'no-store')
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(problem)
}

/** Two Host headers, or two tokens at once, could mean different things to different readers. */
function refuseAmbiguousRequest({ raw }: FastifyRequest): void {
  const names = raw.rawHeaders.filter((_, index) => index % 2 === 0)
  const count = (name: string): number =>
    names.filter((one) => one.length === name.length && one.toLowerCase() === name).length
  if (count('host') > 1) throw malformedRequest({ detail: 'There are two Host headers.' })
  if (count('authorization') > 1) {
    throw malformedRequest({ detail: 'There are two Authorization headers.' })
  }
  if (count('authorization') + count('x-order-token') > 1) {
    throw malformedRequest({ detail: 'There are two tokens: send the one that you act with.' })
  }
}

const readableTypes = /\*\/\*|application\/\*|application\/([a-z.-]+\+)?json/i

function refuseUnreadableReply({ headers }: FastifyRequest): void {
  if (headers.accept !== undefined && !readableTypes.test(headers.accept)) throw notAcceptable()
}

function readRequestId(header: string | string[] | undefined, clock: Clock): string {
  return typeof header === 'string' && /^[\w.:-]{1,100}$/.test(header)
    ? header
    : newId('req', clock())
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value[0] : value
}

function logRequest(log: Logger, request: FastifyRequest, reply: FastifyReply): void {
  log.info(
    {
      requestId: request.id,
      traceparent: headerOf(request, 'traceparent'),
      method: request.method,
      route: request.routeOptions.url ?? 'unknown',
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 100) / 100,
      actor: actorIdOf(request.actor),
    },
    'request',
  )
}

function actorIdOf(actor: Actor | undefined): string | undefined {
  if (actor === undefined) return undefined
  if (actor.kind === 'customer' || actor.kind === 'staff') return actor.userId
  return actor.kind === 'order' ? actor.orderId : actor.kind
}
