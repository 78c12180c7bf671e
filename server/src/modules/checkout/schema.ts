import { Type, type Static } from 'typebox'
import { secret } from '../../http/compile.ts'
import { defineError } from '../../kernel/errors.ts'
import {
  idOf,
  Instant,
  Money,
  MoneyInput,
  nullable,
  oneOf,
  strictObject,
} from '../../kernel/shapes.ts'
import { CustomerInput, exampleOrder, Order, OrderCase, OrderItems } from '../orders/index.ts'
import { examplePayment, PayerPayment } from '../payments/index.ts'

/** What this module's endpoints share with those of orders and payments. */
export {
  amountTooLarge,
  mixedCurrency,
  OrderParams,
  serviceUnavailable,
  tooManyOpenOrders,
} from '../orders/index.ts'
export { examplePayment, exampleRefund, Payment, Refund } from '../payments/index.ts'

const Url = Type.String({ format: 'uri', maxLength: 2000 })

export const ProcessCheckout = strictObject({
  items: Type.Optional(OrderItems),
  orderId: Type.Optional(
    Type.String({ minLength: 1, maxLength: 40, description: 'an order to pay: id or number' }),
  ),
  customer: Type.Optional(CustomerInput),
  mode: Type.Optional(
    oneOf(['intent', 'hosted'], { description: 'intent when absent: the browser confirms it' }),
  ),
  paymentMethod: Type.Optional(
    Type.String({
      pattern: '^pm_[A-Za-z0-9_]{1,100}$',
      description: 'of mode intent: confirms at once on the server',
    }),
  ),
  successUrl: Type.Optional(Url),
  cancelUrl: Type.Optional(Url),
})
export type ProcessCheckout = Static<typeof ProcessCheckout>

export const CheckoutReply = Type.Object({
  order: Order,
  payment: nullable(PayerPayment),
  orderToken: Type.Optional(
    secret(Type.String({ description: 'for guests: send it as X-Order-Token, never in a URL' })),
  ),
})
export type CheckoutReply = Static<typeof CheckoutReply>

export const ConfirmParams = strictObject({
  orderId: Type.String({ minLength: 1, maxLength: 40 }),
})

export const ConfirmReply = Type.Object({
  order: Order,
  payment: nullable(PayerPayment),
  case: nullable(OrderCase),
})
export type ConfirmReply = Static<typeof ConfirmReply>

export const WebhookReply = Type.Object({ received: Type.Boolean() })

export const RecordPayment = strictObject({
  amount: MoneyInput,
  reference: Type.String({ minLength: 1, maxLength: 200 }),
  receivedAt: Type.Optional(Instant),
})
export type RecordPayment = Static<typeof RecordPayment>

export const RequestRefund = strictObject({
  amount: MoneyInput,
  reason: Type.String({ minLength: 1, maxLength: 500 }),
  paymentId: Type.Optional(idOf('pay')),
})
export type RequestRefund = Static<typeof RequestRefund>

