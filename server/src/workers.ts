import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { Refusal } from './kernel/refusal.ts'
import type { Logger } from './platform/log.ts'

/** The stand-in for Stripe, as those know it who did not open it. */
export interface StandIn {
  readonly url: string
  readonly webhookSecret: string
}

/** What a parent has opened for its workers. */
export interface Handed {
  readonly database: { readonly serverUrl: string; readonly directUrl: string }
  readonly standIn: StandIn | undefined
}

export interface Workers {
  /** Which all of them serve. */
  readonly url: string
  /** Each ends what it has begun. */
  stop(): Promise<void>
}

/** What a worker says to its parent. */
type Word =
  /** It listens to what it is handed: what was sent before is lost. */
  | { readonly kind: 'listens' }
  | { readonly kind: 'serves'; readonly url: string }
  | { readonly kind: 'refuses'; readonly reason: string }
  | { readonly kind: 'committed' }

interface Wish {
  readonly count: number
  readonly handed: Handed
}

interface ParentPorts {
  readonly log: Logger
  /** A worker has committed something that others wait for. */
  readonly onWake: () => void
}

/** One that dies at once is not begun again without end. */
const replaceAfterMs = 1000

/**
 * Starts the processes that serve, and another one for each that dies. Returns once all of them
 * take requests; throws Refusal with the words of one that cannot.
 */
export async function startWorkers(
  { count, handed }: Wish,
  { log, onWake }: ParentPorts,
): Promise<Workers> {
  const stopping = new AbortController()
  const { signal } = stopping
  const workers = new Set<Worker>()

  const begin = async (): Promise<string> => {
    const worker = cluster.fork()
    workers.add(worker)
    worker.once('exit', () => workers.delete(worker))
    worker.on('message', ({ kind }: Word) => {
      if (kind === 'committed') onWake()
      if (kind === 'listens') worker.send(handed)
    })
    const url = await untilItServes(worker)
    worker.once('exit', (code, signal) => void replace(signal ?? code))
    return url
  }
  const replace = async (cause: unknown): Promise<void> => {
    if (signal.aborted) return
    log.error({ cause }, 'a worker died, and another takes its place')
    for (;;) {
      await wait(replaceAfterMs, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      try {
        await begin()
        return
      } catch (error) {
        log.error({ err: error }, 'a worker cannot take its place')
      }
    }
  }
  const stop = async (): Promise<void> => {
    stopping.abort()
    await Promise.all([...workers].map(end))
  }
  try {
    const [url = ''] = await Promise.all(Array.from({ length: count }, begin))
    return { url, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function untilItServes(worker: Worker): Promise<string> {
  return await new Promise((resolve, reject) => {
    worker.on('message', (word: Word) => {
      if (word.kind === 'serves') resolve(word.url)
      if (word.kind === 'refuses') reject(new Refusal(word.reason))
    })
    worker.once('exit', (code, signal) => {
      reject(new Refusal(`A worker ended before it served (${signal ?? code}).`))
    })
  })
}

async function end(worker: Worker): Promise<void> {
  const ended = once(worker, 'exit')
  worker.process.kill('SIGTERM')
  await ended
}

/** Whether this process is one of them. */
export function isWorker(): boolean {
  return cluster.isWorker
}

/** A worker's way to its parent. */
export interface Parent {
  readonly handed: Handed
  /** Aborted when the parent is gone: nobody would end the worker then. */
  readonly gone: AbortSignal
  say(word: Word): void
}

export async function meetParent(): Promise<Parent> {
  const gone = new AbortController()
  process.once('disconnect', () => gone.abort())
  // Between its end and ours there is nobody to hear it.
  const say = (word: Word): void => void (process.connected && process.send?.(word))
  const listening = once(process, 'message')
  say({ kind: 'listens' })
  const [handed] = (await listening) as [Handed]
  return { handed, gone: gone.signal, say }
}
