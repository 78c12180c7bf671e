import { hasDefaultPassword, isStrongSecret } from './config/credentials.ts'
import {
  createReader,
  mebibyte,
  type Environment,
  type EnvironmentReader,
} from './config/environment.ts'
import { isCurrency } from './kernel/money.ts'
import { Refusal } from './kernel/refusal.ts'

/**
 * Everything the environment can say, read once. Each variable has a default and a sentence here
 * and in `.env.example`; a wrong one stops the start with all problems listed, never its value.
 */
export interface Config {
  readonly production: boolean
  readonly port: number
  readonly host: string
  readonly publicUrl: string
  readonly dataDir: string
  readonly databaseUrl: string | undefined
  readonly databaseOwnerUrl: string | undefined
  readonly databaseDirectUrl: string | undefined
  readonly databaseNamedStatements: boolean
  readonly databasePool: number
  readonly requestTimeoutMs: number
  readonly secretKey: string | undefined
  readonly demo: boolean
  readonly adminEmail: string | undefined
  readonly adminPassword: string | undefined
  readonly registration: 'open' | 'verify'
  readonly currency: string
  readonly timeZone: string
  readonly orderPrefix: string
  readonly unpaidOrderHours: number
  readonly payments: 'stripe' | 'sandbox' | 'off'
  readonly stripeSecretKey: string | undefined
  readonly stripePublishableKey: string | undefined
  readonly stripeWebhookSecrets: readonly string[]
  readonly stripeApiBase: string | undefined
  /** Absent, mails are kept where they can be read. */
  readonly smtpUrl: string | undefined
  readonly mailFrom: string | undefined
  readonly uploadMaxBytes: number
  readonly customerQuotaBytes: number
  readonly storageQuotaBytes: number | undefined
  readonly clamdUrl: string | undefined
  readonly allowedOrigins: readonly string[]
  readonly trustProxy: false | string[]
  readonly rateLimitScale: number
  readonly metricsToken: string | undefined
  readonly logLevel: string
  readonly errorDetail: boolean
  /** Processes that serve; with more than one, this process is their parent and serves nothing. */
  readonly workers: number
}

