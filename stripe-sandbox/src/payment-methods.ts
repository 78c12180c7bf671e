import { secondsOf, type Context } from './context.ts'
import { resourceMissing } from './errors.ts'
import { newId } from './ids.ts'
import {
  NO_BILLING_DETAILS,
  type BillingDetails,
  type MethodDetails,
  type PaymentMethod,
} from './resources.ts'
import {
  fingerprintOf,
  findTestMethod,
  outcomeOf,
  type Outcome,
  type TestMethod,
} from './test-methods.ts'

/** A stored payment method, or a test token as it would be stored; raises Stripe's 404. */
export function getPaymentMethod(context: Context, id: string): PaymentMethod {
  const stored = context.store.find('payment_method', id)
  if (stored !== undefined) return stored
  const method = findTestMethod(id)
  if (method === undefined) throw resourceMissing('PaymentMethod', id, 'payment_method')
  return { ...describeMethod(context, method, NO_BILLING_DETAILS), id }
}

/** The id of a stored payment method: a test token becomes a new one, as at Stripe. */
export function keepPaymentMethod(context: Context, id: string): string {
  const method = findTestMethod(id)
  if (method === undefined) return getPaymentMethod(context, id).id
  return createPaymentMethod(context, method, NO_BILLING_DETAILS).id
}

export function createPaymentMethod(
  context: Context,
  method: TestMethod,
  billing: BillingDetails,
): PaymentMethod {
  const created = describeMethod(context, method, billing)
  context.store.put('payment_method', created)
  return created
}

export function outcomeOfMethod(method: PaymentMethod): Outcome {
  return outcomeOf(detailsOf(method).fingerprint)
}

/** The `payment_method_details` of a charge. */
export function chargeDetailsOf(method: PaymentMethod, amount: number): object {
  const details = detailsOf(method)
  if (method.type !== 'card')
    return { [method.type]: { ...details, mandate: null }, type: method.type }
  const { generated_from: _from, networks: _networks, ...card } = details
  return {
    card: {
      ...card,
      amount_authorized: amount,
      authorization_code: null,
      extended_authorization: { status: 'disabled' },
      incremental_authorization: { status: 'unavailable' },
      installments: null,
      mandate: null,
      multicapture: { status: 'unavailable' },
      network: card['brand'],
      network_token: { used: false },
      network_transaction_id: null,
      overcapture: { maximum_amount_capturable: amount, status: 'unavailable' },
      three_d_secure: null,
    },
    type: 'card',
  }
}

function detailsOf(method: PaymentMethod): MethodDetails {
  const details = method[method.type]
  if (details === undefined) throw new Error(`${method.id} lacks its ${method.type} details.`)
  return details
}

function describeMethod(
  context: Context,
  method: TestMethod,
  billing: BillingDetails,
): PaymentMethod {
  return {
    object: 'payment_method',
    id: newId('pm_'),
    allow_redisplay: 'unspecified',
    billing_details: billing,
    created: secondsOf(context.now),
    customer: null,
    customer_account: null,
    livemode: false,
    metadata: {},
    type: method.type,
    [method.type]: method.type === 'card' ? cardDetails(context, method) : bankDetails(method),
  }
}

function cardDetails(context: Context, method: TestMethod): MethodDetails {
  return {
    brand: method.brand,
    checks: { address_line1_check: null, address_postal_code_check: null, cvc_check: 'unchecked' },
    country: method.country,
    display_brand: method.brand,
    exp_month: 12,
    exp_year: context.now.getUTCFullYear() + 3,
    fingerprint: fingerprintOf(method),
    funding: method.token.endsWith('_debit') ? 'debit' : 'credit',
    generated_from: null,
    last4: method.number?.slice(-4) ?? null,
    networks: { available: [method.brand], preferred: null },
    regulated_status: 'unregulated',
    three_d_secure_usage: { supported: true },
    wallet: null,
  }
}

function bankDetails(method: TestMethod): MethodDetails {
  const fingerprint = fingerprintOf(method)
  if (method.type === 'bacs_debit') return { fingerprint, last4: '2345', sort_code: '108800' }
  if (method.type === 'sepa_debit') {
    const bank = { bank_code: '37040044', branch_code: null, country: method.country }
    return { ...bank, fingerprint, generated_from: null, last4: '3000' }
  }
  return {
    account_holder_type: 'individual',
    account_type: 'checking',
    bank_name: method.brand,
    financial_connections_account: null,
    fingerprint,
    last4: '6789',
    networks: { preferred: 'ach', supported: ['ach'] },
    routing_number: '110000000',
    status_details: {},
  }
}
