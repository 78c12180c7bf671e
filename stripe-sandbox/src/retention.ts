import type { Context } from './context.ts'
import type { Store } from './store.ts'

/** Stripe's events can be read for 30 days. */
const EVENT_LIFE_MS = 30 * 24 * 60 * 60 * 1000
const MAX_EVENTS = 20_000

/**
 * Forgets events that are too old or too many, with their deliveries; pending ones by age alone.
 */
export function pruneEvents({ store, now }: Context): void {
  const oldest = now.getTime() - EVENT_LIFE_MS
  let surplus = store.count('event') - MAX_EVENTS
  for (const event of store.values('event')) {
    const old = event.created * 1000 < oldest
    if (!old && surplus <= 0) return
    if (!old && isPending(store, event.id)) continue
    store.remove('event', event.id)
    store.remove('delivery', event.id)
    surplus -= 1
  }
}

function isPending(store: Store, eventId: string): boolean {
  return store.find('delivery', eventId)?.state === 'pending'
}
