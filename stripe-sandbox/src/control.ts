import { setTimeout as pause } from 'node:timers/promises'
import { finishAuthentication, finishSettlement } from './attempts.ts'
import type { Audit, AuditReport } from './audit.ts'
import type { Chaos, ChaosReport, ChaosTable } from './chaos.ts'
import { getCharge } from './charges.ts'
import { expireSession, paySession } from './checkout-sessions.ts'
import type { Context } from './context.ts'
import { endDispute, getDispute, openDispute, reviewDispute } from './disputes.ts'
import { invalidRequest, resourceMissing } from './errors.ts'
import type { Fault, FaultTable } from './faults.ts'
import { getPaymentIntent } from './payment-intents.ts'
import { KINDS, type Delivery, type Kind } from './records.ts'
import { createRefund, finishRefund, getRefund } from './refunds.ts'
import {
  NO_BILLING_DETAILS,
  type CheckoutSession,
  type Dispute,
  type PaymentIntent,
  type Refund,
  type RefundReason,
} from './resources.ts'
import { transactAnswer, type Store } from './store.ts'
import { findTestMethod } from './test-methods.ts'
import type { Webhooks } from './webhooks.ts'

/** What a test or a person does that at Stripe a bank, a customer or the dashboard would do. */
export interface Control {
  /** Ends a bank debit; without a result, as its test method is meant to end. */
  settlePayment(intentId: string, result?: 'fail' | 'succeed'): PaymentIntent
  finishAuthentication(intentId: string, result: 'complete' | 'fail'): PaymentIntent
  /** Pays a hosted session as its page would, with `pm_card_visa` unless told. */
  paySession(sessionId: string, payer?: SessionPayer): PaymentIntent
  expireSession(sessionId: string): CheckoutSession
  /** Opens a dispute on a charge, or on an intent's latest charge. */
  openDispute(paymentId: string, terms?: DisputeTerms): Dispute
  endDispute(disputeId: string, result: 'lose' | 'review' | 'win'): Dispute
  /** A refund made in the dashboard: without an idempotency key. */
  refund(terms: DashboardRefund): Refund
  finishRefund(refundId: string, result: 'fail' | 'succeed'): Refund

  pauseWebhooks(): void
  resumeWebhooks(): void
  resendEvent(eventId: string): void
  /** The newest deliveries first, a hundred unless told. */
  listDeliveries(limit?: number): Delivery[]
  /** Resolves once no delivery is under way or to be tried again; rejects after the time. */
  webhooksSettled(timeoutMs?: number): Promise<void>

  setFaults(faults: readonly Fault[]): void
  listFaults(): Fault[]
  /** Faults by chance from now on; a seed alone ends them. */
  setChaos(chaos: Chaos): void
  /** The chaos and how often it has struck. */
  chaos(): ChaosReport
  audit(): AuditReport
  /** How many records there are of each kind. */
  counts(): Record<Kind, number>
}

export interface SessionPayer {
  paymentMethod?: string
  email?: string
  name?: string
}

export interface DisputeTerms {
  reason?: string
  inquiry?: boolean
}

export interface DashboardRefund {
  paymentIntent?: string
  charge?: string
  amount?: number
  reason?: RefundReason
  /** For refunds that do not succeed at once. */
  status?: 'pending' | 'requires_action'
}

interface Parts {
  readonly audit: Audit
  readonly chaos: ChaosTable
  /** A context for work that nobody asked for over the API. */
  readonly context: () => Context
  readonly faults: FaultTable
  readonly store: Store
  readonly webhooks: Webhooks
}

const POLL_MS = 10

export function createControl(parts: Parts): Control {
  const { audit, chaos, context, faults, store, webhooks } = parts
  const act = <T>(work: (current: Context) => T): T => store.transact(() => work(context()))
  return {
    settlePayment: (id, result) =>
      act((current) => finishSettlement(current, getPaymentIntent(current, id), result)),
    finishAuthentication: (id, result) =>
      act((current) => finishAuthentication(current, getPaymentIntent(current, id), result)),
    paySession: (id, payer = {}) => payAsCustomer(parts, id, payer),
    expireSession: (id) => act((current) => expireSession(current, id)),
    openDispute: (id, terms = {}) =>
      act((current) =>
        openDispute(current, getCharge(current, chargeIdOf(current, id)), {
          reason: terms.reason ?? 'fraudulent',
          status: terms.inquiry === true ? 'warning_needs_response' : 'needs_response',
        }),
      ),
    endDispute: (id, result) =>
      act((current) => {
        const dispute = getDispute(current, id)
        return result === 'review'
          ? reviewDispute(current, dispute)
          : endDispute(current, dispute, result)
      }),
    refund: ({ amount, charge, paymentIntent, reason, status }) =>
      act((current) =>
        createRefund(current, { amount, charge, payment_intent: paymentIntent, reason }, status),
      ),
    finishRefund: (id, result) =>
      act((current) => finishRefund(current, getRefund(current, id), result)),
    pauseWebhooks: () => webhooks.pause(),
    resumeWebhooks: () => webhooks.resume(),
    resendEvent: (id) => webhooks.resend(id),
    listDeliveries: (limit = 100) => [...store.newestFirst('delivery')].slice(0, limit),
    webhooksSettled: (timeoutMs = 10_000) => waitForWebhooks(webhooks, timeoutMs),
    setFaults: (next) => faults.set(next),
    listFaults: () => faults.list(),
    setChaos: (next) => chaos.set(next),
    chaos: () => chaos.report(),
    audit: () => audit.report(),
    counts: () =>
      Object.fromEntries(KINDS.map((kind) => [kind, store.count(kind)])) as Record<Kind, number>,
  }
}

function payAsCustomer({ context, store }: Parts, id: string, payer: SessionPayer): PaymentIntent {
  const token = payer.paymentMethod ?? 'pm_card_visa'
  const method = findTestMethod(token)
  if (method === undefined) throw resourceMissing('PaymentMethod', token, 'payment_method')
  const { email = 'customer@example.com', name = null } = payer
  const billing = { ...NO_BILLING_DETAILS, email, name }
  return transactAnswer(store, () => paySession(context(), id, { method, billing }))
}

function chargeIdOf(context: Context, paymentId: string): string {
  if (paymentId.startsWith('ch_')) return paymentId
  const { latest_charge: charge } = getPaymentIntent(context, paymentId)
  if (charge === null) throw invalidRequest(`${paymentId} has no charge.`)
  return charge
}

async function waitForWebhooks(webhooks: Webhooks, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  // New events are admitted after the reply that caused them, hence one turn of waiting first.
  do {
    await pause(POLL_MS)
    if (webhooks.pendingCount() === 0) return
  } while (performance.now() < deadline)
  throw new Error(`${webhooks.pendingCount()} webhook deliveries are still to come.`)
}
