import { startSandbox, type Sandbox } from '@bureau/stripe-sandbox'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { createApp, type App } from './app.ts'
import { closeServer } from './http/serve.ts'
import type { Config } from './config.ts'
import { systemClock } from './platform/clock.ts'
import type { AppContext, Business, Ports } from './platform/context.ts'
import { openPool, type Pool } from './platform/database.ts'
import { openFileStore } from './platform/files.ts'
import { startInvalidation } from './platform/invalidation.ts'
import { keepJobProcess } from './platform/job-processes.ts'
import { requestIdOf, startJobs } from './platform/jobs.ts'
import { createLimits } from './platform/limits.ts'
import { createLogger, type Logger } from './platform/log.ts'
import { keepMail, openMail, readSender, type Mail } from './platform/mail.ts'
import { listMigrations, migrate, type MigrateReport } from './platform/migrate.ts'
import { createPasswords } from './platform/passwords.ts'
import { Refusal } from './kernel/refusal.ts'
import { startRelay, type Relay } from './platform/relay.ts'
import { keepSecretKey } from './platform/secret-key.ts'
import { openScanner } from './platform/scanner.ts'
import { createSecrets } from './platform/secrets.ts'
import { closedStripe, openStripe, type StripePort } from './platform/stripe.ts'
import { createTokens } from './platform/tokens.ts'
import { recordUncaught } from './platform/uncaught.ts'
import { takeDatabase } from './reach-database.ts'
import { productVersion } from './version.ts'

/** Bureau with everything that it needs, not yet open to anybody. */
export interface OpenedProcess {
  readonly app: App
  readonly migrations: MigrateReport
  /** The stand-in for Stripe, where there is one. */
  readonly sandbox: Sandbox | undefined
  /** Acting as Bureau itself, for what is done before the first request. */
  systemContext(task: string): AppContext
  /** Starts every role, relay, jobs and at last the web server, and returns its address. */
  serve(): Promise<string>
  /** Stops accepting, finishes what runs, then lets everything go. */
  stop(): Promise<void>
}

export type Progress = (message: string) => void

export const migrationsDirectory = path.resolve(import.meta.dirname, '../migrations')

/** Where the database is, once it is there. */
export interface ReadyDatabase {
  readonly serverUrl: string
  readonly directUrl: string
  readonly migrations: MigrateReport
  stop(): Promise<void>
}

/** Brings up the database and its schema; the first half of every verb that needs one. */
export async function readyDatabase(config: Config, progress: Progress): Promise<ReadyDatabase> {
  const found = await takeDatabase(config, progress)
  try {
    const migrations = await migrate({
      ownerUrl: found.ownerUrl,
      serverUrl: found.serverUrl,
      directory: migrationsDirectory,
      progress,
    })
    return { ...found, migrations }
  } catch (error) {
    await found.stop()
    throw error
  }
}

/** Brings up everything that one process needs: database, ports, modules. */
export async function openProcess(config: Config, progress: Progress): Promise<OpenedProcess> {
  const stops: (() => Promise<void>)[] = []
  const stop = async (): Promise<void> => {
    const failures: unknown[] = []
    for (const step of stops.splice(0).toReversed()) {
      // One part that does not end cleanly must not keep the others, least of all the database.
      await step().catch((error: unknown) => failures.push(error))
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything stopped cleanly')
  }
  try {
    return await assemble(config, progress, { stops, stop })
  } catch (error) {
    await stop()
    throw error
  }
}

/** What was begun, to be ended in the opposite order. */
interface Lifetime {
  readonly stops: (() => Promise<void>)[]
  readonly stop: () => Promise<void>
}

async function assemble(
  config: Config,
  progress: Progress,
  { stops, stop }: Lifetime,
): Promise<OpenedProcess> {
  const log = createLogger(config.logLevel)
  const database = await readyDatabase(config, progress)
  stops.push(database.stop)
  const db = openPool({
    url: database.serverUrl,
    size: config.databasePool,
    namedStatements: config.databaseNamedStatements,
    timeoutMs: config.requestTimeoutMs,
    onError: (error) => log.warn({ err: error }, 'database connection lost'),
  })
  stops.push(() => db.close())
  const sandbox = config.payments === 'sandbox' ? await openSandbox(config) : undefined
  if (sandbox) stops.push(() => sandbox.close())
  const ports = await openPorts(config, { db, database, sandbox, log, progress })
  stops.push(() => ports.invalidation.stop())
  stops.push(() => ports.mail.close())
  const waking = { relay: undefined as Relay | undefined }
  const app = await createApp({
    db,
    ports,
    clock: systemClock,
    business: businessOf(config),
    http: httpSettingsOf(config),
    migrations: await listMigrations(migrationsDirectory),
    version: productVersion,
    wake: () => waking.relay?.wake(),
  })
  stops.push(() => closeServer(app.http))
  const contextFor = (task: string, requestId: string): AppContext =>
    app.contextFor({ kind: 'system', task }, { requestId, address: undefined, lease: null })
  return {
    app,
    migrations: database.migrations,
    sandbox,
    systemContext: (task) => contextFor(task, task),
    serve: async () => {
      const forget = recordUncaught({ log, errorReports: app.instruments.errorReports })
      stops.push(async () => forget())
      const relay = startRelay(db, app.events, log)
      waking.relay = relay
      stops.push(relay.stop)
      const jobs = await startJobs({
        directUrl: database.directUrl,
        tasks: app.tasks,
        jobs: app.jobs,
        contextFor: (task, jobId) => contextFor(task, requestIdOf(jobId)),
        log,
      })
      stops.push(keepJobProcess({ db, log }, jobs).stop)
      stops.push(jobs.stop)
      const url = await app.http.listen({ host: config.host, port: config.port }).catch(refuseHost)
      // Requests end before the roles that they wake: the web server is the first to be closed.
      stops.push(() => closeServer(app.http))
      sandbox?.setWebhook(`${url}/api/webhook/stripe`, [sandboxSecret])
      return url
    },
    stop,
  }
}

/** A port that is taken, or one for the great only, is told apart from this. */
function refuseHost(error: unknown): never {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  throw ['ENOTFOUND', 'EAI_AGAIN', 'EADDRNOTAVAIL', 'EINVAL'].includes(code)
    ? new Refusal(`HOST is no address of this machine (${code}).`)
    : error
}

/** In DATA_DIR: what the stand-in for Stripe remembers, where it is used. */
export const sandboxFile = 'stripe-sandbox.jsonl'

/** Of this process alone: the stand-in signs with it and nobody else needs it. */
const sandboxSecret = `whsec_${randomBytes(24).toString('hex')}`
const sandboxKey = 'sk_test_sandbox'

async function openSandbox(config: Config): Promise<Sandbox> {
  const settings = {
    stateFile: path.join(config.dataDir, sandboxFile),
    webhookSecrets: [sandboxSecret],
    secretKey: sandboxKey,
  }
  // The next port, so that a payment page keeps its address over a restart; else any free one.
  const wanted = config.port === 0 ? 0 : config.port + 1
  return await startSandbox({ ...settings, port: wanted }).catch((error: unknown) => {
    if (!isPortTaken(error)) throw error
    return startSandbox({ ...settings, port: 0 })
  })
}

function isPortTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}

