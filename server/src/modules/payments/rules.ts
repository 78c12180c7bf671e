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
  readonly mode: 'intent' | 'hosted' | 'manual'
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
  const isNamed = payment.providerRef === null || payment.providerRef === seen.ref
  if (!isNamed || !seen.ref.startsWith(refPrefixes[payment.mode])) return 'other_object'
  if (seen.paymentId !== payment.id || seen.orderId !== payment.orderId) return 'other_payment'
  if (seen.currency !== payment.currency) return 'other_currency'
  return !isMoney(seen.status) || fitsAmount(payment, seen) ? null : 'other_amount'
}

/** While a change of the amount is under way either may be the one that was paid. */
export function fitsAmount(
  payment: Pick<ExpectedPayment, 'amount' | 'nextAmount'>,
  seen: Pick<Observation, 'amount'>,
): boolean {
  return seen.amount === payment.amount || seen.amount === payment.nextAmount
}

/** Only money can be wrong money: before it comes, a look may be older than a change. */
function isMoney(status: PaymentStatus): boolean {
  return status === 'succeeded' || status === 'processing'
}

/** What an attempt's object is called at the provider; a manual payment has none. */
const refPrefixes = { intent: 'pi_', hosted: 'cs_', manual: '-' } as const

/**
 * Whether what was just seen may replace what we have. Final states stay, and `pending` is the
 * beginning: seen later, it was asked for before something that we know already, but for an attempt
 * that is begun anew.
 */
export function supersedes(current: PaymentStatus, seen: PaymentStatus): boolean {
  if (isFinal(current)) return false
  return seen !== 'pending' || current === 'pending'
}

/**
 * Whether a change of the amount has begun the attempt anew: the provider then forgets the decline
 * of a card, or the bank that wanted to see the payer.
 */
export function isBegunAnew(
  payment: Pick<ExpectedPayment, 'status' | 'nextAmount'>,
  seen: Pick<Observation, 'status' | 'amount'>,
): boolean {
  const hasStopped = payment.status === 'requires_action' || payment.status === 'failed'
  return hasStopped && seen.status === 'pending' && seen.amount === payment.nextAmount
}

/**
 * The same for a refund: `failed` and `canceled` are final, and money that went out may still come
 * back from the bank, but never waits to be sent again.
 */
export function refundSupersedes(current: RefundStatus, seen: RefundStatus): boolean {
  if (current === 'failed' || current === 'canceled') return false
  return current !== 'succeeded' || (seen !== 'pending' && seen !== 'requires_action')
}

/** The same for a dispute: it is over once it is won or lost. */
export function disputeSupersedes(current: string): boolean {
  return current !== 'won' && current !== 'lost'
}

/** How our row and the provider's object differ. */
export type MoneyDifference = 'currency_differs' | 'amount_differs' | 'status_differs'

type Judged<Status> = {
  readonly status: Status
  readonly amount: number
  readonly currency: string
}

/**
 * How an attempt differs from its object; null where they agree. Before money comes only news that
 * the row should take is a difference: two looks at one object may be of different moments.
 */
export function comparePayment(
  row: Pick<ExpectedPayment, 'nextAmount' | 'providerRef'> & Judged<PaymentStatus>,
  seen: Judged<PaymentStatus>,
): MoneyDifference | null {
  if (row.currency !== seen.currency) return 'currency_differs'
  const isPaidHere = row.status === 'succeeded'
  if (isPaidHere !== (seen.status === 'succeeded')) return 'status_differs'
  if (isPaidHere) return row.amount === seen.amount ? null : 'amount_differs'
  if (row.status === 'canceled') {
    // One without a reference was given up before anybody could have paid it.
    return seen.status === 'canceled' || row.providerRef === null ? null : 'status_differs'
  }
  if (row.status !== seen.status && supersedes(row.status, seen.status)) return 'status_differs'
  return row.nextAmount !== null || row.amount === seen.amount ? null : 'amount_differs'
}

/** The same for a refund and for a dispute: each state of theirs means something for the books. */
export function compareReturn(row: Judged<string>, seen: Judged<string>): MoneyDifference | null {
  if (row.currency !== seen.currency) return 'currency_differs'
  if (row.amount !== seen.amount) return 'amount_differs'
  return row.status === seen.status ? null : 'status_differs'
}
