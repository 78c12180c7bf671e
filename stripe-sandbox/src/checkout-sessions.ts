import { attemptPayment } from './attempts.ts'
import { secondsOf, type Context } from './context.ts'
import { checkChargeable } from './currencies.ts'
import { getCustomer, shippingReader } from './customers.ts'
import { invalidRequest, resourceMissing } from './errors.ts'
import { emit } from './events.ts'
import { newId } from './ids.ts'
import { endIntent } from './intent-endings.ts'
import { createdRange, listedFor, listPage, pageParameters } from './lists.ts'
import { lineItemReader, readLineItems } from './line-items.ts'
import { methodTypes } from './intent-parameters.ts'
import { chooseMethod, eligibleMethodTypes } from './method-choice.ts'
import {
  address,
  integer,
  listOf,
  mergeMetadata,
  metadata,
  oneOf,
  record,
  required,
  text,
  textUpTo,
  type Values,
} from './parameters.ts'
import { createPaymentIntent, getPaymentIntent } from './payment-intents.ts'
import { createPaymentMethod } from './payment-methods.ts'
import { type BillingDetails, type CheckoutSession, type PaymentIntent } from './resources.ts'
import { UNMODELLED_OF_SESSION } from './unmodelled.ts'
import type { SessionPlan } from './records.ts'
import type { TestMethod } from './test-methods.ts'

const HALF_AN_HOUR_SECONDS = 30 * 60
const DAY_SECONDS = 24 * 60 * 60
/** The clocks of the two sides may differ a little, and the request takes time. */
const EXPIRY_TOLERANCE_SECONDS = 60

const paymentIntentData = record({
  capture_method: oneOf('automatic', 'automatic_async', 'manual'),
  description: textUpTo(1000),
  metadata,
  receipt_email: text,
  setup_future_usage: oneOf('off_session', 'on_session'),
  shipping: shippingReader,
  statement_descriptor_suffix: textUpTo(22),
})

export const sessionParameters = {
  allowed_payment_method_types: methodTypes,
  cancel_url: address,
  client_reference_id: textUpTo(200),
  currency: text,
  customer: text,
  customer_creation: oneOf('always', 'if_required'),
  customer_email: textUpTo(800),
  expires_at: integer,
  line_items: required(listOf(lineItemReader)),
  locale: text,
  metadata,
  mode: required(oneOf('payment', 'setup', 'subscription')),
  payment_intent_data: paymentIntentData,
  submit_type: oneOf('auto', 'book', 'donate', 'pay'),
  success_url: required(address),
  ui_mode: oneOf('elements', 'embedded_page', 'form', 'hosted_page'),
}

export const sessionListParameters = {
  ...pageParameters,
  created: createdRange,
  customer: text,
  customer_details: record({ email: required(text) }),
  payment_intent: text,
  status: oneOf('complete', 'expired', 'open'),
}

type SessionValues = Values<typeof sessionParameters>

/** A session as it stands now: one whose time is over expires as it is looked at. */
export function getSession(context: Context, id: string): CheckoutSession {
  const session = context.store.find('checkout.session', id)
  if (session === undefined) throw resourceMissing('checkout.session', id, 'session')
  return isOverdue(context, session) ? endSession(context, session) : session
}

export function listSessions(
  context: Context,
  values: Values<typeof sessionListParameters>,
): object {
  const email = values.customer_details?.email
  const matches = (session: CheckoutSession) =>
    (values.customer === undefined || session.customer === values.customer) &&
    (values.payment_intent === undefined || session.payment_intent === values.payment_intent) &&
    (values.status === undefined || session.status === values.status) &&
    (email === undefined || session.customer_details?.email === email)
  return listPage(
    listedFor(context, 'checkout.session', values.payment_intent),
    '/v1/checkout/sessions',
    values,
    matches,
  )
}

export function listLineItems(
  context: Context,
  values: Values<typeof pageParameters>,
  id: string,
): object {
  const { lineItems } = planOf(context, getSession(context, id))
  return listPage(lineItems, `/v1/checkout/sessions/${id}/line_items`, values)
}

