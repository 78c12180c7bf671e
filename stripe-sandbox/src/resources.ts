import type {
  UNMODELLED_OF_CHARGE,
  UNMODELLED_OF_CUSTOMER,
  UNMODELLED_OF_INTENT,
  UNMODELLED_OF_SESSION,
} from './unmodelled.ts'

/**
 * The objects that the sandbox keeps, in the shape that the API answers. An object is never
 * changed in place: a change puts a new one, so that an event may hold the old one as it was.
 */

type Metadata = Readonly<Record<string, string>>

export interface Address {
  city: string | null
  country: string | null
  line1: string | null
  line2: string | null
  postal_code: string | null
  state: string | null
}

export interface Shipping {
  address: Address
  name: string | null
  phone: string | null
}

export interface BillingDetails {
  address: Address
  email: string | null
  name: string | null
  phone: string | null
  tax_id: null
}

export const NO_ADDRESS: Address = {
  city: null,
  country: null,
  line1: null,
  line2: null,
  postal_code: null,
  state: null,
}

export const NO_BILLING_DETAILS: BillingDetails = {
  address: NO_ADDRESS,
  email: null,
  name: null,
  phone: null,
  tax_id: null,
}

export type Customer = typeof UNMODELLED_OF_CUSTOMER & {
  object: 'customer'
  id: string
  address: Address | null
  created: number
  description: string | null
  email: string | null
  invoice_prefix: string
  metadata: Metadata
  name: string | null
  phone: string | null
  shipping: Shipping | null
}

/** What is left of a deleted customer. */
export interface DeletedCustomer {
  object: 'customer'
  id: string
  deleted: true
}

export type PaymentMethodType = 'bacs_debit' | 'card' | 'sepa_debit' | 'us_bank_account'

/** The details of a card or an account; the fingerprint tells which test method it is. */
export interface MethodDetails {
  fingerprint: string
  [field: string]: unknown
}

export interface PaymentMethod {
  object: 'payment_method'
  id: string
  allow_redisplay: 'unspecified'
  billing_details: BillingDetails
  created: number
  customer: string | null
  customer_account: null
  livemode: false
  metadata: Metadata
  type: PaymentMethodType
  card?: MethodDetails
  bacs_debit?: MethodDetails
  sepa_debit?: MethodDetails
  us_bank_account?: MethodDetails
}

export type IntentStatus =
  | 'canceled'
  | 'processing'
  | 'requires_action'
  | 'requires_capture'
  | 'requires_confirmation'
  | 'requires_payment_method'
  | 'succeeded'

/** Why the last attempt failed: an error object of the API, kept on the intent. */
export interface PaymentFailure {
  type: 'card_error' | 'invalid_request_error'
  code: string
  message: string
  doc_url: string
  decline_code?: string
  advice_code?: string
  charge?: string
  payment_method: PaymentMethod
}

export type NextAction =
  | { type: 'redirect_to_url'; redirect_to_url: { return_url: string; url: string } }
  | { type: 'use_stripe_sdk'; use_stripe_sdk: { type: string; source: string; stripe_js: string } }

type CaptureMethod = 'automatic' | 'automatic_async' | 'manual'
export type CancellationReason =
  | 'abandoned'
  | 'automatic'
  | 'duplicate'
  | 'fraudulent'
  | 'requested_by_customer'

export type PaymentIntent = typeof UNMODELLED_OF_INTENT & {
  object: 'payment_intent'
  id: string
  allowed_payment_method_types: readonly PaymentMethodType[] | null
  amount: number
  amount_capturable: number
  amount_received: number
  automatic_payment_methods: { allow_redirects: 'always' | 'never'; enabled: true } | null
  canceled_at: number | null
  cancellation_reason: CancellationReason | null
  capture_method: CaptureMethod
  client_secret: string
  created: number
  currency: string
  customer: string | null
  description: string | null
  last_payment_error: PaymentFailure | null
  latest_charge: string | null
  metadata: Metadata
  next_action: NextAction | null
  payment_method: string | null
  payment_method_options: object
  payment_method_types: readonly string[]
  processing: object | null
  receipt_email: string | null
  setup_future_usage: 'off_session' | 'on_session' | null
  shipping: Shipping | null
  statement_descriptor: string | null
  statement_descriptor_suffix: string | null
  status: IntentStatus
}