/** All that is wrong with the environment, one sentence each. */
export class ConfigError extends Refusal {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`The configuration is wrong:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** Every variable that is read, in the order of `.env.example`. */
export const variableNames = [
  'NODE_ENV',
  'PORT',
  'HOST',
  'PUBLIC_URL',
  'DATA_DIR',
  'DATABASE_URL',
  'DATABASE_OWNER_URL',
  'DATABASE_DIRECT_URL',
  'DATABASE_NAMED_STATEMENTS',
  'DATABASE_POOL',
  'REQUEST_TIMEOUT_MS',
  'SECRET_KEY',
  'DEMO',
  'ADMIN_EMAIL',
  'ADMIN_PASSWORD',
  'REGISTRATION',
  'CURRENCY',
  'TIME_ZONE',
  'ORDER_PREFIX',
  'UNPAID_ORDER_HOURS',
  'PAYMENTS',
  'STRIPE_SECRET_KEY',
  'STRIPE_PUBLISHABLE_KEY',
  'STRIPE_WEBHOOK_SECRET',
  'STRIPE_API_BASE',
  'SMTP_URL',
  'MAIL_FROM',
  'UPLOAD_MAX_BYTES',
  'CUSTOMER_QUOTA_BYTES',
  'STORAGE_QUOTA_BYTES',
  'CLAMD_URL',
  'ALLOWED_ORIGINS',
  'TRUST_PROXY',
  'RATE_LIMIT_SCALE',
  'METRICS_TOKEN',
  'LOG_LEVEL',
  'ERROR_DETAIL',
  'WORKERS',
] as const
type VariableName = (typeof variableNames)[number]

/** One KiB to one TiB. */
const byteRange = { minimum: 1024, maximum: 1024 * 1024 * mebibyte }

/** Throws `ConfigError` with every problem at once. */
export function readConfig(environment: Environment = process.env): Config {
  const problems: string[] = []
  const read = createReader<VariableName>(environment, problems)
  const production =
    read.choice('NODE_ENV', ['production', 'development', 'test'], '') === 'production'
  const port = read.integer('PORT', { fallback: 3000, minimum: 0, maximum: 65_535 })
  const host = read.checked('HOST', '127.0.0.1', isHost, 'an address or a name of this machine')
  const stripeSecretKey = read.matching(
    'STRIPE_SECRET_KEY',
    /^(sk|rk)_(test|live)_\w+$/,
    'one of the secret keys of Stripe, sk_… or rk_…',
  )
  const config: Config = {
    production,
    port,
    host,
    publicUrl:
      read.origin('PUBLIC_URL') ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    dataDir: read.text('DATA_DIR') ?? './data',
    databaseUrl: read.databaseUrl('DATABASE_URL'),
    databaseOwnerUrl: read.databaseUrl('DATABASE_OWNER_URL'),
    databaseDirectUrl: read.databaseUrl('DATABASE_DIRECT_URL'),
    databaseNamedStatements: read.flag('DATABASE_NAMED_STATEMENTS', true),
    databasePool: read.integer('DATABASE_POOL', { fallback: 10, minimum: 1, maximum: 500 }),
    requestTimeoutMs: read.integer('REQUEST_TIMEOUT_MS', {
      fallback: 10_000,
      minimum: 100,
      maximum: 15_000,
    }),
    secretKey: read.text('SECRET_KEY'),
    demo: read.flag('DEMO', !production),
    adminEmail: read.matching('ADMIN_EMAIL', plainAddress, 'an e-mail address'),
    adminPassword: read.text('ADMIN_PASSWORD'),
    registration: read.choice('REGISTRATION', ['open', 'verify'], 'open'),
    currency: read.checked('CURRENCY', 'GBP', isCurrency, 'an ISO 4217 code such as GBP'),
    timeZone: read.checked('TIME_ZONE', 'UTC', isTimeZone, 'an IANA name such as Europe/London'),
    orderPrefix: read.checked('ORDER_PREFIX', 'B-', isPrefix, 'at most 8 letters, digits or -'),
    unpaidOrderHours: read.integer('UNPAID_ORDER_HOURS', {
      fallback: 24,
      minimum: 1,
      maximum: 24 * 90,
    }),
    payments: read.choice(
      'PAYMENTS',
      ['stripe', 'sandbox', 'off'],
      stripeSecretKey ? 'stripe' : production ? 'off' : 'sandbox',
    ),
    stripeSecretKey,
    stripePublishableKey: read.matching(
      'STRIPE_PUBLISHABLE_KEY',
      /^pk_(test|live)_\w+$/,
      'the publishable key of Stripe, pk_…',
    ),
    stripeWebhookSecrets: readWebhookSecrets(read),
    stripeApiBase: read.origin('STRIPE_API_BASE'),
    ...readMailAndDocuments(read),
    allowedOrigins: read.origins('ALLOWED_ORIGINS'),
    trustProxy: read.networks('TRUST_PROXY'),
    rateLimitScale: read.positive('RATE_LIMIT_SCALE', 1),
    metricsToken: read.text('METRICS_TOKEN'),
    logLevel: read.choice('LOG_LEVEL', ['debug', 'info', 'warn', 'error', 'silent'], 'info'),
    errorDetail: read.flag('ERROR_DETAIL', !production),
    workers: read.integer('WORKERS', { fallback: 1, minimum: 1, maximum: 64 }),
  }
  problems.push(...contradictions(config))
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}

/** Several while one replaces the other. */
function readWebhookSecrets(read: EnvironmentReader<VariableName>): string[] {
  const secrets = /^whsec_\w+( *, *whsec_\w+)*$/
  read.matching('STRIPE_WEBHOOK_SECRET', secrets, 'a list of signing secrets, each whsec_…')
  return read.list('STRIPE_WEBHOOK_SECRET')
}

type MailAndDocuments = Pick<
  Config,
  | 'smtpUrl'
  | 'mailFrom'
  | 'uploadMaxBytes'
  | 'customerQuotaBytes'
  | 'storageQuotaBytes'
  | 'clamdUrl'
>

/** What goes out to people, and what comes in from them. */
function readMailAndDocuments(read: EnvironmentReader<VariableName>): MailAndDocuments {
  return {
    smtpUrl: read.address('SMTP_URL', {
      schemes: ['smtp:', 'smtps:'],
      example: 'smtp://user:password@host:587',
    }),
    mailFrom: read.mailbox('MAIL_FROM'),
    uploadMaxBytes: read.integer('UPLOAD_MAX_BYTES', { fallback: 25 * mebibyte, ...byteRange }),
    customerQuotaBytes: read.integer('CUSTOMER_QUOTA_BYTES', {
      fallback: 1024 * mebibyte,
      ...byteRange,
    }),
    storageQuotaBytes: read.optionalInteger('STORAGE_QUOTA_BYTES', byteRange),
    clamdUrl: read.address('CLAMD_URL', {
      schemes: ['tcp:', 'unix:'],
      example: 'tcp://127.0.0.1:3310',
    }),
  }
}

/** What is fine alone and wrong together. */
function contradictions(config: Config): string[] {
  const problems: string[] = []
  const live = /^(sk|rk)_live_/.test(config.stripeSecretKey ?? '')
  if (config.payments === 'stripe' && !config.stripeSecretKey) {
    problems.push('PAYMENTS=stripe needs STRIPE_SECRET_KEY.')
  }
  if (config.payments === 'sandbox' && live) {
    problems.push('PAYMENTS=sandbox cannot stand beside a live STRIPE_SECRET_KEY.')
  }
  if (config.demo && live) {
    problems.push('DEMO=true cannot stand beside a live STRIPE_SECRET_KEY.')
  }
  if (
    config.payments === 'stripe' &&
    config.production &&
    config.stripeWebhookSecrets.length === 0
  ) {
    problems.push('STRIPE_WEBHOOK_SECRET is needed with Stripe in production.')
  }
  if (config.production && config.databaseUrl && !config.secretKey) {
    problems.push('SECRET_KEY is needed with DATABASE_URL in production.')
  }
  if (config.secretKey !== undefined && !isStrongSecret(config.secretKey)) {
    problems.push(
      'SECRET_KEY must hold at least 32 random bytes; `openssl rand -hex 32` makes one.',
    )
  }
  if ((config.adminEmail === undefined) !== (config.adminPassword === undefined)) {
    problems.push('ADMIN_EMAIL and ADMIN_PASSWORD go together.')
  }
  if (config.databaseOwnerUrl !== undefined && config.databaseUrl === undefined) {
    problems.push('DATABASE_OWNER_URL needs DATABASE_URL beside it.')
  }
  if (config.production && config.registration === 'verify' && config.smtpUrl === undefined) {
    problems.push('REGISTRATION=verify needs SMTP_URL in production: nobody could prove an e-mail.')
  }
  if (config.smtpUrl !== undefined && config.mailFrom === undefined) {
    problems.push('SMTP_URL needs MAIL_FROM beside it.')
  }
  if (!config.production && config.metricsToken !== undefined && config.metricsToken.length < 20) {
    problems.push('METRICS_TOKEN must have at least 20 characters.')
  }
  return [...problems, ...weakCredentials(config)]
}

/** What may do on a developer's machine and guards nothing in production. */
function weakCredentials(config: Config): string[] {
  if (!config.production) return []
  const logins = {
    DATABASE_URL: config.databaseUrl,
    DATABASE_OWNER_URL: config.databaseOwnerUrl,
    DATABASE_DIRECT_URL: config.databaseDirectUrl,
    SMTP_URL: config.smtpUrl,
  }
  const problems = Object.entries(logins)
    .filter(([, address]) => address !== undefined && hasDefaultPassword(address))
    .map(([name]) => `${name} holds a default password: give the login one of its own.`)
  const { metricsToken, stripeWebhookSecrets } = config
  if (metricsToken !== undefined && !isStrongSecret(metricsToken, 20)) {
    problems.push('METRICS_TOKEN must be random; `openssl rand -hex 32` makes one.')
  }
  if (stripeWebhookSecrets.some((secret) => !isStrongSecret(secret, 20))) {
    problems.push('STRIPE_WEBHOOK_SECRET must be the one that Stripe shows for the endpoint.')
  }
  return problems
}

const plainAddress = /^[^\s@<>,;"]{1,64}@[^\s@<>,;"]{1,255}$/

/** Not whether it is there: whether it can be the name or the address of a machine. */
function isHost(text: string): boolean {
  return /^[\w.:%-]{1,255}$/.test(text)
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).format(0) !== ''
  } catch {
    return false
  }
}

function isPrefix(text: string): boolean {
  return /^[A-Za-z0-9-]{0,8}$/.test(text)
}
