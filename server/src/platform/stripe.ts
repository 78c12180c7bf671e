import type Stripe from 'stripe'
import { ProviderError, toProviderFailure, type Call } from './stripe/failure.ts'
import {
  eventCalls,
  readSignedEvent,
  type EventCalls,
  type ProviderEvent,
  type SignedEvent,
} from './stripe/events.ts'
import { listCalls, type ListCalls } from './stripe/list.ts'
import {
  fromIntent,
  fromSession,
  idOf,
  type ObservedDispute,
  type ObservedPayment,
  type ObservedRefund,
  toDispute,
  toRefund,
} from './stripe/observe.ts'

export { ProviderError } from './stripe/failure.ts'
export type { Listed, ListedPage, ListRequest } from './stripe/list.ts'
export type { ObservedDispute, ObservedPayment, ObservedRefund } from './stripe/observe.ts'

/** The version that requests are made in and replies are read in; raised on purpose only. */
export const stripeApiVersion = '2026-10-28.endive'

export interface Charge {
  /** In minor units of `currency` (lower case at Stripe, upper case here). */
  readonly amount: number
  readonly currency: string
  readonly orderId: string
  readonly paymentId: string
  readonly orderNumber: string
  readonly email: string
  /** Tells our objects from those of others who share the account. */
  readonly installation: string
}

export interface HostedCharge extends Charge {
  readonly successUrl: string
  readonly cancelUrl: string
  readonly expiresAt: Date
}

/**
 * What Bureau asks of its payment provider. Every POST takes our own idempotency key,
 * `<payment id>:<operation>:<n>`. All of them throw `ProviderError`.
 */
export interface StripePort extends ListCalls, EventCalls {
  /** False with `PAYMENTS=off`: nothing may then be called. */
  readonly enabled: boolean
  /** What browsers need beside the client secret. */
  readonly publishableKey: string | null
  /** Whether the key moves real money; an object of the other mode is never ours. */
  readonly livemode: boolean
  createIntent(charge: Charge, key: string): Promise<ObservedPayment>
  changeIntentAmount(ref: string, amount: number, key: string): Promise<ObservedPayment>
  confirmIntent(
    ref: string,
    details: { paymentMethod: string; returnUrl: string },
    key: string,
  ): Promise<ObservedPayment>
  cancelIntent(ref: string, key: string): Promise<ObservedPayment>
  createSession(charge: HostedCharge, key: string): Promise<ObservedPayment>
  expireSession(ref: string, key: string): Promise<ObservedPayment>
  /** An intent (`pi_…`) or a session (`cs_…`) with its intent. */
  retrievePayment(ref: string): Promise<ObservedPayment>
  createRefund(
    refund: { intentRef: string; amount: number; orderId: string; refundId: string },
    key: string,
  ): Promise<ObservedRefund>
  retrieveRefund(ref: string): Promise<ObservedRefund>
  /** All refunds of an intent, newest first, 1000 at most. */
  listRefunds(intentRef: string): Promise<ObservedRefund[]>
  retrieveDispute(ref: string): Promise<ObservedDispute>
  /** The intent that a charge belongs to; null for one without. */
  findIntentOfCharge(ref: string): Promise<string | null>
  /** Asks for next to nothing, to see whether the key is taken; gives the provider's clock. */
  checkKey(): Promise<ProviderClock>
  /** How the last call of this process went; null before the first. */
  lastCall(): LastCall | null
  /** Throws where the signature is wrong, or more than five minutes from `now` either way. */
  readEvent(signed: SignedEvent, now: Date): Promise<ProviderEvent>
}

export interface ProviderClock {
  /** Null where the answer has none. */
  readonly at: Date | null
}

export interface LastCall {
  readonly agoMs: number
  /** A refusal is an answer too; silence and a 5xx are none. */
  readonly isAnswered: boolean
}

