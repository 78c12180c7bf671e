import { setTimeout as delay } from 'node:timers/promises'
import type { Binaries } from './binaries.ts'
import type { ClusterHome } from './location.ts'
import { isPostmasterOf, startPostmaster, type Postmaster } from './postmaster.ts'
import { boundServerLog } from './server-log.ts'

const CHECK_INTERVAL_MS = 250
const RETRY_INTERVAL_MS = 5_000
const END_TIMEOUT_MS = 5_000
const LOG_CHECK_INTERVAL_MS = 600_000

/** Looks after a running server until it is ended. */
export interface Watch {
  /** Ends the watch, within 5 s even while it waits for a server that is being started again. */
  end(): Promise<void>
}

/**
 * Starts the server again, at the same address, when its process ends unasked: killed for memory,
 * or by an operator's mistake. Connections break and are made anew; nothing acknowledged is lost.
 * Also keeps the server's log from growing without bound.
 */
export function watchPostmaster(
  home: ClusterHome,
  started: Postmaster,
  watch: { binaries: () => Promise<Binaries>; progress: (message: string) => void },
): Watch {
  const ending = new AbortController()
  let { pid } = started

  const look = async (): Promise<void> => {
    let logCheckAt = performance.now() + LOG_CHECK_INTERVAL_MS
    let pauseMs = CHECK_INTERVAL_MS
    while (await pause(pauseMs, ending.signal)) {
      pauseMs = CHECK_INTERVAL_MS
      try {
        if (!isPostmasterOf(home, pid)) {
          watch.progress('PostgreSQL has ended unexpectedly and is started again')
          pid = (await startPostmaster(home, await watch.binaries())).postmaster.pid
        }
        if (performance.now() > logCheckAt) {
          logCheckAt += LOG_CHECK_INTERVAL_MS
          await boundServerLog(home.logFile)
        }
      } catch (error) {
        watch.progress(error instanceof Error ? error.message : String(error))
        pauseMs = RETRY_INTERVAL_MS
      }
    }
  }
  const looking = look()

  return {
    end: async () => {
      ending.abort()
      await Promise.race([looking, delay(END_TIMEOUT_MS, undefined, { ref: false })])
    },
  }
}

/** False when the watch ends meanwhile. The timer does not keep the process alive. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, { signal, ref: false })
    return true
  } catch {
    return false
  }
}
