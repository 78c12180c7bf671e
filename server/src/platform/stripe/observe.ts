import type Stripe from 'stripe'

/** The states of a payment on our side; only `succeeded` and `canceled` are final. */
export type ObservedStatus =
  | 'pending'
  | 'requires_action'
  | 'processing'
  | 'failed'
  | 'succeeded'
  | 'canceled'

/** What the provider says of one attempt object, in our words. */
export interface ObservedPayment {
  /** `pi_…` or `cs_…`: the object that our row names. */
  readonly ref: string
  /** The intent itself; null for a session whose payer has not begun. */
  readonly intentRef: string | null
  readonly status: ObservedStatus
  readonly amount: number
  /** In upper case, as ISO 4217 writes it. */
  readonly currency: string
  readonly livemode: boolean
  readonly orderId: string | null
  readonly paymentId: string | null
  readonly clientSecret: string | null
  readonly url: string | null
  readonly failure: ObservedFailure | null
}

export interface ObservedFailure {
  readonly code: string
  readonly declineCode: string | null
  readonly message: string
}

export interface ObservedRefund {
  readonly ref: string
  readonly intentRef: string | null
  readonly amount: number
  readonly currency: string
  readonly status: 'pending' | 'requires_action' | 'succeeded' | 'failed' | 'canceled'
  /** Our own refund's id; null for one made in the provider's dashboard. */
  readonly refundId: string | null
  readonly orderId: string | null
}

export interface ObservedDispute {
  readonly ref: string
  readonly intentRef: string | null
  /** The provider's own word, such as `needs_response`, `won` or `lost`. */
  readonly status: string
  readonly amount: number
  readonly currency: string
  readonly reason: string
  /** When the answer to it must be in, in milliseconds since the epoch. */
  readonly dueByMs: number | null
}

export function fromIntent(intent: Stripe.PaymentIntent): ObservedPayment {
  return {
    ref: intent.id,
    intentRef: intent.id,
    status: statusOfIntent(intent),
    amount: intent.status === 'succeeded' ? intent.amount_received : intent.amount,
    currency: intent.currency.toUpperCase(),
    livemode: intent.livemode,
    ...idsIn(intent.metadata),
    clientSecret: intent.client_secret,
    url: null,
    failure: failureOf(intent),
  }
}

/** A session is judged by its intent where it has one, and by itself until then. */
export function fromSession(session: Stripe.Checkout.Session): ObservedPayment {
  const intent = typeof session.payment_intent === 'object' ? session.payment_intent : null
  return {
    ref: session.id,
    intentRef: idOf(session.payment_intent),
    status: statusOfSession(session, intent),
    amount: intent ? fromIntent(intent).amount : (session.amount_total ?? 0),
    currency: (session.currency ?? '').toUpperCase(),
    livemode: session.livemode,
    ...idsIn(session.metadata),
    clientSecret: null,
    url: session.url,
    failure: intent ? failureOf(intent) : null,
  }
}

export function toRefund(refund: Stripe.Refund): ObservedRefund {
  return {
    ref: refund.id,
    intentRef: idOf(refund.payment_intent),
    amount: refund.amount,
    currency: refund.currency.toUpperCase(),
    status: refundStatuses[refund.status ?? ''] ?? 'pending',
    refundId: refund.metadata?.['refund_id'] ?? null,
    orderId: refund.metadata?.['order_id'] ?? null,
  }
}

export function toDispute(dispute: Stripe.Dispute): ObservedDispute {
  const dueBy = dispute.evidence_details.due_by
  return {
    ref: dispute.id,
    intentRef: idOf(dispute.payment_intent),
    status: dispute.status,
    amount: dispute.amount,
    currency: dispute.currency.toUpperCase(),
    reason: dispute.reason,
    dueByMs: dueBy === null ? null : dueBy * 1000,
  }
}

/** A reference comes as an id or, when it was expanded, as the object. */
export function idOf(reference: string | { id: string } | null): string | null {
  return typeof reference === 'string' ? reference : (reference?.id ?? null)
}

const refundStatuses: Readonly<Record<string, ObservedRefund['status']>> = {
  pending: 'pending',
  requires_action: 'requires_action',
  succeeded: 'succeeded',
  failed: 'failed',
  canceled: 'canceled',
}

/** `requires_payment_method` is the start and, with an error beside it, a declined card. */
function statusOfIntent(intent: Stripe.PaymentIntent): ObservedStatus {
  switch (intent.status) {
    case 'succeeded':
      return 'succeeded'
    case 'canceled':
      return 'canceled'
    case 'processing':
    case 'requires_capture':
      return 'processing'
    case 'requires_action':
      return 'requires_action'
    case 'requires_payment_method':
    case 'requires_confirmation':
      return intent.last_payment_error ? 'failed' : 'pending'
    default:
      // A state that is new to us: nothing else may be begun beside it.
      return 'processing'
  }
}

function statusOfSession(
  session: Stripe.Checkout.Session,
  intent: Stripe.PaymentIntent | null,
): ObservedStatus {
  if (intent && statusOfIntent(intent) === 'succeeded') return 'succeeded'
  if (session.status === 'expired') return 'canceled'
  if (session.status === 'complete' && session.payment_status === 'unpaid') {
    const status = intent ? statusOfIntent(intent) : 'processing'
    // A delayed method that failed leaves a complete session that can never be paid any more.
    return status === 'failed' ? 'canceled' : 'processing'
  }
  if (session.status === 'complete') return 'succeeded'
  return intent?.last_payment_error ? 'failed' : 'pending'
}

function failureOf({ last_payment_error: error }: Stripe.PaymentIntent): ObservedFailure | null {
  if (!error) return null
  return {
    code: error.code ?? error.type,
    declineCode: error.decline_code ?? null,
    message: error.message ?? 'The payment was refused.',
  }
}

/** The attempt that an object says it is for; nulls for one that is not ours. */
export function idsIn(
  metadata: Stripe.Metadata | null,
): Pick<ObservedPayment, 'orderId' | 'paymentId'> {
  return {
    orderId: metadata?.['order_id'] ?? null,
    paymentId: metadata?.['payment_id'] ?? null,
  }
}
