import { present } from '../../../kernel/assert.ts'
import { AppError, forbidden, invalidInputAt, type ErrorKind } from '../../../kernel/errors.ts'
import { asSystem, inTx, spend, withoutLease, type AppContext } from '../../../platform/context.ts'
import { ProviderError } from '../../../platform/stripe.ts'
import { emailKeyOf, getCustomer } from '../../identity/index.ts'
import {
  cancelOrder,
  lockOrder,
  orderTokenOf,
  placeOrder,
  readWhole,
  requireOwnOrder,
  settleLedger,
  type OrderRow,
} from '../../orders/index.ts'
import { findPayment, getLedger, renderForPayer, type PaymentRow } from '../../payments/index.ts'
import {
  amountTooSmall,
  orderNotPayable,
  paymentsNotConfigured,
  type CheckoutReply,
  type ProcessCheckout,
} from '../schema.ts'
import { runStep, toPublicFailure } from './call-provider.ts'
import { startPayment, type PaymentWish } from './start-payment.ts'

/** Buys: an order of these items, or one that stands already, with its payment begun. */
export async function processCheckout(
  ctx: AppContext,
  input: ProcessCheckout,
): Promise<CheckoutReply> {
  if (!ctx.stripe.enabled) throw paymentsNotConfigured()
  if (ctx.actor.kind === 'staff') {
    throw forbidden({ detail: 'Staff do not pay: record a payment on the order instead.' })
  }
  requireSense(ctx, input)
  const wish = readWish(ctx, input)
  await spendByAccount(ctx, input)
  const order = await placeOrFind(ctx, input)
  return await payOrder(ctx, order, { input, wish })
}

/**
 * The same request again, after a crash: its order stands, the payment goes on from the rows. What
 * was paid or is being decided by the bank is answered as it is, and no card is tried twice.
 */
export async function resumeCheckout(
  ctx: AppContext,
  orderId: string,
  input: ProcessCheckout,
): Promise<CheckoutReply> {
  const order = await requireOwnOrder(asSystem(ctx, 'resume'), orderId)
  const { payments } = await getLedger(ctx.db, order.id)
  const latest = payments.findLast((one) => one.provider === 'stripe')
  if (order.closeReason === tooSmallReason) throw amountTooSmall()
  if (order.status !== 'pending' || (latest && hasBeenTried(latest))) {
    return await toReply(ctx, order, latest?.id ?? null)
  }
  if (!ctx.stripe.enabled) throw paymentsNotConfigured()
  try {
    return await payOrder(ctx, order, { input, wish: readWish(ctx, input) })
  } catch (error) {
    // The look at the earlier call found that it did charge: that is the answer.
    if (!isOf(orderNotPayable, error)) throw error
    return await replyIfPaid(ctx, order.id, error)
  }
}

/** The order as it was found paid; the error where it was not. */
async function replyIfPaid(
  ctx: AppContext,
  orderId: string,
  error: unknown,
): Promise<CheckoutReply> {
  const order = await requireOwnOrder(asSystem(ctx, 'resume'), orderId)
  if (order.status === 'pending' || order.status === 'cancelled') throw error
  const { payments } = await getLedger(ctx.db, orderId)
  const paid = payments.findLast(({ status }) => status === 'succeeded')
  return await toReply(ctx, order, paid?.id ?? null)
}

/** A kept reply lacks what only the payer may have: it is read and derived again. */
export async function restoreSecrets<Reply extends Pick<CheckoutReply, 'order' | 'payment'>>(
  ctx: AppContext,
  reply: Reply,
): Promise<Reply & Pick<CheckoutReply, 'orderToken'>> {
  const row = await requireOwnOrder(asSystem(ctx, 'replay'), reply.order.id)
  const payment = reply.payment && (await findPayment(ctx.db, row.id, reply.payment.id))
  const { clientSecret, url } = payment
    ? renderForPayer(payment, { disputes: [] })
    : { clientSecret: null, url: null }
  return {
    ...reply,
    payment: reply.payment && { ...reply.payment, clientSecret, url },
    ...tokenFor(ctx, row),
  }
}

interface Purchase {
  readonly input: ProcessCheckout
  readonly wish: PaymentWish
}

async function payOrder(
  ctx: AppContext,
  order: OrderRow,
  { input, wish }: Purchase,
): Promise<CheckoutReply> {
  if (order.total === 0 && order.status === 'pending') {
    const confirmed = await confirmFree(ctx, order)
    return await toReply(ctx, confirmed, null)
  }
  const payment = await startPayment(ctx, order.id, wish).catch(async (error: unknown) => {
    // It was placed by this call and no card will ever pay it: it must not stay open.
    if (input.items && isOf(amountTooSmall, error)) await withdraw(ctx, order.id)
    throw error
  })
  if (input.paymentMethod !== undefined && mayConfirm(payment)) {
    await confirmAtOnce(ctx, payment, { paymentMethod: input.paymentMethod, wish })
  }
  const current = await requireOwnOrder(asSystem(ctx, 'checkout'), order.id)
  return await toReply(ctx, current, payment.id)
}

/** Why an order was closed that the provider found too little to charge. */
const tooSmallReason = 'amount_too_small'

async function withdraw(ctx: AppContext, orderId: string): Promise<void> {
  await inTx(withoutLease(asSystem(ctx, 'checkout')), async (ctx) => {
    const order = await lockOrder(ctx.db, orderId)
    if (order?.status !== 'pending' || order.paid > 0) return
    const reason = tooSmallReason
    await cancelOrder(ctx, order, { reason, kind: reason, refund: 'none' })
  })
}

