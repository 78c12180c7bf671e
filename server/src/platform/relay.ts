import type { Pool } from './database.ts'
import type { EventRegistry } from './events.ts'
import type { Logger } from './log.ts'
import { relayEvents } from './outbox.ts'

/** Truth is the table; the wake-up in process only makes it quicker. */
const pollEveryMs = 1000

export interface Relay {
  /** Something was committed here: look now instead of at the next tick. */
  wake(): void
  stop(): Promise<void>
}

/**
 * Hands announced events to the job queue, in batches, for as long as the process lives. Several
 * processes may do so at once: a delivery is deleted by one of them only.
 */
export function startRelay(db: Pool, events: EventRegistry, log: Logger): Relay {
  const state = { isStopped: false, isDue: false }
  let rouse: (() => void) | undefined

  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, pollEveryMs)
      rouse = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  const run = async (): Promise<void> => {
    while (!state.isStopped) {
      state.isDue = false
      const taken = await relayEvents(db, events).catch((error: unknown) => {
        log.warn({ err: error }, 'events not handed over; they wait')
        return 0
      })
      if (taken === 0 && !state.isDue && !state.isStopped) await pause()
    }
  }
  const running = run()
  return {
    wake: () => {
      state.isDue = true
      rouse?.()
    },
    stop: async () => {
      state.isStopped = true
      rouse?.()
      await running
    },
  }
}
