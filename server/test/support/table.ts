import { connect } from 'node:net'
import { Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Authenticator } from '../../src/http/access.ts'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { createReplyCache } from '../../src/http/reply-cache.ts'
import { serve, type HttpSettings } from '../../src/http/serve.ts'
import { unauthorized } from '../../src/kernel/errors.ts'
import { newId } from '../../src/kernel/id.ts'
import { permissionsOfRole } from '../../src/kernel/permissions.ts'
import type { Actor, AppContext, Origin } from '../../src/platform/context.ts'
import { openPool, type Pool } from '../../src/platform/database.ts'
import { createEventRegistry, type EventType, type Listener } from '../../src/platform/events.ts'
import type { FileStore } from '../../src/platform/files.ts'
import { createInstruments } from '../../src/platform/instruments.ts'
import type { Invalidation } from '../../src/platform/invalidation.ts'
import { createLimits } from '../../src/platform/limits.ts'
import { createLogger } from '../../src/platform/log.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import { createSubjects } from '../../src/platform/subjects.ts'
import { cloneDatabase } from './database.ts'

/** A web server on a table of endpoints of the test's own, with a real database behind it. */
export interface ServedTable {
  readonly url: string
  readonly http: FastifyInstance
  readonly db: Pool
  /** What was logged, one parsed line each. */
  readonly logged: readonly Record<string, unknown>[]
  readonly contextFor: (actor: Actor, origin?: Partial<Origin>) => AppContext
  advance(byMs: number): void
  /** Sends the bytes as they are and reads until the server closes. */
  raw(bytes: string | Buffer): Promise<string>
  close(): Promise<void>
}

const unreachable = {
  stripe: undefined as never,
  tokens: undefined as never,
  passwords: undefined as never,
  invalidation: undefined as never,
  files: undefined as never,
  scanner: null,
  mail: undefined as never,
}

const neverFresh: Invalidation = {
  isFresh: () => false,
  forget: () => undefined,
  subscribe: () => undefined,
  stop: async () => undefined,
}

export interface TableOptions {
  readonly events?: readonly EventType[]
  readonly listeners?: readonly Listener[]
  readonly settings?: Partial<HttpSettings>
  /** Multiplies every limit. */
  readonly limitScale?: number
  /** What keeps the cache of public replies honest; without it nothing is kept. */
  readonly invalidation?: Invalidation
  /** For tables that take or send files. */
  readonly files?: FileStore
  /** What stands beside the table. */
  readonly mount?: (app: FastifyInstance) => Promise<void>
}

export const adaActor: Actor = {
  kind: 'customer',
  userId: newId('usr', new Date(0)),
  customerId: newId('cus', new Date(0)),
  sessionId: newId('ses', new Date(0)),
}

export const staffActor: Actor = {
  kind: 'staff',
  userId: newId('usr', new Date(1)),
  sessionId: newId('ses', new Date(1)),
  role: 'agent',
  permissions: new Set(permissionsOfRole.agent),
}

const actors: Readonly<Record<string, Actor>> = {
  ada: adaActor,
  bob: { ...adaActor, userId: newId('usr', new Date(2)) },
  staff: staffActor,
}

/** The tokens `ada`, `bob` and `staff` are good, everything else is 401. */
const authenticator: Authenticator = {
  bearer: (token) => {
    const actor = actors[token]
    if (!actor) throw unauthorized()
    return actor
  },
  orderToken: async () => {
    throw unauthorized()
  },
}

export async function serveTable(
  endpoints: readonly Endpoint[],
  options: TableOptions = {},
): Promise<ServedTable> {
  const database = await cloneDatabase()
  const db = openPool({
    url: database.serverUrl,
    size: 8,
    namedStatements: true,
    timeoutMs: 10_000,
    onError: () => undefined,
  })
  let now = new Date()
  const clock = (): Date => now
  const { log, logged } = keepLog()
  const limits = createLimits(db, { scale: options.limitScale ?? 1000, processes: 1, clock })
  const events = createEventRegistry(options.events ?? [], options.listeners ?? [], () => undefined)
  const instruments = createInstruments({
    db,
    clock,
    log,
    checks: [],
    sources: [],
    migrations: [],
    contextFor: () => contextFor({ kind: 'system', task: 'watch' }),
  })
  const contextFor = (actor: Actor, origin: Partial<Origin> = {}): AppContext => ({
    actor,
    now,
    db,
    origin: { requestId: 'req_test', address: '127.0.0.1', lease: null, ...origin },
    business: {
      currency: 'GBP',
      timeZone: 'UTC',
      orderPrefix: 'B-',
      unpaidOrderHours: 24,
      registration: 'open',
      publicUrl: 'http://localhost',
      allowedOrigins: [],
      uploads: { maxBytes: 1_000_000, customerQuotaBytes: 1e9, storageQuotaBytes: undefined },
    },
    events,
    subjects: createSubjects([]),
    instruments,
    actorNames: async () => new Map(),
    limits,
    log,
    secrets: createSecrets('a key for tests, thirty-two bytes or more of it'),
    // No endpoint of these tables reaches a vendor, a token or a cache.
    ...unreachable,
    ...(options.files ? { files: options.files } : {}),
  })
  const http = await serve({
    endpoints,
    authenticator,
    contextFor,
    limits,
    replies: createReplyCache(options.invalidation ?? neverFresh, 'catalog'),
    instruments,
    log,
    clock,
    settings: {
      requestTimeoutMs: 10_000,
      allowedOrigins: ['https://shop.example'],
      trustProxy: false,
      errorDetail: false,
      secureCookies: true,
      ...options.settings,
    },
  })
  await options.mount?.(http)
  const url = await http.listen({ port: 0, host: '127.0.0.1' })
  return {
    url,
    http,
    db,
    logged,
    contextFor,
    advance: (byMs) => {
      now = new Date(now.getTime() + byMs)
    },
    raw: (bytes) => sendRaw(Number(new URL(url).port), bytes),
    close: async () => {
      await http.close()
      await db.close()
      await database.drop()
    },
  }
}

function keepLog() {
  const logged: Record<string, unknown>[] = []
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString().split('\n')) {
        if (line !== '') logged.push(JSON.parse(line) as Record<string, unknown>)
      }
      done()
    },
  })
  return { log: createLogger('info', destination), logged }
}

async function sendRaw(port: number, bytes: string | Buffer): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
    socket.write(bytes)
  })
}
