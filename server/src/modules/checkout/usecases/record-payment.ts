import { invalidInputAt, notFound } from '../../../kernel/errors.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { lockOrder, requireOwnOrder, settleLedger } from '../../orders/index.ts'
import {
  findPayment,
  recordManualPayment,
  renderPayment,
  type Payment,
} from '../../payments/index.ts'
import { orderNotPayable, overpayment, wrongCurrency, type RecordPayment } from '../schema.ts'

/** Money that came by hand; an order that it completes confirms itself. */
export async function recordPayment(
  ctx: AppContext,
  idOrNumber: string,
  { amount, reference, receivedAt }: RecordPayment,
): Promise<Payment> {
  if (amount.amount < 1) {
    throw invalidInputAt({ pointer: '/amount/amount', code: 'minimum', message: 'must be >= 1' })
  }
  const { id } = await requireOwnOrder(ctx, idOrNumber)
  const paymentId = await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, id)
    if (!order) throw notFound({ detail: 'There is no such order.' })
    if (order.status === 'cancelled')
      throw orderNotPayable({ members: { orderStatus: order.status } })
    if (amount.currency !== order.currency) {
      throw wrongCurrency({ members: { currency: order.currency } })
    }
    const outstanding = order.total - order.paid
    if (amount.amount > outstanding) {
      throw overpayment({ members: { outstanding: { ...amount, amount: outstanding } } })
    }
    const recorded = await recordManualPayment(ctx, {
      orderId: order.id,
      amount: amount.amount,
      currency: order.currency,
      reference,
      receivedAt: receivedAt ? new Date(receivedAt) : ctx.now,
    })
    await settleLedger(ctx, order, [recorded.fact])
    return recorded.paymentId
  })
  return await getPayment(ctx, id, paymentId)
}

/** A payment of an order that the actor may see. */
export async function getPayment(
  ctx: AppContext,
  idOrNumber: string,
  paymentId: string,
): Promise<Payment> {
  const { id } = await requireOwnOrder(ctx, idOrNumber)
  const found = await findPayment(ctx.db, id, paymentId)
  if (!found) throw notFound({ detail: 'There is no such payment.' })
  return renderPayment(found, { disputes: [] })
}

/** The address of an order that the actor may see, by its id. */
export async function locateOrder(ctx: AppContext, idOrNumber: string): Promise<string> {
  const { id } = await requireOwnOrder(ctx, idOrNumber)
  return `/api/orders/${id}`
}
