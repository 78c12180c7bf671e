import { createHash } from 'node:crypto'
import type { DisputeStatus, PaymentMethodType } from './resources.ts'

/** A refusal by the card's bank: Stripe's code, decline code and sentence. */
export interface Decline {
  code: string
  declineCode?: string
  message: string
}

/** What happens to a payment with a test method. */
export type Outcome =
  | { kind: 'succeeds'; dispute?: DisputePlan; refunds?: 'fail' | 'pend' }
  | { kind: 'declines'; decline: Decline }
  | { kind: 'authenticates'; decline?: Decline }
  | { kind: 'settles'; decline?: Decline }

export interface DisputePlan {
  reason: string
  status: Extract<DisputeStatus, 'needs_response' | 'warning_needs_response'>
}

export interface TestMethod {
  /** The token, such as `pm_card_visa`. */
  token: string
  type: PaymentMethodType
  /** The number that a person types; bank debits have none. */
  number?: string
  brand: string
  country: string
  outcome: Outcome
}

const SUCCEEDS: Outcome = { kind: 'succeeds' }

const GENERIC = declined('generic_decline')
const INSUFFICIENT_FUNDS = declined('insufficient_funds', 'Your card has insufficient funds.')
const PROCESSING_ERROR: Decline = {
  code: 'processing_error',
  declineCode: 'processing_error',
  message: 'An error occurred while processing your card. Try again in a little bit.',
}

/** Off-session payments that would need the customer end with this. */
export const AUTHENTICATION_REQUIRED: Decline = {
  code: 'authentication_required',
  declineCode: 'authentication_required',
  message: 'Your card was declined. This transaction requires authentication.',
}

const BANK_ACCOUNT_CLOSED: Decline = {
  code: 'payment_method_provider_decline',
  declineCode: 'account_closed',
  message: "The customer's bank account has been closed.",
}
const BANK_INSUFFICIENT_FUNDS: Decline = {
  code: 'payment_method_provider_decline',
  declineCode: 'insufficient_funds',
  message: "The customer's account has insufficient funds to cover this payment.",
}

