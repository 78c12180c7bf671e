import type { TxContext } from '../../../platform/context.ts'
import type { NewEvent } from '../../../platform/events.ts'
import { emit } from '../../../platform/outbox.ts'

/** A statement with all of a thousand events would be one of its own for each number of them. */
const eventsAtOnce = 50

/** Writes any number of events in statements of a bounded size. */
export async function emitAll(ctx: TxContext, events: readonly NewEvent[]): Promise<void> {
  for (let start = 0; start < events.length; start += eventsAtOnce) {
    await emit(ctx, ...events.slice(start, start + eventsAtOnce))
  }
}