interface OpenedSoFar {
  readonly db: Pool
  readonly database: ReadyDatabase
  readonly sandbox: Sandbox | undefined
  readonly log: Logger
  readonly progress: Progress
}

async function openPorts(config: Config, opened: OpenedSoFar): Promise<Ports> {
  const { db, database, sandbox, log, progress } = opened
  const secrets = createSecrets(config.secretKey ?? (await keepSecretKey(config.dataDir)))
  return {
    stripe: openProvider(config, sandbox),
    secrets,
    tokens: await createTokens({ db, secrets, issuer: config.publicUrl, log }),
    passwords: createPasswords(),
    limits: createLimits(db, { scale: config.rateLimitScale, processes: 1, clock: systemClock }),
    invalidation: await startInvalidation({ directUrl: database.directUrl, log }),
    mail: openMailbox(config, progress),
    files: await openFileStore({ directory: documentsDirectory(config) }),
    scanner: config.clamdUrl === undefined ? null : openScanner({ url: config.clamdUrl }),
    log,
  }
}

/** Without a server, links go to the terminal of whoever develops; never to a log in production. */
export function openMailbox(config: Config, progress: Progress): Mail {
  const sender = readSender(config.mailFrom, config.publicUrl)
  if (config.smtpUrl !== undefined) return openMail({ url: config.smtpUrl, sender })
  if (config.production) return keepMail(sender)
  return keepMail(sender, ({ to, subject, url }) => progress(`${subject} (${to}): ${url}`))
}

/** The bytes of the documents, which belong to the rows of this database. */
export function documentsDirectory({ dataDir }: Config): string {
  return path.join(dataDir, 'documents')
}

export function openProvider(config: Config, sandbox?: Sandbox): StripePort {
  if (sandbox) {
    return openStripe({
      secretKey: sandboxKey,
      publishableKey: 'pk_test_sandbox',
      webhookSecrets: [sandboxSecret],
      apiBase: sandbox.url,
    })
  }
  if (config.payments === 'off' || config.stripeSecretKey === undefined) return closedStripe()
  return openStripe({
    secretKey: config.stripeSecretKey,
    publishableKey: config.stripePublishableKey ?? null,
    webhookSecrets: config.stripeWebhookSecrets,
    apiBase: config.stripeApiBase,
  })
}

function businessOf(config: Config): Business {
  const { currency, timeZone, orderPrefix, unpaidOrderHours } = config
  const { publicUrl, allowedOrigins, registration } = config
  return {
    currency,
    timeZone,
    orderPrefix,
    unpaidOrderHours,
    publicUrl,
    allowedOrigins,
    registration,
    uploads: {
      maxBytes: config.uploadMaxBytes,
      customerQuotaBytes: config.customerQuotaBytes,
      storageQuotaBytes: config.storageQuotaBytes,
    },
  }
}

function httpSettingsOf(config: Config) {
  return {
    requestTimeoutMs: config.requestTimeoutMs,
    allowedOrigins: [config.publicUrl, ...config.allowedOrigins],
    trustProxy: config.trustProxy,
    errorDetail: config.errorDetail,
    metricsToken: config.metricsToken,
    secureCookies: config.publicUrl.startsWith('https://'),
  }
}
