import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { sql } from './sql.ts'
import type { Tx } from './database.ts'
import type { Logger } from './log.ts'

/** What caches are told about; each has keys of its own kind. */
export type InvalidationTopic = 'user'

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
  /** Sends on the listening connection itself; without one it does nothing. */
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
      connectionTimeoutMillis: 5000,
    })
    fresh.on('error', (error) => lose(fresh, error))
    fresh.on('end', () => lose(fresh))
    fresh.on('notification', ({ payload }) => events.onNotice(payload ?? ''))
    try {
      await fresh.connect()
      await fresh.query(`listen ${channel}`)
    } catch (error) {
      fresh.end().catch(() => undefined)
      return retry(error, 'invalidation connection failed')
    }
    events.onConnected()
    client = fresh
  }

  await connect()
  return {
    notify: (payload) => {
      const used = client
      used?.query('select pg_notify($1, $2)', [channel, payload]).catch((error: Error) => {
        lose(used, error)
      })
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
  /** The cached value, or `load`'s, which is kept unless a notice came while it was loading. */
  get(key: string, load: () => Promise<T>): Promise<T>
  /** The cached value when it may be served without asking anyone. */
  peek(key: string): T | undefined
}

export interface CacheOptions<T> {
  readonly topic: InvalidationTopic
  readonly maxEntries: number
  /** Which notices concern an entry; the entry's own key when absent. */
  readonly noticeKeyOf?: (value: T) => string
}

export function createCache<T>(
  invalidation: Invalidation,
  { topic, maxEntries, noticeKeyOf }: CacheOptions<T>,
): Cache<T> {
  const entries = new Map<string, T>()
  let generation = 0
  invalidation.subscribe(topic, (key) => {
    generation += 1
    if (key === null) return entries.clear()
    if (!noticeKeyOf) return void entries.delete(key)
    for (const [id, value] of entries) if (noticeKeyOf(value) === key) entries.delete(id)
  })
  const peek = (key: string): T | undefined =>
    invalidation.isFresh() ? entries.get(key) : undefined
  return {
    peek,
    get: async (key, load) => {
      const known = peek(key)
      if (known !== undefined) return known
      const before = generation
      const value = await load()
      if (before === generation && invalidation.isFresh()) {
        // The oldest entry goes first: a Map keeps the order of insertion.
        if (entries.size >= maxEntries) entries.delete(entries.keys().next().value ?? '')
        entries.set(key, value)
      }
      return value
    },
  }
}
