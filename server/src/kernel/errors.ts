import type { InputCode } from './input-codes.ts'

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
  /** What happened: a public sentence. */
  readonly title: string
  /** What a developer does about it, one sentence for docs/guides/errors.md. */
  readonly remedy: string
}

/** Calling the kind makes the error to throw: `throw slugTaken({ facts: { slug } })`. */
export type RaisableError = ErrorKind & ((details?: ErrorDetails) => AppError)

/** Declares an expected failure; `code` is part of the contract and never changes. */
export function defineError(
  status: number,
  code: string,
  title: string,
  remedy = '',
): RaisableError {
  const kind: ErrorKind = { status, code, title, remedy }
  return Object.assign((details: ErrorDetails = {}) => new AppError(kind, details), kind)
}

/** One complaint about the input; `pointer` is a JSON Pointer into the body or `/query/…`. */
export interface InputProblem {
  readonly pointer: string
  /** What each one means stands in `input-codes.ts`. */
  readonly code: InputCode
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

export const invalidInput = defineError(
  400,
  'invalid_input',
  'The request is not valid.',
  'Read `errors`: each entry points at one member and says what is wrong with it.',
)
export const malformedRequest = defineError(
  400,
  'malformed_request',
  'The request cannot be read.',
  'Send well-formed JSON in UTF-8, with a Content-Length that fits; `detail` says what broke.',
)
export const invalidCursor = defineError(
  400,
  'invalid_cursor',
  'The cursor does not belong to this list.',
  'Use `nextCursor` with the same filters and sort, or start again without a cursor.',
)
export const idempotencyKeyInvalid = defineError(
  400,
  'idempotency_key_invalid',
  'The Idempotency-Key must be 1 to 255 visible ASCII characters.',
  'Send a fresh UUID as the key.',
)
export const idempotencyKeyWeak = defineError(
  400,
  'idempotency_key_weak',
  'Without a token the Idempotency-Key needs at least 20 characters.',
  'Send a fresh UUID: without a token the key alone keeps your reply from others.',
)
export const unauthorized = defineError(
  401,
  'unauthorized',
  'This needs a valid token: it is missing, wrong or expired.',
  'Sign in or refresh the access token, and send it as `Authorization: Bearer …`.',
)
export const forbidden = defineError(
  403,
  'forbidden',
  'You are known, but may not do this.',
  'Use a login whose role has the permission that the endpoint asks for.',
)
export const notFound = defineError(
  404,
  'not_found',
  'There is no such resource.',
  'Check the id and whose it is: what belongs to somebody else is answered the same way.',
)
export const methodNotAllowed = defineError(
  405,
  'method_not_allowed',
  'This resource does not know that method.',
  'Use one of the methods in the `Allow` header.',
)
export const notAcceptable = defineError(
  406,
  'not_acceptable',
  'This endpoint answers in JSON.',
  'Accept application/json, or send no Accept header.',
)
export const requestTimeout = defineError(
  408,
  'request_timeout',
  'The request came too slowly.',
  'Send the whole request without a pause, or in smaller parts.',
)
export const idempotencyInProgress = defineError(
  409,
  'idempotency_in_progress',
  'A request with this Idempotency-Key is still running.',
  'Wait for `Retry-After`, then send the same request with the same key.',
)
export const invalidTransition = defineError(
  409,
  'invalid_transition',
  'The resource cannot move to that state.',
  'Choose a state from `allowedTransitions` that nothing blocks.',
)
export const preconditionFailed = defineError(
  412,
  'precondition_failed',
  'The resource has changed since you read it.',
  'Read the resource again, apply your change to what it is now, and send its new ETag.',
)
export const payloadTooLarge = defineError(
  413,
  'payload_too_large',
  'The request is too large.',
  'Send less: JSON may have 1 MiB, a file what the business allows.',
)
export const unsupportedMediaType = defineError(
  415,
  'unsupported_media_type',
  'This endpoint does not read a body of that type.',
  'Send JSON with `Content-Type: application/json`, and a file as `multipart/form-data`.',
)
export const rangeNotSatisfiable = defineError(
  416,
  'range_not_satisfiable',
  'The Range lies outside of the file.',
  'Ask for a part within the size that `Content-Range` names, or for the whole.',
)
export const idempotencyKeyReused = defineError(
  422,
  'idempotency_key_reused',
  'This Idempotency-Key was used with another request.',
  'Take a new key for each new request; repeat a request with exactly the same body.',
)
export const rateLimited = defineError(
  429,
  'rate_limited',
  'Too many requests.',
  'Wait for `Retry-After`; the `RateLimit` header says what is left.',
)
export const internalError = defineError(
  500,
  'internal_error',
  'Something went wrong on our side.',
  'Repeat it with the same Idempotency-Key; if it stays, report the `requestId`.',
)
export const unavailable = defineError(
  503,
  'unavailable',
  'A part that this needs is down. Try again shortly.',
  'Repeat it after `Retry-After`, with the same Idempotency-Key.',
)
export const storageFull = defineError(
  507,
  'storage_full',
  'There is no room left for files.',
  'Delete files, give the disk more room, or raise `STORAGE_QUOTA_BYTES`.',
)
