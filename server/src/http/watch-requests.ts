import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { actorKeyOf, type Actor } from '../platform/context.ts'
import type { Instruments } from '../platform/instruments.ts'
import type { Logger } from '../platform/log.ts'
import type { EndedRequest } from '../platform/metrics.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** A public reply given without any work: it is counted, and one in a hundred is logged. */
    servedFromCache?: boolean
  }
}

export interface RequestWatch {
  readonly log: Logger
  readonly instruments: Pick<Instruments, 'metrics'>
}

/** Counts and logs every request. It must be mounted first, so that no hook can hide one from it. */
export function watchRequests(app: FastifyInstance, watch: RequestWatch): void {
  app.addHook('onRequest', (request, reply, done) => {
    watchRequest(watch, request, reply)
    done()
  })
}

/** For an address that cannot be read: no hook ever sees it. */
export function watchRequest(
  watch: RequestWatch,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  watch.instruments.metrics.requestBegan()
  // Not `onResponse`: of a client that goes away before its reply only the close tells.
  reply.raw.once('close', () => endRequest(watch, request, reply))
}

function endRequest(watch: RequestWatch, request: FastifyRequest, reply: FastifyReply): void {
  if (reply.hasHeader('idempotent-replayed')) watch.instruments.metrics.replyRepeated()
  recordRequest(watch, {
    requestId: request.id,
    traceId: traceIdOf(request),
    method: request.method,
    route: request.routeOptions.url,
    // What nobody was told is no status, whatever the framework has as its default.
    status: reply.raw.headersSent ? reply.statusCode : undefined,
    durationMs: reply.elapsedTime,
    actor: actorOf(request),
    isAborted: !reply.raw.writableFinished,
    isFromCache: request.servedFromCache === true,
  })
}

/** One request that is over, by whichever way it was answered. */
export interface RequestRecord extends EndedRequest {
  readonly requestId: string
  readonly traceId?: string | undefined
  readonly actor?: string | undefined
  /** The client went away before it had all of its reply. */
  readonly isAborted?: boolean
  readonly isFromCache: boolean
}

/** Counts a request and writes its line; of those that the cache answers, one in a hundred. */
export function recordRequest(
  { log, instruments: { metrics } }: RequestWatch,
  record: RequestRecord,
): void {
  metrics.requestEnded(record)
  const { requestId, traceId, method, route, status, actor, isAborted, isFromCache } = record
  if (isFromCache && metrics.replyFromCache() % loggedOneIn !== 1) return
  log.info(
    {
      requestId,
      traceId,
      method,
      route: route ?? 'unmatched',
      status,
      durationMs: Math.round(record.durationMs * 100) / 100,
      actor,
      ...(isAborted ? { aborted: true } : {}),
      ...(isFromCache ? { loggedOneIn } : {}),
    },
    'request',
  )
}

/** A line costs as much as a reply from the cache: these are counted and sampled. */
const loggedOneIn = 100

/** W3C Trace Context: the id that all parts of one journey share. Anything else is not logged. */
function traceIdOf({ headers: { traceparent } }: FastifyRequest): string | undefined {
  const [, traceId] =
    typeof traceparent === 'string'
      ? (/^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(traceparent) ?? [])
      : []
  return traceId
}

/** Undefined where the request was refused before anybody asked who calls. */
function actorOf({ actor }: { readonly actor?: Actor }): string | undefined {
  return actor && actorKeyOf(actor)
}
