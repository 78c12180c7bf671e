import { startSandbox, type Sandbox } from '@bureau/stripe-sandbox'
import { runOnce } from 'graphile-worker'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createApp, type App } from '../../src/app.ts'
import type { UploadPace } from '../../src/http/multipart.ts'
import { closeServer } from '../../src/http/serve.ts'
import type { StaffRole } from '../../src/kernel/permissions.ts'
import { createStaffUser } from '../../src/modules/identity/index.ts'
import type { AppContext, Business, Ports } from '../../src/platform/context.ts'
import { openPool, type Pool } from '../../src/platform/database.ts'
import { openFileStore } from '../../src/platform/files.ts'
import { startInvalidation } from '../../src/platform/invalidation.ts'
import { silentJobLogger } from '../../src/platform/jobs.ts'
import { createLimits } from '../../src/platform/limits.ts'
import { createLogger, type Logger } from '../../src/platform/log.ts'
import { keepMail, readSender, type Mail, type UnmailedLink } from '../../src/platform/mail.ts'
import { listMigrations } from '../../src/platform/migrate.ts'
import { relayEvents } from '../../src/platform/outbox.ts'
import { createPasswords, type Passwords } from '../../src/platform/passwords.ts'
import { openScanner } from '../../src/platform/scanner.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import { closedStripe, openStripe } from '../../src/platform/stripe.ts'
import { createTokens } from '../../src/platform/tokens.ts'
import { cloneDatabase, type TestDatabase } from './database.ts'

export interface Reply {
  readonly status: number
  readonly headers: Headers
  /** Parsed where it is JSON; tests look into it freely. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

export interface RequestOptions {
  readonly token?: string
  readonly orderToken?: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as it is, instead of `body` as JSON. */
  readonly rawBody?: string | Uint8Array
}

export interface TestCustomer {
  readonly token: string
  readonly userId: string
  readonly customerId: string
  readonly email: string
}

export interface TestAppOptions {
  readonly business?: Partial<Business>
  /** A business that takes no cards. */
  readonly payments?: 'off'
  /** Another node on the same database and the same stand-in for Stripe. */
  readonly beside?: TestApp
  /** Multiplies the limits; tests of limits ask for 1. */
  readonly rateLimitScale?: number
  /** Whose `X-Forwarded-For` counts; nobody's when absent. */
  readonly trustProxy?: string[]
  /** Another way to the database for the notices that keep caches honest, such as one that fails. */
  readonly noticesUrl?: string
  /** Another way to the database for all that serves, such as one that fails. */
  readonly databaseUrl?: string
  /** Where the stand-in writes down what it is asked. */
  readonly recordFile?: string
  /** What signs the webhooks that are taken; the suite's own secret when absent. */
  readonly webhookSecrets?: readonly string[]
  /** A mail server; without one mails wait in the outbox. It is closed with the app. */
  readonly mail?: Mail
  /** A scanner that uploads have to pass. */
  readonly clamdUrl?: string
  readonly uploadPace?: UploadPace
  readonly requestTimeoutMs?: number
  readonly errorDetail?: boolean
  readonly metricsToken?: string
  /** Where the log goes; nowhere when absent. */
  readonly log?: Logger
}

/** One Bureau on its own database, spoken to over HTTP, with Stripe's stand-in beside it. */
export interface TestApp {
  readonly url: string
  readonly app: App
  readonly ports: Ports
  readonly db: Pool
  readonly database: TestDatabase
  readonly sandbox: Sandbox
  /** Where the files of documents are. */
  readonly documentsDirectory: string
  /** Links of mails that no server took: what a terminal would show. */
  readonly shownLinks: readonly UnmailedLink[]
  now(): Date
  /** Moves the clock of the app. */
  advance(byMs: number): void
  request(route: `${string} /${string}`, options?: RequestOptions): Promise<Reply>
  /** Rows of a statement on the owner's connection, to look at what was written. */
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
  /** A staff token, made once for each role. */
  as(role: StaffRole): Promise<string>
  /** A registered customer, made once for each name. */
  asCustomer(name: string): Promise<TestCustomer>
  /** A context as jobs have it, for use-cases that no endpoint reaches. */
  systemContext(): AppContext
  /** Hands all announced events to the queue and runs every job that is due. */
  runJobs(): Promise<void>
  close(): Promise<void>
}

export const webhookSecret = 'whsec_test_bureau'
export const testPassword = 'correct horse battery staple'