export const paymentsNotConfigured = defineError(
  503,
  'payments_not_configured',
  'This business takes no card payments at the moment.',
  'Set STRIPE_SECRET_KEY, or book what came another way as a manual payment.',
)
export const providerUnavailable = defineError(
  503,
  'payment_provider_unavailable',
  'The payment provider does not answer. Nothing is lost: try again shortly.',
  'Repeat it after `Retry-After`, with the same Idempotency-Key: nothing is charged twice.',
)
export const orderNotPayable = defineError(
  409,
  'order_not_payable',
  'This order cannot be paid: it is paid already, or closed.',
  'Read the order: its `status` and `paymentStatus` say what has become of it.',
)
export const paymentInProgress = defineError(
  409,
  'payment_in_progress',
  'Another payment of this order is under way.',
  'Confirm the payment that runs, or wait until it has ended.',
)
export const paymentNotStarted = defineError(
  409,
  'payment_not_started',
  'No payment was started for this order.',
  'Start one with `POST /api/checkout/process` and the `orderId`.',
)
export const paymentActionRequired = defineError(
  402,
  'payment_action_required',
  'The bank wants the payer to prove who they are.',
  'Let the payer finish it with `clientSecret` in the browser, then confirm again.',
)
export const paymentNotCompleted = defineError(
  402,
  'payment_not_completed',
  'The payment was not completed. Another card may be tried.',
  'Show `failure` to the payer and let them try another card on the same order.',
)
export const amountTooSmall = defineError(
  422,
  'amount_too_small',
  'The amount is below what the payment provider takes.',
  'Raise the amount above the minimum of the currency, or take the money by other means.',
)
export const paymentRefused = defineError(
  422,
  'payment_refused',
  'The payment provider refused the request.',
  'Check the payment method and the amount; `detail` has the words of the provider.',
)
export const invalidSignature = defineError(
  400,
  'invalid_signature',
  'The signature of the event is missing, wrong or too old.',
  'Check STRIPE_WEBHOOK_SECRET against the endpoint at Stripe, and the clock of the server.',
)
export const overpayment = defineError(
  409,
  'overpayment',
  'The amount is more than what is outstanding.',
  'Book at most the outstanding sum: `total` less `paid`.',
)
export const wrongCurrency = defineError(
  422,
  'wrong_currency',
  'The amount must be in the currency of the order.',
  "Send the amount in the currency of the order's `total`.",
)
export const refundTooLarge = defineError(
  409,
  'refund_too_large',
  'The amount is more than what can still be given back.',
  'Give back at most what was captured and is not yet refunded or being refunded.',
)
export const paymentChoiceRequired = defineError(
  409,
  'payment_choice_required',
  'The order has more than one refundable payment: name one (`paymentId`).',
  'Repeat it with the `paymentId` of the payment to give back.',
)
export const tooManyRefunds = defineError(
  409,
  'too_many_refunds',
  'The order has 200 refunds already: no more can be made.',
  'Give the rest back in the dashboard of the provider.',
)
export const nothingToRefund = defineError(
  409,
  'nothing_to_refund',
  'There is no payment that could be given back.',
  "Check the order's `payments`: only one that succeeded can be given back.",
)

export const reconciliationRunning = defineError(
  409,
  'reconciliation_running',
  'A comparison with the provider is running already.',
  'Wait for it to end, then read `GET /api/system/reconciliation`.',
)

export const reconciliationScopes = ['recent', 'wide', 'requested'] as const
export type ReconciliationScope = (typeof reconciliationScopes)[number]

const reconciliationStatuses = ['running', 'completed', 'failed'] as const
export type ReconciliationStatus = (typeof reconciliationStatuses)[number]

export const differenceKinds = [
  'missing_here',
  'missing_at_provider',
  'currency_differs',
  'amount_differs',
  'status_differs',
  'ledger_differs',
  'not_processed',
] as const
export type DifferenceKind = (typeof differenceKinds)[number]

export const differenceObjects = ['payment', 'refund', 'dispute', 'order', 'event'] as const
export type DifferenceObject = (typeof differenceObjects)[number]

export const ReconciliationCounts = Type.Object({
  payments: Type.Integer(),
  refunds: Type.Integer(),
  disputes: Type.Integer(),
  orders: Type.Integer({ description: 'whose columns were compared with their own ledger' }),
  foreign: Type.Integer({ description: 'objects of the account that are not ours' }),
  differences: Type.Integer(),
  healed: Type.Integer(),
})
export type ReconciliationCounts = Static<typeof ReconciliationCounts>

