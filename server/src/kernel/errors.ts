/**
 * Expected failures. Each kind is declared once, with its status and its stable code, in the
 * `schema.ts` of the module that raises it; endpoints list the kinds they can answer with, and the
 * HTTP layer turns one into a problem document (RFC 9457).
 */
export class AppError extends Error {
  readonly status: number
  readonly code: string
  readonly title: string
  /** Members that the client sees beside the standard ones, such as `allowedTransitions`. */
  readonly members: Readonly<Record<string, unknown>>
  /** What only the log may know. */
  readonly facts: Readonly<Record<string, unknown>>
  readonly retryAfterSeconds: number | undefined

  constructor(kind: ErrorKind, { detail, members, facts, retryAfterSeconds, cause }: ErrorDetails) {
    super(detail ?? kind.title, cause === undefined ? undefined : { cause })
    this.name = 'AppError'
    this.status = kind.status
    this.code = kind.code
    this.title = kind.title
    this.members = members ?? {}
    this.facts = facts ?? {}
    this.retryAfterSeconds = retryAfterSeconds
  }
}

export interface ErrorDetails {
  /** A public sentence; the kind's title when absent. */
  readonly detail?: string
  readonly members?: Readonly<Record<string, unknown>>
  readonly facts?: Readonly<Record<string, unknown>>
  readonly retryAfterSeconds?: number
  readonly cause?: unknown
}

export interface ErrorKind {
  readonly status: number
  readonly code: string
  readonly title: string
}

/** Calling the kind makes the error to throw: `throw slugTaken({ facts: { slug } })`. */
export type RaisableError = ErrorKind & ((details?: ErrorDetails) => AppError)

/** Declares an expected failure; `code` is part of the contract and never changes. */
export function defineError(status: number, code: string, title: string): RaisableError {
  const kind: ErrorKind = { status, code, title }
  return Object.assign((details: ErrorDetails = {}) => new AppError(kind, details), kind)
}

/** One complaint about the input; `pointer` is a JSON Pointer into the body or `/query/…`. */
export interface InputProblem {
  readonly pointer: string
  readonly code: string
  readonly message: string
}

const maxInputProblems = 20

/** 400 with the pointers of what is wrong, for rules that a schema cannot say. */
export function invalidInputAt(...problems: readonly InputProblem[]): AppError {
  const [first] = problems
  return invalidInput({
    detail: first ? first.message : invalidInput.title,
    members: { errors: problems.slice(0, maxInputProblems) },
  })
}

export const invalidInput = defineError(400, 'invalid_input', 'The request is not valid.')
export const malformedRequest = defineError(400, 'malformed_request', 'The request cannot be read.')
export const invalidCursor = defineError(
  400,
  'invalid_cursor',
  'The cursor does not belong to this list.',
)
export const idempotencyKeyInvalid = defineError(
  400,
  'idempotency_key_invalid',
  'The Idempotency-Key must be 1 to 255 visible ASCII characters.',
)
export const idempotencyKeyWeak = defineError(
  400,
  'idempotency_key_weak',
  'Without a token the Idempotency-Key needs at least 20 characters.',
)
export const unauthorized = defineError(
  401,
  'unauthorized',
  'This needs a valid token: it is missing, wrong or expired.',
)
export const forbidden = defineError(403, 'forbidden', 'You are known, but may not do this.')
export const notFound = defineError(404, 'not_found', 'There is no such resource.')
export const methodNotAllowed = defineError(
  405,
  'method_not_allowed',
  'This resource does not know that method.',
)
export const notAcceptable = defineError(406, 'not_acceptable', 'This endpoint answers in JSON.')
export const requestTimeout = defineError(408, 'request_timeout', 'The request came too slowly.')
export const idempotencyInProgress = defineError(
  409,
  'idempotency_in_progress',
  'A request with this Idempotency-Key is still running.',
)
export const invalidTransition = defineError(
  409,
  'invalid_transition',
  'The resource cannot move to that state.',
)
export const preconditionFailed = defineError(
  412,
  'precondition_failed',
  'The resource has changed since you read it.',
)
export const payloadTooLarge = defineError(413, 'payload_too_large', 'The request is too large.')
export const unsupportedMediaType = defineError(
  415,
  'unsupported_media_type',
  'This endpoint reads JSON.',
)
export const idempotencyKeyReused = defineError(
  422,
  'idempotency_key_reused',
  'This Idempotency-Key was used with another request.',
)
export const rateLimited = defineError(429, 'rate_limited', 'Too many requests.')
export const internalError = defineError(500, 'internal_error', 'Something went wrong on our side.')
export const unavailable = defineError(
  503,
  'unavailable',
  'A part that this needs is down. Try again shortly.',
)
