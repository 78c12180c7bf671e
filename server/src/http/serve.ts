import cookiePlugin from '@fastify/cookie'
import corsPlugin from '@fastify/cors'
import fastify, { LogController, type FastifyInstance, type onRequestHookHandler } from 'fastify'
import { methodNotAllowed } from '../kernel/errors.ts'
import { newId } from '../kernel/id.ts'
import type { Actor, AppContext, Origin } from '../platform/context.ts'
import type { Clock } from '../platform/clock.ts'
import type { Instruments } from '../platform/instruments.ts'
import type { Limits } from '../platform/limits.ts'
import type { Logger } from '../platform/log.ts'
import { authenticate, authorize, takesMetricsToken, type Authenticator } from './access.ts'
import { answerFirst } from './answer-first.ts'
import { cutSlowBody, hasBody } from './body-guard.ts'
import { compileEndpoint, type ServedEndpoint } from './compile.ts'
import { endLongRests, restsForMs, stalledAfterMs } from './connections.ts'
import { endInTime } from './deadline.ts'
import { sendsFile } from './download.ts'
import type { Endpoint } from './endpoint.ts'
import { answerFailure, answerFailures, answerUnreadable } from './failures.ts'
import { parseJsonBody } from './json-body.ts'
import { readForms, receiveForm, transferTimeoutMs, type UploadPace } from './multipart.ts'
import {
  identify,
  limitPreflights,
  limitRefused,
  limitRequests,
  type LimitedRoute,
} from './rate-limit.ts'
import { isForAnybody, type ReplyCache } from './reply-cache.ts'
import { constantHeaders, corsReplyHeaders, corsRequestHeaders } from './reply-headers.ts'
import {
  findAmbiguity,
  readRequestId,
  refuseUnreadableReply,
  takesJson,
} from './request-headers.ts'
import { respond, type RespondOptions } from './respond.ts'
import { createSerializer } from './serializer.ts'
import { watchRequest, watchRequests } from './watch-requests.ts'

export interface ServeOptions {
  readonly endpoints: readonly Endpoint[]
  readonly authenticator: Authenticator
  /** The context of one request: one instant, one actor. */
  readonly contextFor: (actor: Actor, origin: Origin) => AppContext
  readonly limits: Limits
  /** What is answered to everybody alike, while nothing that it shows has changed. */
  readonly replies: ReplyCache
  readonly instruments: Instruments
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
  /** How slow an upload may be; a default that suits a phone where absent. */
  readonly uploadPace?: UploadPace
  /** What a scraper may send instead of a staff token, for the figures alone. */
  readonly metricsToken?: string | undefined
}

const bodyLimitBytes = 1024 * 1024
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/** Mounts the table of endpoints; everything that each request has in common stands here once. */
export async function serve(options: ServeOptions): Promise<FastifyInstance> {
  const { endpoints, settings, limits } = options
  const app = createFastify(options)
  watchRequests(app, options)
  // Before any plugin, whose own routes would fail in the framework's words.
  answerFailures(app, options)
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(constantHeaders).header('X-Request-Id', request.id)
    done()
  })
  // Whoever is answered while the process stops is to come by another connection, to another.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (!app.server.listening) reply.header('Connection', 'close')
    done()
  })
  limitPreflights(app, limits)
  await app.register(cookiePlugin)
  await app.register(corsPlugin, {
    origin: [...settings.allowedOrigins],
    methods: [...methods],
    allowedHeaders: corsRequestHeaders,
    exposedHeaders: corsReplyHeaders,
    maxAge: 600,
    // Any OPTIONS is taken for a preflight: the plugin's own refusal is no problem document.
    strictPreflight: false,
  })
  readBodies(app)
  app.setSerializerCompiler(({ schema }) => createSerializer(schema as object))
  app.addHook('onRequest', (request, reply, done) => {
    const ambiguity = findAmbiguity(request.raw)
    if (ambiguity) {
      reply.header('Connection', 'close')
      return done(limitRefused(limits, { request, reply }) ?? ambiguity)
    }
    if (hasBody(request.raw) && !request.routeOptions.config.isForm) cutSlowBody(request.raw)
    done()
  })
  limitRequests(app, limits)
  await mountEndpoints(app, options)
  mountRefusedMethods(app, endpoints)
  answerFirst(app.server, options)
  // RFC 9110, 10.1.1: an expectation that nobody knows may be ignored. Node's own 417 has no body.
  app.server.on('checkExpectation', (...exchange) => app.server.emit('request', ...exchange))
  endLongRests(app.server)
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
  try {
    await app.close()
  } finally {
    clearTimeout(deadline)
  }
}

