import { bookCapture, createCharge, getCharge } from './charges.ts'
import { completeSession, settleSession } from './checkout-outcome.ts'
import type { Context } from './context.ts'
import { openDispute } from './disputes.ts'
import { ApiError, invalidRequest } from './errors.ts'
import { emit } from './events.ts'
import { randomText } from './ids.ts'
import { getPaymentMethod, outcomeOfMethod } from './payment-methods.ts'
import type { Charge, NextAction, PaymentFailure, PaymentIntent } from './resources.ts'
import { AUTHENTICATION_REQUIRED, type Decline } from './test-methods.ts'

export interface AttemptTerms {
  /** The customer is not there: a card that wants authentication is declined. */
  offSession: boolean
  /** Where the customer comes back to after authentication. */
  returnUrl: string | undefined
}

/**
 * Tries to pay an intent with its payment method and returns what became of it.
 * A decline is written down first, then raised as Stripe's 402.
 */
export function attemptPayment(
  context: Context,
  intent: PaymentIntent,
  terms: AttemptTerms,
): PaymentIntent {
  const outcome = outcomeOfMethod(methodOf(context, intent))
  if (outcome.kind === 'succeeds') return pay(context, intent)
  if (outcome.kind === 'settles') return startSettlement(context, intent)
  if (outcome.kind === 'declines') throw decline(context, intent, outcome.decline)
  if (terms.offSession) throw decline(context, intent, AUTHENTICATION_REQUIRED)
  return askForAuthentication(context, intent, terms.returnUrl)
}

/**
 * Ends the authentication of an intent that waits for it; a refusal to authenticate is no error
 * here.
 */
export function finishAuthentication(
  context: Context,
  intent: PaymentIntent,
  result: 'complete' | 'fail',
): PaymentIntent {
  if (intent.status !== 'requires_action') {
    throw invalidRequest(`${intent.id} has a status of ${intent.status}, not requires_action.`)
  }
  if (result === 'fail') return failAuthentication(context, intent)
  const outcome = outcomeOfMethod(methodOf(context, intent))
  if (outcome.kind === 'authenticates' && outcome.decline !== undefined) {
    return refuse(context, intent, outcome.decline).intent
  }
  return pay(context, intent)
}

/** Ends a bank debit under way; without a result, as its test method is meant to end. */
export function finishSettlement(
  context: Context,
  intent: PaymentIntent,
  result?: 'fail' | 'succeed',
): PaymentIntent {
  if (intent.status !== 'processing' || intent.latest_charge === null) {
    throw invalidRequest(`${intent.id} has a status of ${intent.status}, not processing.`)
  }
  context.store.remove('settlement', intent.id)
  const outcome = outcomeOfMethod(methodOf(context, intent))
  const planned = outcome.kind === 'settles' ? outcome.decline : undefined
  const charge = getCharge(context, intent.latest_charge)
  if (result === 'succeed' || (result === undefined && planned === undefined)) {
    return settle(context, intent, charge)
  }
  return failSettlement(context, intent, charge, planned ?? FAILED_DEBIT)
}

/** Raises the status of a paid intent: events, session and planned dispute follow. */
export function markSucceeded(
  context: Context,
  intent: PaymentIntent,
  charge: Charge,
): PaymentIntent {
  const succeeded = put(context, {
    ...intent,
    amount_capturable: 0,
    amount_received: charge.amount_captured,
    last_payment_error: null,
    latest_charge: charge.id,
    next_action: null,
    processing: null,
    status: 'succeeded',
  })
  emit(context, 'payment_intent.succeeded', succeeded)
  return succeeded
}

const FAILED_DEBIT: Decline = {
  code: 'payment_method_provider_decline',
  declineCode: 'generic_decline',
  message: 'The payment failed.',
}

function pay(context: Context, intent: PaymentIntent): PaymentIntent {
  const method = methodOf(context, intent)
  if (intent.capture_method === 'manual') return authorise(context, intent)
  const charge = createCharge(context, intent, method, { status: 'succeeded' })
  emit(context, 'charge.succeeded', charge)
  const succeeded = markSucceeded(context, intent, charge)
  completeSession(context, succeeded)
  const booked = bookCapture(context, charge)
  const outcome = outcomeOfMethod(method)
  if (outcome.kind === 'succeeds' && outcome.dispute !== undefined) {
    openDispute(context, booked, outcome.dispute)
  }
  return succeeded
}

function authorise(context: Context, intent: PaymentIntent): PaymentIntent {
  const method = methodOf(context, intent)
  const charge = createCharge(context, intent, method, { status: 'authorised' })
  emit(context, 'charge.succeeded', charge)
  const authorised = put(context, {
    ...intent,
    amount_capturable: intent.amount,
    last_payment_error: null,
    latest_charge: charge.id,
    next_action: null,
    status: 'requires_capture',
  })
  emit(context, 'payment_intent.amount_capturable_updated', authorised)
  completeSession(context, authorised)
  return authorised
}

function decline(context: Context, intent: PaymentIntent, reason: Decline): ApiError {
  const { intent: refused, failure } = refuse(context, intent, reason)
  const { type, message, doc_url: _url, ...facts } = failure
  return new ApiError(402, type, message, { ...facts, payment_intent: refused })
}

