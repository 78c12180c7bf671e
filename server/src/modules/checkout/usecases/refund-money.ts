import { present } from '../../../kernel/assert.ts'
import { invalidInputAt, notFound } from '../../../kernel/errors.ts'
import { dayMs, hourMs } from '../../../kernel/time.ts'
import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import { ProviderError, type ObservedRefund } from '../../../platform/stripe.ts'
import { lockOrder, requireOwnOrder, writeLedger, type OrderRow } from '../../orders/index.ts'
import {
  findPayment,
  findRefund,
  getLedger,
  providerKey,
  raiseRefundAttempt,
  refundableOf,
  renderRefund,
  reserveRefund,
  type Refund,
  type RefundRow,
} from '../../payments/index.ts'
import {
  nothingToRefund,
  paymentChoiceRequired,
  refundTooLarge,
  tooManyRefunds,
  wrongCurrency,
  type RequestRefund,
} from '../schema.ts'
import { settleRefund } from './settle-payment.ts'

/** Reserves the sum under the order's lock, then asks the provider; pending until it answers. */
export async function requestRefund(
  ctx: AppContext,
  idOrNumber: string,
  input: RequestRefund,
): Promise<Refund> {
  if (input.amount.amount < 1) {
    throw invalidInputAt({ pointer: '/amount/amount', code: 'minimum', message: 'must be >= 1' })
  }
  const { id } = await requireOwnOrder(ctx, idOrNumber)
  const refund = await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, id)
    if (!order) throw nothingToRefund()
    return await reserve(ctx, order, input)
  })
  // A provider that does not answer leaves the refund pending: its job goes on trying.
  await sendRefund(ctx, refund).catch((error: unknown) => {
    ctx.log.warn({ err: error, refundId: refund.id }, 'refund not sent yet')
  })
  return await getRefund(ctx, id, refund.id)
}

/** A refund of an order that the actor may see. */
export async function getRefund(
  ctx: AppContext,
  idOrNumber: string,
  refundId: string,
): Promise<Refund> {
  const { id } = await requireOwnOrder(ctx, idOrNumber)
  const found = await findRefund(ctx.db, id, refundId)
  if (!found) throw notFound({ detail: 'There is no such refund.' })
  return renderRefund(found)
}

/** Sends a reserved refund to the provider. It bears to be run twice: its key is its own. */
export async function sendRefund(
  ctx: AppContext,
  { orderId, id }: { orderId: string; id: string },
): Promise<void> {
  const refund = await findRefund(ctx.db, orderId, id)
  if (!refund || refund.status !== 'pending' || refund.providerRef !== null) return
  const payment = await findPayment(ctx.db, orderId, refund.paymentId)
  const intentRef = present(payment?.intentRef, 'the intent of a payment that is given back')
  const sent = isKeyForgotten(ctx, refund) ? await findSent(ctx, refund, intentRef) : undefined
  const seen = sent ?? (await callProvider(ctx, refund, intentRef))
  await settleRefund(ctx, { orderId, refundId: id }, seen)
}

/** The provider forgets keys after 24 hours: an older refund is looked for before it is repeated. */
function isKeyForgotten({ now }: AppContext, { createdAt }: RefundRow): boolean {
  return now.getTime() - createdAt.getTime() >= dayMs - hourMs
}

async function findSent(
  ctx: AppContext,
  refund: RefundRow,
  intentRef: string,
): Promise<ObservedRefund | undefined> {
  const sent = await ctx.stripe.listRefunds(intentRef)
  return sent.find((one) => one.refundId === refund.id)
}

type RefundOutcome = Pick<ObservedRefund, 'status'> & { ref: string | null }

async function callProvider(
  ctx: AppContext,
  refund: RefundRow,
  intentRef: string,
): Promise<RefundOutcome> {
  const { orderId, id, paymentId, amount, attempt } = refund
  const key = providerKey({ id: paymentId, attempt }, `refund-${id}`)
  try {
    return await ctx.stripe.createRefund({ intentRef, amount, orderId, refundId: id }, key)
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    if (error.kind === 'erred') return await afterError(ctx, { refund, intentRef, error })
    if (error.kind !== 'refused') throw error
    ctx.log.error({ err: error, refundId: id }, 'the provider refused a refund')
    // It will not come: the sum is free again, and the order's history shows it.
    return { ref: null, status: 'failed' }
  }
}

/** The provider keeps its own failure under the key: seen not to have happened, it gets another. */
async function afterError(
  ctx: AppContext,
  given: { refund: RefundRow; intentRef: string; error: ProviderError },
): Promise<RefundOutcome> {
  const { refund, intentRef, error } = given
  const sent = await findSent(ctx, refund, intentRef)
  if (sent) return sent
  await raiseRefundAttempt(ctx.db, refund)
  throw error
}

/** Far more than anybody needs, and few enough to read them all with their order. */
const maxRefunds = 200

async function reserve(
  ctx: TxContext,
  order: OrderRow,
  { amount, reason, paymentId }: RequestRefund,
): Promise<RefundRow> {
  if (amount.currency !== order.currency) {
    throw wrongCurrency({ members: { currency: order.currency } })
  }
  const ledger = await getLedger(ctx.db, order.id)
  if (ledger.refunds.length >= maxRefunds) throw tooManyRefunds()
  const refundable = ledger.payments.filter((payment) => refundableOf(payment, ledger) > 0)
  const chosen = paymentId
    ? refundable.find((payment) => payment.id === paymentId)
    : refundable.length === 1
      ? refundable[0]
      : undefined
  if (!chosen) {
    if (paymentId || refundable.length === 0) throw nothingToRefund()
    throw paymentChoiceRequired({ members: { payments: refundable.map(({ id }) => id) } })
  }
  const limit = refundableOf(chosen, ledger)
  if (amount.amount > limit) {
    throw refundTooLarge({ members: { refundable: { ...amount, amount: limit } } })
  }
  const reserved = await reserveRefund(ctx, chosen, { amount: amount.amount, reason })
  await writeLedger(ctx, order, reserved.facts)
  return reserved.refund
}
