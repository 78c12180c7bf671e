import { attemptPayment } from './attempts.ts'
import { findSessionOfIntent } from './checkout-outcome.ts'
import { secondsOf, type Context } from './context.ts'
import { checkChargeable, readCurrency } from './currencies.ts'
import { getCustomer, readShipping } from './customers.ts'
import { invalidRequest, ParameterError, resourceMissing, unexpectedState } from './errors.ts'
import { emit } from './events.ts'
import { newId, randomText } from './ids.ts'
import type { ConfirmValues, CreateValues, ListValues, UpdateValues } from './intent-parameters.ts'
import { listPage } from './lists.ts'
import {
  checkMethodType,
  checkReturnUrl,
  chooseMethod,
  eligibleMethodTypes,
} from './method-choice.ts'
import { mergeMetadata } from './parameters.ts'
import { keepPaymentMethod } from './payment-methods.ts'
import { type IntentStatus, type PaymentIntent } from './resources.ts'
import { UNMODELLED_OF_INTENT } from './unmodelled.ts'

/** The statuses in which no money is moving yet. */
export const CHANGEABLE: readonly IntentStatus[] = [
  'requires_payment_method',
  'requires_confirmation',
  'requires_action',
]

export function getPaymentIntent(context: Context, id: string, param = 'intent'): PaymentIntent {
  const intent = context.store.find('payment_intent', id)
  if (intent === undefined) throw resourceMissing('payment_intent', id, param)
  return intent
}

export function listPaymentIntents(context: Context, values: ListValues): object {
  const matches = (intent: PaymentIntent) =>
    values.customer === undefined || intent.customer === values.customer
  return listPage(
    context.store.newestFirst('payment_intent'),
    '/v1/payment_intents',
    values,
    matches,
  )
}

/** Creates an intent and, with `confirm`, attempts it at once. */
export function createPaymentIntent(context: Context, values: CreateValues): PaymentIntent {
  checkConfirmOnly(values)
  const currency = readCurrency(values.currency)
  checkChargeable(values.amount, currency)
  const automatic = readAutomatic(values)
  const types = eligibleMethodTypes(currency, values.allowed_payment_method_types)
  if (values.confirm === true) {
    if (values.payment_method === undefined) throw missingPaymentMethod()
    checkReturnUrl(automatic, values.return_url)
  }
  if (values.customer !== undefined) getCustomer(context, values.customer)
  if (values.payment_method !== undefined) {
    checkMethodType(context, values.payment_method, types)
  }
  const intent = storeIntent(context, values, { automatic, currency, types })
  if (values.confirm !== true) return intent
  return attemptPayment(context, intent, attemptTerms(values))
}

/** Changes an intent; amount, currency and method only while no money is moving. */
export function updatePaymentIntent(
  context: Context,
  values: UpdateValues,
  id: string,
): PaymentIntent {
  const intent = getPaymentIntent(context, id)
  for (const name of [
    'amount',
    'currency',
    'customer',
    'payment_method',
    'capture_method',
  ] as const) {
    if (values[name] !== undefined) checkChangeable(intent, name)
  }
  const currency = values.currency === undefined ? intent.currency : readCurrency(values.currency)
  const method = values.payment_method
  const amount = values.amount ?? intent.amount
  checkChargeable(amount, currency)
  if (values.customer !== undefined) getCustomer(context, values.customer)
  const types = eligibleMethodTypes(currency, intent.allowed_payment_method_types)
  const metadata = mergeMetadata(intent.metadata, values.metadata)
  const updated: PaymentIntent = {
    ...intent,
    ...descriptiveChanges(values),
    amount,
    currency,
    customer: values.customer ?? intent.customer,
    // Stripe: "It will be cleared if the PaymentIntent is later updated for any reason."
    last_payment_error: null,
    metadata,
    payment_method: chooseMethod(context, { ...intent, payment_method_types: types }, method),
    payment_method_types: types,
  }
  return putIntent(context, restartedAfter(intent, updated))
}

/** Attempts the payment. What a confirmed intent did before decides whether it may. */
export function confirmPaymentIntent(
  context: Context,
  values: ConfirmValues,
  id: string,
): PaymentIntent {
  const intent = getPaymentIntent(context, id)
  refuseCheckoutIntent(context, intent, 'confirm')
  checkConfirmable(intent)
  if (values.payment_method === undefined && intent.payment_method === null) {
    throw missingPaymentMethod(intent)
  }
  checkReturnUrl(intent.automatic_payment_methods, values.return_url, intent)
  const { receipt_email: receiptEmail, shipping } = values
  const prepared = putIntent(context, {
    ...intent,
    ...(receiptEmail === undefined ? {} : { receipt_email: receiptEmail }),
    ...(shipping === undefined ? {} : { shipping: readShipping(shipping) }),
    capture_method: values.capture_method ?? intent.capture_method,
    next_action: null,
    payment_method: chooseMethod(context, intent, values.payment_method),
    setup_future_usage: values.setup_future_usage ?? intent.setup_future_usage,
    status: 'requires_confirmation',
  })
  return attemptPayment(context, prepared, attemptTerms(values))
}