function refuse(
  context: Context,
  intent: PaymentIntent,
  reason: Decline,
): { intent: PaymentIntent; failure: PaymentFailure } {
  const method = methodOf(context, intent)
  const charge = createCharge(context, intent, method, { status: 'failed', decline: reason })
  emit(context, 'charge.failed', charge)
  const failure = failureOf(context, intent, reason, charge.id)
  return { intent: backToPaymentMethod(context, intent, failure, charge.id), failure }
}

function askForAuthentication(
  context: Context,
  intent: PaymentIntent,
  returnUrl: string | undefined,
): PaymentIntent {
  const url = `${context.settings.baseUrl}/authenticate/${intent.id}?secret=${intent.client_secret}`
  const waiting = put(context, {
    ...intent,
    next_action: nextAction(url, returnUrl),
    status: 'requires_action',
  })
  emit(context, 'payment_intent.requires_action', waiting)
  return waiting
}

function nextAction(url: string, returnUrl: string | undefined): NextAction {
  if (returnUrl === undefined) {
    const source = newSource()
    return {
      type: 'use_stripe_sdk',
      use_stripe_sdk: { type: 'three_d_secure_redirect', source, stripe_js: url },
    }
  }
  return { type: 'redirect_to_url', redirect_to_url: { return_url: returnUrl, url } }
}

function newSource(): string {
  return `payatt_${randomText(24)}`
}

function failAuthentication(context: Context, intent: PaymentIntent): PaymentIntent {
  const failure = {
    ...failureOf(context, intent, {
      code: 'payment_intent_authentication_failure',
      message:
        'The provided PaymentMethod has failed authentication. ' +
        'Provide a new PaymentMethod to attempt to fulfill this PaymentIntent again.',
    }),
    type: 'invalid_request_error' as const,
  }
  return backToPaymentMethod(context, intent, failure, intent.latest_charge)
}

function startSettlement(context: Context, intent: PaymentIntent): PaymentIntent {
  const method = methodOf(context, intent)
  const charge = createCharge(context, intent, method, { status: 'pending' })
  emit(context, 'charge.pending', charge)
  const processing = put(context, {
    ...intent,
    last_payment_error: null,
    latest_charge: charge.id,
    next_action: null,
    status: 'processing',
  })
  const { settleAfterMs } = context.settings
  if (settleAfterMs !== undefined) {
    const settlesAtMs = context.now.getTime() + settleAfterMs
    context.store.put('settlement', { id: intent.id, settlesAtMs })
  }
  emit(context, 'payment_intent.processing', processing)
  completeSession(context, processing)
  return processing
}

function settle(context: Context, intent: PaymentIntent, pending: Charge): PaymentIntent {
  const charge: Charge = {
    ...pending,
    amount_captured: pending.amount,
    captured: true,
    paid: true,
    status: 'succeeded',
  }
  context.store.put('charge', charge)
  emit(context, 'charge.succeeded', charge)
  const succeeded = markSucceeded(context, intent, charge)
  settleSession(context, succeeded)
  bookCapture(context, charge)
  return succeeded
}

function failSettlement(
  context: Context,
  intent: PaymentIntent,
  pending: Charge,
  reason: Decline,
): PaymentIntent {
  const charge: Charge = {
    ...pending,
    failure_code: reason.code,
    failure_message: reason.message,
    status: 'failed',
  }
  context.store.put('charge', charge)
  emit(context, 'charge.failed', charge)
  const failure = failureOf(context, intent, reason, charge.id)
  const failed = backToPaymentMethod(context, intent, failure, charge.id)
  settleSession(context, failed)
  return failed
}

function backToPaymentMethod(
  context: Context,
  intent: PaymentIntent,
  failure: PaymentFailure,
  charge: string | null,
): PaymentIntent {
  const failed = put(context, {
    ...intent,
    last_payment_error: failure,
    latest_charge: charge,
    next_action: null,
    payment_method: null,
    processing: null,
    status: 'requires_payment_method',
  })
  emit(context, 'payment_intent.payment_failed', failed)
  return failed
}

function failureOf(
  context: Context,
  intent: PaymentIntent,
  reason: Decline,
  charge?: string,
): PaymentFailure {
  const { code, declineCode, message } = reason
  return {
    type: 'card_error',
    ...(charge === undefined ? {} : { charge }),
    code,
    ...(declineCode === undefined ? {} : { decline_code: declineCode }),
    ...(code === 'card_declined' ? { advice_code: 'try_again_later' } : {}),
    doc_url: `https://docs.stripe.com/error-codes#${code.replaceAll('_', '-')}`,
    message,
    payment_method: methodOf(context, intent),
  }
}

function methodOf(context: Context, intent: PaymentIntent) {
  if (intent.payment_method === null) throw new Error(`${intent.id} has no payment method.`)
  return getPaymentMethod(context, intent.payment_method)
}

function put(context: Context, intent: PaymentIntent): PaymentIntent {
  context.store.put('payment_intent', intent)
  return intent
}
