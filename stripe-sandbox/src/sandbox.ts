import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Api } from './api.ts'
import { createAudit } from './audit.ts'
import { createChaosTable } from './chaos.ts'
import { createClockwork } from './clock.ts'
import type { Context, Settings } from './context.ts'
import { createControl, type Control } from './control.ts'
import { createFaultTable, type Fault, type TakeFaults } from './faults.ts'
import { createIdempotency } from './idempotency.ts'
import { createMemoryJournal, openJournal } from './journal.ts'
import { openRecorder } from './recording.ts'
import { createSandboxServer } from './server.ts'
import { createStore } from './store.ts'
import { createWebhooks, type WebhookTarget } from './webhooks.ts'

const TICK_MS = 250

export interface SandboxOptions {
  /** The port on 127.0.0.1; 0 takes any free one. */
  port: number
  /** The journal that keeps the state over restarts; absent: memory only. */
  stateFile?: string
  /** Where signed events go; may be set later. */
  webhookUrl?: string
  /** All of them sign, the first one first. */
  webhookSecrets?: string[]
  /** The one API key that is accepted; absent: any `sk_test_…`. */
  secretKey?: string
  /** Faults that strike from the start. */
  faults?: Fault[]
  /** Bank debits settle by themselves after this time; absent: only when told. */
  settleAfterMs?: number
  /** Appends every exchange of the API to this file, as JSON lines. */
  recordFile?: string
  now?: () => Date
  /** Hears of trouble that no request can be told of; absent: a process warning. */
  warn?: (message: string) => void
}

export interface Sandbox extends Control {
  readonly url: string
  readonly port: number
  setWebhook(url: string, secrets: readonly string[]): void
  /** Stops answering and sending, and closes the state file. */
  close(): Promise<void>
}

/**
 * Starts a stand-in for Stripe's API on loopback. Raises when the port or the state file cannot be
 * had.
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const now = options.now ?? (() => new Date())
  const warn = options.warn ?? ((message: string) => process.emitWarning(message, 'StripeSandbox'))
  const journal =
    options.stateFile === undefined ? createMemoryJournal() : openJournal(options.stateFile)
  const store = createStore(journal)
  const { chaos, faults, takeFaults } = createTrouble(options)
  const webhooks = createWebhooks({ now, store, takeFaults, warn }, firstTarget(options))
  const settings = createSettings(options, () => webhooks.hasTarget())
  const idempotency = createIdempotency(store)
  const audit = createAudit(store)
  const context = (): Context => ({
    store,
    now: now(),
    request: { id: null, idempotencyKey: null },
    settings,
  })
  const control = createControl({ audit, chaos, context, faults, store, webhooks })
  const setWebhook = (url: string, secrets: readonly string[]) =>
    webhooks.setTarget({ url, secrets })
  const recorder = options.recordFile === undefined ? undefined : openRecorder(options.recordFile)
  const api: Api = {
    audit,
    idempotency,
    now,
    settings,
    store,
    takeFaults,
    ...(options.secretKey === undefined ? {} : { secretKey: options.secretKey }),
  }
  const server = createSandboxServer({
    api,
    context,
    control,
    setWebhook,
    warn,
    ...(recorder === undefined ? {} : { recorder }),
  })
  const port = await listen(server, options.port).catch((error: unknown) => {
    journal.close()
    throw error
  })
  settings.baseUrl = `http://127.0.0.1:${port}`
  const advance = createClockwork({ context, idempotency, journal, warn })
  const ticking = setInterval(() => {
    try {
      advance()
      webhooks.advance()
    } catch (error) {
      warn(`The sandbox could not do its timed work: ${String(error)}`)
    }
  }, TICK_MS).unref()
  return {
    ...control,
    url: settings.baseUrl,
    port,
    setWebhook,
    async close() {
      clearInterval(ticking)
      await closeServer(server)
      await webhooks.close()
      journal.close()
      recorder?.close()
    },
  }
}

function firstTarget({ webhookSecrets, webhookUrl }: SandboxOptions): WebhookTarget | undefined {
  if (webhookUrl === undefined) return undefined
  return { url: webhookUrl, secrets: webhookSecrets ?? [] }
}

/** What is set one by one strikes before what chance has. */
function createTrouble({ faults: first = [] }: SandboxOptions) {
  const faults = createFaultTable()
  faults.set(first)
  const chaos = createChaosTable()
  const takeFaults: TakeFaults = (operation) => [
    ...faults.take(operation),
    ...chaos.take(operation),
  ]
  return { chaos, faults, takeFaults }
}

/** The address is known only once the server listens. */
function createSettings(
  { settleAfterMs }: SandboxOptions,
  hasWebhook: () => boolean,
): Settings & { baseUrl: string } {
  return { baseUrl: '', hasWebhook, ...(settleAfterMs === undefined ? {} : { settleAfterMs }) }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
