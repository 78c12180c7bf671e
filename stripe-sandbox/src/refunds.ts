import { bookMovement, getCharge } from './charges.ts'
import { secondsOf, type Context } from './context.ts'
import { formatAmount } from './currencies.ts'
import { invalidRequest, ParameterError, resourceMissing } from './errors.ts'
import { emit } from './events.ts'
import { newId } from './ids.ts'
import { createdRange, listedFor, listPage, pageParameters } from './lists.ts'
import {
  clearable,
  integer,
  mergeMetadata,
  metadata,
  oneOf,
  text,
  type Values,
} from './parameters.ts'
import { getPaymentMethod, outcomeOfMethod } from './payment-methods.ts'
import type { Charge, Refund, RefundStatus } from './resources.ts'

export const refundParameters = {
  amount: integer,
  charge: text,
  metadata: clearable(metadata),
  payment_intent: text,
  reason: oneOf('duplicate', 'fraudulent', 'requested_by_customer'),
}

export const refundUpdateParameters = { metadata: clearable(metadata) }

export const refundListParameters = {
  ...pageParameters,
  charge: text,
  created: createdRange,
  payment_intent: text,
}

export function getRefund(context: Context, id: string): Refund {
  const refund = context.store.find('refund', id)
  if (refund === undefined) throw resourceMissing('refund', id, 'refund')
  return refund
}

export function listRefunds(context: Context, values: Values<typeof refundListParameters>): object {
  const matches = (refund: Refund) =>
    (values.charge === undefined || refund.charge === values.charge) &&
    (values.payment_intent === undefined || refund.payment_intent === values.payment_intent)
  return listPage(
    listedFor(context, 'refund', values.payment_intent),
    '/v1/refunds',
    values,
    matches,
  )
}

/**
 * Gives money of a charge back: the whole rest unless an amount is told. `start` is for refunds
 * that do not succeed at once; without it the card decides.
 */
export function createRefund(
  context: Context,
  values: Values<typeof refundParameters>,
  start?: 'pending' | 'requires_action',
): Refund {
  const charge = getRefundableCharge(context, values)
  const amount = checkRefundAmount(charge, values.amount)
  const outcome = outcomeOfMethod(getPaymentMethod(context, charge.payment_method))
  const behaviour = outcome.kind === 'succeeds' ? outcome.refunds : undefined
  const status: RefundStatus = start ?? (behaviour === 'pend' ? 'pending' : 'succeeded')
  const refund = storeRefund(context, charge, {
    amount,
    metadata: mergeMetadata({}, values.metadata),
    reason: values.reason ?? null,
    status,
  })
  addToRefunded(context, charge, amount)
  emit(context, 'refund.created', refund)
  emit(context, 'charge.refunded', getCharge(context, charge.id))
  // Stripe's "refund fails" card says that it succeeded and takes it back a moment later.
  if (behaviour === 'fail') finishRefund(context, refund, 'fail')
  return refund
}

export function updateRefund(
  context: Context,
  values: Values<typeof refundUpdateParameters>,
  id: string,
): Refund {
  const refund = getRefund(context, id)
  return changeRefund(context, {
    ...refund,
    metadata: mergeMetadata(refund.metadata, values.metadata),
  })
}

/** Only refunds that wait for the customer can be cancelled. */
export function cancelRefund(context: Context, id: string): Refund {
  const refund = getRefund(context, id)
  if (refund.status !== 'requires_action') {
    throw invalidRequest(
      `Refund ${id} has a status of ${refund.status}; only refunds with a status of ` +
        'requires_action can be canceled.',
    )
  }
  addToRefunded(context, getCharge(context, refund.charge), -refund.amount)
  return changeRefund(context, { ...refund, status: 'canceled' })
}

/** The bank's late answer to a refund: it arrived, or it came back. */
export function finishRefund(context: Context, refund: Refund, result: 'fail' | 'succeed'): Refund {
  if (result === 'succeed') {
    if (refund.status !== 'pending' && refund.status !== 'requires_action') {
      throw invalidRequest(`Refund ${refund.id} has a status of ${refund.status}.`)
    }
    return changeRefund(context, { ...refund, status: 'succeeded' })
  }
  if (refund.status === 'failed' || refund.status === 'canceled') {
    throw invalidRequest(`Refund ${refund.id} has a status of ${refund.status}.`)
  }
  const reversal = bookMovement(context, {
    amount: refund.amount,
    category: 'refund_failure',
    currency: refund.currency,
    fee: 0,
    source: refund.id,
  })
  addToRefunded(context, getCharge(context, refund.charge), -refund.amount)
  const failed = changeRefund(context, {
    ...refund,
    failure_balance_transaction: reversal.id,
    failure_reason: 'lost_or_stolen_card',
    status: 'failed',
  })
  emit(context, 'refund.failed', failed)
  return failed
}

