import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { answerRequest, type Api } from './api.ts'
import type { Context } from './context.ts'
import { answerControl, type ControlTargets } from './control-routes.ts'
import { ApiError, errorBody } from './errors.ts'
import { answerPage } from './pages.ts'
import type { Recorder } from './recording.ts'

const MAX_BODY_BYTES = 1024 * 1024
const MAX_URL_LENGTH = 8192
/**
 * Names under which a browser may reach a loopback address: others are rebound to it by a trick.
 */
const LOCAL_HOST = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/i

export interface ServerParts extends ControlTargets {
  readonly api: Api
  /** A context for pages, which nobody asks for over the API. */
  readonly context: () => Context
  readonly recorder?: Recorder
  readonly warn: (message: string) => void
}

interface WireRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The HTTP server in front of the API, the control API and the pages; not yet listening. */
export function createSandboxServer(parts: ServerParts): Server {
  const server = createServer(
    { connectionsCheckingInterval: 5000, headersTimeout: 10_000, requestTimeout: 30_000 },
    (request, response) => {
      respond(parts, request, response).catch((error: unknown) => {
        parts.warn(`A request of the sandbox failed: ${String(error)}`)
        send(response, failure(new ApiError(500, 'api_error', 'The sandbox failed.')))
      })
    },
  )
  server.keepAliveTimeout = 60_000
  server.maxConnections = 1000
  return server
}

async function respond(
  parts: ServerParts,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const refusal = refuse(incoming)
  if (refusal !== undefined) return send(response, failure(refusal))
  const body = await readBody(incoming)
  if (body === undefined) {
    response.setHeader('connection', 'close')
    return send(
      response,
      failure(new ApiError(413, 'invalid_request_error', 'The body is too large.')),
    )
  }
  const answer = await answerWire(parts, wireRequest(incoming, body))
  if (answer === undefined) incoming.socket.destroy()
  else send(response, answer)
}

async function answerWire(
  parts: ServerParts,
  request: WireRequest,
): Promise<WireAnswer | undefined> {
  if (request.path.startsWith('/v1/')) {
    const answer = await answerRequest(parts.api, request)
    parts.recorder?.record(request, answer)
    return answer
  }
  if (request.path.startsWith('/_sandbox/')) return answerControlWire(parts, request)
  const { body, status } = answerPage(parts.context(), request)
  return status === 303 ? redirect(body) : { status, headers: PAGE_HEADERS, body }
}

const PAGE_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; " +
    "frame-ancestors 'none'",
  'content-type': 'text/html; charset=utf-8',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

function answerControlWire(parts: ServerParts, request: WireRequest): WireAnswer {
  // A page elsewhere can send forms to loopback, but JSON only after asking, which nobody answers.
  const json = (request.headers['content-type'] ?? '').startsWith('application/json')
  if (request.method !== 'GET' && !json) {
    return failure(new ApiError(415, 'invalid_request_error', 'The control API takes JSON only.'))
  }
  const path = request.path.slice('/_sandbox'.length)
  const { body, status } = answerControl(parts, { ...request, path })
  return { status, headers: { 'content-type': 'application/json' }, body }
}

function refuse(incoming: IncomingMessage): ApiError | undefined {
  if (!LOCAL_HOST.test(incoming.headers.host ?? '')) {
    return new ApiError(421, 'invalid_request_error', 'The sandbox answers on loopback names only.')
  }
  if ((incoming.url ?? '').length > MAX_URL_LENGTH) {
    return new ApiError(414, 'invalid_request_error', 'The address is too long.')
  }
  return undefined
}

function wireRequest(incoming: IncomingMessage, body: string): WireRequest {
  const [path, query] = splitOnce(incoming.url ?? '/', '?')
  const headers = Object.fromEntries(
    Object.entries(incoming.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : value,
    ]),
  )
  return { method: incoming.method ?? 'GET', path, query, headers, body }
}

function splitOnce(text: string, separator: string): [string, string] {
  const position = text.indexOf(separator)
  return position === -1 ? [text, ''] : [text.slice(0, position), text.slice(position + 1)]
}

/** The whole body as text, or undefined when it is larger than a mebibyte. */
async function readBody(incoming: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function redirect(address: string): WireAnswer {
  return { status: 303, headers: { 'cache-control': 'no-store', location: address }, body: '' }
}

function failure(error: ApiError): WireAnswer {
  const headers = { 'content-type': 'application/json' }
  return { status: error.status, headers, body: JSON.stringify(errorBody(error)) }
}

function send(response: ServerResponse, answer: WireAnswer): void {
  if (response.destroyed || response.headersSent) return
  const length = Buffer.byteLength(answer.body)
  response.writeHead(answer.status, { ...answer.headers, 'content-length': length })
  response.end(answer.body)
}
