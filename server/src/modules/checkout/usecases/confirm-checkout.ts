import type { AppContext } from '../../../platform/context.ts'
import { readWhole, renderCase, requireOwnOrder, type OrderRow } from '../../orders/index.ts'
import {
  getLedger,
  isFinal,
  renderForPayer,
  type Ledger,
  type PaymentRow,
} from '../../payments/index.ts'
import {
  orderNotPayable,
  paymentActionRequired,
  paymentNotCompleted,
  paymentNotStarted,
  type ConfirmReply,
} from '../schema.ts'
import { observe, toPublicFailure } from './call-provider.ts'

export type ConfirmOutcome =
  | { readonly outcome: 'paid'; readonly reply: ConfirmReply }
  /** The bank has it: the outcome comes later, by webhook or reconciliation. */
  | { readonly outcome: 'processing'; readonly reply: ConfirmReply }

/**
 * Says how the payment of an order stands. The provider is asked, the client never believed; an
 * order that is paid answers the same again and again.
 */
export async function confirmCheckout(
  ctx: AppContext,
  idOrNumber: string,
): Promise<ConfirmOutcome> {
  const found = await requireOwnOrder(ctx, idOrNumber)
  if (!isPaid(found)) await askProvider(ctx, found)
  const order = await requireOwnOrder(ctx, found.id)
  const ledger = await getLedger(ctx.db, order.id)
  const payment = ledger.payments.findLast((one) => one.provider === 'stripe')
  if (isPaid(order)) return { outcome: 'paid', reply: await toReply(ctx, order, ledger) }
  if (payment?.status === 'processing') {
    return { outcome: 'processing', reply: await toReply(ctx, order, ledger) }
  }
  throw reasonOf(order, payment)
}

async function askProvider(ctx: AppContext, { id }: OrderRow): Promise<void> {
  const { payments } = await getLedger(ctx.db, id)
  const payment = payments.findLast((one) => one.provider === 'stripe')
  if (!payment || isFinal(payment.status) || !ctx.stripe.enabled) return
  try {
    await observe(ctx, payment)
  } catch (error) {
    throw toPublicFailure(error)
  }
}

function reasonOf(order: OrderRow, payment: PaymentRow | undefined): Error {
  if (order.status === 'cancelled')
    return orderNotPayable({ members: { orderStatus: order.status } })
  // One that was ended without a word of the bank, as by a change of mode, is as good as none.
  const isEnded = payment?.status === 'canceled' && payment.failure === null
  if (!payment || isEnded) return paymentNotStarted()
  if (payment.status === 'requires_action') {
    return paymentActionRequired({
      members: { clientSecret: payment.clientSecret, url: payment.url, paymentId: payment.id },
    })
  }
  return paymentNotCompleted({
    members: {
      paymentId: payment.id,
      declineCode: payment.failure?.declineCode ?? null,
      failure: payment.failure,
    },
  })
}

/** An order is confirmed by nothing but its payment, and stays so if the money is disputed later. */
function isPaid({ status }: OrderRow): boolean {
  return status !== 'pending' && status !== 'cancelled'
}

async function toReply(ctx: AppContext, row: OrderRow, ledger: Ledger): Promise<ConfirmReply> {
  const payment = ledger.payments.findLast((one) => one.status !== 'canceled')
  return {
    order: await readWhole(ctx, row, ledger),
    payment: payment ? renderForPayer(payment, ledger) : null,
    case: renderCase(row),
  }
}
