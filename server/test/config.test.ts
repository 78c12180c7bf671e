import { describe, expect, test } from 'vitest'
import { ConfigError, readConfig } from '../src/config.ts'
import type { Environment } from '../src/config/environment.ts'

function problemsOf(environment: Environment): readonly string[] {
  try {
    readConfig(environment)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

describe('readConfig', () => {
  test('needs nothing', () => {
    expect(readConfig({})).toMatchObject({
      port: 3000,
      publicUrl: 'http://127.0.0.1:3000',
      payments: 'sandbox',
      trustProxy: false,
      demo: true,
    })
  })

  test('is careful in production', () => {
    const config = readConfig({ NODE_ENV: 'production' })
    expect(config).toMatchObject({ payments: 'off', demo: false, errorDetail: false })
  })

  test('tells every problem at once, and no value', () => {
    const problems = problemsOf({
      PORT: 'private-1',
      CURRENCY: 'private-2',
      ALLOWED_ORIGINS: 'https://a.example, private-3',
      SMTP_URL: 'smtp://private-5',
      ADMIN_EMAIL: 'private-4',
    })
    expect(problems).toHaveLength(5)
    expect(problems.join()).not.toContain('private')
  })

  test.each(['10.0.0.0/8', 'loopback', '::1', 'fd00::/8, 192.168.1.7'])(
    'takes TRUST_PROXY=%s',
    (given) => {
      expect(readConfig({ TRUST_PROXY: given }).trustProxy).toEqual(given.split(', '))
    },
  )

  test.each(['true', '10.0.0.0/33', 'proxy.example', '::1/129', ','])(
    'refuses TRUST_PROXY=%s with a sentence',
    (given) => {
      expect(problemsOf({ TRUST_PROXY: given })).toEqual([
        expect.stringMatching(/^TRUST_PROXY must be a list of addresses/),
      ])
    },
  )

  test.each([
    [{ PAYMENTS: 'stripe' }, 'STRIPE_SECRET_KEY'],
    [{ PAYMENTS: 'sandbox', DEMO: 'false', STRIPE_SECRET_KEY: 'sk_live_1' }, 'live'],
    [{ STRIPE_SECRET_KEY: 'rk_live_1' }, 'DEMO'],
    [{ NODE_ENV: 'production', DATABASE_URL: 'postgres://a/b' }, 'SECRET_KEY'],
    [{ SECRET_KEY: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }, 'SECRET_KEY'],
    [{ DATABASE_OWNER_URL: 'postgres://a/b' }, 'DATABASE_URL'],
    [{ NODE_ENV: 'production', REGISTRATION: 'verify' }, 'SMTP_URL'],
    [{ METRICS_TOKEN: 'short' }, 'METRICS_TOKEN'],
    [{ MAIL_FROM: 'a@b.example, c@d.example' }, 'MAIL_FROM'],
    [{ CLAMD_URL: 'http://127.0.0.1' }, 'CLAMD_URL'],
  ])('refuses what contradicts itself: %j', (environment, word) => {
    expect(problemsOf(environment)).toEqual([expect.stringContaining(word)])
  })
})
