import type Stripe from 'stripe'

/**
 * Why a call to the provider did not succeed, by what may be done next.
 *
 * - `declined`: the card was refused, another may be tried.
 * - `refused`: a definite answer that the request is wrong or comes too late.
 * - `busy`: it surely did not happen, the same may be asked again (409, 429, a wrong API key).
 * - `key_used`: the key belongs to a call with other parameters; this one needs another key.
 * - `erred`: 5xx. Nobody knows whether it happened, and this key will answer the same for ever.
 * - `lost`: no answer came. Nobody knows whether it happened, or still will.
 */
export type FailureKind = 'declined' | 'refused' | 'busy' | 'key_used' | 'erred' | 'lost'

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

/** A call through the official package, whose failures are ours. */
export type Call = <T>(work: (stripe: Stripe) => Promise<T>) => Promise<T>

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
  if (status === undefined) return 'lost'
  if (status >= 500) return 'erred'
  if (error.type === 'StripeIdempotencyError' && status !== 409) return 'key_used'
  return didNotHappen.has(status) ? 'busy' : 'refused'
}

/** Our key is wrong or lacks a permission (401, 403), or the provider has no time for us. */
const didNotHappen = new Set([401, 403, 409, 429])

/** By shape: the package is loaded lazily, so its classes are not at hand here. */
function isStripeError(error: unknown): error is StripeFailure {
  return error instanceof Error && 'type' in error && String(error.type).startsWith('Stripe')
}