function isOf({ code }: ErrorKind, error: unknown): boolean {
  return error instanceof AppError && error.code === code
}

/** Nothing to pay: the order confirms itself, and there is no payment. */
async function confirmFree(ctx: AppContext, order: OrderRow): Promise<OrderRow> {
  return await inTx(ctx, async (ctx) => {
    const locked = present(await lockOrder(ctx.db, order.id), 'the order being confirmed')
    return locked.status === 'pending' ? await settleLedger(ctx, locked, []) : locked
  })
}

/** A declined card is no error of the call: the reply shows the failed payment. */
async function confirmAtOnce(
  ctx: AppContext,
  payment: PaymentRow,
  { paymentMethod, wish }: { paymentMethod: string; wish: PaymentWish },
): Promise<void> {
  try {
    await runStep(ctx, payment, {
      operation: 'confirm',
      call: (current, key) =>
        ctx.stripe.confirmIntent(
          current.providerRef ?? '',
          { paymentMethod, returnUrl: wish.successUrl },
          key,
        ),
    })
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'declined') return
    throw toPublicFailure(error)
  }
}

/** Whether a card has met the bank's answer, or still waits for it. */
function hasBeenTried({ status }: PaymentRow): boolean {
  return status !== 'pending' && status !== 'canceled'
}

function mayConfirm({ mode, status }: PaymentRow): boolean {
  return mode === 'intent' && status !== 'processing' && status !== 'succeeded'
}

async function placeOrFind(ctx: AppContext, input: ProcessCheckout): Promise<OrderRow> {
  if (input.orderId !== undefined) return await requireOwnOrder(ctx, input.orderId)
  const { actor } = ctx
  const customer =
    actor.kind === 'customer'
      ? await getCustomer(ctx, actor.customerId)
      : present(input.customer, 'customer')
  return await placeOrder(ctx, {
    source: 'checkout',
    items: present(input.items, 'items'),
    customer,
  })
}

/**
 * Beside the limit by address, which the route has: one account may come from many. Each guest gets
 * a record of their own, so that the bound on a customer's open orders never meets them: their
 * e-mail is counted, which anybody can type and which is mailed each time.
 */
async function spendByAccount(ctx: AppContext, { customer }: ProcessCheckout): Promise<void> {
  const { actor } = ctx
  if (actor.kind === 'customer') await spend(ctx, 'checkoutByAccount', actor.userId)
  if (actor.kind === 'order') await spend(ctx, 'checkoutByAccount', actor.orderId)
  if (customer) await spend(ctx, 'guestCheckoutByEmail', emailKeyOf(customer.email))
}

async function toReply(
  ctx: AppContext,
  row: OrderRow,
  paymentId: string | null,
): Promise<CheckoutReply> {
  const { order, ledger } = await readWhole(ctx, row)
  const payment = ledger.payments.find((one) => one.id === paymentId)
  return {
    order,
    payment: payment ? renderForPayer(payment, ledger) : null,
    ...tokenFor(ctx, row),
  }
}

/** Guests get the token of the order that they just made; everybody else has a login. */
function tokenFor(ctx: AppContext, row: OrderRow): { orderToken?: string } {
  return ctx.actor.kind === 'anonymous' ? { orderToken: orderTokenOf(ctx.secrets, row) } : {}
}

/** What the shapes cannot say: which members go together, for whom. */
function requireSense({ actor }: AppContext, input: ProcessCheckout): void {
  const complain = (pointer: string, message: string): never => {
    throw invalidInputAt({ pointer, code: 'combination', message })
  }
  if ((input.items === undefined) === (input.orderId === undefined)) {
    complain('/items', 'exactly one of items and orderId is required')
  }
  if (actor.kind === 'order' && input.items) complain('/items', 'the token is for one order')
  if (actor.kind !== 'anonymous' && input.customer) {
    complain('/customer', 'is for guests: your token says who you are')
  }
  if (input.items && actor.kind === 'anonymous' && !input.customer) {
    complain('/customer', 'is required for guests')
  }
  if (input.orderId && input.customer) complain('/customer', 'the order has its customer')
  if (input.mode === 'hosted' && input.paymentMethod) {
    complain('/paymentMethod', 'is for mode intent: the hosted page asks for the card')
  }
}

function readWish(ctx: AppContext, input: ProcessCheckout): PaymentWish {
  const { publicUrl } = ctx.business
  return {
    mode: input.mode ?? 'intent',
    successUrl:
      allowedUrl(ctx, '/successUrl', input.successUrl) ?? `${publicUrl}/?checkout=success`,
    cancelUrl: allowedUrl(ctx, '/cancelUrl', input.cancelUrl) ?? `${publicUrl}/?checkout=cancelled`,
  }
}

/**
 * Only to where the business says: a return address is a redirect that strangers could use. It is
 * handed on as it was judged, written as browsers read it, so that no reader takes it for another.
 */
function allowedUrl(ctx: AppContext, pointer: string, url: string | undefined): string | undefined {
  if (url === undefined) return undefined
  const { publicUrl, allowedOrigins } = ctx.business
  const target = URL.canParse(url) ? new URL(url) : undefined
  const isWeb = target?.protocol === 'https:' || target?.protocol === 'http:'
  const isPlain = target?.username === '' && target.password === ''
  const origins = [new URL(publicUrl).origin, ...allowedOrigins]
  if (isWeb && isPlain && origins.includes(target.origin)) return target.href
  throw invalidInputAt({
    pointer,
    code: 'origin',
    message: 'must be on one of the addresses of this business',
  })
}
