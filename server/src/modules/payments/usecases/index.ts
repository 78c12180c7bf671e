export { adoptDispute } from './dispute.ts'
export { revenueFigures } from './figures.ts'
export { getLedger, getLedgerFacts, getLedgerFactsOf, ledgerOf, type Ledger } from './ledger.ts'
export { applyObservation, flagPayment } from './observe-payment.ts'
export {
  abandonAttempt,
  findLivePayment,
  openAttempt,
  providerKey,
  recordManualPayment,
} from './open-attempt.ts'
export {
  adoptRefund,
  applyRefundObservation,
  refundableOf,
  reserveFullRefund,
  reserveRefund,
} from './refund.ts'
export { renderForPayer, renderPayment, renderRefund } from './render.ts'
