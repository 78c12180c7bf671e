import type { Store } from './store.ts'

/** What an operation sees: the books, the time of its request and who asked. */
export interface Context {
  readonly store: Store
  readonly now: Date
  /** Both null when nobody asked over the API: the clock, a page or the control API did. */
  readonly request: { readonly id: string | null; readonly idempotencyKey: string | null }
  readonly settings: Settings
}

export interface Settings {
  /** The sandbox's own address, for the pages that a person opens. */
  readonly baseUrl: string
  /** Bank debits settle by themselves after this time; absent: only when told. */
  readonly settleAfterMs?: number
  /** Whether there is a webhook to tell of events. */
  readonly hasWebhook: () => boolean
}

/** The API version that replies and events are shaped by. */
export const API_VERSION = '2026-10-28.endive'

/** Stripe counts time in whole seconds since 1970. */
export function secondsOf(time: Date): number {
  return Math.floor(time.getTime() / 1000)
}
