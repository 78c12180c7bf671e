import { bookMovement } from './charges.ts'
import { secondsOf, type Context } from './context.ts'
import { invalidRequest, resourceMissing } from './errors.ts'
import { emit } from './events.ts'
import { newId } from './ids.ts'
import { createdRange, listedFor, listPage, pageParameters } from './lists.ts'
import { text, type Values } from './parameters.ts'
import type { Charge, Dispute, DisputeStatus } from './resources.ts'
import type { DisputePlan } from './test-methods.ts'

/** Stripe's fee for a dispute, in minor units of the charge's currency. */
const DISPUTE_FEE = 2000
const RESPONSE_TIME_SECONDS = 9 * 24 * 60 * 60

const EVIDENCE_FIELDS = (
  'access_activity_log billing_address cancellation_policy cancellation_policy_disclosure ' +
  'cancellation_rebuttal customer_communication customer_email_address customer_name ' +
  'customer_purchase_ip customer_signature duplicate_charge_documentation ' +
  'duplicate_charge_explanation duplicate_charge_id product_description receipt refund_policy ' +
  'refund_policy_disclosure refund_refusal_explanation service_date service_documentation ' +
  'shipping_address shipping_carrier shipping_date shipping_documentation ' +
  'shipping_tracking_number uncategorized_file uncategorized_text'
).split(' ')

export const disputeListParameters = {
  ...pageParameters,
  charge: text,
  created: createdRange,
  payment_intent: text,
}

export function getDispute(context: Context, id: string): Dispute {
  const dispute = context.store.find('dispute', id)
  if (dispute === undefined) throw resourceMissing('dispute', id, 'dispute')
  return dispute
}

export function listDisputes(
  context: Context,
  values: Values<typeof disputeListParameters>,
): object {
  const matches = (dispute: Dispute) =>
    (values.charge === undefined || dispute.charge === values.charge) &&
    (values.payment_intent === undefined || dispute.payment_intent === values.payment_intent)
  return listPage(
    listedFor(context, 'dispute', values.payment_intent),
    '/v1/disputes',
    values,
    matches,
  )
}

/** The cardholder contests a charge: its money leaves unless the bank is only asking. */
export function openDispute(context: Context, charge: Charge, plan: DisputePlan): Dispute {
  if (charge.disputed) {
    throw invalidRequest(`Charge ${charge.id} is already disputed.`, { code: 'charge_disputed' })
  }
  if (charge.status !== 'succeeded' || !charge.captured) {
    throw invalidRequest(`Charge ${charge.id} took no money that could be disputed.`)
  }
  const dispute = describeDispute(context, charge, plan)
  context.store.put('charge', { ...charge, disputed: true })
  context.store.put('dispute', dispute)
  emit(context, 'charge.dispute.created', dispute)
  return plan.status === 'needs_response' ? withdrawFunds(context, dispute) : dispute
}

/** The business gives in, as by `POST /v1/disputes/:id/close`. */
export function closeDispute(context: Context, id: string): Dispute {
  return endDispute(context, getDispute(context, id), 'lose')
}

/** The bank decides. A won dispute brings the money back. */
export function endDispute(context: Context, dispute: Dispute, result: 'lose' | 'win'): Dispute {
  if (isClosed(dispute.status)) {
    throw invalidRequest(`Dispute ${dispute.id} is already closed: ${dispute.status}.`)
  }
  const inquiry = dispute.status.startsWith('warning')
  const status = inquiry ? 'warning_closed' : result === 'win' ? 'won' : 'lost'
  const ended: Dispute = { ...dispute, is_charge_refundable: inquiry, status }
  context.store.put('dispute', ended)
  const settled = status === 'won' ? reinstateFunds(context, ended) : ended
  emit(context, 'charge.dispute.closed', settled)
  return settled
}

/** The business answered: the bank now looks at its evidence. */
export function reviewDispute(context: Context, dispute: Dispute): Dispute {
  if (dispute.status !== 'needs_response') {
    throw invalidRequest(`Dispute ${dispute.id} has a status of ${dispute.status}.`)
  }
  const reviewed: Dispute = { ...dispute, status: 'under_review' }
  context.store.put('dispute', reviewed)
  emit(context, 'charge.dispute.updated', reviewed, { status: dispute.status })
  return reviewed
}

function withdrawFunds(context: Context, dispute: Dispute): Dispute {
  return moveFunds(context, dispute, {
    amount: -dispute.amount,
    category: 'dispute',
    fee: DISPUTE_FEE,
    event: 'charge.dispute.funds_withdrawn',
  })
}

function reinstateFunds(context: Context, dispute: Dispute): Dispute {
  return moveFunds(context, dispute, {
    amount: dispute.amount,
    category: 'dispute_reversal',
    fee: 0,
    event: 'charge.dispute.funds_reinstated',
  })
}

interface DisputeMovement {
  amount: number
  category: 'dispute' | 'dispute_reversal'
  fee: number
  event: 'charge.dispute.funds_reinstated' | 'charge.dispute.funds_withdrawn'
}

function moveFunds(context: Context, dispute: Dispute, movement: DisputeMovement): Dispute {
  const { event, ...amounts } = movement
  const transaction = bookMovement(context, {
    ...amounts,
    currency: dispute.currency,
    source: dispute.id,
  })
  const moved: Dispute = {
    ...dispute,
    balance_transactions: [...dispute.balance_transactions, transaction],
  }
  context.store.put('dispute', moved)
  emit(context, event, moved)
  return moved
}

function describeDispute(context: Context, charge: Charge, plan: DisputePlan): Dispute {
  const inquiry = plan.status === 'warning_needs_response'
  return {
    object: 'dispute',
    id: newId('dp_'),
    amount: charge.amount_captured,
    balance_transactions: [],
    charge: charge.id,
    created: secondsOf(context.now),
    currency: charge.currency,
    enhanced_eligibility_types: [],
    evidence: {
      ...Object.fromEntries(EVIDENCE_FIELDS.map((field) => [field, null])),
      enhanced_evidence: {},
    },
    evidence_details: {
      due_by: secondsOf(context.now) + RESPONSE_TIME_SECONDS,
      enhanced_eligibility: {},
      has_evidence: false,
      past_due: false,
      submission_count: 0,
    },
    intended_submission_method: null,
    is_charge_refundable: inquiry,
    livemode: false,
    metadata: {},
    payment_intent: charge.payment_intent,
    payment_method_details: {
      card: {
        brand: 'visa',
        case_type: inquiry ? 'inquiry' : 'chargeback',
        network: 'visa',
        network_reason_code: '10.4',
      },
      type: 'card',
    },
    reason: plan.reason,
    status: plan.status,
  }
}

function isClosed(status: DisputeStatus): boolean {
  return status === 'lost' || status === 'warning_closed' || status === 'won'
}
