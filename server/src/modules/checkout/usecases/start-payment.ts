import { setTimeout as wait } from 'node:timers/promises'
import { hourMs, later } from '../../../kernel/time.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { ProviderError } from '../../../platform/stripe.ts'
import { lockOrder, writeLedger, type OrderRow } from '../../orders/index.ts'
import { findLivePayment, findPayment, openAttempt, type PaymentRow } from '../../payments/index.ts'
import { orderNotPayable, paymentInProgress } from '../schema.ts'
import { bringToAmount } from './adjust-payment.ts'
import { recoverStaleStep, runStep, toPublicFailure } from './call-provider.ts'
import { abandonLost, endPayment, isLost } from './end-payment.ts'
import { installationOf } from './installation.ts'

export interface PaymentWish {
  readonly mode: 'intent' | 'hosted'
  readonly successUrl: string
  readonly cancelUrl: string
}

/** Each turn brings the order one step nearer; more than these mean that others keep changing it. */
const maxTurns = 6

/**
 * The order's one live payment in the wished mode and of the outstanding amount, with its object at
 * the provider. Another mode's is ended first, and if that turns out to be paid, that wins: then,
 * as for an order that is paid already, 409 `order_not_payable`.
 */
export async function startPayment(
  ctx: AppContext,
  orderId: string,
  wish: PaymentWish,
): Promise<PaymentRow> {
  for (let turn = 1; turn <= maxTurns; turn += 1) {
    const { order, payment } = await openOrFind(ctx, orderId, wish)
    const ready = await bringNearer(ctx, { order, payment, wish, isFirstTurn: turn === 1 })
    if (ready) return ready
  }
  throw paymentInProgress({ retryAfterSeconds: 1 })
}

interface Turn {
  readonly order: OrderRow
  readonly payment: PaymentRow
  readonly wish: PaymentWish
  readonly isFirstTurn: boolean
}

/**
 * One thing that stands between the payment and the wish is done; answers the payment once nothing
 * does. What changes meanwhile is seen under the lock before a card is charged.
 */
async function bringNearer(ctx: AppContext, turn: Turn): Promise<PaymentRow | undefined> {
  const { order, payment, wish, isFirstTurn } = turn
  if (await recover(ctx, payment)) return undefined
  if (payment.providerRef === null) {
    if (!isLost(ctx, payment)) return await createObject(ctx, turn)
    await abandonLost(ctx, payment)
    return undefined
  }
  const isWished = payment.mode === wish.mode
  if (payment.status === 'processing' && isWished) return payment
  // It was asked to end and could not: the bank has it.
  if (payment.status === 'processing' && !isFirstTurn) throw paymentInProgress()
  if (!isWished || isRunOut(ctx, payment)) {
    await endPayment(ctx, payment)
    return undefined
  }
  return (await bringToAmount(ctx, payment, order.total - order.paid)) ? payment : undefined
}

async function recover(ctx: AppContext, payment: PaymentRow): Promise<boolean> {
  try {
    return await recoverStaleStep(ctx, payment)
  } catch (error) {
    throw toPublicFailure(error)
  }
}

/** A page that ends within the hour is not worth beginning on. */
function isRunOut({ now }: AppContext, { mode, createdAt }: PaymentRow): boolean {
  return mode === 'hosted' && now > later(createdAt, pageLifeMs - hourMs)
}

/** Of the 24 hours that the provider allows at most. */
const pageLifeMs = 23 * hourMs

async function openOrFind(
  ctx: AppContext,
  orderId: string,
  wish: PaymentWish,
): Promise<{ order: OrderRow; payment: PaymentRow }> {
  return await inTx(ctx, async (ctx) => {
    const order = await lockOrder(ctx.db, orderId)
    if (!order || !isOpen(order)) throw orderNotPayable({ members: statesOf(order) })
    const live = await findLivePayment(ctx, orderId)
    if (live) return { order, payment: live }
    const { payment, fact } = await openAttempt(ctx, {
      orderId: order.id,
      mode: wish.mode,
      amount: order.total - order.paid,
      currency: order.currency,
    })
    return { order: await writeLedger(ctx, order, [fact]), payment }
  })
}

function isOpen(order: OrderRow): boolean {
  const isClosed = order.status === 'cancelled' || order.status === 'completed'
  return !isClosed && order.paid < order.total
}

function statesOf(order: OrderRow | undefined): Record<string, string> {
  return order ? { orderStatus: order.status, paymentStatus: order.paymentStatus } : {}
}

/** The payment with its object; undefined where another turn must see how things stand. */
async function createObject(ctx: AppContext, turn: Turn): Promise<PaymentRow | undefined> {
  const { order, payment, wish } = turn
  await callForObject(ctx, turn)
  const made = await findPayment(ctx.db, payment.orderId, payment.id)
  const isAsWished = made?.mode === wish.mode && made.amount === order.total - order.paid
  return isAsWished && made.status === 'pending' && made.providerRef !== null ? made : undefined
}

/** Creating moves no money: whoever comes second waits for the first one's object. */
async function callForObject(ctx: AppContext, { order, payment, wish }: Turn): Promise<void> {
  const charge = {
    amount: payment.amount,
    currency: payment.currency,
    orderId: order.id,
    paymentId: payment.id,
    orderNumber: order.number,
    email: order.customerEmail,
    installation: installationOf(ctx),
  }
  const session = {
    ...charge,
    successUrl: wish.successUrl,
    cancelUrl: wish.cancelUrl,
    // From the row, so that a repeat of the call is the same call.
    expiresAt: later(payment.createdAt, pageLifeMs),
  }
  try {
    await runStep(ctx, payment, {
      operation: 'create',
      call: (current, key) =>
        current.mode === 'hosted'
          ? ctx.stripe.createSession(session, key)
          : ctx.stripe.createIntent(charge, key),
    })
  } catch (error) {
    if (isInProgress(error)) return await waitForObject(ctx, payment)
    // An earlier try asked for other return addresses: the next turn has another key.
    if (error instanceof ProviderError && error.kind === 'key_used') return
    // The provider will never take this one: it must not stand in the way of the next.
    if (error instanceof ProviderError) await abandonLost(ctx, payment)
    throw toPublicFailure(error)
  }
}

function isInProgress(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === paymentInProgress.code
}

const pollEveryMs = 50
const pollTimes = 100

async function waitForObject(ctx: AppContext, payment: PaymentRow): Promise<void> {
  for (let time = 0; time < pollTimes; time += 1) {
    const current = await findLivePayment(ctx, payment.orderId)
    if (current?.id !== payment.id || current.step === null) return
    await wait(pollEveryMs)
  }
  throw paymentInProgress({ retryAfterSeconds: 1 })
}