export function createSession(context: Context, values: SessionValues): CheckoutSession {
  if (values.mode !== 'payment' || (values.ui_mode ?? 'hosted_page') !== 'hosted_page') {
    throw invalidRequest('The sandbox speaks hosted sessions in payment mode only.', {
      param: values.mode === 'payment' ? 'ui_mode' : 'mode',
    })
  }
  if (values.customer !== undefined && values.customer_email !== undefined) {
    throw invalidRequest('You may only specify one of these parameters: customer, customer_email.')
  }
  if (values.customer !== undefined) getCustomer(context, values.customer)
  const expiresAt = readExpiry(context, values.expires_at)
  const lineItems = readLineItems(context, values.line_items)
  const total = lineItems.reduce((sum, item) => sum + item.amount_total, 0)
  const currency = lineItems[0]?.currency ?? ''
  checkChargeable(total, currency, 'line_items')
  const id = newId('cs_test_a1', 58)
  const allowed = values.allowed_payment_method_types
  const session: CheckoutSession = {
    ...UNMODELLED_OF_SESSION,
    object: 'checkout.session',
    id,
    allowed_payment_method_types: allowed ?? null,
    amount_subtotal: total,
    amount_total: total,
    cancel_url: values.cancel_url ?? null,
    client_reference_id: values.client_reference_id ?? null,
    created: secondsOf(context.now),
    currency,
    customer: values.customer ?? null,
    customer_creation:
      values.customer === undefined ? (values.customer_creation ?? 'if_required') : null,
    customer_details: null,
    customer_email: values.customer_email ?? null,
    expires_at: expiresAt,
    locale: values.locale ?? null,
    metadata: mergeMetadata({}, values.metadata),
    // Stripe makes the intent when the customer first pays, since version 2022-08-01.
    payment_intent: null,
    payment_method_types: eligibleMethodTypes(currency, allowed),
    payment_status: 'unpaid',
    status: 'open',
    submit_type: values.submit_type ?? null,
    success_url: values.success_url,
    total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 0 },
    url: `${context.settings.baseUrl}/c/pay/${id}`,
  }
  context.store.put('checkout.session', session)
  context.store.put('session_plan', {
    id,
    lineItems,
    intent: { ...values.payment_intent_data, allowed_payment_method_types: allowed },
  })
  return session
}

/** Ends an open session, as by `POST /v1/checkout/sessions/:id/expire`. */
export function expireSession(context: Context, id: string): CheckoutSession {
  const session = getSession(context, id)
  if (session.status === 'open') return endSession(context, session)
  throw invalidRequest(
    'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has ' +
      `a status of ${session.status}.`,
  )
}

/** Expires every open session whose time is over. */
export function expireOverdueSessions(context: Context): void {
  for (const session of context.store.having('checkout.session', 'status', 'open')) {
    if (isOverdue(context, session)) endSession(context, session)
  }
}

/**
 * The customer pays: the intent is made on the first attempt and used again after a decline.
 * Raises what the attempt raises; the session completes with the payment.
 */
export function paySession(
  context: Context,
  id: string,
  payer: { method: TestMethod; billing: BillingDetails },
): PaymentIntent {
  const session = getSession(context, id)
  if (session.status !== 'open') {
    throw invalidRequest(`This Checkout Session has a status of ${session.status}.`)
  }
  const intent =
    session.payment_intent === null
      ? createSessionIntent(context, session)
      : getPaymentIntent(context, session.payment_intent)
  const method = createPaymentMethod(context, payer.method, payer.billing)
  const prepared: PaymentIntent = {
    ...intent,
    next_action: null,
    payment_method: chooseMethod(context, intent, method.id),
    status: 'requires_confirmation',
  }
  context.store.put('payment_intent', prepared)
  const returnUrl = `${context.settings.baseUrl}/c/pay/${id}/return`
  return attemptPayment(context, prepared, { offSession: false, returnUrl })
}

export function planOf(context: Context, session: CheckoutSession): SessionPlan {
  const plan = context.store.find('session_plan', session.id)
  if (plan === undefined) throw new Error(`${session.id} has lost its line items.`)
  return plan
}

function createSessionIntent(context: Context, session: CheckoutSession): PaymentIntent {
  const { intent: terms } = planOf(context, session)
  const intent = createPaymentIntent(context, {
    ...terms,
    amount: session.amount_total,
    currency: session.currency,
    customer: session.customer ?? undefined,
  })
  context.store.put('checkout.session', { ...session, payment_intent: intent.id })
  return intent
}

function endSession(context: Context, session: CheckoutSession): CheckoutSession {
  const intent =
    session.payment_intent === null ? undefined : getPaymentIntent(context, session.payment_intent)
  const expired: CheckoutSession = { ...session, status: 'expired', url: null }
  context.store.put('checkout.session', expired)
  if (intent !== undefined && intent.status !== 'canceled') endIntent(context, intent, null)
  emit(context, 'checkout.session.expired', expired)
  return expired
}

function isOverdue(context: Context, session: CheckoutSession): boolean {
  return session.status === 'open' && session.expires_at <= secondsOf(context.now)
}

function readExpiry(context: Context, asked: number | undefined): number {
  const now = secondsOf(context.now)
  if (asked === undefined) return now + DAY_SECONDS
  const inTime =
    asked >= now + HALF_AN_HOUR_SECONDS - EXPIRY_TOLERANCE_SECONDS &&
    asked <= now + DAY_SECONDS + EXPIRY_TOLERANCE_SECONDS
  if (inTime) return asked
  throw invalidRequest(
    'The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session ' +
      'creation.',
    { param: 'expires_at' },
  )
}
