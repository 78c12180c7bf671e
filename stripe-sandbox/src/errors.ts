import type { PaymentIntent } from './resources.ts'

export type ErrorType = 'api_error' | 'card_error' | 'idempotency_error' | 'invalid_request_error'

/** The fields of Stripe's error object that this sandbox sets. */
export interface ErrorFacts {
  code?: string
  param?: string
  decline_code?: string
  charge?: string
  advice_code?: string
  payment_intent?: PaymentIntent
  payment_method?: object
}

/**
 * An answer of the API that is not a 2xx. It is an answer, not an accident: what an operation
 * did before it raised one (a declined charge, say) stays done.
 */
export class ApiError extends Error {
  readonly status: number
  readonly type: ErrorType
  readonly facts: ErrorFacts

  constructor(status: number, type: ErrorType, message: string, facts: ErrorFacts = {}) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.type = type
    this.facts = facts
  }
}

/** A request that failed before its operation began; never kept under an idempotency key. */
export class ParameterError extends ApiError {
  constructor(message: string, facts: ErrorFacts = {}) {
    super(400, 'invalid_request_error', message, facts)
    this.name = 'ParameterError'
  }
}

export function invalidRequest(message: string, facts: ErrorFacts = {}): ApiError {
  return new ApiError(400, 'invalid_request_error', message, facts)
}

export function resourceMissing(noun: string, id: string, param: string): ApiError {
  return new ApiError(404, 'invalid_request_error', `No such ${noun}: '${id}'`, {
    code: 'resource_missing',
    param,
  })
}

export function unexpectedState(message: string, intent: PaymentIntent): ApiError {
  return invalidRequest(message, {
    code: 'payment_intent_unexpected_state',
    payment_intent: intent,
  })
}

/** The JSON body of an error, as Stripe shapes it. */
export function errorBody(error: ApiError): { error: object } {
  const { code } = error.facts
  return {
    error: {
      ...error.facts,
      ...(code === undefined ? {} : { doc_url: docUrl(code) }),
      message: error.message,
      type: error.type,
    },
  }
}

function docUrl(code: string): string {
  return `https://docs.stripe.com/error-codes#${code.replaceAll('_', '-')}`
}