/** Stripe's test cards by token and number, and bank debits by token. */
const TEST_METHODS: readonly TestMethod[] = [
  card('visa', '4242424242424242'),
  card('visa_debit', '4000056655665556'),
  card('mastercard', '5555555555554444', SUCCEEDS, 'mastercard'),
  card('mastercard_debit', '5200828282828210', SUCCEEDS, 'mastercard'),
  card('mastercard_prepaid', '5105105105105100', SUCCEEDS, 'mastercard'),
  card('amex', '378282246310005', SUCCEEDS, 'amex'),
  card('discover', '6011111111111117', SUCCEEDS, 'discover'),
  card('diners', '3056930009020004', SUCCEEDS, 'diners'),
  card('jcb', '3566002020360505', SUCCEEDS, 'jcb'),
  card('unionpay', '6200000000000005', SUCCEEDS, 'unionpay'),
  { ...card('gb', '4000008260000000'), country: 'GB' },
  { ...card('de', '4000002760000016'), country: 'DE' },
  { ...card('fr', '4000002500000003'), country: 'FR' },
  { ...card('us', '4242424242424242'), country: 'US' },
  card('chargeDeclined', '4000000000000002', declines(GENERIC)),
  card('visa_chargeDeclined', '4000000000000002', declines(GENERIC)),
  card('chargeDeclinedInsufficientFunds', '4000000000009995', declines(INSUFFICIENT_FUNDS)),
  card('visa_chargeDeclinedInsufficientFunds', '4000000000009995', declines(INSUFFICIENT_FUNDS)),
  card('chargeDeclinedLostCard', '4000000000009987', declines(declined('lost_card'))),
  card('visa_chargeDeclinedLostCard', '4000000000009987', declines(declined('lost_card'))),
  card('chargeDeclinedStolenCard', '4000000000009979', declines(declined('stolen_card'))),
  card('visa_chargeDeclinedStolenCard', '4000000000009979', declines(declined('stolen_card'))),
  card(
    'chargeDeclinedExpiredCard',
    '4000000000000069',
    declines({
      code: 'expired_card',
      declineCode: 'expired_card',
      message: 'Your card has expired.',
    }),
  ),
  card(
    'chargeDeclinedIncorrectCvc',
    '4000000000000127',
    declines({
      code: 'incorrect_cvc',
      declineCode: 'incorrect_cvc',
      message: "Your card's security code is incorrect.",
    }),
  ),
  card('chargeDeclinedProcessingError', '4000000000000119', declines(PROCESSING_ERROR)),
  card('chargeDeclinedFraudulent', '4100000000000019', declines(declined('fraudulent'))),
  card('radarBlock', '4100000000000019', declines(declined('fraudulent'))),
  card(
    'visa_chargeDeclinedVelocityLimitExceeded',
    '4000000000006975',
    declines(declined('card_velocity_exceeded', 'Your card was declined for too many payments.')),
  ),
  card('chargeCustomerFail', '4000000000000341', declines(GENERIC)),
  card('authenticationRequired', '4000002760003184', { kind: 'authenticates' }),
  card('authenticationRequiredOnSetup', '4000002500003155', { kind: 'authenticates' }),
  card('threeDSecureRequired', '4000000000003063', { kind: 'authenticates' }),
  card('threeDSecure2Required', '4000000000003220', { kind: 'authenticates' }),
  card('threeDSecureRequiredChargeDeclined', '4000008400001629', {
    kind: 'authenticates',
    decline: GENERIC,
  }),
  card('authenticationRequiredChargeDeclinedInsufficientFunds', '4000008260003178', {
    kind: 'authenticates',
    decline: INSUFFICIENT_FUNDS,
  }),
  card('threeDSecureOptional', '4000000000003055'),
  card('createDispute', '4000000000000259', disputed('fraudulent')),
  card('createDisputeProductNotReceived', '4000000000002685', disputed('product_not_received')),
  card('createDisputeInquiry', '4000000000001976', {
    kind: 'succeeds',
    dispute: { reason: 'fraudulent', status: 'warning_needs_response' },
  }),
  card('refundFail', '4000000000005126', { kind: 'succeeds', refunds: 'fail' }),
  card('pendingRefund', '4000000000007726', { kind: 'succeeds', refunds: 'pend' }),
  bank('bacsDebit_success', 'bacs_debit'),
  bank('bacsDebit_accountClosed', 'bacs_debit', BANK_ACCOUNT_CLOSED),
  bank('bacsDebit_insufficientFunds', 'bacs_debit', BANK_INSUFFICIENT_FUNDS),
  bank('sepaDebit_success', 'sepa_debit'),
  bank('sepaDebit_accountClosed', 'sepa_debit', BANK_ACCOUNT_CLOSED),
  bank('usBankAccount_success', 'us_bank_account'),
  bank('usBankAccount_accountClosed', 'us_bank_account', BANK_ACCOUNT_CLOSED),
  bank('usBankAccount_insufficientFunds', 'us_bank_account', BANK_INSUFFICIENT_FUNDS),
]

const BY_TOKEN = new Map(TEST_METHODS.map((method) => [method.token, method]))
const BY_FINGERPRINT = new Map(TEST_METHODS.map((method) => [fingerprintOf(method), method]))

export function findTestMethod(token: string): TestMethod | undefined {
  return BY_TOKEN.get(token)
}

/** The test card with this number (digits only), as typed on the hosted page. */
export function findTestCard(number: string): TestMethod | undefined {
  return TEST_METHODS.find((method) => method.number === number)
}

/**
 * What a payment with the method of this fingerprint does; the fingerprint names the test method.
 */
export function outcomeOf(fingerprint: string): Outcome {
  return BY_FINGERPRINT.get(fingerprint)?.outcome ?? SUCCEEDS
}

/** Like Stripe's: the same for every payment method made from the same card. */
export function fingerprintOf(method: TestMethod): string {
  return createHash('sha256').update(method.token).digest('base64url').slice(0, 16)
}

function card(name: string, number: string, outcome = SUCCEEDS, brand = 'visa'): TestMethod {
  return { token: `pm_card_${name}`, type: 'card', number, brand, country: 'US', outcome }
}

function bank(name: string, type: PaymentMethodType, decline?: Decline): TestMethod {
  const outcome: Outcome = { kind: 'settles', ...(decline === undefined ? {} : { decline }) }
  const country = type === 'bacs_debit' ? 'GB' : type === 'sepa_debit' ? 'DE' : 'US'
  return { token: `pm_${name}`, type, brand: 'STRIPE TEST BANK', country, outcome }
}

function declines(decline: Decline): Outcome {
  return { kind: 'declines', decline }
}

function declined(declineCode: string, message = 'Your card was declined.'): Decline {
  return { code: 'card_declined', declineCode, message }
}

function disputed(reason: string): Outcome {
  return { kind: 'succeeds', dispute: { reason, status: 'needs_response' } }
}
