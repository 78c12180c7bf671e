import { createHmac } from 'node:crypto'
import { expect } from 'vitest'
import { webhookSecret, type Reply, type TestApp } from '../support/app.ts'
import { listAtProvider } from './provider.ts'

/** Events as the provider sends them, made or repeated by a proof itself. */

let events = 0

/** About an object of which only the kind and the id are looked at. */
export function eventAbout(object: { id: string; object: string }, more: object = {}): string {
  events += 1
  return JSON.stringify({
    id: `evt_proof_${events}`,
    object: 'event',
    type: 'payment_intent.succeeded',
    livemode: false,
    created: 1,
    data: { object },
    ...more,
  })
}

/** The bodies of what has happened to an object at the provider, by the events' types. */
export async function eventsOf(app: TestApp, objectId: string): Promise<Map<string, string>> {
  const found = await listAtProvider(app, 'events')
  return new Map(
    found
      .filter(({ data }) => data.object.id === objectId)
      .map((event) => [event.type, JSON.stringify(event, undefined, 2)]),
  )
}

type Clock = Pick<TestApp, 'now'>

interface Signing {
  readonly secret?: string
  /** Seconds that the signature is from now; before it where negative. */
  readonly at?: number
  readonly scheme?: string
}

export function signatureOf(app: Clock, body: string, signing: Signing = {}): string {
  const { time, mac } = macOf(app, body, signing)
  return `t=${time},${signing.scheme ?? 'v1'}=${mac}`
}

export function macOf(
  app: Clock,
  body: string,
  { secret = webhookSecret, at = 0 }: Signing = {},
): { time: number; mac: string } {
  const time = Math.floor(app.now().getTime() / 1000) + at
  return { time, mac: createHmac('sha256', secret).update(`${time}.${body}`).digest('hex') }
}

/** To the webhook of a node, with its own signature unless told. */
export async function deliver(
  app: TestApp,
  body: string | Uint8Array,
  signature: string | null = signatureOf(app, body.toString()),
): Promise<Reply> {
  return await app.request('POST /api/webhook/stripe', {
    rawBody: body,
    headers: signature === null ? {} : { 'stripe-signature': signature },
  })
}

export async function deliverAll(app: TestApp, bodies: readonly string[]): Promise<void> {
  const replies = await Promise.all(bodies.map(async (body) => await deliver(app, body)))
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]))
}

export function idOf(event: string): string {
  return (JSON.parse(event) as { id: string }).id
}

/** What came of an event; undefined where it was never stored, null where it waits. */
export async function outcomeOf(app: TestApp, event: string): Promise<unknown> {
  const [row] = await app.sql('select outcome from provider_events where id = $1', [idOf(event)])
  return row?.['outcome']
}
