import type Stripe from 'stripe'
import { secondMs } from '../../kernel/time.ts'
import type { Call } from './failure.ts'

/** What a signed webhook is believed: never the payload's state. */
export interface ProviderEvent {
  readonly id: string
  readonly type: string
  readonly account: string | null
  readonly livemode: boolean
  readonly objectKind: string
  readonly objectId: string
}

/** A webhook as it came: the signature is over exactly these bytes. */
export interface SignedEvent {
  readonly rawBody: Buffer
  readonly signature: string
}

/** At most 100 events, newest first, and where the next page begins. */
export interface EventPage {
  readonly events: readonly ProviderEvent[]
  readonly next: string | null
}

export interface EventCalls {
  /** The account's events of these types since an instant, whether a webhook told of them or not. */
  listEvents(request: {
    readonly from: Date
    /** 20 at most. */
    readonly types: readonly string[]
    /** The last event of the page before; null for the first page. */
    readonly after: string | null
  }): Promise<EventPage>
}

export function eventCalls(call: Call): EventCalls {
  return {
    listEvents: ({ from, types, after }) =>
      call(async (stripe) => {
        const { data, has_more: hasMore } = await stripe.events.list({
          created: { gte: Math.floor(from.getTime() / secondMs) },
          types: [...types],
          limit: 100,
          ...(after === null ? {} : { starting_after: after }),
        })
        const next = hasMore ? (data.at(-1)?.id ?? null) : null
        return { events: data.map(toProviderEvent), next }
      }),
  }
}

const signatureToleranceSeconds = 300

/** Throws where no secret fits, or the signature is older or newer than five minutes. */
export function readSignedEvent(
  stripe: Stripe,
  { rawBody, signature, secrets, now }: SignedEvent & { secrets: readonly string[]; now: Date },
): ProviderEvent {
  requireRecent(signature, now)
  let failure: unknown = new Error('no webhook secret is configured')
  for (const secret of secrets) {
    try {
      const event = stripe.webhooks.constructEvent(
        rawBody,
        signature,
        secret,
        signatureToleranceSeconds,
        undefined,
        now.getTime(),
      )
      return toProviderEvent(event)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/**
 * The package refuses what is too old but takes what comes from the future, and of several times
 * the last: there has to be one.
 */
function requireRecent(signature: string, now: Date): void {
  const times = signature.split(',').filter((part) => part.startsWith('t='))
  const seconds = times.length === 1 ? Number(times[0]?.slice('t='.length)) : Number.NaN
  const aheadSeconds = seconds - now.getTime() / 1000
  if (!(aheadSeconds <= signatureToleranceSeconds)) {
    throw new Error('the signature has no time, several, or one that is still to come')
  }
}

function toProviderEvent(event: Stripe.Event): ProviderEvent {
  const object = event.data.object as { id?: string; object?: string }
  return {
    id: event.id,
    type: event.type,
    account: event.account ?? null,
    livemode: event.livemode,
    objectKind: object.object ?? '',
    objectId: object.id ?? '',
  }
}
