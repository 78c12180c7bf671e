import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { newId } from '../kernel/id.ts'
import type { Clock } from '../platform/clock.ts'
import type { Limits } from '../platform/limits.ts'
import { limitHeaderValues } from './rate-limit.ts'
import type { PublicReply, ReplyCache } from './reply-cache.ts'
import { constantHeaders, corsReplyHeaders, sharedCacheControl } from './reply-headers.ts'
import type { RequestWatch } from './watch-requests.ts'

export interface AnswerFirstOptions extends RequestWatch {
  readonly replies: ReplyCache
  readonly limits: Limits
  readonly clock: Clock
  readonly settings: { readonly trustProxy: false | string[] }
}

/**
 * Lets the plainest requests of all, a visitor's for a public page that is in memory, be answered
 * without the web framework, which would take twice as long. Everything else goes on to it: tokens,
 * pages of other origins, conditions, proxies, limits that are used up. What is sent is what the
 * framework's own way sends; a test compares the two.
 */
export function answerFirst(server: Server, options: AnswerFirstOptions): void {
  // Whose address counts is the framework's business where proxies are trusted.
  if (options.settings.trustProxy !== false) return
  const handlers = server.listeners('request') as RequestListener[]
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    if (server.listening && isPlain(request) && answer(options, request, response)) return
    for (const handle of handlers) handle(request, response)
  })
}

/** The headers by which a public page may be asked for in another way than the plainest. */
const telling = [
  'authorization',
  'x-order-token',
  'origin',
  'if-none-match',
  'x-request-id',
  'traceparent',
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
] as const

function isPlain({ method, headers, rawHeaders }: IncomingMessage): boolean {
  if (method !== 'GET') return false
  for (const name of telling) if (headers[name] !== undefined) return false
  const { accept } = headers
  if (accept !== undefined && !/\*\/\*|application\/json/.test(accept)) return false
  return countHosts(rawHeaders) === 1
}

/** Names and values by turns; two Host headers could mean different things to different readers. */
function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1
  }
  return hosts
}

function answer(
  options: AnswerFirstOptions,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const { replies, limits, clock } = options
  const address = request.socket.remoteAddress
  const kept = replies.find(request.url ?? '')
  if (!kept || address === undefined) return false
  const beganAt = performance.now()
  const verdict = limits.here.spend('default', address)
  // The framework says how this is refused; that it counts the call once more changes nothing.
  if (!verdict.allowed) return false
  const requestId = newId('req', clock())
  const [policy, left] = limitHeaderValues('default', verdict)
  response.writeHead(
    200,
    headersOf(kept).concat(
      'X-Request-Id',
      requestId,
      'RateLimit-Policy',
      policy,
      'RateLimit',
      left,
    ),
  )
  response.end(kept.bytes)
  watch(options, { requestId, route: kept.route, beganAt })
  return true
}

interface Answered {
  readonly requestId: string
  readonly route: string
  readonly beganAt: number
}

/** As `watchRequests` does it for what is served from memory: all are counted, few are logged. */
function watch(
  { log, instruments: { metrics } }: RequestWatch,
  { requestId, route, beganAt }: Answered,
): void {
  const [method, status, durationMs] = ['GET', 200, performance.now() - beganAt] as const
  metrics.requestBegan()
  metrics.requestEnded({ method, route, status, durationMs })
  if (metrics.replyFromCache() % loggedOneIn !== 1) return
  log.info({ requestId, method, route, status, durationMs, loggedOneIn }, 'request')
}

const loggedOneIn = 100

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