function createFastify(options: ServeOptions): FastifyInstance {
  const { log, settings, clock } = options
  return fastify({
    loggerInstance: log as never,
    logController: new LogController({ disableRequestLogging: true }),
    // Lines name their request themselves: a logger for each costs more than a reply from memory.
    childLoggerFactory: (logger) => logger,
    bodyLimit: bodyLimitBytes,
    trustProxy: settings.trustProxy,
    genReqId: (request) => readRequestId(request.headers, clock),
    // Of a request with a file in it; other bodies have much less (body-guard.ts).
    requestTimeout: transferTimeoutMs,
    connectionTimeout: stalledAfterMs,
    keepAliveTimeout: restsForMs,
    forceCloseConnections: 'idle',
    // What still comes by an open connection while the process stops is answered like any other.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 300 },
    // An address that cannot be read never reaches the hooks and the error handler below.
    frameworkErrors: (error, request, reply) => {
      watchRequest(options, request, reply)
      reply.headers(constantHeaders).header('X-Request-Id', request.id)
      if (findAmbiguity(request.raw)) reply.header('Connection', 'close')
      const refusal = limitRefused(options.limits, { request, reply })
      answerFailure(refusal ?? error, { request, reply, options })
    },
    clientErrorHandler: (error, socket) =>
      answerUnreadable(error, { socket, id: newId('req', clock()) }),
    // Node looks for slow clients only every 30 s unless told otherwise.
    // A request without a Host header is refused with a problem document, by us.
    http: { connectionsCheckingInterval: 2000, headersTimeout: 20_000, requireHostHeader: false },
  }) as unknown as FastifyInstance
}

function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const types = ['application/json', 'application/merge-patch+json']
  app.addContentTypeParser(types, { parseAs: 'buffer' }, (request, body, done) => {
    const bytes = body as Buffer
    const { config } = request.routeOptions
    if (config.rawBody) return done(null, bytes)
    try {
      done(null, parseJsonBody(bytes))
    } catch (error) {
      done(error as Error)
    }
  })
}

async function mountEndpoints(app: FastifyInstance, options: ServeOptions): Promise<void> {
  const { endpoints } = options
  for (const endpoint of endpoints) {
    if (!endpoint.contract.upload) mount(app, compileEndpoint(endpoint), options)
  }
  // Apart, because these read forms and nothing else, and the others read no forms.
  await app.register(async (forms) => {
    await readForms(forms)
    for (const endpoint of endpoints) {
      if (endpoint.contract.upload) mount(forms, compileEndpoint(endpoint), options)
    }
  })
}

function mount(app: FastifyInstance, served: ServedEndpoint, options: ServeOptions): void {
  const { method, path, contract } = served.endpoint
  const { settings } = options
  const { secureCookies } = settings
  const respondOptions: RespondOptions = { secureCookies, replies: options.replies }
  const route: LimitedRoute = { limit: contract.limit, identifies: true }
  const carriesFile = contract.upload !== undefined || sendsFile(contract)
  app.route({
    method,
    url: path,
    config: { rawBody: contract.rawBody === true, isForm: contract.upload !== undefined, ...route },
    schema: { response: served.replySchemas },
    onRequest: [
      endInTime(carriesFile ? transferTimeoutMs : settings.requestTimeoutMs),
      ...(contract.cache === 'public' ? [answerFromMemory(options.replies)] : []),
      async (request, reply) => {
        const actor = await identify(options.limits, { request, reply, route }, () =>
          authenticate(options.authenticator, {
            authorization: request.headers.authorization,
            orderToken: request.headers['x-order-token']?.toString(),
            metricsToken: takesMetricsToken(contract.access) ? settings.metricsToken : undefined,
          }),
        )
        authorize(actor, contract.access, 'signature' in (request.query as object))
        if (!sendsFile(contract)) refuseUnreadableReply(request.headers, contract.alsoProduces)
        request.actor = actor
      },
    ],
    handler: async (request, reply) => {
      const origin: Origin = { requestId: request.id, address: request.ip, lease: null }
      const contextNow = (): AppContext => options.contextFor(request.actor, origin)
      const { upload } = contract
      const pace = settings.uploadPace
      if (upload) {
        // What is wrong already need not be waited for.
        served.validate.query(request.query)
        await receiveForm(request, contextNow(), { contract: upload, pace })
      }
      try {
        // A file may have been minutes on its way: what is done with it is done now.
        return await respond(served, contextNow(), { request, reply, options: respondOptions })
      } finally {
        await request.upload?.file.discard()
      }
    },
  })
}

/** A hook without a promise, because most requests of a shop's visitors end here. */
function answerFromMemory(replies: ReplyCache): onRequestHookHandler {
  return (request, reply, done) => {
    const isAnswered =
      isForAnybody(request) && takesJson(request.headers) && replies.answer(request, reply)
    if (!isAnswered) done()
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls; set before the body is read. */
    actor: Actor
  }
  interface FastifyContextConfig extends LimitedRoute {
    /** The body stays as it came: a signature is computed over it. */
    rawBody?: boolean
    /** The body is a form with a file, which may be minutes on its way. */
    isForm?: boolean
  }
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
