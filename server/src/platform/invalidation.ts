import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { sql } from './sql.ts'
import type { Tx } from './database.ts'
import type { Logger } from './log.ts'
import { refuseReadOnly } from './primary.ts'

/** What caches are told about; each has keys of its own kind. */
export type InvalidationTopic = 'user' | 'catalog'

/** Keeps the caches of all processes and nodes honest. */
export interface Invalidation {
  /**
   * Whether a notice would surely have arrived: this node's own heartbeat came back over its LISTEN
   * connection within the last second. Otherwise a cache must not be served from.
   */
  isFresh(): boolean
  /** Applies a change here at once: call it after the commit of what announced it. */
  forget(topic: InvalidationTopic, key: string): void
  /** `forget` gets the key, or null when everything must go (after a connection was lost). */
  subscribe(topic: InvalidationTopic, forget: (key: string | null) => void): void
  stop(): Promise<void>
}

/** Tells every node of a change with the commit of its transaction, or not at all. */
export async function announceChange(tx: Tx, topic: InvalidationTopic, key: string): Promise<void> {
  await tx.run(sql`select pg_notify(${channel}, ${`${topic} ${key}`})`)
}

export interface InvalidationOptions {
  /** A direct connection: behind a pooler LISTEN hears nothing. */
  readonly directUrl: string
  readonly log: Logger
}

const channel = 'bureau_invalidation'
const heartbeatEveryMs = 250
const freshForMs = 1000
const reconnectAfterMs = 500
const silentForMs = 5000

export async function startInvalidation(options: InvalidationOptions): Promise<Invalidation> {
  const node = randomUUID()
  const subscribers = new Map<string, ((key: string | null) => void)[]>()
  let lastHeartbeat = Number.NEGATIVE_INFINITY
  /** When the connection last proved that it is one. */
  let aliveAt = performance.now()

  const tell = (topic: string, key: string | null): void => {
    for (const forget of subscribers.get(topic) ?? []) forget(key)
  }
  const connection = await keepListening(options, {
    // What changed while nobody listened is unknown: caches start empty.
    onConnected: () => {
      aliveAt = performance.now()
      for (const topic of subscribers.keys()) tell(topic, null)
    },
    onLost: () => {
      lastHeartbeat = Number.NEGATIVE_INFINITY
    },
    onNotice: (payload) => {
      const [topic = '', key = '', sentAt] = payload.split(' ')
      if (topic !== heartbeat) return tell(topic, key)
      if (key !== node) return
      lastHeartbeat = Number(sentAt)
      aliveAt = performance.now()
    },
  })
  const beat = (): void => {
    // A connection cut without a word would take heartbeats for minutes and bring none back.
    if (performance.now() - aliveAt > silentForMs) {
      aliveAt = performance.now()
      connection.renew()
    }
    connection.notify(`${heartbeat} ${node} ${performance.now()}`)
  }
  const heart = setInterval(beat, heartbeatEveryMs).unref()
  beat()

  return {
    isFresh: () => performance.now() - lastHeartbeat < freshForMs,
    forget: tell,
    subscribe: (topic, forget) => {
      subscribers.set(topic, [...(subscribers.get(topic) ?? []), forget])
    },
    stop: async () => {
      clearInterval(heart)
      await connection.stop()
    },
  }
}

/** The topic of a node's notice to itself; its key is the node, and then when it was sent. */
const heartbeat = 'heartbeat'

interface Listening {
  /** Sends on the listening connection itself; without one, or while it sends, it does nothing. */
  notify(payload: string): void
  /** Gives the connection up and opens another. */
  renew(): void
  stop(): Promise<void>
}

interface ListeningEvents {
  readonly onConnected: () => void
  readonly onLost: () => void
  readonly onNotice: (payload: string) => void
}

/** One LISTEN connection of its own, opened again whenever it breaks. */
async function keepListening(
  { directUrl, log }: InvalidationOptions,
  events: ListeningEvents,
): Promise<Listening> {
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined
  /** Which connection has not answered yet. */
  let busy: pg.Client | undefined
  let isStopped = false

  const retry = (error: unknown, message: string): void => {
    log.warn({ err: error }, message)
    if (!isStopped) timer = setTimeout(() => void connect(), reconnectAfterMs).unref()
  }
  const lose = (lost: pg.Client, error?: Error): void => {
    if (lost !== client || isStopped) return
    client = undefined
    events.onLost()
    lost.end().catch(() => undefined)
    retry(error, 'invalidation connection lost: caches are bypassed')
  }
  const connect = async (): Promise<void> => {
    const fresh = new pg.Client({
      connectionString: directUrl,
      application_name: 'bureau invalidation',
      keepAlive: true,
      connectionTimeoutMillis: silentForMs,
      query_timeout: silentForMs,
    })
    fresh.on('error', (error) => lose(fresh, error))
    fresh.on('end', () => lose(fresh))
    fresh.on('notification', ({ payload }) => events.onNotice(payload ?? ''))
    try {
      await fresh.connect()
      await refuseReadOnly(fresh)
      await fresh.query(`listen ${channel}`)
    } catch (error) {
      fresh.end().catch(() => undefined)
      return retry(error, 'invalidation connection failed')
    }
    if (isStopped) return void fresh.end().catch(() => undefined)
    events.onConnected()
    client = fresh
  }

  await connect()
  return {
    notify: (payload) => {
      const used = client
      // On a line that is stuck they would only pile up.
      if (!used || used === busy) return
      busy = used
      used
        .query('select pg_notify($1, $2)', [channel, payload])
        // A server that only reads was the primary: changes are announced elsewhere now.
        .then(() => refuseReadOnly(used))
        .catch((error: Error) => lose(used, error))
        .finally(() => (busy = busy === used ? undefined : busy))
    },
    renew: () => {
      if (client) lose(client, new Error('no heartbeat came back'))
    },
    stop: async () => {
      isStopped = true
      clearTimeout(timer)
      await client?.end()
    },
  }
}

