import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import { examine } from '../src/verbs/doctor.ts'
import { startTestApp, type TestApp } from './support/app.ts'
import { startMailServer } from './support/mail-server.ts'
import { openWire } from './support/wire.ts'

const secretKey = 'f3a9d07c93b25e68a4b1d07c93f25e68a4b1c07c93f25e68'

let app: TestApp
let dataDir: string
beforeAll(async () => {
  app = await startTestApp()
  dataDir = await mkdtemp(path.join(tmpdir(), 'bureau-doctor-'))
})
afterAll(async () => {
  await app.close()
  await rm(dataDir, { recursive: true, force: true })
})

interface Answer {
  readonly isWell: boolean
  readonly output: string
  /** `status what` of each line. */
  readonly looks: readonly string[]
}

async function ask(environment: Record<string, string>): Promise<Answer> {
  const config = readConfig({
    DATABASE_URL: app.database.serverUrl,
    DATA_DIR: dataDir,
    SECRET_KEY: secretKey,
    ...environment,
  })
  const lines: string[] = []
  const isWell = await examine(config, (line) => void lines.push(line))
  const looks = lines.slice(0, -1).map((line) => line.split(' · ').slice(0, 2).join(' '))
  return { isWell, output: lines.join('\n'), looks: looks.map((it) => it.replace(/ +/, ' ')) }
}

const stripe = {
  STRIPE_SECRET_KEY: 'sk_test_bureau',
  STRIPE_WEBHOOK_SECRET: 'whsec_geheim',
  DEMO: 'false',
}

describe('doctor', () => {
  test('finds nothing to mend where all is well, and says what it looked at', async () => {
    const mail = await startMailServer()
    const { isWell, output, looks } = await ask({
      ...stripe,
      STRIPE_API_BASE: app.sandbox.url,
      SMTP_URL: mail.url,
      MAIL_FROM: 'office@example.com',
    })
    await mail.close()
    expect([isWell, output]).toEqual([true, expect.not.stringMatching(/^fail/m)])
    expect(looks).toEqual(
      expect.arrayContaining([
        'ok configuration',
        'ok private files',
        'ok postgresql',
        'ok durability',
        'ok roles',
        'ok migrations',
        'ok storage',
        'ok clock',
        'ok mail',
        'ok stripe',
        'ok webhook',
        'warn staff',
      ]),
    )
    expect(mail.mails).toEqual([])
  })

  test('goes on after each failure, and tells no secret', async () => {
    const secretFile = path.join(dataDir, 'secret.key')
    await writeFile(secretFile, secretKey)
    await chmod(secretFile, 0o644)
    const { isWell, output, looks } = await ask({
      ...stripe,
      NODE_ENV: 'production',
      STRIPE_WEBHOOK_SECRET: 'whsec_q7Rv2mXw9LtZkP4sB8nY6cJd3HfG5aQe',
      DATABASE_URL: 'postgres://bureau:q7Rv2mXw9LtZkP4s@127.0.0.1:1/bureau',
      STRIPE_API_BASE: 'http://127.0.0.1:1',
      SMTP_URL: 'smtp://office:q7Rv2mXw9LtZkP4s@127.0.0.1:1',
      MAIL_FROM: 'office@example.com',
      CLAMD_URL: 'tcp://127.0.0.1:1',
    })
    await rm(secretFile)
    expect(isWell).toBe(false)
    expect(looks).toEqual(
      expect.arrayContaining([
        'warn public address',
        'fail private files',
        'fail database',
        'ok storage',
        'fail scanner',
        'fail mail',
        'fail stripe',
      ]),
    )
    expect(output).toContain('ECONNREFUSED')
    expect(output).not.toMatch(/q7Rv2mXw9LtZkP4s|sk_test_bureau/)
    expect(output).not.toContain(secretKey)
  })

  test('waits for nobody who is silent', async () => {
    const wire = await openWire(app.database.serverUrl)
    wire.swallow()
    const startedAt = performance.now()
    const { isWell, looks } = await ask({ DATABASE_URL: wire.url })
    await wire.close()
    expect([isWell, looks.includes('fail database')]).toEqual([false, true])
    expect(performance.now() - startedAt).toBeLessThan(25_000)
  })

  test('knows a key that is not the one of the database, and a key that Stripe refuses', async () => {
    await app.as('admin')
    const { looks } = await ask({ ...stripe, STRIPE_API_BASE: app.sandbox.url })
    expect(looks).toContain('fail key of the database')
    expect(looks).toContain('ok staff')
    const refused = await ask({
      ...stripe,
      STRIPE_SECRET_KEY: 'sk_live_nobody',
      STRIPE_API_BASE: app.sandbox.url,
    })
    expect(refused.looks).toContain('fail stripe')
  })

  test('warns of settings that lose what was acknowledged, and of too few connections', async () => {
    const url = new URL(app.database.serverUrl)
    url.searchParams.set('options', '-c synchronous_commit=off')
    const { isWell, looks } = await ask({ DATABASE_URL: url.href, DATABASE_POOL: '500' })
    expect(isWell).toBe(false)
    expect(looks).toEqual(expect.arrayContaining(['warn durability', 'fail connections']))
  })

  test('warns where the serving role owns the schema', async () => {
    expect((await ask({ DATABASE_URL: app.database.ownerUrl })).looks).toContain('warn roles')
  })

  test('says so where the schema is missing', async () => {
    await app.sql('create schema elsewhere')
    const url = new URL(app.database.ownerUrl)
    url.searchParams.set('options', '-c search_path=elsewhere')
    const { isWell, looks } = await ask({ DATABASE_URL: url.href })
    expect([isWell, looks.includes('fail schema')]).toEqual([false, true])
  })
})
