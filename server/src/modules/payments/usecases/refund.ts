import { newId } from '../../../kernel/id.ts'
import { sum } from '../../../kernel/money.ts'
import type { TxContext } from '../../../platform/context.ts'
import { factOf, type Fact } from '../../../platform/events.ts'
import type { ObservedRefund } from '../../../platform/stripe.ts'
import * as events from '../events.ts'
import { refundableAmount, refundSupersedes } from '../rules.ts'
import * as sql from '../sql/index.ts'
import type { PaymentRow, RefundRow } from '../sql/index.ts'
import { getLedger, type Ledger } from './ledger.ts'

/** Reserves money to give back; the provider is told after the commit. */
export async function reserveRefund(
  ctx: TxContext,
  payment: PaymentRow,
  { amount, reason }: { amount: number; reason: string },
): Promise<{ refund: RefundRow; facts: Fact[] }> {
  const isManual = payment.provider === 'manual'
  const refund = await sql.insertRefund(
    ctx.db,
    {
      orderId: payment.orderId,
      id: newId('ref', ctx.now),
      paymentId: payment.id,
      // Money that was taken by hand is given back by hand: the refund is only recorded.
      status: isManual ? 'succeeded' : 'pending',
      amount,
      currency: payment.currency,
      reason,
      providerRef: null,
    },
    ctx.now,
  )
  const requested = {
    ...factOf(events.RefundRequested, movedRefund(refund, 'pending')),
    resourceId: refund.id,
  }
  const facts = isManual
    ? [requested, factOf(events.RefundMovedOn, movedRefund(refund, 'succeeded'))]
    : [requested]
  return { refund, facts }
}

/** Reserves all that is still refundable of every payment of the order. */
export async function reserveFullRefund(
  ctx: TxContext,
  orderId: string,
  reason: string,
): Promise<Fact[]> {
  const ledger = await getLedger(ctx.db, orderId)
  const facts: Fact[] = []
  for (const payment of ledger.payments) {
    const amount = refundableOf(payment, ledger)
    if (amount > 0) facts.push(...(await reserveRefund(ctx, payment, { amount, reason })).facts)
  }
  return facts
}

/** What may still be given back of one payment, in minor units: what a dispute took is gone. */
export function refundableOf(payment: PaymentRow, { refunds, disputes }: Ledger): number {
  if (payment.status !== 'succeeded') return 0
  const lost = disputes.filter((one) => one.paymentId === payment.id && one.status === 'lost')
  const kept = payment.amount - sum(lost.map(({ amount }) => amount))
  const own = refunds.filter((refund) => refund.paymentId === payment.id)
  return Math.max(0, refundableAmount(kept, own))
}

/** Brings our refund to what the provider says, under its lock. */
export async function applyRefundObservation(
  ctx: TxContext,
  refund: RefundRow,
  seen: Pick<ObservedRefund, 'status'> & { ref: string | null },
): Promise<Fact[]> {
  const isNew = refund.status !== seen.status || refund.providerRef !== seen.ref
  if (!isNew || !refundSupersedes(refund.status, seen.status)) {
    await sql.touchRefund(ctx.db, refund, ctx.now)
    return []
  }
  await sql.setRefund(ctx.db, refund, { status: seen.status, providerRef: seen.ref }, ctx.now)
  if (refund.status === seen.status) return []
  return [factOf(events.RefundMovedOn, movedRefund(refund, seen.status))]
}

/** A refund made in the provider's dashboard: it is in our books from now on. */
export async function adoptRefund(
  ctx: TxContext,
  payment: PaymentRow,
  seen: ObservedRefund,
): Promise<Fact[]> {
  const refund = await sql.insertRefund(
    ctx.db,
    {
      orderId: payment.orderId,
      id: newId('ref', ctx.now),
      paymentId: payment.id,
      status: seen.status,
      amount: seen.amount,
      currency: seen.currency,
      reason: 'made at the payment provider',
      providerRef: seen.ref,
    },
    ctx.now,
  )
  return [factOf(events.RefundMovedOn, movedRefund(refund, seen.status))]
}

function movedRefund(refund: RefundRow, status: RefundRow['status']) {
  const { id, paymentId, amount, currency } = refund
  return { refundId: id, paymentId, status, amount, currency }
}
