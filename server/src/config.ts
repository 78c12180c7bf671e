import { isIP } from 'node:net'
import { isCurrency } from './kernel/money.ts'

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
  readonly allowedOrigins: readonly string[]
  readonly trustProxy: false | string[]
  readonly rateLimitScale: number
  readonly logLevel: string
  readonly errorDetail: boolean
}

/** All that is wrong with the environment, one sentence each. */
export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`The configuration is wrong:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export type Environment = Readonly<Record<string, string | undefined>>

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
  'ALLOWED_ORIGINS',
  'TRUST_PROXY',
  'RATE_LIMIT_SCALE',
  'LOG_LEVEL',
  'ERROR_DETAIL',
] as const
type VariableName = (typeof variableNames)[number]

/** Throws `ConfigError` with every problem at once. */
export function readConfig(environment: Environment = process.env): Config {
  const problems: string[] = []
  const read = createReader(environment, problems)
  const production =
    read.choice('NODE_ENV', ['production', 'development', 'test'], '') === 'production'
  const port = read.integer('PORT', { fallback: 3000, minimum: 0, maximum: 65_535 })
  const host = read.text('HOST') ?? '127.0.0.1'
  const stripeSecretKey = read.text('STRIPE_SECRET_KEY')
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
    adminEmail: read.text('ADMIN_EMAIL'),
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
    stripePublishableKey: read.text('STRIPE_PUBLISHABLE_KEY'),
    stripeWebhookSecrets: read.list('STRIPE_WEBHOOK_SECRET'),
    stripeApiBase: read.origin('STRIPE_API_BASE'),
    allowedOrigins: read.origins('ALLOWED_ORIGINS'),
    trustProxy: read.networks('TRUST_PROXY'),
    rateLimitScale: read.positive('RATE_LIMIT_SCALE', 1),
    logLevel: read.choice('LOG_LEVEL', ['debug', 'info', 'warn', 'error', 'silent'], 'info'),
    errorDetail: read.flag('ERROR_DETAIL', !production),
  }
  problems.push(...contradictions(config))
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
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
  if (config.registration === 'verify') {
    problems.push('REGISTRATION=verify needs mails, which this release does not send yet.')
  }
  return problems
}

/** Enough different characters that it was not typed by hand, and none of the examples. */
export function isStrongSecret(text: string): boolean {
  const looksTyped = /change|example|secret|password|default|replace/i.test(text)
  return Buffer.byteLength(text) >= 32 && new Set(text).size >= 10 && !looksTyped
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

interface Reader {
  text(name: VariableName): string | undefined
  integer(name: VariableName, rule: { fallback: number; minimum: number; maximum: number }): number
  positive(name: VariableName, fallback: number): number
  flag(name: VariableName, fallback: boolean): boolean
  choice<Choice extends string>(
    name: VariableName,
    choices: readonly Choice[],
    fallback: Choice | '',
  ): Choice
  checked(
    name: VariableName,
    fallback: string,
    isGood: (text: string) => boolean,
    shape: string,
  ): string
  list(name: VariableName): string[]
  /** False where the variable is absent: nobody's word for an address counts. */
  networks(name: VariableName): string[] | false
  origin(name: VariableName): string | undefined
  origins(name: VariableName): string[]
  databaseUrl(name: VariableName): string | undefined
}

/** Reads one variable at a time; a wrong one adds a sentence to `problems` and yields its default. */
function createReader(environment: Environment, problems: string[]): Reader {
  const text: Reader['text'] = (name) => environment[name]?.trim() || undefined
  const read = <T>(name: VariableName, fallback: T, { parse, shape }: Shape<T>): T => {
    const given = text(name)
    if (given === undefined) return fallback
    const value = parse(given)
    if (value === undefined) problems.push(`${name} must be ${shape}.`)
    return value ?? fallback
  }
  const checked: Reader['checked'] = (name, fallback, isGood, shape) =>
    read(name, fallback, { parse: (given) => (isGood(given) ? given : undefined), shape })
  return {
    text,
    integer: (name, { fallback, minimum, maximum }) =>
      read(name, fallback, {
        parse: numberWhere((n) => Number.isInteger(n) && n >= minimum && n <= maximum),
        shape: `a whole number from ${minimum} to ${maximum}`,
      }),
    positive: (name, fallback) =>
      read(name, fallback, { parse: numberWhere((n) => n > 0), shape: 'a number above 0' }),
    flag: (name, fallback) => read(name, fallback, { parse: toFlag, shape: 'true or false' }),
    choice: <Choice extends string>(
      name: VariableName,
      choices: readonly Choice[],
      fallback: Choice | '',
    ) => {
      const isGood = (given: string): boolean => choices.some((choice) => choice === given)
      return checked(name, fallback, isGood, `one of ${choices.join(', ')}`) as Choice
    },
    checked,
    list: (name) => toList(text(name) ?? ''),
    networks: (name) =>
      read<string[] | false>(name, false, {
        parse: toNetworks,
        shape: 'a list of addresses or networks such as 10.0.0.0/8, or loopback',
      }),
    origin: (name) => read(name, undefined, { parse: toOrigin, shape: originShape }),
    origins: (name) => read(name, [], { parse: toOrigins, shape: `a list, each ${originShape}` }),
    databaseUrl: (name) =>
      read(name, undefined, { parse: toDatabaseUrl, shape: 'a postgres:// address' }),
  }
}

/** How a text becomes a value, undefined for one that does not fit, and what fits in words. */
interface Shape<T> {
  readonly parse: (text: string) => T | undefined
  readonly shape: string
}

const originShape = 'an address such as https://example.com, without a path'

function numberWhere(isGood: (value: number) => boolean): (text: string) => number | undefined {
  return (text) => (isGood(Number(text)) ? Number(text) : undefined)
}

function toFlag(text: string): boolean | undefined {
  if (/^(true|on|1|yes)$/i.test(text)) return true
  return /^(false|off|0|no)$/i.test(text) ? false : undefined
}

function toList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** As the web server takes them: a name of a range, or an address with the bits of its network. */
function toNetworks(text: string): string[] | undefined {
  const networks = toList(text)
  const isNetwork = (network: string): boolean => {
    if (['loopback', 'linklocal', 'uniquelocal'].includes(network)) return true
    const [address = '', bits] = network.split('/')
    const size = isIP(address) === 6 ? 128 : 32
    const isMask = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= size)
    return isIP(address) !== 0 && isMask
  }
  return networks.length > 0 && networks.every((one) => isNetwork(one)) ? networks : undefined
}

function toOrigins(text: string): string[] | undefined {
  const origins = toList(text).map((part) => toOrigin(part))
  return origins.every((origin) => origin !== undefined) ? origins : undefined
}

function toDatabaseUrl(text: string): string | undefined {
  return /^postgres(ql)?:\/\//.test(text) ? text : undefined
}

function toOrigin(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { origin, pathname, protocol } = new URL(text)
  return pathname === '/' && /^https?:$/.test(protocol) ? origin : undefined
}
