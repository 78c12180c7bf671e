import type Stripe from 'stripe'
import { epoch, later, secondMs } from '../../kernel/time.ts'
import type { Call } from './failure.ts'
import {
  fromIntent,
  idsIn,
  toDispute,
  toRefund,
  type ObservedDispute,
  type ObservedPayment,
  type ObservedRefund,
} from './observe.ts'

/** Objects created from one instant to another, both included; to the second. */
export interface ListRequest {
  readonly from: Date
  readonly to: Date
  /** The last object of the page before; null for the first page. */
  readonly after: string | null
}

/** One object of a list, with the attempt that its intent's metadata says it is for. */
export interface Listed<Seen> extends Owner {
  readonly seen: Seen
  readonly createdAt: Date
}

/** Whom an intent's metadata names; nulls where it names nobody. */
interface Owner {
  readonly orderId: string | null
  readonly paymentId: string | null
  readonly installation: string | null
}

/** At most 100 objects, newest first, and where the next page begins. */
export interface ListedPage<Seen> {
  readonly objects: readonly Listed<Seen>[]
  readonly next: string | null
}

export interface ListCalls {
  /** All intents of the account, whoever made them. */
  listPayments(request: ListRequest): Promise<ListedPage<ObservedPayment>>
  /** All refunds, those made in the provider's dashboard too. */
  listAllRefunds(request: ListRequest): Promise<ListedPage<ObservedRefund>>
  listDisputes(request: ListRequest): Promise<ListedPage<ObservedDispute>>
}

export function listCalls(call: Call): ListCalls {
  return {
    listPayments: (request) =>
      call(async (stripe) =>
        toPage(await stripe.paymentIntents.list(toParameters(request)), (intent) => ({
          seen: fromIntent(intent),
          ...ownerIn(intent.metadata),
        })),
      ),
    listAllRefunds: (request) =>
      call(async (stripe) =>
        toPage(await stripe.refunds.list(toParameters(request, intentOfEach)), (refund) => ({
          seen: toRefund(refund),
          ...ownerOf(refund.payment_intent),
        })),
      ),
    listDisputes: (request) =>
      call(async (stripe) =>
        toPage(await stripe.disputes.list(toParameters(request, intentOfEach)), (dispute) => ({
          seen: toDispute(dispute),
          ...ownerOf(dispute.payment_intent),
        })),
      ),
  }
}

/** The intent comes with each object: no call more for each to find its order. */
const intentOfEach = ['data.payment_intent']

interface Parameters {
  readonly created: { readonly gte: number; readonly lte: number }
  readonly limit: number
  readonly starting_after?: string
  readonly expand?: string[]
}

function toParameters({ from, to, after }: ListRequest, expand?: string[]): Parameters {
  return {
    created: { gte: toSeconds(from), lte: toSeconds(to) },
    limit: 100,
    ...(after === null ? {} : { starting_after: after }),
    ...(expand === undefined ? {} : { expand }),
  }
}

function toPage<T extends { readonly id: string; readonly created: number }, Seen>(
  { data, has_more: hasMore }: Stripe.ApiList<T>,
  read: (object: T) => Omit<Listed<Seen>, 'createdAt'>,
): ListedPage<Seen> {
  return {
    objects: data.map((object) => ({
      ...read(object),
      createdAt: later(epoch, object.created * secondMs),
    })),
    next: hasMore ? (data.at(-1)?.id ?? null) : null,
  }
}

function ownerOf(intent: string | Stripe.PaymentIntent | null): Owner {
  return ownerIn(typeof intent === 'object' && intent !== null ? intent.metadata : null)
}

function ownerIn(metadata: Stripe.Metadata | null): Owner {
  return { ...idsIn(metadata), installation: metadata?.['installation'] ?? null }
}

function toSeconds(date: Date): number {
  return Math.floor(date.getTime() / secondMs)
}
