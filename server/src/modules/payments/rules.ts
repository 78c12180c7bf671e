import { sum } from '../../kernel/money.ts'
import type { PaymentStatus, RefundStatus } from './schema.ts'

/** What an order's money comes to; the names are those of the wire. */
export const orderPaymentStatuses = [
  'unpaid',
  'processing',
  'failed',
  'partially_paid',
  'paid',
  'partially_refunded',
  'refunded',
  'disputed',
] as const
export type OrderPaymentStatus = (typeof orderPaymentStatuses)[number]

export interface LedgerFacts {
  readonly payments: readonly { readonly status: PaymentStatus; readonly amount: number }[]
  readonly refunds: readonly { readonly status: RefundStatus; readonly amount: number }[]
  readonly disputes: readonly { readonly status: string; readonly amount: number }[]
}

export interface MoneyState {
  readonly paid: number
  readonly refunded: number
  readonly paymentStatus: OrderPaymentStatus
}

/** The one function from the ledger to what an order shows: the first rule that holds wins. */
export function deriveMoney(total: number, ledger: LedgerFacts): MoneyState {
  const { payments, refunds, disputes } = ledger
  const captured = sum(amountsOf(payments, (status) => status === 'succeeded'))
  const lost = sum(amountsOf(disputes, (status) => status === 'lost'))
  const paid = Math.max(0, captured - lost)
  const refunded = sum(amountsOf(refunds, (status) => status === 'succeeded'))
  const has = (status: PaymentStatus): boolean => payments.some((one) => one.status === status)
  const derive = (): OrderPaymentStatus => {
    if (disputes.some(({ status }) => isOpenDispute(status) || status === 'lost')) return 'disputed'
    if (paid > 0 && refunded >= paid) return 'refunded'
    if (refunded > 0) return 'partially_refunded'
    if (paid >= total) return 'paid'
    if (paid > 0) return 'partially_paid'
    if (has('processing')) return 'processing'
    if (has('failed')) return 'failed'
    return 'unpaid'
  }
  return { paid, refunded, paymentStatus: derive() }
}

/** Both are final at the provider too: nothing that comes later moves them. */
export function isFinal(status: PaymentStatus): boolean {
  return status === 'succeeded' || status === 'canceled'
}

/** What may still be given back of a payment: pending refunds reserve their sum. */
export function refundableAmount(
  captured: number,
  refunds: readonly { readonly status: RefundStatus; readonly amount: number }[],
): number {
  const reserved = amountsOf(refunds, (status) => status !== 'failed' && status !== 'canceled')
  return captured - sum(reserved)
}

/** Stripe's words for a dispute that is over and did not cost anything. */
const harmlessDisputes = new Set(['won', 'warning_closed', 'prevented'])

function isOpenDispute(status: string): boolean {
  return status !== 'lost' && !harmlessDisputes.has(status)
}

function amountsOf<Status extends string>(
  rows: readonly { readonly status: Status; readonly amount: number }[],
  counts: (status: Status) => boolean,
): number[] {
  return rows.filter(({ status }) => counts(status)).map(({ amount }) => amount)
}

/** Our row, as far as the provider's word is judged by it. */
export interface ExpectedPayment {
  readonly id: string
  readonly orderId: string
  readonly status: PaymentStatus
  readonly amount: number
  readonly nextAmount: number | null
  readonly currency: string
  readonly providerRef: string | null
}

/** The provider's word about one attempt object. */
export interface Observation {
  readonly ref: string
  readonly status: PaymentStatus
  readonly amount: number
  readonly currency: string
  readonly livemode: boolean
  readonly orderId: string | null
  readonly paymentId: string | null
}

/** Why an object at the provider does not pay our row; null when it fits. */
export function mismatchOf(
  payment: ExpectedPayment,
  seen: Observation,
  livemode: boolean,
): string | null {
  if (seen.livemode !== livemode) return 'other_livemode'
  if (payment.providerRef !== null && payment.providerRef !== seen.ref) return 'other_object'
  if (seen.paymentId !== payment.id || seen.orderId !== payment.orderId) return 'other_payment'
  if (seen.currency !== payment.currency) return 'other_currency'
  // While a change of the amount is under way either may be the one that was paid.
  const fits = seen.amount === payment.amount || seen.amount === payment.nextAmount
  return fits || seen.status === 'canceled' ? null : 'other_amount'
}
