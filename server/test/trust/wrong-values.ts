import fc from 'fast-check'
import type { variableNames } from '../../src/config.ts'

type Variable = (typeof variableNames)[number]

/** In each wrong value: it may be a secret, and must not be seen again. */
const mark = fc.stringMatching(/^[a-z]{12}$/).map((word) => `priv${word}`)
const numberAbove = (maximum: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: BigInt(maximum) + 1n, max: 10n ** 30n }).map(String)
const words = mark.map((word) => `${word} ${word}`)
const notNumber = (maximum: number): fc.Arbitrary<string> =>
  fc.oneof(
    mark,
    mark.map((word) => `1${word}`),
    numberAbove(maximum),
    fc.constant('-17.5'),
  )
const addresses = fc.oneof(
  mark.map((word) => `ftp://${word}.example`),
  mark.map((word) => `${word}.example`),
  mark.map((word) => `https://${word}.example/with/a/path`),
)
const databases = fc.oneof(
  mark.map((word) => `mysql://root:${word}@localhost/x`),
  mark.map((word) => `postgres://root:${word}@[half/x`),
  mark.map((word) => `postgres://root:${word}%zz@localhost/x`),
  mark.map((word) => `postgres://root:${word}@localhost:port/x`),
)
const stripeKeys = fc.oneof(
  mark,
  mark.map((word) => `sk_${word}`),
  mark.map((word) => `sk_test_${word} `.repeat(2)),
)

/** What each variable cannot be. */
export const wrongValues: Partial<Record<Variable, fc.Arbitrary<string>>> = {
  NODE_ENV: mark,
  PORT: notNumber(65_535),
  HOST: fc.oneof(
    words,
    mark.map((word) => `http://${word}/`),
  ),
  PUBLIC_URL: addresses,
  DATABASE_URL: databases,
  DATABASE_OWNER_URL: databases,
  DATABASE_DIRECT_URL: databases,
  DATABASE_NAMED_STATEMENTS: mark,
  DATABASE_POOL: notNumber(500),
  REQUEST_TIMEOUT_MS: notNumber(15_000),
  SECRET_KEY: fc.oneof(
    mark,
    mark.map((word) => `${word}-example-${word}-${word}`),
  ),
  DEMO: mark,
  ADMIN_EMAIL: fc.oneof(
    mark,
    mark.map((word) => `${word} <${word}@example.com>`),
  ),
  REGISTRATION: mark,
  CURRENCY: mark,
  TIME_ZONE: mark,
  ORDER_PREFIX: fc.oneof(mark, fc.constant('priv é')),
  UNPAID_ORDER_HOURS: notNumber(24 * 90),
  PAYMENTS: mark,
  STRIPE_SECRET_KEY: stripeKeys,
  STRIPE_PUBLISHABLE_KEY: stripeKeys,
  STRIPE_WEBHOOK_SECRET: stripeKeys,
  STRIPE_API_BASE: addresses,
  SMTP_URL: addresses,
  MAIL_FROM: fc.oneof(
    mark,
    mark.map((word) => `a@b.example, ${word}@d.example`),
  ),
  UPLOAD_MAX_BYTES: notNumber(2 ** 40),
  CUSTOMER_QUOTA_BYTES: notNumber(2 ** 40),
  STORAGE_QUOTA_BYTES: notNumber(2 ** 40),
  CLAMD_URL: addresses,
  ALLOWED_ORIGINS: addresses,
  TRUST_PROXY: mark,
  RATE_LIMIT_SCALE: fc.oneof(mark, fc.constant('-1.5'), fc.constant('Infinity')),
  METRICS_TOKEN: mark,
  LOG_LEVEL: mark,
  ERROR_DETAIL: mark,
  WORKERS: notNumber(64),
}
