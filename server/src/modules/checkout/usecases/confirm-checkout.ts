import type { AppContext } from '../../../platform/context.ts'
import {
  readWhole,
  renderCase,
  requireOwnOrder,
  type OrderRow,
  type WholeOrder,
} from '../../orders/index.ts'
import { getLedger, isFinal, renderForPayer, type PaymentRow } from '../../payments/index.ts'
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
  const row = isPaid(found) ? found : await askProvider(ctx, found)
  const whole = await readWhole(ctx, row)
  if (isPaid(row)) return { outcome: 'paid', reply: toReply(row, whole) }
  const payment = whole.ledger.payments.findLast((one) => one.provider === 'stripe')
  if (payment?.status === 'processing') {
    return { outcome: 'processing', reply: toReply(row, whole) }
  }
  throw reasonOf(row, payment)
}

/** Returns the order as it is after the provider's word. */
async function askProvider(ctx: AppContext, found: OrderRow): Promise<OrderRow> {
  await observeLatest(ctx, found)
  return await requireOwnOrder(ctx, found.id)
}

async function observeLatest(ctx: AppContext, { id }: OrderRow): Promise<void> {
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

function toReply(row: OrderRow, { order, ledger }: WholeOrder): ConfirmReply {
  const payment = ledger.payments.findLast((one) => one.status !== 'canceled')
  return {
    order,
    payment: payment ? renderForPayer(payment, ledger) : null,
    case: renderCase(row),
  }
}
