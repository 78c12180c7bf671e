import { inTx, type AppContext } from '../../../platform/context.ts'
import type { ObservedRefund } from '../../../platform/stripe.ts'
import { lockOrder, writeLedger } from '../../orders/index.ts'
import {
  adoptDispute,
  adoptRefund,
  findPayment,
  getLedger,
  type PaymentRow,
} from '../../payments/index.ts'
import { observe } from './call-provider.ts'
import { bookRefund, settlePayment } from './settle-payment.ts'

/** The attempt that an object belongs to, settled; false for one that is not ours. */
export async function settleObject(ctx: AppContext, ref: string): Promise<boolean> {
  const seen = await ctx.stripe.retrievePayment(ref)
  const payment = await findOwn(ctx, seen)
  if (!payment) return false
  if (payment.mode === 'hosted' && ref.startsWith('pi_')) await observeSession(ctx, payment)
  else await settlePayment(ctx, payment, { seen })
  return true
}

/** The row of a hosted attempt names its session: the news of its intent is read through that. */
async function observeSession(ctx: AppContext, payment: PaymentRow): Promise<void> {
  // The event has overtaken the answer to the session's creation: its job comes again.
  if (payment.providerRef === null) throw new Error(`${payment.id} does not know its session yet`)
  await observe(ctx, payment)
}

async function findOwn(
  ctx: AppContext,
  { orderId, paymentId }: { orderId: string | null; paymentId: string | null },
): Promise<PaymentRow | undefined> {
  if (orderId === null || paymentId === null) return undefined
  return await findPayment(ctx.db, orderId, paymentId)
}

/** All refunds of an intent, so that none is missed; false where its payment is not in our books. */
export async function settleRefundsOf(ctx: AppContext, intentRef: string | null): Promise<boolean> {
  const payment = await settleFirst(ctx, intentRef)
  if (!payment || intentRef === null) return false
  const { refunds: known } = await getLedger(ctx.db, payment.orderId)
  const booked = new Set(known.map((one) => `${one.providerRef} ${one.status}`))
  for (const seen of await ctx.stripe.listRefunds(intentRef)) {
    // Each of many refunds has its own events: those that are over are not settled at each of them.
    const isBooked = seen.status === 'succeeded' && booked.has(`${seen.ref} ${seen.status}`)
    if (!isBooked) await settleOneRefund(ctx, payment, seen)
  }
  return true
}

async function settleOneRefund(
  ctx: AppContext,
  payment: PaymentRow,
  seen: ObservedRefund,
): Promise<void> {
  await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, payment.orderId)
    if (!order) return
    const { refunds } = await getLedger(ctx.db, payment.orderId)
    const known = refunds.find((one) => one.providerRef === seen.ref || one.id === seen.refundId)
    if (known) return await bookRefund(ctx, { order, refund: known }, seen)
    await writeLedger(ctx, order, await adoptRefund(ctx, payment, seen))
  })
}

/** A dispute and the payment that it is about; false where that is not in our books. */
export async function settleDispute(ctx: AppContext, disputeRef: string): Promise<boolean> {
  const seen = await ctx.stripe.retrieveDispute(disputeRef)
  const payment = await settleFirst(ctx, seen.intentRef)
  if (!payment) return false
  await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, payment.orderId)
    if (!order) return
    const facts = await adoptDispute(ctx, payment, seen)
    if (facts.length > 0) await writeLedger(ctx, order, facts)
  })
  return true
}

/** Money goes back only after it came: the payment itself is brought up to date before. */
async function settleFirst(
  ctx: AppContext,
  intentRef: string | null,
): Promise<PaymentRow | undefined> {
  if (intentRef === null || !(await settleObject(ctx, intentRef))) return undefined
  const payment = await findOwn(ctx, await ctx.stripe.retrievePayment(intentRef))
  // What our books did not take in cannot go out of them.
  return payment?.status === 'succeeded' ? payment : undefined
}