/** An authorised amount that is never captured counts as refunded, without a balance movement. */
export function releaseAuthorisation(context: Context, charge: Charge): void {
  const released: Charge = { ...charge, amount_refunded: charge.amount, refunded: true }
  context.store.put('charge', released)
  emit(context, 'charge.refunded', released)
}

function getRefundableCharge(context: Context, values: Values<typeof refundParameters>): Charge {
  const { charge, payment_intent: intentId } = values
  if (charge === undefined && intentId === undefined) {
    throw new ParameterError(
      'One of the following params should be provided for this request: payment_intent or charge.',
      { code: 'parameter_missing', param: 'payment_intent' },
    )
  }
  const found =
    charge === undefined ? chargeOfIntent(context, intentId ?? '') : getCharge(context, charge)
  if (intentId !== undefined && found.payment_intent !== intentId) {
    throw invalidRequest(`Charge ${found.id} does not belong to ${intentId}.`, { param: 'charge' })
  }
  if (found.status !== 'succeeded' || !found.captured) {
    throw invalidRequest(`Charge ${found.id} took no money that could be refunded.`)
  }
  if (found.refunded) {
    throw invalidRequest(`Charge ${found.id} has already been refunded.`, {
      code: 'charge_already_refunded',
    })
  }
  const dispute = context.store.having('dispute', 'charge', found.id)[0]
  if (dispute !== undefined && !dispute.is_charge_refundable && dispute.status !== 'won') {
    throw invalidRequest(`Charge ${found.id} has been charged back; cannot issue a refund.`, {
      code: 'charge_disputed',
    })
  }
  return found
}

function chargeOfIntent(context: Context, intentId: string): Charge {
  const intent = context.store.find('payment_intent', intentId)
  if (intent === undefined) throw resourceMissing('payment_intent', intentId, 'payment_intent')
  if (intent.latest_charge === null || intent.status !== 'succeeded') {
    throw invalidRequest(
      `This PaymentIntent (${intentId}) does not have a successful charge to refund.`,
      { code: 'payment_intent_unexpected_state', payment_intent: intent },
    )
  }
  return getCharge(context, intent.latest_charge)
}

function checkRefundAmount(charge: Charge, asked: number | undefined): number {
  const rest = charge.amount - charge.amount_refunded
  const amount = asked ?? rest
  if (amount < 1) {
    throw new ParameterError('This value must be greater than or equal to 1.', {
      code: 'parameter_invalid_integer',
      param: 'amount',
    })
  }
  if (amount > rest) {
    throw invalidRequest(
      `Refund amount (${formatAmount(amount, charge.currency)}) is greater than unrefunded ` +
        `amount on charge (${formatAmount(rest, charge.currency)})`,
      { param: 'amount' },
    )
  }
  return amount
}

interface RefundTerms {
  amount: number
  metadata: Refund['metadata']
  reason: Refund['reason']
  status: RefundStatus
}

function storeRefund(context: Context, charge: Charge, terms: RefundTerms): Refund {
  const id = newId('re_')
  const transaction = bookMovement(context, {
    amount: -terms.amount,
    category: 'refund',
    currency: charge.currency,
    fee: 0,
    source: id,
  })
  const refund: Refund = {
    object: 'refund',
    id,
    amount: terms.amount,
    balance_transaction: transaction.id,
    charge: charge.id,
    created: secondsOf(context.now),
    currency: charge.currency,
    customer: charge.customer,
    customer_account: null,
    destination_details: {
      card: {
        reference_status: 'pending',
        reference_type: 'acquirer_reference_number',
        type: 'refund',
      },
      type: 'card',
    },
    metadata: terms.metadata,
    payment_intent: charge.payment_intent,
    payment_method: charge.payment_method,
    reason: terms.reason,
    receipt_number: null,
    source_transfer_reversal: null,
    status: terms.status,
    transfer_reversal: null,
  }
  context.store.put('refund', refund)
  return refund
}

function addToRefunded(context: Context, charge: Charge, amount: number): void {
  const refunded = charge.amount_refunded + amount
  context.store.put('charge', {
    ...charge,
    amount_refunded: refunded,
    refunded: refunded === charge.amount,
  })
}

/** Stripe announces a changed refund twice, under its new and its old name. */
function changeRefund(context: Context, refund: Refund): Refund {
  context.store.put('refund', refund)
  emit(context, 'refund.updated', refund)
  emit(context, 'charge.refund.updated', refund)
  return refund
}