export const Reconciliation = Type.Object({
  id: idOf('rec'),
  scope: oneOf(reconciliationScopes),
  status: oneOf(reconciliationStatuses),
  window: Type.Object({ from: Instant, to: Instant }, { description: 'made in this time' }),
  partial: Type.Boolean({ description: 'a bound was met: the rest is for another run' }),
  counts: ReconciliationCounts,
  output: nullable(Type.String()),
  version: Type.Integer(),
  startedAt: Instant,
  finishedAt: nullable(Instant),
})
export type Reconciliation = Static<typeof Reconciliation>

/** What one side has; an order shows what was given back as well. */
export const DifferenceSide = Type.Object({
  status: Type.String(),
  amount: Type.Optional(Money),
  refunded: Type.Optional(Money),
})
export type DifferenceSide = Static<typeof DifferenceSide>

export const Difference = Type.Object({
  id: idOf('diff'),
  reconciliationId: idOf('rec'),
  kind: oneOf(differenceKinds),
  object: oneOf(differenceObjects),
  objectId: nullable(Type.String({ description: 'of our own row' })),
  orderId: nullable(Type.String()),
  providerRef: nullable(Type.String()),
  ours: nullable(DifferenceSide),
  theirs: nullable(DifferenceSide),
  healed: Type.Boolean({ description: 'both sides agree since the run has looked' }),
  suggestion: Type.String(),
  createdAt: Instant,
})
export type Difference = Static<typeof Difference>

export const DifferenceFilters = strictObject({
  reconciliationId: Type.Optional(idOf('rec')),
  kind: Type.Optional(oneOf(differenceKinds)),
  object: Type.Optional(oneOf(differenceObjects)),
  healed: Type.Optional(Type.Boolean()),
})
export type DifferenceFilters = Static<typeof DifferenceFilters>

export const ReconciliationReport = Type.Object({
  latest: nullable(Reconciliation),
  latestWide: nullable(Reconciliation),
  differences: Type.Array(Difference, {
    description: 'the open ones of `latest` and `latestWide`, each thing once; 100 at most',
  }),
  runs: Type.Array(Reconciliation, { description: 'newest first, 10 at most' }),
  output: Type.String(),
})
export type ReconciliationReport = Static<typeof ReconciliationReport>

export const RequestReconciliation = strictObject({
  days: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 90, description: 'how far back; 3 when absent' }),
  ),
})
export type RequestReconciliation = Static<typeof RequestReconciliation>

export const exampleReconciliation = {
  id: 'rec_01jd8q9yg8e5v9c0m4t7k2x3zj',
  scope: 'recent',
  status: 'completed',
  window: { from: '2026-11-19T16:35:00.000Z', to: '2026-11-22T16:35:00.000Z' },
  partial: false,
  counts: {
    payments: 212,
    refunds: 9,
    disputes: 1,
    orders: 0,
    foreign: 3,
    differences: 1,
    healed: 1,
  },
  output: null,
  version: 2,
  startedAt: '2026-11-22T16:40:00.000Z',
  finishedAt: '2026-11-22T16:40:04.000Z',
}

export const exampleDifference = {
  id: 'diff_01jd8q9yg8e5v9c0m4t7k2x3zk',
  reconciliationId: exampleReconciliation.id,
  kind: 'missing_here',
  object: 'refund',
  objectId: null,
  orderId: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za',
  providerRef: 're_3QK8mTLkdIwHu7ix0cGXdfO2',
  ours: null,
  theirs: { status: 'succeeded', amount: { amount: 5000, currency: 'GBP' } },
  healed: true,
  suggestion: 'Nothing is left to do: the news was lost on its way and has been taken in.',
  createdAt: '2026-11-22T16:40:02.000Z',
}

const paidByCard = { ...examplePayment, clientSecret: null, url: null }

export const exampleCheckout = {
  order: exampleOrder,
  payment: paidByCard,
  orderToken: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za.0f6tQe5rJX2mYp3bHqv1wZ8nKd4sLc7uAgR9xTiEoUM',
}

export const exampleConfirmed = {
  order: exampleOrder,
  payment: paidByCard,
  case: exampleOrder.case,
}