export interface StripeOptions {
  readonly secretKey: string
  readonly publishableKey: string | null
  /** Several during a rotation: each is tried. */
  readonly webhookSecrets: readonly string[]
  /** Another base URL, such as the stand-in's; Stripe's own when absent. */
  readonly apiBase: string | undefined
}

const callTimeoutMs = 8000

/** Talks to Stripe, or to what stands in for it, through the official package. */
export function openStripe(options: StripeOptions): StripePort {
  const client = lazyClient(options)
  const { call, lastCall } = watchCalls(client)
  const withKey = (idempotencyKey: string): Stripe.RequestOptions => ({ idempotencyKey })
  return {
    enabled: true,
    publishableKey: options.publishableKey,
    livemode: /^(sk|rk)_live_/.test(options.secretKey),
    createIntent: (charge, key) =>
      call(async (stripe) =>
        fromIntent(
          await stripe.paymentIntents.create(
            {
              amount: charge.amount,
              currency: charge.currency.toLowerCase(),
              automatic_payment_methods: { enabled: true },
              description: `Order ${charge.orderNumber}`,
              receipt_email: charge.email,
              metadata: metadataOf(charge),
            },
            withKey(key),
          ),
        ),
      ),
    changeIntentAmount: (ref, amount, key) =>
      call(async (stripe) =>
        fromIntent(await stripe.paymentIntents.update(ref, { amount }, withKey(key))),
      ),
    confirmIntent: (ref, { paymentMethod, returnUrl }, key) =>
      call(async (stripe) =>
        fromIntent(
          await stripe.paymentIntents.confirm(
            ref,
            { payment_method: paymentMethod, return_url: returnUrl },
            withKey(key),
          ),
        ),
      ),
    cancelIntent: (ref, key) =>
      call(async (stripe) => fromIntent(await stripe.paymentIntents.cancel(ref, {}, withKey(key)))),
    createSession: (charge, key) =>
      call(async (stripe) =>
        fromSession(await stripe.checkout.sessions.create(toSession(charge), withKey(key))),
      ),
    expireSession: (ref, key) =>
      call(async (stripe) =>
        fromSession(
          await stripe.checkout.sessions.expire(ref, { expand: ['payment_intent'] }, withKey(key)),
        ),
      ),
    retrievePayment: (ref) =>
      call(async (stripe) =>
        ref.startsWith('cs_')
          ? fromSession(
              await stripe.checkout.sessions.retrieve(ref, { expand: ['payment_intent'] }),
            )
          : fromIntent(await stripe.paymentIntents.retrieve(ref)),
      ),
    ...refundCalls(call),
    ...listCalls(call),
    checkKey: () => call(readClock),
    ...eventCalls(call),
    lastCall,
    readEvent: async (signed, now) =>
      readSignedEvent(await client(), { ...signed, secrets: options.webhookSecrets, now }),
  }
}

async function readClock(stripe: Stripe): Promise<ProviderClock> {
  const { date = '' } = (await stripe.balance.retrieve()).lastResponse.headers
  const at = new Date(date)
  return { at: Number.isNaN(at.getTime()) ? null : at }
}

/** Calls whose failures are ours, and how the last of them went. */
function watchCalls(client: () => Promise<Stripe>): {
  call: Call
  lastCall: StripePort['lastCall']
} {
  let last: { readonly endedAt: number; readonly isAnswered: boolean } | null = null
  const note = (isAnswered: boolean): void => {
    last = { endedAt: performance.now(), isAnswered }
  }
  return {
    call: async (work) => {
      const stripe = await client()
      try {
        const answer = await work(stripe)
        note(true)
        return answer
      } catch (error) {
        const failure = toProviderFailure(error)
        note(!(failure instanceof ProviderError && isNoAnswer(failure)))
        throw failure
      }
    },
    lastCall: () =>
      last && { agoMs: performance.now() - last.endedAt, isAnswered: last.isAnswered },
  }
}

function isNoAnswer({ kind }: ProviderError): boolean {
  return kind === 'lost' || kind === 'erred'
}

