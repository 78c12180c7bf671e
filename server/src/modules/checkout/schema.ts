import { Type, type Static } from 'typebox'
import { secret } from '../../http/compile.ts'
import { defineError } from '../../kernel/errors.ts'
import { idOf, Instant, MoneyInput, nullable, oneOf, strictObject } from '../../kernel/shapes.ts'
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
)
export const providerUnavailable = defineError(
  503,
  'payment_provider_unavailable',
  'The payment provider does not answer. Nothing is lost: try again shortly.',
)
export const orderNotPayable = defineError(
  409,
  'order_not_payable',
  'This order cannot be paid: it is paid already, or closed.',
)
export const paymentInProgress = defineError(
  409,
  'payment_in_progress',
  'Another payment of this order is under way.',
)
export const paymentNotStarted = defineError(
  409,
  'payment_not_started',
  'No payment was started for this order.',
)
export const paymentActionRequired = defineError(
  402,
  'payment_action_required',
  'The bank wants the payer to prove who they are.',
)
export const paymentNotCompleted = defineError(
  402,
  'payment_not_completed',
  'The payment was not completed. Another card may be tried.',
)
export const amountTooSmall = defineError(
  422,
  'amount_too_small',
  'The amount is below what the payment provider takes.',
)
export const paymentRefused = defineError(
  422,
  'payment_refused',
  'The payment provider refused the request.',
)
export const invalidSignature = defineError(
  400,
  'invalid_signature',
  'The signature of the event is missing, wrong or too old.',
)
export const overpayment = defineError(
  409,
  'overpayment',
  'The amount is more than what is outstanding.',
)
export const wrongCurrency = defineError(
  422,
  'wrong_currency',
  'The amount must be in the currency of the order.',
)
export const refundTooLarge = defineError(
  409,
  'refund_too_large',
  'The amount is more than what can still be given back.',
)
export const paymentChoiceRequired = defineError(
  409,
  'payment_choice_required',
  'The order has more than one refundable payment: name one (`paymentId`).',
)
export const tooManyRefunds = defineError(
  409,
  'too_many_refunds',
  'The order has 200 refunds already: no more can be made.',
)
export const nothingToRefund = defineError(
  409,
  'nothing_to_refund',
  'There is no payment that could be given back.',
)

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
