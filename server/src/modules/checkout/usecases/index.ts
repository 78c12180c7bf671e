export { adjustLivePayment } from './adjust-payment.ts'
export { confirmCheckout } from './confirm-checkout.ts'
export { expireOrders, reconcile } from './keep-books.ts'
export { processCheckout, restoreSecrets, resumeCheckout } from './process-checkout.ts'
export {
  getReconciliation,
  getReport,
  listDifferences,
  pruneReconciliations,
} from './reconciliation/read-report.ts'
export {
  reconcileLedger,
  requestedReconciliationJob,
  requestReconciliation,
  runRequested,
} from './reconciliation/reconcile-ledger.ts'
export {
  fetchEvents,
  handleEvent,
  handleEventJob,
  pruneEvents,
  receiveEvent,
} from './receive-event.ts'
export { getPayment, locateOrder, recordPayment } from './record-payment.ts'
export { paymentFigures, paymentsCheck } from './watch-payments.ts'
export { getRefund, requestRefund, sendRefund } from './refund-money.ts'
