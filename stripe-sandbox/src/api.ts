import { setTimeout as pause } from 'node:timers/promises'
import type { Audit } from './audit.ts'
import { API_VERSION, type Context, type Settings } from './context.ts'
import { ApiError, errorBody, invalidRequest, ParameterError } from './errors.ts'
import { expandReply } from './expand.ts'
import type { Fault, TakeFaults } from './faults.ts'
import { decodeForm, type Form } from './form.ts'
import {
  fingerprintOfForm,
  MAX_KEY_LENGTH,
  type Idempotency,
  type KeyedRequest,
} from './idempotency.ts'
import { newId } from './ids.ts'
import { findOperation, type Operation } from './operations.ts'
import { listOf, readParameters, text } from './parameters.ts'
import type { Store } from './store.ts'

/** What the API needs to answer. */
export interface Api {
  readonly audit: Audit
  readonly idempotency: Idempotency
  readonly now: () => Date
  readonly settings: Settings
  readonly store: Store
  readonly takeFaults: TakeFaults
  /** The one key that is accepted; absent: any `sk_test_…`. */
  readonly secretKey?: string
}

export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

export interface ApiAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Answers one request of the API; undefined means that the connection is to be cut. */
export async function answerRequest(api: Api, request: ApiRequest): Promise<ApiAnswer | undefined> {
  const requestId = newId('req_', 14)
  const headers = answerHeaders(request, requestId)
  try {
    const answer = await answerAuthorised(api, request, requestId)
    return answer && { ...answer, headers: { ...headers, ...answer.headers } }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return { status: error.status, headers, body: JSON.stringify(errorBody(error)) }
  }
}

interface ReadCall {
  readonly context: Context
  readonly expand: readonly string[]
  readonly id: string
  readonly keyed: KeyedRequest | undefined
  readonly operation: Operation
  readonly values: object
}

interface Call extends ReadCall {
  /** The answer was given before and is only given again. */
  readonly replayed: boolean
}

async function answerAuthorised(
  api: Api,
  request: ApiRequest,
  requestId: string,
): Promise<ApiAnswer | undefined> {
  checkSecretKey(api, request.headers['authorization'])
  const read = readCall(api, request, requestId)
  const kept = read.keyed === undefined ? undefined : api.idempotency.find(read.keyed)
  const call = { ...read, replayed: kept !== undefined }
  const faults = api.takeFaults(call.operation.name)
  const release = call.keyed === undefined ? undefined : api.idempotency.occupy(call.keyed.key)
  try {
    const early = await strike(api, call, faults, 'before')
    if (early !== undefined) return early.answer
    const answer = kept === undefined ? execute(api, call) : replay(kept)
    const late = await strike(api, call, faults, 'after')
    return late === undefined ? answer : late.answer
  } finally {
    release?.()
  }
}

function readCall(api: Api, request: ApiRequest, requestId: string): ReadCall {
  const found = findOperation(request.method, request.path)
  if (found === undefined) {
    throw new ApiError(
      404,
      'invalid_request_error',
      `Unrecognized request URL (${request.method}: ${request.path}).`,
    )
  }
  const now = api.now()
  const key = readKey(request)
  api.audit.note(found.operation.name, request.method, key, now)
  const form = { ...decodeForm(request.query), ...decodeForm(request.body) }
  const { expand, ...own } = form
  return {
    ...found,
    context: {
      store: api.store,
      now,
      request: { id: requestId, idempotencyKey: key ?? null },
      settings: api.settings,
    },
    expand: expand === undefined ? [] : listOf(text, 20)(expand, 'expand'),
    keyed: key === undefined ? undefined : keyedRequest(request, key, form, now),
    values: readParameters(found.operation.parameters, own),
  }
}

/** Runs the operation and keeps its answer under the key, in one transaction. */
function execute(api: Api, call: Call): ApiAnswer {
  if (call.operation.method === 'POST' && api.store.isFull()) {
    throw new ApiError(507, 'api_error', 'The sandbox is full: start it with a new state file.')
  }
  return api.store.transact(() => {
    const answer = run(call)
    if (call.keyed !== undefined) {
      const requestId = call.context.request.id ?? ''
      api.idempotency.keep(call.keyed, { status: answer.status, body: answer.body, requestId })
    }
    return answer
  })
}

