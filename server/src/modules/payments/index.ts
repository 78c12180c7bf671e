import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { revenueFigures } from './usecases/index.ts'

export const paymentsModule: Module = {
  name: 'payments',
  endpoints: [],
  events,
  listeners: [],
  jobs: [],
  figures: [revenueFigures],
}

export {
  PaymentFailed,
  PaymentFlagged,
  PaymentSucceeded,
  RefundMovedOn,
  RefundRequested,
} from './events.ts'
export {
  comparePayment,
  compareReturn,
  deriveMoney,
  isFinal,
  orderPaymentStatuses,
  type MoneyState,
  type OrderPaymentStatus,
} from './rules.ts'
export { examplePayment, exampleRefund, PayerPayment, Payment, Refund } from './schema.ts'
export {
  beginStep,
  endStep,
  findDisputesByRef,
  findPayment,
  findPayments,
  findRefund,
  findRefundsByRef,
  listDisputesMade,
  listPaymentsMade,
  listRefundsMade,
  listStalePayments,
  listStaleRefunds,
  lockPayment,
  lockRefund,
  raiseRefundAttempt,
  touchPayment,
  touchRefund,
  type DisputeRow,
  type MadePosition,
  type PaymentRow,
  type RefundRow,
  type StepEnd,
} from './sql/index.ts'
export {
  abandonAttempt,
  adoptDispute,
  adoptRefund,
  applyObservation,
  applyRefundObservation,
  findLivePayment,
  flagPayment,
  getLedger,
  getLedgerFacts,
  getLedgerFactsOf,
  ledgerOf,
  openAttempt,
  providerKey,
  recordManualPayment,
  refundableOf,
  renderForPayer,
  renderPayment,
  renderRefund,
  reserveFullRefund,
  reserveRefund,
  type Ledger,
} from './usecases/index.ts'
