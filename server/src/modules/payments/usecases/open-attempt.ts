import { newId, type Id } from '../../../kernel/id.ts'
import type { Context, TxContext } from '../../../platform/context.ts'
import { factOf, type Fact } from '../../../platform/events.ts'
import * as events from '../events.ts'
import * as sql from '../sql/index.ts'
import type { PaymentRow } from '../sql/index.ts'

export interface Attempt {
  readonly orderId: Id<'ord'>
  readonly mode: 'intent' | 'hosted'
  readonly amount: number
  readonly currency: string
}

/** Writes the intent of a payment before the provider hears of it; the order's row is locked. */
export async function openAttempt(
  ctx: TxContext,
  attempt: Attempt,
): Promise<{ payment: PaymentRow; fact: Fact }> {
  const { amount, currency, mode } = attempt
  const id = newId('pay', ctx.now)
  const payment = await sql.insertPayment(
    ctx.db,
    { ...attempt, id, provider: 'stripe', status: 'pending' },
    ctx.now,
  )
  const fact = factOf(events.PaymentStarted, { paymentId: id, mode, amount, currency })
  return { payment, fact }
}

/** Money that came another way, such as by bank transfer: recorded, never sent anywhere. */
export async function recordManualPayment(
  ctx: TxContext,
  given: {
    orderId: Id<'ord'>
    amount: number
    currency: string
    reference: string
    receivedAt: Date
  },
): Promise<{ paymentId: Id<'pay'>; fact: Fact }> {
  const id = newId('pay', ctx.now)
  const { amount, currency } = given
  await sql.insertPayment(
    ctx.db,
    { ...given, id, provider: 'manual', mode: 'manual', status: 'succeeded' },
    ctx.now,
  )
  const fact = factOf(events.PaymentSucceeded, { paymentId: id, amount, currency })
  return { paymentId: id, fact: { ...fact, resourceId: id } }
}

/** An attempt that the provider never heard of: it can be ended without asking. */
export async function abandonAttempt(ctx: TxContext, payment: PaymentRow): Promise<Fact> {
  const ended = { ...payment, status: 'canceled', nextAmount: null } as const
  await sql.setPayment(ctx.db, payment, ended, ctx.now)
  const { id, amount, currency } = payment
  return factOf(events.PaymentCanceled, { paymentId: id, amount, currency })
}

/** The key of the next call for this payment: the same until the last one was answered. */
export function providerKey(
  payment: Pick<PaymentRow, 'id' | 'attempt'>,
  operation: string,
): string {
  return `${payment.id}:${operation}:${payment.attempt}`
}

export async function findLivePayment(
  ctx: Context,
  orderId: string,
): Promise<PaymentRow | undefined> {
  return await sql.findLivePayment(ctx.db, orderId)
}