function refundCalls(
  call: Call,
): Pick<
  StripePort,
  'createRefund' | 'retrieveRefund' | 'listRefunds' | 'retrieveDispute' | 'findIntentOfCharge'
> {
  return {
    createRefund: ({ intentRef, amount, orderId, refundId }, key) =>
      call(async (stripe) =>
        toRefund(
          await stripe.refunds.create(
            {
              payment_intent: intentRef,
              amount,
              metadata: { order_id: orderId, refund_id: refundId },
            },
            { idempotencyKey: key },
          ),
        ),
      ),
    retrieveRefund: (ref) => call(async (stripe) => toRefund(await stripe.refunds.retrieve(ref))),
    listRefunds: (intentRef) =>
      call(async (stripe) => {
        const pages = stripe.refunds.list({ payment_intent: intentRef, limit: 100 })
        return (await pages.autoPagingToArray({ limit: 1000 })).map(toRefund)
      }),
    retrieveDispute: (ref) =>
      call(async (stripe) => toDispute(await stripe.disputes.retrieve(ref))),
    findIntentOfCharge: (ref) =>
      call(async (stripe) => idOf((await stripe.charges.retrieve(ref)).payment_intent)),
  }
}

/** The port of a business that takes no cards: `enabled` is asked before anything is called. */
export function closedStripe(): StripePort {
  const refuse = (): Promise<never> => Promise.reject(new Error('payments are switched off'))
  return {
    enabled: false,
    publishableKey: null,
    livemode: false,
    createIntent: refuse,
    changeIntentAmount: refuse,
    confirmIntent: refuse,
    cancelIntent: refuse,
    createSession: refuse,
    expireSession: refuse,
    retrievePayment: refuse,
    createRefund: refuse,
    retrieveRefund: refuse,
    listRefunds: refuse,
    retrieveDispute: refuse,
    findIntentOfCharge: refuse,
    listPayments: refuse,
    listAllRefunds: refuse,
    listDisputes: refuse,
    checkKey: refuse,
    listEvents: refuse,
    lastCall: () => null,
    readEvent: refuse,
  }
}

/** The package takes 0.4 s to load: the first call pays for it, not the start. */
function lazyClient({ secretKey, apiBase }: StripeOptions): () => Promise<Stripe> {
  let client: Promise<Stripe> | undefined
  const open = async (): Promise<Stripe> => {
    const { Stripe: StripeClient } = await import('stripe')
    const base = apiBase === undefined ? undefined : new URL(apiBase)
    return new StripeClient(secretKey, {
      apiVersion: stripeApiVersion,
      // Repeats are ours to decide; the package has one of its own, with the same key, for a
      // connection that it finds closed.
      maxNetworkRetries: 0,
      timeout: callTimeoutMs,
      telemetry: false,
      ...(base
        ? {
            host: base.hostname,
            port: base.port === '' ? (base.protocol === 'http:' ? 80 : 443) : Number(base.port),
            protocol: base.protocol === 'http:' ? 'http' : 'https',
          }
        : {}),
    })
  }
  return () => (client ??= open())
}

/** Our own row's ids travel with the object, so that a webhook finds its order by key. */
function metadataOf({ orderId, paymentId, installation }: Charge): Record<string, string> {
  return { order_id: orderId, payment_id: paymentId, installation }
}

function toSession(charge: HostedCharge): Stripe.Checkout.SessionCreateParams {
  const metadata = metadataOf(charge)
  return {
    mode: 'payment',
    line_items: [
      {
        quantity: 1,
        price_data: {
          currency: charge.currency.toLowerCase(),
          unit_amount: charge.amount,
          product_data: { name: `Order ${charge.orderNumber}` },
        },
      },
    ],
    customer_email: charge.email,
    success_url: charge.successUrl,
    cancel_url: charge.cancelUrl,
    expires_at: Math.floor(charge.expiresAt.getTime() / 1000),
    metadata,
    payment_intent_data: { metadata, description: `Order ${charge.orderNumber}` },
    expand: ['payment_intent'],
  }
}