/** A bounded cache that is only served from while notices arrive. */
export interface Cache<T> {
  /**
   * The cached value, or `load`'s, which is kept unless a notice came while it was loading. Whoever
   * asks meanwhile waits for the same load, unless a notice came since it began.
   */
  get(key: string, load: () => Promise<T>): Promise<T>
  /** The cached value when it may be served without asking anyone. */
  peek(key: string): T | undefined
  /** Since the start: how many were answered without a load, how many loads there were. */
  figures(): CacheFigures
}

export interface CacheFigures {
  readonly hits: number
  readonly misses: number
  readonly entries: number
  readonly bytes: number
}

export interface CacheOptions<T> {
  readonly topic: InvalidationTopic
  readonly maxEntries: number
  /** Together; an entry larger than a sixteenth of it is not kept. No bound when absent. */
  readonly maxBytes?: number
  /** What a value takes; values of a bounded size need not say. */
  readonly sizeOf?: (value: T) => number
  /** Which notices concern an entry: those with this key, or any. Its own key when absent. */
  readonly noticeKeyOf?: ((value: T) => string) | 'any'
}

export function createCache<T>(invalidation: Invalidation, options: CacheOptions<T>): Cache<T> {
  const { noticeKeyOf } = options
  const entries = createEntries(options)
  const loading = new Map<string, Promise<T>>()
  let generation = 0
  let hits = 0
  let misses = 0
  invalidation.subscribe(options.topic, (key) => {
    generation += 1
    // What is being loaded may show what was before: nobody else may get it.
    loading.clear()
    if (key === null || noticeKeyOf === 'any') return entries.clear()
    if (!noticeKeyOf) return entries.remove(key)
    entries.removeWhere((value) => noticeKeyOf(value) === key)
  })

  const begin = async (key: string, load: () => Promise<T>): Promise<T> => {
    const before = generation
    const value = await load()
    if (before === generation && invalidation.isFresh()) entries.keep(key, value)
    return value
  }
  const peek = (key: string): T | undefined => {
    if (!invalidation.isFresh()) return undefined
    const known = entries.find(key)
    if (known !== undefined) hits += 1
    return known
  }
  return {
    peek,
    get: async (key, load) => {
      const known = peek(key)
      if (known !== undefined) return known
      const other = invalidation.isFresh() ? loading.get(key) : undefined
      if (other) {
        hits += 1
        return await other
      }
      misses += 1
      const own = begin(key, load)
      loading.set(key, own)
      try {
        return await own
      } finally {
        if (loading.get(key) === own) loading.delete(key)
      }
    },
    figures: () => ({ hits, misses, entries: entries.count(), bytes: entries.bytes() }),
  }
}

interface Entries<T> {
  find(key: string): T | undefined
  keep(key: string, value: T): void
  remove(key: string): void
  removeWhere(isMeant: (value: T) => boolean): void
  clear(): void
  count(): number
  bytes(): number
}

/** What the map and the entry's own object take beside key and value. */
const entryBytes = 200
/** One entry must not push all others out. */
const largestShare = 16

/** Bounded in number and in bytes; what was not asked for the longest time goes first. */
function createEntries<T>({ maxEntries, maxBytes, sizeOf }: CacheOptions<T>): Entries<T> {
  /** A Map keeps the order of insertion: whatever is found is put in again. */
  const kept = new Map<string, { readonly value: T; readonly size: number }>()
  const allowed = maxBytes ?? Number.POSITIVE_INFINITY
  let bytes = 0

  const remove = (key: string): void => {
    bytes -= kept.get(key)?.size ?? 0
    kept.delete(key)
  }
  return {
    find: (key) => {
      const found = kept.get(key)
      if (!found) return undefined
      kept.delete(key)
      kept.set(key, found)
      return found.value
    },
    keep: (key, value) => {
      const size = entryBytes + 2 * key.length + (sizeOf?.(value) ?? 0)
      remove(key)
      if (size > allowed / largestShare) return
      for (const oldest of kept.keys()) {
        if (kept.size < maxEntries && bytes + size <= allowed) break
        remove(oldest)
      }
      kept.set(key, { value, size })
      bytes += size
    },
    remove,
    removeWhere: (isMeant) => {
      for (const [key, { value }] of kept) if (isMeant(value)) remove(key)
    },
    clear: () => {
      kept.clear()
      bytes = 0
    },
    count: () => kept.size,
    bytes: () => bytes,
  }
}
