import { hourMs } from '../../../kernel/time.ts'
import { inTx, withoutLease, type AppContext, type Context } from '../../../platform/context.ts'
import { ProviderError } from '../../../platform/stripe.ts'
import { lockOrder, writeLedger } from '../../orders/index.ts'
import { abandonAttempt, isFinal, lockPayment, type PaymentRow } from '../../payments/index.ts'
import { paymentInProgress } from '../schema.ts'
import { runStep, toPublicFailure } from './call-provider.ts'

/** Ends a live payment at the provider. If the provider says that it is paid, that wins. */
export async function endPayment(ctx: AppContext, payment: PaymentRow): Promise<void> {
  if (payment.providerRef === null) return await abandonLost(ctx, payment)
  const isHosted = payment.mode === 'hosted'
  try {
    await runStep(ctx, payment, {
      operation: isHosted ? 'expire' : 'cancel',
      call: (current, key) =>
        isHosted
          ? ctx.stripe.expireSession(current.providerRef ?? '', key)
          : ctx.stripe.cancelIntent(current.providerRef ?? '', key),
    })
  } catch (error) {
    // Refused means that it is over already; the look that followed has told us how.
    if (error instanceof ProviderError && error.kind === 'refused') return
    throw toPublicFailure(error)
  }
}

/** Ends an attempt whose object was never created, or whose creation nobody can use. */
export async function abandonLost(ctx: AppContext, payment: PaymentRow): Promise<void> {
  await inTx(withoutLease(ctx), async (ctx) => {
    const order = await lockOrder(ctx.db, payment.orderId)
    const current = order && (await lockPayment(ctx.db, payment.orderId, payment.id))
    if (!order || !current || isFinal(current.status) || current.providerRef !== null) return
    // Its creation is under way: what comes of it must be known first.
    if (current.step !== null && !isLost(ctx, current)) {
      throw paymentInProgress({ retryAfterSeconds: 1 })
    }
    await writeLedger(ctx, order, [await abandonAttempt(ctx, current)])
  })
}

/**
 * Whether an attempt without an object is given up: nobody was given what is needed to pay it, and
 * well before the provider forgets its key (24 hours) it is no longer repeated.
 */
export function isLost({ now }: Pick<Context, 'now'>, payment: PaymentRow): boolean {
  return payment.providerRef === null && now.getTime() - payment.createdAt.getTime() > hourMs
}
