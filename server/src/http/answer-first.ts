import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { newId } from '../kernel/id.ts'
import type { Clock } from '../platform/clock.ts'
import { isLocal, type Limits } from '../platform/limits.ts'
import { limitHeaderValues } from './rate-limit.ts'
import type { PublicReply, ReplyCache } from './reply-cache.ts'
import { constantHeaders, corsReplyHeaders, sharedCacheControl } from './reply-headers.ts'
import { findAmbiguity, hasToken, takesJson } from './request-headers.ts'
import { recordRequest, type RequestWatch } from './watch-requests.ts'

export interface AnswerFirstOptions extends RequestWatch {
  readonly replies: ReplyCache
  readonly limits: Limits
  readonly clock: Clock
  readonly settings: { readonly trustProxy: false | string[] }
}

/**
 * Lets the plainest requests of all, a visitor's for a public page that is in memory, be answered
 * without the web framework, which would take half as long again. Everything else goes on to it:
 * tokens, pages of other origins, conditions, proxies, limits that are used up, a server that
 * closes. What is sent is what the framework's own way sends; a test compares the two.
 */
export function answerFirst(server: Server, options: AnswerFirstOptions): void {
  // Whose address counts is the framework's business where proxies are trusted.
  if (options.settings.trustProxy !== false) return
  const handlers = server.listeners('request') as RequestListener[]
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    if (server.listening && isPlain(request) && answer(options, request, response)) return
    for (const handle of handlers) handle.call(server, request, response)
  })
}

/** Whoever sends one of these wants another reply than the plainest, or another line in the log. */
const telling = [
  'origin',
  'if-none-match',
  'x-request-id',
  'traceparent',
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
] as const

function isPlain(request: IncomingMessage): boolean {
  const { method, headers } = request
  if (method !== 'GET' || hasToken(headers) || !takesJson(headers)) return false
  for (const name of telling) if (headers[name] !== undefined) return false
  return findAmbiguity(request) === undefined
}

function answer(
  options: AnswerFirstOptions,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const { replies, limits, clock } = options
  const beganAt = performance.now()
  const address = request.socket.remoteAddress
  const kept = replies.find(request.url ?? '')
  if (!kept || !isLocal(kept.policy) || address === undefined) return false
  const verdict = limits.here.spend(kept.policy, address)
  // The framework says how this is refused; that it counts the call once more changes nothing.
  if (!verdict.allowed) return false
  const requestId = newId('req', clock())
  const [policy, left] = limitHeaderValues(kept.policy, verdict)
  const own = ['X-Request-Id', requestId, 'RateLimit-Policy', policy, 'RateLimit', left]
  response.writeHead(200, headersOf(kept).concat(own))
  response.end(kept.bytes)
  options.instruments.metrics.requestBegan()
  recordRequest(options, {
    requestId,
    method: 'GET',
    route: kept.route,
    status: 200,
    durationMs: performance.now() - beganAt,
    isFromCache: true,
  })
  return true
}

/** Those that are the same each time, names and values by turns: they are gone with the reply. */
const headersOfReply = new WeakMap<PublicReply, string[]>()

function headersOf(reply: PublicReply): string[] {
  const known = headersOfReply.get(reply)
  if (known) return known
  const headers = Object.entries({
    ...constantHeaders,
    'Cache-Control': sharedCacheControl,
    Vary: 'Origin, Authorization',
    'Access-Control-Expose-Headers': corsReplyHeaders.join(', '),
    ETag: reply.tag,
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(reply.bytes.length),
  }).flat()
  headersOfReply.set(reply, headers)
  return headers
}
