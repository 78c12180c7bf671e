import { markSucceeded } from './attempts.ts'
import { bookCapture, getCharge } from './charges.ts'
import { findSessionOfIntent, markSessionPaid } from './checkout-outcome.ts'
import { secondsOf, type Context } from './context.ts'
import { invalidRequest, unexpectedState } from './errors.ts'
import { emit } from './events.ts'
import type { CancelValues, CaptureValues } from './intent-parameters.ts'
import { mergeMetadata } from './parameters.ts'
import { CHANGEABLE, getPaymentIntent, refuseCheckoutIntent } from './payment-intents.ts'
import { releaseAuthorisation } from './refunds.ts'
import type { CancellationReason, Charge, IntentStatus, PaymentIntent } from './resources.ts'

const CANCELABLE: readonly IntentStatus[] = [...CHANGEABLE, 'requires_capture']

export function cancelPaymentIntent(
  context: Context,
  values: CancelValues,
  id: string,
): PaymentIntent {
  const intent = getPaymentIntent(context, id)
  refuseCheckoutIntent(context, intent, 'cancel')
  if (!CANCELABLE.includes(intent.status)) {
    throw unexpectedState(
      `You cannot cancel this PaymentIntent because it has a status of ${intent.status}. Only a ` +
        `PaymentIntent with one of the following statuses may be canceled: ` +
        `${CANCELABLE.join(', ')}.`,
      intent,
    )
  }
  return endIntent(context, intent, values.cancellation_reason ?? null)
}

/** Cancels an intent whatever made it; an authorised amount goes back to the card. */
export function endIntent(
  context: Context,
  intent: PaymentIntent,
  reason: CancellationReason | null,
): PaymentIntent {
  if (intent.status === 'requires_capture' && intent.latest_charge !== null) {
    releaseAuthorisation(context, getCharge(context, intent.latest_charge))
  }
  const canceled = putIntent(context, {
    ...intent,
    amount_capturable: 0,
    canceled_at: secondsOf(context.now),
    cancellation_reason: reason,
    next_action: null,
    status: 'canceled',
  })
  emit(context, 'payment_intent.canceled', canceled)
  return canceled
}

/** Takes an authorised amount or a part of it; the rest is released. */
export function capturePaymentIntent(
  context: Context,
  values: CaptureValues,
  id: string,
): PaymentIntent {
  const intent = getPaymentIntent(context, id)
  if (intent.status !== 'requires_capture' || intent.latest_charge === null) {
    throw unexpectedState(
      `This PaymentIntent could not be captured because it has a status of ${intent.status}. ` +
        'Only a PaymentIntent with one of the following statuses may be captured: ' +
        'requires_capture.',
      intent,
    )
  }
  const amount = values.amount_to_capture ?? intent.amount_capturable
  if (amount > intent.amount_capturable) {
    throw invalidRequest(
      `The amount to capture (${amount}) is greater than the amount that can be captured ` +
        `(${intent.amount_capturable}).`,
      { code: 'amount_too_large', param: 'amount_to_capture', payment_intent: intent },
    )
  }
  const authorised = getCharge(context, intent.latest_charge)
  const charge: Charge = {
    ...authorised,
    amount_captured: amount,
    amount_refunded: authorised.amount - amount,
    captured: true,
  }
  context.store.put('charge', charge)
  emit(context, 'charge.captured', charge)
  const metadata = mergeMetadata(intent.metadata, values.metadata)
  const succeeded = markSucceeded(context, { ...intent, metadata }, charge)
  bookCapture(context, charge)
  const session = findSessionOfIntent(context, id)
  if (session !== undefined) markSessionPaid(context, session)
  return succeeded
}

function putIntent(context: Context, intent: PaymentIntent): PaymentIntent {
  context.store.put('payment_intent', intent)
  return intent
}
