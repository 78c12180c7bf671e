import {
  AppError,
  internalError,
  malformedRequest,
  payloadTooLarge,
  requestTimeout,
  unsupportedMediaType,
  type ErrorKind,
  type RaisableError,
} from '../kernel/errors.ts'

/** RFC 9457: what every failure looks like on the wire. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly instance: string
  readonly code: string
  readonly requestId: string
  readonly [member: string]: unknown
}

export interface ProblemRequest {
  readonly url: string
  readonly id: string
  /** Whether an unexpected failure may tell its message and stack. */
  readonly showDetail: boolean
}

/** An expected failure keeps its words; anything else is a bug and keeps them to the log. */
export function toProblem(error: unknown, request: ProblemRequest): Problem {
  const known = toAppError(error)
  const standard = {
    instance: request.url.split('?')[0] ?? '/',
    requestId: request.id,
  }
  if (known) {
    return {
      // First, so that no member of the failure's own can stand in for a standard one.
      ...known.members,
      type: typeOf(known),
      title: known.title,
      status: known.status,
      detail: known.message,
      ...standard,
      code: known.code,
    }
  }
  return {
    type: typeOf(internalError),
    title: internalError.title,
    status: internalError.status,
    detail: internalError.title,
    ...standard,
    code: internalError.code,
    ...(request.showDetail && error instanceof Error
      ? { detail: error.message, stack: error.stack }
      : {}),
  }
}

/** The framework's own refusals are expected failures too. */
export function toAppError(error: unknown): AppError | undefined {
  if (error instanceof AppError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const kind = frameworkErrors[code]
  if (kind) return kind({ cause: error })
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  return status >= 400 && status < 500 ? malformedRequest({ cause: error }) : undefined
}

const frameworkErrors: Readonly<Record<string, RaisableError>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: unsupportedMediaType,
  FST_ERR_CTP_BODY_TOO_LARGE: payloadTooLarge,
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: malformedRequest,
  FST_ERR_CTP_EMPTY_JSON_BODY: malformedRequest,
  FST_ERR_BAD_URL: malformedRequest,
  FST_PARTS_LIMIT: malformedRequest,
  FST_FIELDS_LIMIT: malformedRequest,
  FST_FILES_LIMIT: malformedRequest,
  ERR_HTTP_REQUEST_TIMEOUT: requestTimeout,
}

/** A stable name of the kind; it is an identifier and need not be fetched. */
function typeOf({ code }: Pick<ErrorKind, 'code'>): string {
  return `urn:bureau:problem:${code}`
}