/** Cards and whatever else is switched on: that is the default since version 2023-08-16. */
function readAutomatic(values: CreateValues): PaymentIntent['automatic_payment_methods'] {
  const { allow_redirects: redirects, enabled } = values.automatic_payment_methods ?? {
    enabled: true,
  }
  return enabled ? { allow_redirects: redirects ?? 'always', enabled } : null
}

interface IntentTerms {
  automatic: PaymentIntent['automatic_payment_methods']
  currency: string
  types: readonly string[]
}

function storeIntent(context: Context, values: CreateValues, terms: IntentTerms): PaymentIntent {
  const id = newId('pi_')
  const method = values.payment_method
  const intent = putIntent(context, {
    ...UNMODELLED_OF_INTENT,
    object: 'payment_intent',
    id,
    allowed_payment_method_types: values.allowed_payment_method_types ?? null,
    amount: values.amount,
    amount_capturable: 0,
    amount_received: 0,
    automatic_payment_methods: terms.automatic,
    canceled_at: null,
    cancellation_reason: null,
    capture_method: values.capture_method ?? 'automatic_async',
    client_secret: `${id}_secret_${randomText(25)}`,
    created: secondsOf(context.now),
    currency: terms.currency,
    customer: values.customer ?? null,
    description: values.description ?? null,
    last_payment_error: null,
    latest_charge: null,
    metadata: mergeMetadata({}, values.metadata),
    next_action: null,
    payment_method: method === undefined ? null : keepPaymentMethod(context, method),
    payment_method_options: {},
    payment_method_types: terms.types,
    processing: null,
    receipt_email: values.receipt_email ?? null,
    setup_future_usage: values.setup_future_usage ?? null,
    shipping: readShipping(values.shipping),
    statement_descriptor: null,
    statement_descriptor_suffix: values.statement_descriptor_suffix ?? null,
    status: method === undefined ? 'requires_payment_method' : 'requires_confirmation',
  })
  emit(context, 'payment_intent.created', intent)
  return intent
}

function attemptTerms(values: {
  error_on_requires_action?: boolean | undefined
  off_session?: boolean | undefined
  return_url?: string | undefined
}) {
  const offSession = values.off_session === true || values.error_on_requires_action === true
  return { offSession, returnUrl: values.return_url }
}

function descriptiveChanges(values: UpdateValues): Partial<PaymentIntent> {
  const { capture_method, description, receipt_email, shipping } = values
  const { setup_future_usage, statement_descriptor_suffix } = values
  return {
    ...(capture_method === undefined ? {} : { capture_method }),
    ...(description === undefined ? {} : { description }),
    ...(receipt_email === undefined ? {} : { receipt_email }),
    ...(setup_future_usage === undefined ? {} : { setup_future_usage }),
    ...(shipping === undefined ? {} : { shipping: readShipping(shipping) }),
    ...(statement_descriptor_suffix === undefined ? {} : { statement_descriptor_suffix }),
  }
}

/** A change of what is paid or how makes a running authentication void: confirm again. */
function restartedAfter(before: PaymentIntent, after: PaymentIntent): PaymentIntent {
  const changed =
    before.amount !== after.amount ||
    before.currency !== after.currency ||
    before.payment_method !== after.payment_method
  if (!changed || !CHANGEABLE.includes(before.status)) return after
  const status = after.payment_method === null ? 'requires_payment_method' : 'requires_confirmation'
  return { ...after, next_action: null, status }
}

function checkConfirmOnly(values: CreateValues): void {
  if (values.confirm === true) return
  for (const name of ['return_url', 'off_session', 'error_on_requires_action'] as const) {
    if (values[name] === undefined) continue
    throw new ParameterError(
      `The parameter \`${name}\` can only be passed when creating a PaymentIntent with ` +
        'confirm=true.',
      { param: name },
    )
  }
}

function checkChangeable(intent: PaymentIntent, name: string): void {
  if (CHANGEABLE.includes(intent.status)) return
  throw unexpectedState(
    `This PaymentIntent's ${name} could not be updated because it has a status of ` +
      `${intent.status}. You may only update the ${name} of a PaymentIntent with one of the ` +
      `following statuses: ${CHANGEABLE.join(', ')}.`,
    intent,
  )
}

function checkConfirmable(intent: PaymentIntent): void {
  if (CHANGEABLE.includes(intent.status)) return
  const reason =
    intent.status === 'succeeded'
      ? 'it has already succeeded after being previously confirmed'
      : `it has a status of ${intent.status}`
  throw unexpectedState(`You cannot confirm this PaymentIntent because ${reason}.`, intent)
}

function missingPaymentMethod(intent?: PaymentIntent) {
  const message =
    "You cannot confirm this PaymentIntent because it's missing a payment method. Update the " +
    'PaymentIntent with a payment method and confirm it again, or confirm it with one.'
  return intent === undefined ? invalidRequest(message) : unexpectedState(message, intent)
}

/** Stripe: "You can't confirm or cancel the PaymentIntent for a Checkout Session." */
export function refuseCheckoutIntent(context: Context, intent: PaymentIntent, verb: string): void {
  if (findSessionOfIntent(context, intent.id) === undefined) return
  throw unexpectedState(
    `You cannot ${verb} this PaymentIntent because a Checkout Session made it. ` +
      'Expire the Checkout Session instead.',
    intent,
  )
}

function putIntent(context: Context, intent: PaymentIntent): PaymentIntent {
  context.store.put('payment_intent', intent)
  return intent
}
