import type { Module } from '../../http/module.ts'
import { events } from './events.ts'

export const paymentsModule: Module = {
  name: 'payments',
  endpoints: [],
  events,
  listeners: [],
  jobs: [],
}

export { RefundRequested, PaymentSucceeded } from './events.ts'
export { deriveMoney, isFinal, orderPaymentStatuses, type OrderPaymentStatus } from './rules.ts'
export { examplePayment, exampleRefund, PayerPayment, Payment, Refund } from './schema.ts'
export {
  beginStep,
  endStep,
  findPayment,
  findRefund,
  listStalePayments,
  listStaleRefunds,
  lockPayment,
  lockRefund,
  raiseRefundAttempt,
  touchPayment,
  touchRefund,
  type PaymentRow,
  type RefundRow,
} from './sql.ts'
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
