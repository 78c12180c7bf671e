import { Type, type Static } from 'typebox'
import { secret } from '../../http/compile.ts'
import { idOf, Instant, Money, nullable, oneOf } from '../../kernel/shapes.ts'

export const paymentStatuses = [
  'pending',
  'requires_action',
  'processing',
  'failed',
  'succeeded',
  'canceled',
] as const
export type PaymentStatus = (typeof paymentStatuses)[number]

export const refundStatuses = [
  'pending',
  'requires_action',
  'succeeded',
  'failed',
  'canceled',
] as const
export type RefundStatus = (typeof refundStatuses)[number]

export const PaymentFailure = Type.Object({
  code: Type.String(),
  declineCode: nullable(Type.String()),
  message: Type.String(),
})
export type PaymentFailure = Static<typeof PaymentFailure>

export const Dispute = Type.Object({
  id: idOf('dsp'),
  status: Type.String(),
  amount: Money,
  reason: Type.String(),
  dueBy: nullable(Instant),
})

const paymentMembers = {
  id: idOf('pay'),
  provider: oneOf(['stripe', 'manual']),
  status: oneOf(paymentStatuses),
  amount: Money,
  providerRef: nullable(Type.String()),
  failure: nullable(PaymentFailure),
  dispute: nullable(Dispute),
  createdAt: Instant,
}

/** A payment as everybody who may see the order sees it. */
export const Payment = Type.Object(paymentMembers)
export type Payment = Static<typeof Payment>

/** A payment as its payer sees it: with what the browser needs to complete it. */
export const PayerPayment = Type.Object({
  ...paymentMembers,
  clientSecret: secret(nullable(Type.String({ description: 'of mode intent: for the browser' }))),
  url: secret(nullable(Type.String({ description: 'of mode hosted: the page to pay on' }))),
})
export type PayerPayment = Static<typeof PayerPayment>

export const Refund = Type.Object({
  id: idOf('ref'),
  paymentId: idOf('pay'),
  amount: Money,
  status: oneOf(refundStatuses),
  reason: Type.String(),
  createdAt: Instant,
})
export type Refund = Static<typeof Refund>

export const examplePayment = {
  id: 'pay_01jd8q9yg8e5v9c0m4t7k2x3zb',
  provider: 'stripe',
  status: 'succeeded',
  amount: { amount: 19_900, currency: 'GBP' },
  providerRef: 'pi_3QK8mTLkdIwHu7ix0cGXdfO2',
  failure: null,
  dispute: null,
  createdAt: '2026-11-22T16:40:21.000Z',
}

export const exampleRefund = {
  id: 'ref_01jd8q9yg8e5v9c0m4t7k2x3zc',
  paymentId: examplePayment.id,
  amount: { amount: 5000, currency: 'GBP' },
  status: 'succeeded',
  reason: 'Part not delivered',
  createdAt: '2026-11-24T09:12:03.000Z',
}
