import { money } from '../../../kernel/money.ts'
import { toInstant, toInstantOrNull } from '../../../kernel/time.ts'
import { isFinal } from '../rules.ts'
import type { PayerPayment, Payment, Refund } from '../schema.ts'
import type { PaymentRow, RefundRow } from '../sql/index.ts'
import type { Ledger } from './ledger.ts'

/** A payment as everybody who may see its order sees it. */
export function renderPayment(row: PaymentRow, { disputes }: Pick<Ledger, 'disputes'>): Payment {
  const dispute = disputes.findLast((one) => one.paymentId === row.id)
  return {
    id: row.id,
    provider: row.provider,
    status: row.status,
    amount: money(row.amount, row.currency),
    providerRef: row.providerRef,
    failure: row.failure,
    dispute: dispute
      ? {
          id: dispute.id,
          status: dispute.status,
          amount: money(dispute.amount, dispute.currency),
          reason: dispute.reason,
          dueBy: toInstantOrNull(dispute.dueBy),
        }
      : null,
    createdAt: toInstant(row.createdAt),
  }
}

/** A payment with what only its payer may have. */
export function renderForPayer(row: PaymentRow, ledger: Pick<Ledger, 'disputes'>): PayerPayment {
  const { clientSecret, url } = isFinal(row.status) ? nothingToDo : row
  return { ...renderPayment(row, ledger), clientSecret, url }
}

const nothingToDo = { clientSecret: null, url: null }

export function renderRefund(row: RefundRow): Refund {
  return {
    id: row.id,
    paymentId: row.paymentId,
    amount: money(row.amount, row.currency),
    status: row.status,
    reason: row.reason,
    createdAt: toInstant(row.createdAt),
  }
}
