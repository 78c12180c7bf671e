import { ServerResponse, STATUS_CODES, type IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { malformedRequest, notFound } from '../kernel/errors.ts'
import type { Instruments } from '../platform/instruments.ts'
import type { Logger } from '../platform/log.ts'
import { lingerBriefly } from './body-guard.ts'
import { toAppError, toProblem } from './problem.ts'
import { refusalHeaders } from './rate-limit.ts'
import { constantHeaders } from './reply-headers.ts'

export interface FailureOptions {
  readonly log: Logger
  readonly instruments: Pick<Instruments, 'errorReports'>
  /** Whether a 500 carries its message and stack. */
  readonly settings: { readonly errorDetail: boolean }
}

/** Whatever goes wrong, and whatever is not there, is answered with a problem document. */
export function answerFailures(app: FastifyInstance, options: FailureOptions): void {
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
  readonly options: FailureOptions
}

/** Logs what deserves it, and sends the problem document with the headers that belong to it. */
export function answerFailure(error: unknown, { request, reply, options }: FailedExchange): void {
  const { log, settings, instruments } = options
  const known = toAppError(error)
  if (!known) {
    log.error({ err: error, requestId: request.id }, 'unexpected error')
    const place = `${request.method} ${request.routeOptions.url ?? 'unmatched'}`
    instruments.errorReports.report(error, { kind: 'request', place, requestId: request.id })
  } else if (known.status >= 500) {
    log.warn({ err: known, facts: known.facts, requestId: request.id }, known.message)
  }
  const { url, id } = request
  const problem = toProblem(error, { url, id, showDetail: settings.errorDetail })
  if (known?.retryAfterSeconds !== undefined) {
    reply.header('Retry-After', known.retryAfterSeconds)
  }
  reply.headers((known && refusalHeaders(known)) ?? {})
  if (problem.status === 401) reply.header('WWW-Authenticate', 'Bearer')
  lingerBriefly(request.raw)
  reply
    .code(problem.status)
    .header('Cache-Control', 'no-store')
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(problem)
}

/** What is no HTTP, or never ends, is no request: its connection hears why, and is closed. */
export function answerUnreadable(
  error: NodeJS.ErrnoException,
  { socket, id }: { socket: IncomingMessage['socket']; id: string },
): void {
  // Nobody is there any more.
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  // As Node's own handler does: what was answered before its end was read has its one reply.
  if (isAnswered(socket)) return socket.destroySoon()
  const failure = toAppError(error) ?? malformedRequest({ cause: error })
  const problem = toProblem(failure, { url: '/', id, showDetail: false })
  const body = JSON.stringify(problem)
  const headers = {
    ...constantHeaders,
    'X-Request-Id': id,
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(body),
    Connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  const status = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`
  if (socket.writable) socket.write([status, ...lines, '', body].join('\r\n'))
  socket.destroySoon()
}

/** Whether a reply has begun of the request that is being read. */
function isAnswered(socket: IncomingMessage['socket'] & { _httpMessage?: unknown }): boolean {
  const { _httpMessage: reply } = socket
  return reply instanceof ServerResponse && reply.headersSent
}