function run({ context, expand, id, operation, values }: Call): ApiAnswer {
  try {
    const reply = operation.run(context, values as never, id)
    return { status: 200, headers: {}, body: JSON.stringify(expandReply(context, reply, expand)) }
  } catch (error) {
    // A malformed parameter is not kept: its operation never began.
    if (error instanceof ParameterError || !(error instanceof ApiError)) throw error
    return { status: error.status, headers: {}, body: JSON.stringify(errorBody(error)) }
  }
}

function replay(kept: { status: number; body: string; requestId: string }): ApiAnswer {
  const headers = { 'idempotent-replayed': 'true', 'original-request': kept.requestId }
  return { status: kept.status, headers, body: kept.body }
}

/** Lets the faults of this moment strike; `answer: undefined` in the result is a cut connection. */
async function strike(
  api: Api,
  call: Call,
  faults: readonly Fault[],
  moment: 'after' | 'before',
): Promise<{ answer: ApiAnswer | undefined } | undefined> {
  for (const fault of faults) {
    if ((fault.when ?? 'before') !== moment) continue
    if (fault.effect === 'delay') await pause(fault.delayMs ?? 1000, undefined, { ref: false })
    if (fault.effect === 'cut') return { answer: undefined }
    if (fault.effect === 'answer') return { answer: faultyAnswer(api, call, fault) }
  }
  return undefined
}

/**
 * Stripe keeps even a 500 under its key: the operation had begun. A 409 or 429 it does not keep.
 */
function faultyAnswer(api: Api, call: Call, fault: Fault): ApiAnswer {
  const status = fault.status ?? 500
  const error = new ApiError(
    status,
    status >= 500 ? 'api_error' : 'invalid_request_error',
    'An error occurred with our connection to a provider; this is a fault set on the sandbox.',
    status === 429 ? { code: 'rate_limit' } : status === 409 ? { code: 'lock_timeout' } : {},
  )
  const answer = { status, headers: {}, body: JSON.stringify(errorBody(error)) }
  const { keyed } = call
  if (keyed !== undefined && !call.replayed && (fault.kept ?? status >= 500)) {
    const requestId = call.context.request.id ?? ''
    const { body } = answer
    api.store.transact(() => api.idempotency.keep(keyed, { status, body, requestId }))
  }
  return answer
}

function checkSecretKey(api: Api, authorization: string | undefined): void {
  const key = readSecretKey(authorization)
  if (key === undefined) {
    throw new ApiError(
      401,
      'invalid_request_error',
      'You did not provide an API key. You need to provide your API key in the Authorization ' +
        "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
    )
  }
  const accepted =
    api.secretKey === undefined ? /^[rs]k_test_\w+$/.test(key) : key === api.secretKey
  if (accepted) return
  throw new ApiError(
    401,
    'invalid_request_error',
    `Invalid API Key provided: ${key.slice(0, 8)}${'*'.repeat(8)}${key.slice(8).slice(-4)}`,
  )
}

/** The key of a Bearer token or of a Basic user name. */
function readSecretKey(authorization: string | undefined): string | undefined {
  const [scheme = '', credentials = ''] = (authorization ?? '').split(' ', 2)
  if (credentials === '') return undefined
  if (scheme.toLowerCase() === 'bearer') return credentials
  if (scheme.toLowerCase() !== 'basic') return undefined
  return Buffer.from(credentials, 'base64').toString().split(':', 1)[0]
}

function readKey(request: ApiRequest): string | undefined {
  const key = request.headers['idempotency-key']
  if (request.method !== 'POST' || key === undefined || key === '') return undefined
  if (key.length <= MAX_KEY_LENGTH) return key
  throw invalidRequest(`Idempotency keys have at most ${MAX_KEY_LENGTH} characters.`)
}

function keyedRequest(request: ApiRequest, key: string, form: Form, now: Date): KeyedRequest {
  const endpoint = `${request.method} ${request.path}`
  return { key, endpoint, fingerprint: fingerprintOfForm(form), now }
}

function answerHeaders(request: ApiRequest, requestId: string): Record<string, string> {
  const key = request.headers['idempotency-key']
  return {
    'content-type': 'application/json',
    'request-id': requestId,
    'stripe-version': request.headers['stripe-version'] ?? API_VERSION,
    ...(key === undefined || request.method !== 'POST' ? {} : { 'idempotency-key': key }),
  }
}
