import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { sql } from './sql.ts'
import type { Pool } from './database.ts'
import type { Logger } from './log.ts'

/** What caches are told about; each has keys of its own kind. */
export type InvalidationTopic = 'session' | 'user' | 'catalog' | 'signing-key'

/** Keeps the caches of all processes and nodes honest. */
export interface Invalidation {
  /**
   * Whether a notice would surely have arrived: this node's own heartbeat came back over its LISTEN
   * connection within the last second. Otherwise a cache must not be served from.
   */
  isFresh(): boolean
  /** Applies the change here at once and tells the others; call it after the commit. */
  publish(topic: InvalidationTopic, key: string): Promise<void>
  /** `forget` gets the key, or null when everything must go (after a connection was lost). */
  subscribe(topic: InvalidationTopic, forget: (key: string | null) => void): void
  stop(): Promise<void>
}

export interface InvalidationOptions {
  readonly db: Pool
  /** A direct connection: behind a pooler LISTEN hears nothing. */
  readonly directUrl: string
  readonly log: Logger
}

const channel = 'bureau_invalidation'
const heartbeatEveryMs = 250
const freshForMs = 1000
const reconnectAfterMs = 500

export async function startInvalidation(options: InvalidationOptions): Promise<Invalidation> {
  const { db, directUrl, log } = options
  const node = randomUUID()
  const subscribers = new Map<string, ((key: string | null) => void)[]>()
  let client: pg.Client | undefined
  let lastHeartbeat = Number.NEGATIVE_INFINITY
  let stopped = false
  let timer: NodeJS.Timeout | undefined

  const tell = (topic: string, key: string | null): void => {
    for (const forget of subscribers.get(topic) ?? []) forget(key)
  }
  const emptyAll = (): void => {
    for (const topic of subscribers.keys()) tell(topic, null)
  }
  const hear = (payload: string): void => {
    const [sender = '', topic = '', ...rest] = payload.split(' ')
    if (topic === 'heartbeat') {
      if (sender === node) lastHeartbeat = Number(rest[0])
      return
    }
    if (sender !== node) tell(topic, rest.join(' '))
  }
  const lose = (error?: Error): void => {
    if (!client || stopped) return
    log.warn({ err: error }, 'invalidation connection lost: caches are bypassed')
    client.removeAllListeners('end')
    client.end().catch(() => undefined)
    client = undefined
    lastHeartbeat = Number.NEGATIVE_INFINITY
    timer = setTimeout(() => void connect(), reconnectAfterMs).unref()
  }
  const beat = (): void => {
    const beating = client
    if (!beating) return
    beating
      .query('select pg_notify($1, $2)', [channel, `${node} heartbeat ${performance.now()}`])
      .catch((error: Error) => {
        if (beating === client) lose(error)
      })
  }
  const connect = async (): Promise<void> => {
    const fresh = new pg.Client({
      connectionString: directUrl,
      application_name: 'bureau invalidation',
      keepAlive: true,
      connectionTimeoutMillis: 5000,
    })
    fresh.on('error', (error) => (fresh === client ? lose(error) : undefined))
    fresh.on('end', () => (fresh === client ? lose() : undefined))
    fresh.on('notification', ({ payload }) => hear(payload ?? ''))
    try {
      await fresh.connect()
      await fresh.query(`listen ${channel}`)
    } catch (error) {
      fresh.end().catch(() => undefined)
      log.warn({ err: error }, 'invalidation connection failed')
      if (!stopped) timer = setTimeout(() => void connect(), reconnectAfterMs).unref()
      return
    }
    // What changed while nobody listened is unknown: caches start empty.
    emptyAll()
    client = fresh
    beat()
  }

  await connect()
  const heart = setInterval(beat, heartbeatEveryMs).unref()

  return {
    isFresh: () => performance.now() - lastHeartbeat < freshForMs,
    publish: async (topic, key) => {
      tell(topic, key)
      await db.run(sql`select pg_notify(${channel}, ${`${node} ${topic} ${key}`})`)
    },
    subscribe: (topic, forget) => {
      subscribers.set(topic, [...(subscribers.get(topic) ?? []), forget])
    },
    stop: async () => {
      stopped = true
      clearInterval(heart)
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
