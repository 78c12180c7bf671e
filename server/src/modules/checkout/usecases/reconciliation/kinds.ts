import { hourMs, later } from '../../../../kernel/time.ts'
import type {
  ObservedDispute,
  ObservedPayment,
  ObservedRefund,
} from '../../../../platform/stripe.ts'
import {
  comparePayment,
  compareReturn,
  findDisputesByRef,
  findPayments,
  findRefundsByRef,
  listDisputesMade,
  listPaymentsMade,
  listRefundsMade,
  type DisputeRow,
  type PaymentRow,
  type RefundRow,
} from '../../../payments/index.ts'
import { settleDispute, settleRefundsOf } from '../settle-object.ts'
import { settlePayment } from '../settle-payment.ts'
import type { Comparison, Subject } from './compare.ts'

/** Intents against attempts. What a hosted page has of an intent is read through its session. */
export const payments: Comparison<ObservedPayment, PaymentRow> = {
  object: 'payment',
  counted: 'payments',
  list: (ctx, request) => ctx.stripe.listPayments(request),
  listOurs: listPaymentsMade,
  find: findPayments,
  isFor: (row, { orderId, paymentId }) => row.orderId === orderId && row.id === paymentId,
  // Without an intent there is no money on either side.
  toSubject: ({ orderId, id, intentRef }) =>
    intentRef === null ? undefined : { orderId, paymentId: id, ref: intentRef },
  // A creation that had no answer is repeated or given up by the minute's reconciliation.
  isOverdue: () => false,
  refToAsk: ({ ref }, row) =>
    row && isOfRow(row, ref) && row.providerRef !== null ? row.providerRef : ref,
  ask: (ctx, ref) => ctx.stripe.retrievePayment(ref),
  compare: (row, seen) => {
    if (!row) return 'missing_here'
    if (isOfRow(row, seen.intentRef)) return comparePayment(row, seen)
    // A doubtful creation was repeated: the first object never took money, unless this one did.
    return seen.status === 'succeeded' || seen.status === 'processing' ? 'missing_here' : null
  },
  settle: async (ctx, row, seen) => {
    if (row) await settlePayment(ctx, row, { seen })
  },
}

export const refunds: Comparison<ObservedRefund, RefundRow> = {
  object: 'refund',
  counted: 'refunds',
  list: (ctx, request) => ctx.stripe.listAllRefunds(request),
  listOurs: listRefundsMade,
  find: findRefundsByRef,
  isFor: isNamed,
  toSubject: toSubjectByRef,
  isOverdue: ({ status, createdAt }, now) =>
    status === 'pending' && createdAt < later(now, -hourMs),
  refToAsk: ({ ref }) => ref,
  ask: (ctx, ref) => ctx.stripe.retrieveRefund(ref),
  compare: (row, seen) => (row ? compareReturn(row, seen) : 'missing_here'),
  settle: (ctx, _row, seen) => settleRefundsOf(ctx, seen.intentRef),
}

export const disputes: Comparison<ObservedDispute, DisputeRow> = {
  object: 'dispute',
  counted: 'disputes',
  list: (ctx, request) => ctx.stripe.listDisputes(request),
  listOurs: listDisputesMade,
  find: findDisputesByRef,
  isFor: isNamed,
  toSubject: toSubjectByRef,
  isOverdue: () => false,
  refToAsk: ({ ref }) => ref,
  ask: (ctx, ref) => ctx.stripe.retrieveDispute(ref),
  compare: (row, seen) => (row ? compareReturn(row, seen) : 'missing_here'),
  settle: (ctx, _row, seen) => settleDispute(ctx, seen.ref),
}

/** Whether the row is about this intent, or does not know its own yet. */
function isOfRow({ intentRef }: PaymentRow, ref: string | null): boolean {
  return intentRef === null || intentRef === ref
}

interface NamedRow {
  readonly orderId: string
  readonly paymentId: string
  readonly providerRef: string | null
}

function isNamed(row: NamedRow, { orderId, ref }: Subject): boolean {
  return row.orderId === orderId && row.providerRef === ref
}

/** One that was not sent yet, or was given back by hand, has nothing at the provider. */
function toSubjectByRef({ orderId, paymentId, providerRef }: NamedRow): Subject | undefined {
  return providerRef === null ? undefined : { orderId, paymentId, ref: providerRef }
}
