import { Type } from 'typebox'
import { defineEvent } from '../../platform/events.ts'
import { refundStatuses } from './schema.ts'
import { oneOf } from '../../kernel/shapes.ts'

const amounts = { amount: Type.Integer(), currency: Type.String() }
const Started = Type.Object({ paymentId: Type.String(), mode: Type.String(), ...amounts })
const Moved = Type.Object({ paymentId: Type.String(), ...amounts })
const Failed = Type.Object({
  paymentId: Type.String(),
  code: Type.String(),
  declineCode: Type.Union([Type.String(), Type.Null()]),
})
const Flagged = Type.Object({ paymentId: Type.String(), reason: Type.String() })
const RefundMoved = Type.Object({
  refundId: Type.String(),
  paymentId: Type.String(),
  status: oneOf(refundStatuses),
  ...amounts,
})

const DisputeMoved = Type.Object({
  disputeId: Type.String(),
  paymentId: Type.String(),
  status: Type.String(),
  ...amounts,
})

/** All of them stand in the history of the order that the money is for. */
export const PaymentStarted = defineEvent('payment.started', { data: Started, staff: Started })
export const PaymentSucceeded = defineEvent('payment.succeeded', {
  data: Moved,
  staff: Moved,
  customer: Type.Object(amounts),
})
export const PaymentProcessing = defineEvent('payment.processing', {
  data: Moved,
  staff: Moved,
  customer: Type.Object(amounts),
})
export const PaymentActionRequired = defineEvent('payment.action_required', {
  data: Moved,
  staff: Moved,
})
export const PaymentFailed = defineEvent('payment.failed', {
  data: Failed,
  staff: Failed,
  customer: Type.Object({ code: Type.String() }),
})
export const PaymentCanceled = defineEvent('payment.canceled', { data: Moved, staff: Moved })
export const PaymentAmountChanged = defineEvent('payment.amount_changed', {
  data: Moved,
  staff: Moved,
})
/** Money that does not fit our books: a person has to look. */
export const PaymentFlagged = defineEvent('payment.flagged', { data: Flagged, staff: Flagged })
export const RefundRequested = defineEvent('refund.requested', {
  data: RefundMoved,
  staff: RefundMoved,
})
export const RefundMovedOn = defineEvent('refund.updated', {
  data: RefundMoved,
  staff: RefundMoved,
  customer: Type.Object({ status: oneOf(refundStatuses), ...amounts }),
})

export const DisputeUpdated = defineEvent('dispute.updated', {
  data: DisputeMoved,
  staff: DisputeMoved,
})

export const events = [
  PaymentStarted,
  PaymentSucceeded,
  PaymentProcessing,
  PaymentActionRequired,
  PaymentFailed,
  PaymentCanceled,
  PaymentAmountChanged,
  PaymentFlagged,
  RefundRequested,
  RefundMovedOn,
  DisputeUpdated,
]
