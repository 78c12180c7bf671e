import { secondsOf, type Context } from './context.ts'
import { resourceMissing } from './errors.ts'
import { emit } from './events.ts'
import { newId } from './ids.ts'
import { chargeDetailsOf } from './payment-methods.ts'
import {
  type BalanceTransaction,
  type Charge,
  type PaymentIntent,
  type PaymentMethod,
} from './resources.ts'
import { UNMODELLED_OF_CHARGE } from './unmodelled.ts'
import type { Decline } from './test-methods.ts'

/** Where a new charge stands: paid, only authorised, under way or refused. */
export type ChargeStart =
  | { status: 'authorised' | 'pending' | 'succeeded' }
  | { status: 'failed'; decline: Decline }

export function getCharge(context: Context, id: string, param = 'charge'): Charge {
  const charge = context.store.find('charge', id)
  if (charge === undefined) throw resourceMissing('charge', id, param)
  return charge
}

/** Stores a new charge for the intent's whole amount; its event and its money follow apart. */
export function createCharge(
  context: Context,
  intent: PaymentIntent,
  method: PaymentMethod,
  start: ChargeStart,
): Charge {
  const captured = start.status === 'succeeded'
  const decline = start.status === 'failed' ? start.decline : undefined
  const charge: Charge = {
    ...UNMODELLED_OF_CHARGE,
    object: 'charge',
    id: newId('ch_'),
    amount: intent.amount,
    amount_captured: captured ? intent.amount : 0,
    amount_refunded: 0,
    balance_transaction: null,
    billing_details: method.billing_details,
    calculated_statement_descriptor: ['SANDBOX', intent.statement_descriptor_suffix ?? '']
      .filter((part) => part !== '')
      .join('* ')
      .toUpperCase(),
    captured,
    created: secondsOf(context.now),
    currency: intent.currency,
    customer: intent.customer,
    description: intent.description,
    disputed: false,
    failure_code: decline?.code ?? null,
    failure_message: decline?.message ?? null,
    metadata: intent.metadata,
    outcome: riskOutcome(decline),
    paid: captured || start.status === 'authorised',
    payment_intent: intent.id,
    payment_method: method.id,
    payment_method_details: chargeDetailsOf(method, intent.amount),
    receipt_email: intent.receipt_email,
    receipt_url: null,
    refunded: false,
    shipping: intent.shipping,
    statement_descriptor: intent.statement_descriptor,
    statement_descriptor_suffix: intent.statement_descriptor_suffix,
    status: start.status === 'authorised' ? 'succeeded' : start.status,
  }
  context.store.put('charge', charge)
  context.store.put('charge_key', { id: charge.id, key: context.request.idempotencyKey })
  return charge
}

/**
 * Books the captured money of a charge. Stripe does so a moment later and says `charge.updated`.
 */
export function bookCapture(context: Context, charge: Charge): Charge {
  const fee = Math.round(charge.amount_captured * 0.015) + 20
  const transaction = bookMovement(context, {
    amount: charge.amount_captured,
    category: 'charge',
    currency: charge.currency,
    fee,
    source: charge.id,
  })
  const booked: Charge = { ...charge, balance_transaction: transaction.id }
  context.store.put('charge', booked)
  emit(context, 'charge.updated', booked, { balance_transaction: null })
  return booked
}

export interface Movement {
  amount: number
  category: BalanceTransaction['reporting_category']
  currency: string
  fee: number
  source: string
}

const TYPE_OF_CATEGORY = {
  charge: 'charge',
  dispute: 'adjustment',
  dispute_reversal: 'adjustment',
  refund: 'refund',
  refund_failure: 'refund_failure',
} as const

/** Stores a movement of the account's balance; amounts that leave are negative. */
export function bookMovement(context: Context, movement: Movement): BalanceTransaction {
  const { amount, currency, fee } = movement
  const transaction: BalanceTransaction = {
    object: 'balance_transaction',
    id: newId('txn_'),
    amount,
    available_on: secondsOf(context.now),
    balance_type: 'payments',
    created: secondsOf(context.now),
    currency,
    description: null,
    exchange_rate: null,
    fee,
    fee_details:
      fee === 0
        ? []
        : [{ amount: fee, application: null, currency, description: 'Fees', type: 'stripe_fee' }],
    net: amount - fee,
    reporting_category: movement.category,
    source: movement.source,
    status: 'available',
    type: TYPE_OF_CATEGORY[movement.category],
  }
  context.store.put('balance_transaction', transaction)
  return transaction
}

function riskOutcome(decline: Decline | undefined): object {
  const refused = decline !== undefined
  return {
    advice_code: refused ? 'try_again_later' : null,
    network_advice_code: null,
    network_decline_code: refused ? '05' : null,
    network_status: refused ? 'declined_by_network' : 'approved_by_network',
    reason: decline?.declineCode ?? null,
    risk_level: 'normal',
    risk_score: 20,
    seller_message: refused ? 'The bank refused this payment.' : 'Payment complete.',
    type: refused ? 'issuer_declined' : 'authorized',
  }
}
