import type { Context } from './context.ts'
import { createCustomer } from './customers.ts'
import { emit } from './events.ts'
import { getPaymentMethod } from './payment-methods.ts'
import type { CheckoutSession, PaymentIntent } from './resources.ts'

/** The session that made an intent, if any did. */
export function findSessionOfIntent(
  context: Context,
  intentId: string,
): CheckoutSession | undefined {
  return context.store.having('checkout.session', 'payment_intent', intentId)[0]
}

/** The customer went through with it: the session is complete, paid now or later. */
export function completeSession(context: Context, intent: PaymentIntent): void {
  const session = findSessionOfIntent(context, intent.id)
  if (session?.status !== 'open') return
  const billing =
    intent.payment_method === null
      ? undefined
      : getPaymentMethod(context, intent.payment_method).billing_details
  const email = billing?.email ?? session.customer_email
  const name = billing?.name ?? null
  const customer =
    session.customer === null && session.customer_creation === 'always'
      ? createCustomer(context, { email, name }).id
      : session.customer
  const completed: CheckoutSession = {
    ...session,
    customer,
    customer_details: {
      address: billing?.address ?? null,
      business_name: null,
      email,
      individual_name: null,
      name,
      phone: null,
      tax_exempt: 'none',
      tax_ids: [],
    },
    payment_status: intent.status === 'succeeded' ? 'paid' : 'unpaid',
    status: 'complete',
    url: null,
  }
  context.store.put('checkout.session', completed)
  emit(context, 'checkout.session.completed', completed)
}

/** A completed session's bank debit has ended. */
export function settleSession(context: Context, intent: PaymentIntent): void {
  const session = findSessionOfIntent(context, intent.id)
  if (session?.status !== 'complete' || session.payment_status === 'paid') return
  if (intent.status !== 'succeeded') {
    emit(context, 'checkout.session.async_payment_failed', session)
    return
  }
  const paid = markSessionPaid(context, session)
  emit(context, 'checkout.session.async_payment_succeeded', paid)
}

export function markSessionPaid(context: Context, session: CheckoutSession): CheckoutSession {
  const paid: CheckoutSession = { ...session, payment_status: 'paid' }
  context.store.put('checkout.session', paid)
  return paid
}
