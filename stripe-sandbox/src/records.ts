import type { CreateValues } from './intent-parameters.ts'
import type {
  BalanceTransaction,
  Charge,
  CheckoutSession,
  Customer,
  DeletedCustomer,
  Dispute,
  LineItem,
  PaymentIntent,
  PaymentMethod,
  Refund,
  SandboxEvent,
} from './resources.ts'

/** What a session sells and how its intent, made when the customer first pays, shall be. */
export interface SessionPlan {
  id: string
  lineItems: readonly LineItem[]
  intent: Pick<
    CreateValues,
    | 'allowed_payment_method_types'
    | 'capture_method'
    | 'description'
    | 'metadata'
    | 'receipt_email'
    | 'setup_future_usage'
    | 'shipping'
    | 'statement_descriptor_suffix'
  >
}

/** The state of one event's way to the webhook; its id is the event's. */
export interface Delivery {
  id: string
  type: string
  state: 'delivered' | 'dropped' | 'failed' | 'pending'
  createdMs: number
  nextAttemptAtMs: number
  /** The number of attempts so far; `log` holds the last ten. */
  attempts: number
  log: readonly DeliveryAttempt[]
}

export interface DeliveryAttempt {
  atMs: number
  durationMs: number
  /** The HTTP status answered, or null when there was no answer. */
  status: number | null
  error: string | null
}

/** An answer kept under an idempotency key, and for which request. */
export interface KeptAnswer {
  id: string
  endpoint: string
  fingerprint: string
  status: number
  body: string
  requestId: string
  keptAtMs: number
}

/** A payment that settles by itself later; its id is the intent's. */
interface Settlement {
  id: string
  settlesAtMs: number
}

/** Which idempotency key moved the money of a charge; its id is the charge's. */
interface ChargeKey {
  id: string
  key: string | null
}

/** A request that a careful client would not have sent. */
export interface Anomaly {
  id: string
  kind: 'key_missing' | 'key_random'
  operation: string
  key: string | null
  atMs: number
}

/** Every kind of record that the store keeps, by name. */
export interface Records {
  customer: Customer
  deleted_customer: DeletedCustomer
  payment_method: PaymentMethod
  payment_intent: PaymentIntent
  charge: Charge
  balance_transaction: BalanceTransaction
  refund: Refund
  dispute: Dispute
  'checkout.session': CheckoutSession
  event: SandboxEvent
  session_plan: SessionPlan
  delivery: Delivery
  kept_answer: KeptAnswer
  settlement: Settlement
  charge_key: ChargeKey
  anomaly: Anomaly
}

export type Kind = keyof Records

export const KINDS: readonly Kind[] = [
  'customer',
  'deleted_customer',
  'payment_method',
  'payment_intent',
  'charge',
  'balance_transaction',
  'refund',
  'dispute',
  'checkout.session',
  'event',
  'session_plan',
  'delivery',
  'kept_answer',
  'settlement',
  'charge_key',
  'anomaly',
]

/** The fields by which records of a kind are looked up. */
export const INDEXED_FIELDS: Readonly<Partial<Record<Kind, readonly string[]>>> = {
  charge: ['payment_intent'],
  refund: ['charge', 'payment_intent'],
  dispute: ['charge', 'payment_intent'],
  'checkout.session': ['payment_intent', 'status'],
}