export type Charge = typeof UNMODELLED_OF_CHARGE & {
  object: 'charge'
  id: string
  amount: number
  amount_captured: number
  amount_refunded: number
  balance_transaction: string | null
  billing_details: BillingDetails
  calculated_statement_descriptor: string
  captured: boolean
  created: number
  currency: string
  customer: string | null
  description: string | null
  disputed: boolean
  failure_code: string | null
  failure_message: string | null
  metadata: Metadata
  outcome: object
  paid: boolean
  payment_intent: string
  payment_method: string
  payment_method_details: object
  receipt_email: string | null
  receipt_url: string | null
  refunded: boolean
  shipping: Shipping | null
  statement_descriptor: string | null
  statement_descriptor_suffix: string | null
  status: 'failed' | 'pending' | 'succeeded'
}

export interface BalanceTransaction {
  object: 'balance_transaction'
  id: string
  amount: number
  available_on: number
  balance_type: 'payments'
  created: number
  currency: string
  description: string | null
  exchange_rate: null
  fee: number
  fee_details: readonly object[]
  net: number
  reporting_category: 'charge' | 'dispute' | 'dispute_reversal' | 'refund' | 'refund_failure'
  source: string
  status: 'available'
  type: 'adjustment' | 'charge' | 'refund' | 'refund_failure'
}

export type RefundStatus = 'canceled' | 'failed' | 'pending' | 'requires_action' | 'succeeded'
export type RefundReason = 'duplicate' | 'fraudulent' | 'requested_by_customer'

export interface Refund {
  object: 'refund'
  id: string
  amount: number
  balance_transaction: string | null
  charge: string
  created: number
  currency: string
  customer: string | null
  customer_account: null
  destination_details: object
  failure_balance_transaction?: string
  failure_reason?: string
  metadata: Metadata
  payment_intent: string
  payment_method: string
  reason: RefundReason | null
  receipt_number: null
  source_transfer_reversal: null
  status: RefundStatus
  transfer_reversal: null
}

export type DisputeStatus =
  | 'lost'
  | 'needs_response'
  | 'under_review'
  | 'warning_closed'
  | 'warning_needs_response'
  | 'won'

export interface Dispute {
  object: 'dispute'
  id: string
  amount: number
  balance_transactions: readonly BalanceTransaction[]
  charge: string
  created: number
  currency: string
  enhanced_eligibility_types: readonly string[]
  evidence: object
  evidence_details: object
  intended_submission_method: null
  is_charge_refundable: boolean
  livemode: false
  metadata: Metadata
  payment_intent: string
  payment_method_details: object
  reason: string
  status: DisputeStatus
}

interface CustomerDetails {
  address: Address | null
  business_name: null
  email: string | null
  individual_name: null
  name: string | null
  phone: null
  tax_exempt: 'none'
  tax_ids: readonly object[]
}

export type CheckoutSession = typeof UNMODELLED_OF_SESSION & {
  object: 'checkout.session'
  id: string
  allowed_payment_method_types: readonly PaymentMethodType[] | null
  amount_subtotal: number
  amount_total: number
  cancel_url: string | null
  client_reference_id: string | null
  created: number
  currency: string
  customer: string | null
  customer_creation: 'always' | 'if_required' | null
  customer_details: CustomerDetails | null
  customer_email: string | null
  expires_at: number
  locale: string | null
  metadata: Metadata
  payment_intent: string | null
  payment_method_types: readonly string[]
  payment_status: 'paid' | 'unpaid'
  status: 'complete' | 'expired' | 'open'
  submit_type: 'auto' | 'book' | 'donate' | 'pay' | null
  success_url: string
  total_details: { amount_discount: 0; amount_shipping: 0; amount_tax: 0 }
  url: string | null
}

export interface LineItem {
  object: 'item'
  id: string
  adjustable_quantity: null
  amount_discount: 0
  amount_subtotal: number
  amount_tax: 0
  amount_total: number
  currency: string
  description: string
  metadata: Metadata
  price: object
  quantity: number
}

export interface SandboxEvent {
  object: 'event'
  id: string
  api_version: string
  created: number
  data: { object: object; previous_attributes?: object }
  livemode: false
  pending_webhooks: number
  request: { id: string | null; idempotency_key: string | null }
  type: string
}
