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
import { startWorkers, type Handed, type StandIn } from './workers.ts'

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

/** Brings up everything that Bureau needs: database, ports, modules. */
export async function openProcess(config: Config, progress: Progress): Promise<OpenedProcess> {
  return await withLifetime(async ({ stops, stop }) => {
    const database = await readyDatabase(config, progress)
    stops.push(database.stop)
    const sandbox = config.payments === 'sandbox' ? await openSandbox(config) : undefined
    if (sandbox) stops.push(() => sandbox.close())
    const standIn = sandbox && { url: sandbox.url, webhookSecret: sandboxSecret }
    const opened = { config, database, standIn, progress }
    const part = await assemble(opened, stops)
    return {
      app: part.app,
      migrations: database.migrations,
      sandbox,
      systemContext: (task) => part.contextFor(task, task),
      serve: async () => {
        await startRoles(part, database, stops)
        const url =
          config.workers > 1
            ? await serveByWorkers(part, opened, stops)
            : await listen(part, config, stops)
        sandbox?.setWebhook(`${url}/api/webhook/stripe`, [sandboxSecret])
        return url
      },
      stop,
    }
  })
}

/** One of `WORKERS`: it serves what its parent has opened, and nothing else. */
export async function openWorker(
  config: Config,
  handed: Handed,
  { progress, wake }: { readonly progress: Progress; readonly wake: () => void },
): Promise<Pick<OpenedProcess, 'serve' | 'stop'>> {
  return await withLifetime(async ({ stops, stop }) => {
    const { database, standIn } = handed
    const part = await assemble({ config, database, standIn, progress, wake }, stops)
    return {
      serve: async () => {
        stops.push(watchUncaught(part))
        return await listen(part, config, stops)
      },
      stop,
    }
  })
}

/** What was begun, to be ended in the opposite order. */
type Stops = (() => Promise<void>)[]

/** Ends what was begun where the rest of it cannot be. */
async function withLifetime<T>(
  begin: (lifetime: { stops: Stops; stop: () => Promise<void> }) => Promise<T>,
): Promise<T> {
  const stops: Stops = []
  const stop = async (): Promise<void> => {
    const failures: unknown[] = []
    for (const step of stops.splice(0).toReversed()) {
      // One part that does not end cleanly must not keep the others, least of all the database.
      await step().catch((error: unknown) => failures.push(error))
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything stopped cleanly')
  }
  try {
    return await begin({ stops, stop })
  } catch (error) {
    await stop()
    throw error
  }
}

/** What a part of Bureau stands on. */
interface Opened {
  readonly config: Config
  readonly database: Handed['database']
  readonly standIn: StandIn | undefined
  readonly progress: Progress
  /** Where the relay runs in another process. */
  readonly wake?: () => void
}

/** Bureau's modules on their ports, before anything of it runs. */
interface Part {
  readonly app: App
  readonly db: Pool
  readonly log: Logger
  readonly waking: { relay: Relay | undefined }
  readonly contextFor: (task: string, requestId: string) => AppContext
}

async function assemble(opened: Opened, stops: Stops): Promise<Part> {
  const { config, database, wake } = opened
  const log = createLogger(config.logLevel)
  const db = openPool({
    url: database.serverUrl,
    // Who leaves the serving to others needs few.
    size: config.workers > 1 && !wake ? parentPool : config.databasePool,
    namedStatements: config.databaseNamedStatements,
    timeoutMs: config.requestTimeoutMs,
    onError: (error) => log.warn({ err: error }, 'database connection lost'),
  })
  stops.push(() => db.close())
  const ports = await openPorts(opened, db, log)
  stops.push(() => ports.invalidation.stop())
  stops.push(() => ports.mail.close())
  const waking: Part['waking'] = { relay: undefined }
  const app = await createApp({
    db,
    ports,
    clock: systemClock,
    business: businessOf(config),
    http: httpSettingsOf(config),
    migrations: await listMigrations(migrationsDirectory),
    version: productVersion,
    wake: wake ?? (() => waking.relay?.wake()),
  })
  stops.push(() => closeServer(app.http))
  return {
    app,
    db,
    log,
    waking,
    contextFor: (task, requestId) =>
      app.contextFor({ kind: 'system', task }, { requestId, address: undefined, lease: null }),
  }
}

/** Of a parent that serves nobody. */
const parentPool = 3

/** What runs beside requests, once over a business: several processes share it. */
async function startRoles(part: Part, database: ReadyDatabase, stops: Stops): Promise<void> {
  const { app, db, log, contextFor } = part
  stops.push(watchUncaught(part))
  const relay = startRelay(db, app.events, log)
  part.waking.relay = relay
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
}

function watchUncaught({ app, log }: Part): () => Promise<void> {
  const forget = recordUncaught({ log, errorReports: app.instruments.errorReports })
  return async () => forget()
}

async function listen({ app }: Part, { host, port }: Config, stops: Stops): Promise<string> {
  const url = await app.http.listen({ host, port }).catch(refuseHost)
  // Requests end before the roles that they wake: the web server is the first to be closed.
  stops.push(() => closeServer(app.http))
  return url
}

async function serveByWorkers(part: Part, opened: Opened, stops: Stops): Promise<string> {
  const { config, database, standIn } = opened
  await requireConnections(part.db, config)
  const { serverUrl, directUrl } = database
  const workers = await startWorkers(
    { count: config.workers, handed: { database: { serverUrl, directUrl }, standIn } },
    { log: part.log, onWake: () => part.waking.relay?.wake() },
  )
  stops.push(workers.stop)
  return workers.url
}

/** Beside the pools of the workers: the parent's own, its jobs', and who looks in from outside. */
const spareConnections = 10

async function requireConnections(db: Pool, { workers, databasePool }: Config): Promise<void> {
  const { rows } = await db.driver.query<{ max: number }>(
    `select current_setting('max_connections')::int as max`,
  )
  const needed = workers * databasePool + spareConnections
  const max = rows[0]?.max ?? 0
  if (needed <= max) return
  throw new Refusal(
    `WORKERS=${workers} with DATABASE_POOL=${databasePool} need ${needed} connections, and the ` +
      `database has max_connections=${max}: lower one of the two, or raise that.`,
  )
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

async function openPorts(opened: Opened, db: Pool, log: Logger): Promise<Ports> {
  const { config, database, standIn, progress } = opened
  const secrets = createSecrets(config.secretKey ?? (await keepSecretKey(config.dataDir)))
  return {
    stripe: openProvider(config, standIn),
    secrets,
    tokens: await createTokens({ db, secrets, issuer: config.publicUrl, log }),
    passwords: createPasswords(),
    limits: createLimits(db, {
      scale: config.rateLimitScale,
      processes: config.workers,
      clock: systemClock,
    }),
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

export function openProvider(config: Config, standIn?: StandIn): StripePort {
  if (standIn) {
    return openStripe({
      secretKey: sandboxKey,
      publishableKey: 'pk_test_sandbox',
      webhookSecrets: [standIn.webhookSecret],
      apiBase: standIn.url,
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