export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const { beside } = options
  let offsetMs = 0
  const clock = (): Date => new Date(Date.now() + offsetMs)
  const database = beside?.database ?? (await cloneDatabase())
  const sandbox =
    beside?.sandbox ??
    (await startSandbox({
      port: 0,
      webhookSecrets: [webhookSecret],
      now: clock,
      ...recording(options),
    }))
  const db = openPool({
    url: options.databaseUrl ?? database.serverUrl,
    size: 10,
    namedStatements: true,
    timeoutMs: options.requestTimeoutMs ?? 10_000,
    onError: () => undefined,
  })
  const log = options.log ?? createLogger('silent')
  const shownLinks: UnmailedLink[] = []
  const documentsDirectory =
    beside?.documentsDirectory ?? (await mkdtemp(path.join(tmpdir(), 'bureau-documents-')))
  const opened = { db, database, sandbox, documentsDirectory }
  const ports = await openPorts({ ...opened, clock, options, log, shownLinks })
  const app = await createApp({
    db,
    ports,
    clock,
    business: { ...testBusiness, ...options.business },
    http: {
      requestTimeoutMs: options.requestTimeoutMs ?? 10_000,
      allowedOrigins: [testBusiness.publicUrl, ...testBusiness.allowedOrigins],
      trustProxy: options.trustProxy ?? false,
      errorDetail: options.errorDetail ?? true,
      metricsToken: options.metricsToken,
      secureCookies: false,
      ...(options.uploadPace ? { uploadPace: options.uploadPace } : {}),
    },
    migrations: await listMigrations(migrationsDirectory),
    version: '0.0.0',
    wake: () => undefined,
  })
  const url = await app.http.listen({ host: '127.0.0.1', port: 0 })
  if (!beside) sandbox.setWebhook(`${url}/api/webhook/stripe`, [webhookSecret])
  const owner = openPool({
    url: database.ownerUrl,
    size: 2,
    namedStatements: false,
    timeoutMs: 10_000,
    onError: () => undefined,
  })
  const request = requester(url)
  const systemContext = (): AppContext =>
    app.contextFor(
      { kind: 'system', task: 'test' },
      { requestId: 'test', address: undefined, lease: null },
    )
  return {
    url,
    app,
    ports,
    db,
    database,
    sandbox,
    documentsDirectory,
    shownLinks,
    now: clock,
    advance: (byMs) => void (offsetMs += byMs),
    request,
    sql: async (text, values = []) => (await owner.driver.query(text, [...values])).rows,
    ...actors(request, systemContext),
    systemContext,
    runJobs: () => runJobs(app, db, systemContext),
    close: async () => {
      await closeServer(app.http)
      await ports.invalidation.stop()
      await ports.mail.close()
      await owner.close()
      await db.close()
      if (beside) return
      await sandbox.close()
      await database.drop()
      await rm(documentsDirectory, { recursive: true, force: true })
    },
  }
}

const migrationsDirectory = path.resolve(import.meta.dirname, '../../migrations')

const testBusiness: Business = {
  currency: 'GBP',
  timeZone: 'Europe/London',
  orderPrefix: 'B-',
  unpaidOrderHours: 24,
  publicUrl: 'http://localhost:3000',
  allowedOrigins: ['https://shop.example'],
  registration: 'open',
  uploads: { maxBytes: 1024 * 1024, customerQuotaBytes: 1e9, storageQuotaBytes: undefined },
}

/** Where what Bureau asks of Stripe is written down, for the comparison with Stripe's description. */
function recording({ recordFile: file }: TestAppOptions): { recordFile?: string } {
  const recordFile = file ?? process.env['STRIPE_RECORDING']
  return recordFile === undefined ? {} : { recordFile }
}

interface PortOptions {
  readonly db: Pool
  readonly database: TestDatabase
  readonly sandbox: Sandbox
  readonly documentsDirectory: string
  readonly clock: () => Date
  readonly options: TestAppOptions
  readonly log: Ports['log']
  readonly shownLinks: UnmailedLink[]
}

async function openPorts(given: PortOptions): Promise<Ports> {
  const { db, database, sandbox, documentsDirectory, clock, options, log, shownLinks } = given
  const { publicUrl } = testBusiness
  const secrets = createSecrets('a key of the test suite with enough characters in it 0123456789')
  return {
    stripe:
      options.payments === 'off'
        ? closedStripe()
        : openStripe({
            secretKey: 'sk_test_bureau',
            publishableKey: 'pk_test_bureau',
            webhookSecrets: options.webhookSecrets ?? [webhookSecret],
            apiBase: sandbox.url,
          }),
    secrets,
    tokens: await createTokens({ db, secrets, issuer: testBusiness.publicUrl, log }),
    passwords: openPasswords(),
    limits: createLimits(db, { scale: options.rateLimitScale ?? 1000, processes: 1, clock }),
    invalidation: await startInvalidation({
      directUrl: options.noticesUrl ?? database.serverUrl,
      log,
    }),
    mail:
      options.mail ??
      keepMail(readSender(undefined, publicUrl), (link) => void shownLinks.push(link)),
    files: await openFileStore({ directory: documentsDirectory, reservedBytes: 0 }),
    scanner: options.clamdUrl === undefined ? null : openScanner({ url: options.clamdUrl }),
    log,
  }
}

