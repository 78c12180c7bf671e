import { startSandbox, type Sandbox } from '@bureau/stripe-sandbox'
import { afterAll, beforeAll, expect } from 'vitest'
import { expectReply, request } from '../../support/client.ts'
import {
  admin,
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../../support/fresh-database.ts'
import { eventually } from '../../support/eventually.ts'
import { publishService } from '../../support/journey.ts'
import { startMailServer, type MailServer } from '../../support/mail-server.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import { sendRaw } from '../../support/wire.ts'
import { promise } from '../promise.ts'

/** What the operator configured. */
const configured = {
  STRIPE_SECRET_KEY: 'sk_test_51KnownSecretKey',
  STRIPE_WEBHOOK_SECRET: 'whsec_a25vd24gd2ViaG9vayBzZWNyZXQ',
  METRICS_TOKEN: 'known-metrics-token-1234567890123456',
  SECRET_KEY: 'a4b1d07c93f25e68a4b1d07c93f25e68a4b1d07c93f25e68',
}
const smtpPassword = 'known-smtp-password-77'
const typed = {
  password: 'known horse battery staple',
  wrong: 'known wrong password here',
  next: 'known seven green teapots',
  card: '4242424242424242',
  body: 'known-text-of-a-body-5d1c',
}

let database: FreshDatabase
let mail: MailServer
let sandbox: Sandbox
let bureau: Running

beforeAll(async () => {
  database = await makeFreshDatabase()
  mail = await startMailServer({ credentials: `bureau:${smtpPassword}` })
  sandbox = await startSandbox({
    port: 0,
    secretKey: configured.STRIPE_SECRET_KEY,
    webhookSecrets: [configured.STRIPE_WEBHOOK_SECRET],
  })
  bureau = await startBureau({
    ...settingsOf(database, await makeFolder()),
    ...configured,
    STRIPE_API_BASE: sandbox.url,
    SMTP_URL: mail.url,
    MAIL_FROM: 'Office <office@example.com>',
    LOG_LEVEL: 'debug',
    PUBLIC_URL: 'https://bureau.example',
    PAYMENTS: 'stripe',
  })
  sandbox.setWebhook(`${bureau.url}/api/webhook/stripe`, [configured.STRIPE_WEBHOOK_SECRET])
}, startTimeoutMs)
afterAll(async () => {
  await cleanUp()
  await sandbox.close()
  await mail.close()
  await database.drop()
}, startTimeoutMs)

promise(
  73,
  'a real process through journeys and faults keeps its secrets',
  async (proof) => {
    const secrets = new Map<string, string>(
      Object.entries({ ...configured, ...typed, smtpPassword }),
    )
    secrets.set('admin password', admin.password)
    for (const [name, url] of [
      ['owner', database.ownerUrl],
      ['server', database.serverUrl],
    ] as const) {
      const { password } = new URL(url)
      expect(password.length).toBeGreaterThan(5)
      secrets.set(`password of the ${name}'s database`, decodeURIComponent(password))
    }
    const before = bureau.output().length
    await signIn(secrets)
    await shop(secrets)
    await misbehave(secrets)
    await fail(secrets)
    const lines = await linesSince(before)
    for (const line of lines) {
      expect(() => JSON.parse(line) as unknown, line).not.toThrow()
      expect(JSON.parse(line), line).toMatchObject({
        level: expect.any(Number),
        time: expect.any(String),
      })
    }
    const text = bureau.output()
    for (const [name, secret] of secrets) {
      expect(secret.length, name).toBeGreaterThan(8)
      expect([name, text.includes(secret)]).toEqual([name, false])
    }
    expect(text).toContain('unexpected error')
    // oxlint-disable-next-line no-control-regex
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
    proof.measured(`${lines.length} lines of JSON, ${secrets.size} known secrets in none of them`)
  },
  { timeoutMs: 180_000 },
)

type Secrets = Map<string, string>

/** Logins, right and wrong, and links that are mailed. */
async function signIn(secrets: Secrets): Promise<void> {
  const { url } = bureau
  const email = 'ada@customer.example'
  const registered = await fetch(`${url}/api/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, name: 'Ada', password: typed.password }),
  })
  expect(registered.status).toBe(201)
  const { accessToken } = (await registered.json()) as { accessToken: string }
  secrets.set('access token', accessToken)
  const cookie = registered.headers.getSetCookie().join()
  secrets.set('refresh token', /bureau_refresh=([^;]+)/.exec(cookie)?.[1] ?? '')
  const refreshed = await fetch(`${url}/api/auth/refresh`, {
    method: 'POST',
    headers: { cookie: `bureau_refresh=${secrets.get('refresh token')}` },
  })
  expect(refreshed.status).toBe(200)
  await expectReply(401, url, 'POST /api/auth/login', { body: { email, password: typed.wrong } })
  // A password typed into the wrong field.
  await request(url, 'POST /api/auth/login', { body: { email: typed.password, password: email } })
  await request(url, 'POST /api/auth/password/forgot', { body: { email } })
  const mailed = await eventually(
    () => {
      const found = mail.mails.flatMap(
        ({ parsed }) => /#token=(\S+)/.exec(parsed.text ?? '')?.[1] ?? [],
      )
      expect(found.length).toBeGreaterThan(1)
      return found.map(decodeURIComponent)
    },
    { withinMs: 60_000 },
  )
  for (const [index, token] of mailed.entries()) secrets.set(`mailed token ${index}`, token)
  for (const token of mailed) {
    await request(url, 'POST /api/auth/password/reset', { body: { token, password: typed.next } })
  }
}

/** A purchase with all that it gives to its payer, a document and a link to it. */
async function shop(secrets: Secrets): Promise<void> {
  const { url } = bureau
  const token = (await expectReply(200, url, 'POST /api/auth/admin/login', { body: admin }))
    .accessToken
  secrets.set('staff token', token)
  const serviceId = await publishService(url, token)
  const bought = await expectReply(201, url, 'POST /api/checkout/process', {
    body: {
      items: [{ serviceId, quantity: 1, answers: { secret: typed.body, card: typed.card } }],
      customer: { email: 'guest@example.com', name: 'Grace' },
    },
  })
  secrets.set('order token', bought.orderToken)
  secrets.set('client secret', bought.payment.clientSecret)
  await request(url, `POST /api/checkout/confirm/${bought.order.id}`, {
    orderToken: bought.orderToken,
  })
  const form = new FormData()
  form.append('file', new Blob([typed.body], { type: 'text/plain' }), 'a\r\n\u001b[31mb.txt')
  form.append('orderId', bought.order.id)
  const { key } = await expectReply(201, url, 'POST /api/documents/upload', { token, body: form })
  const link = await expectReply(200, url, `POST /api/documents/${key}/link`, {
    token,
    body: { expiresInSeconds: 600 },
  })
  const { pathname, search, searchParams } = new URL(link.url)
  secrets.set('signature of a link', searchParams.get('signature') ?? '')
  expect((await fetch(url + pathname + search)).status).toBe(200)
  expect((await fetch(`${url}${pathname}${search}x`)).status).toBe(401)
}

/** Requests that are wrong, with secrets and escapes in every place that a client fills. */
async function misbehave(secrets: Secrets): Promise<void> {
  const { url } = bureau
  const token = secrets.get('access token') ?? ''
  const hostile = [
    'X-Request-Id',
    'User-Agent',
    'traceparent',
    'Referer',
    'X-Forwarded-For',
    'Idempotency-Key',
    'Cookie',
    'Origin',
    'Accept',
    'If-Match',
    'X-Order-Token',
    'Content-Type',
  ]
  for (const name of hostile) {
    for (const value of [`\u001b[31m${typed.card}`, `"},{"level":60,"msg":"forged`, token]) {
      for (const line of [`POST /api/orders?token=${token}&card=${typed.card}`, 'GET /%1b%5b31m']) {
        await sendRaw(
          bureau,
          `${line} HTTP/1.1\r\nHost: a\r\n${name}: ${value}\r\nContent-Length: 2\r\n` +
            'Connection: close\r\n\r\n{}',
        ).catch(() => '')
      }
    }
  }
  await sendRaw(bureau, `GET / HTTP/9.9\r\n${typed.card}\u001b[0m\r\n\r\n`).catch(() => '')
  for (const body of [`{"password":"${typed.password}"`, `"${typed.body}"`, `[${typed.card}]`]) {
    await fetch(`${url}/api/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
  }
  await fetch(`${url}/api/webhook/stripe`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'stripe-signature': `t=1,v1=${typed.card}` },
    body: JSON.stringify({ id: 'evt_x', data: { object: { client_secret: typed.body } } }),
  })
}

/** What nobody expects: a table that is gone, a provider and a mail server that fail. */
async function fail(secrets: Secrets): Promise<void> {
  const { url } = bureau
  const token = secrets.get('staff token') ?? ''
  mail.trouble('data', 'refuse')
  const contact = { name: typed.body, email: 'ada@customer.example' }
  await query(database.ownerUrl, 'alter table cases rename to cases_away')
  const broken = await request(url, 'POST /api/crm', {
    body: { subject: typed.body, description: `${typed.body} ${typed.card}`, contact },
  })
  expect(broken.status).toBe(500)
  await query(database.ownerUrl, 'alter table cases_away rename to cases')
  await query(
    database.ownerUrl,
    `alter table customers add constraint no_such_name check (name <> '${typed.body}')`,
  )
  const refused = await request(url, 'POST /api/customers', {
    token,
    body: { email: 'ada@customer.example', name: typed.body },
  })
  expect(refused.status).toBe(500)
  await query(database.ownerUrl, 'alter table customers drop constraint no_such_name')
  await expectReply(202, url, 'POST /api/notifications/email', {
    token,
    body: { to: 'ada@customer.example', subject: typed.body, text: typed.body },
  })
  await eventually(
    async () => {
      const { data } = await expectReply(200, url, 'GET /api/notifications?status=failed', {
        token,
      })
      expect(data.length).toBeGreaterThan(0)
    },
    { withinMs: 60_000 },
  )
  mail.wellAgain()
}

/** Whole lines alone: the last one may still be on its way. */
async function linesSince(from: number): Promise<string[]> {
  await fetch(`${bureau.url}/api/nothing`)
  const text = await eventually(() => {
    const seen = bureau.output().slice(from)
    expect(seen).toMatch(/unmatched[^\n]*\n$/)
    return seen
  })
  return text.split('\n').filter((line) => line !== '')
}
