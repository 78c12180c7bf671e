import type Stripe from 'stripe'

/**
 * Why a call to the provider did not succeed, by what may be done next.
 * `declined`: the card was refused, another may be tried. `refused`: a definite answer that the
 * request is wrong or comes too late. `doubtful`: nobody knows whether it happened (5xx, timeout,
 * lost connection). `busy`: it surely did not happen, the same may be asked again (409, 429).
 */
export type FailureKind = 'declined' | 'refused' | 'doubtful' | 'busy'

export interface ProviderFailure {
  readonly kind: FailureKind
  readonly code: string
  readonly declineCode: string | null
  /** Made by the provider for the payer's eyes where `kind` is `declined`. */
  readonly message: string
}

export class ProviderError extends Error implements ProviderFailure {
  readonly kind: FailureKind
  readonly code: string
  readonly declineCode: string | null

  constructor(failure: ProviderFailure, cause?: unknown) {
    super(failure.message, { cause })
    this.name = 'ProviderError'
    this.kind = failure.kind
    this.code = failure.code
    this.declineCode = failure.declineCode
  }
}

/** An error of the official package as one of ours; anything else is a bug and stays what it is. */
export function toProviderFailure(error: unknown): unknown {
  if (!isStripeError(error)) return error
  return new ProviderError(
    {
      kind: kindOf(error),
      code: error.code ?? error.type,
      declineCode: error.decline_code ?? null,
      message: error.message,
    },
    error,
  )
}

type StripeFailure = InstanceType<typeof Stripe.errors.StripeError>

function kindOf(error: StripeFailure): FailureKind {
  const status = error.statusCode
  if (error.type === 'StripeCardError') return 'declined'
  if (status === 409 || status === 429) return 'busy'
  // Without a status the connection broke, and with a 5xx the outcome is unknown.
  return status === undefined || status >= 500 ? 'doubtful' : 'refused'
}

/** By shape: the package is loaded lazily, so its classes are not at hand here. */
function isStripeError(error: unknown): error is StripeFailure {
  return error instanceof Error && 'type' in error && String(error.type).startsWith('Stripe')
}