const passwords = createPasswords()
let hashOfTests: Promise<string> | undefined

/** The suite's own password is everybody's way in: it is hashed once for all apps of a worker. */
function openPasswords(): Passwords {
  return {
    isCommon: (password) => passwords.isCommon(password),
    hash: (password) =>
      password === testPassword
        ? (hashOfTests ??= passwords.hash(password))
        : passwords.hash(password),
    verify: async (hash, password) =>
      (password === testPassword && hash !== null && hash === (await hashOfTests)) ||
      (await passwords.verify(hash, password)),
  }
}

function requester(url: string): TestApp['request'] {
  return async (route, { token, orderToken, body, headers, rawBody } = {}) => {
    const [method = 'GET', path = '/'] = route.split(' ')
    const sent = rawBody ?? (body === undefined ? undefined : JSON.stringify(body))
    const response = await fetch(url + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(orderToken ? { 'x-order-token': orderToken } : {}),
        ...headers,
      },
      ...(sent === undefined ? {} : { body: sent }),
    })
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && text !== '' ? JSON.parse(text) : text,
    }
  }
}

function actors(
  request: TestApp['request'],
  systemContext: () => AppContext,
): Pick<TestApp, 'as' | 'asCustomer'> {
  const staff = new Map<StaffRole, Promise<Login<string>>>()
  const customers = new Map<string, Promise<Login<TestCustomer>>>()
  const now = (): Date => systemContext().now
  const signIn = async (role: StaffRole, known: boolean): Promise<string> => {
    const email = `${role}@bureau.example`
    if (!known) {
      await createStaffUser(systemContext(), { email, name: role, password: testPassword, role })
    }
    const { body } = await request('POST /api/auth/admin/login', {
      body: { email, password: testPassword },
    })
    return body.accessToken
  }
  const enter = async (name: string, known: boolean): Promise<TestCustomer> => {
    const email = `${name}@customer.example`
    const { body } = known
      ? await request('POST /api/auth/login', { body: { email, password: testPassword } })
      : await request('POST /api/auth/register', { body: { email, password: testPassword, name } })
    return {
      token: body.accessToken,
      userId: body.user.id,
      customerId: body.user.customerId,
      email,
    }
  }
  return {
    as: async (role) => (await remember(staff, role, { make: signIn, now })).value,
    asCustomer: async (name) => (await remember(customers, name, { make: enter, now })).value,
  }
}

interface Login<T> {
  readonly value: T
  readonly at: Date
}

/** Well below the life of a token: tests that move the clock sign in again. */
const loginLifeMs = 10 * 60_000

async function remember<K, T>(
  known: Map<K, Promise<Login<T>>>,
  key: K,
  { make, now }: { make: (key: K, known: boolean) => Promise<T>; now: () => Date },
): Promise<Login<T>> {
  const last = known.get(key)
  const isFresh = last && now().getTime() - (await last).at.getTime() < loginLifeMs
  // Another may have begun to sign in while the last one was awaited.
  const current = known.get(key)
  if (current && (isFresh || current !== last)) return await current
  const login = make(key, last !== undefined).then((value) => ({ value, at: now() }))
  known.set(key, login)
  return await login
}

/** Until nothing is announced and nothing is due: a job may announce more. */
async function runJobs(app: App, db: Pool, systemContext: () => AppContext): Promise<void> {
  const scheduled = Object.fromEntries(
    app.jobs.map((job) => [
      job.name,
      (payload: unknown) => job.run(systemContext(), payload as Record<string, unknown>),
    ]),
  )
  await relayEvents(db, app.events)
  do {
    await runOnce({
      pgPool: db.driver,
      taskList: { ...scheduled, ...app.tasks },
      noHandleSignals: true,
      logger: silentJobLogger,
    })
    // Whoever asks while an aggregate's queue is held finds nothing, and stops too early.
  } while ((await relayEvents(db, app.events)) > 0 || (await isJobDue(db)))
}

async function isJobDue(db: Pool): Promise<boolean> {
  const { rows } = await db.driver.query<{ due: boolean }>(
    `select exists (select 1 from graphile_worker.jobs
       where run_at <= now() and attempts < max_attempts and locked_at is null) as due`,
  )
  return rows[0]?.due === true
}
