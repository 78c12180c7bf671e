import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect } from 'vitest'
import { minuteMs } from '../../src/kernel/time.ts'
import { issueMailToken } from '../../src/modules/identity/index.ts'
import { openMail } from '../../src/platform/mail.ts'
import { startTestApp, type Reply, type TestApp } from '../support/app.ts'
import { tablesHolding } from '../support/database-rows.ts'
import { eventually } from '../support/eventually.ts'
import { startMailServer, type MailServer } from '../support/mail-server.ts'
import { sendRaw } from '../support/wire.ts'
import { promise } from './promise.ts'

let mailServer: MailServer
/** It believes the proxy before it, which says `X-Forwarded-Host` too. */
let app: TestApp
let node: TestApp

beforeAll(async () => {
  mailServer = await startMailServer()
  const sender = { name: 'Office', address: 'office@bureau.example' }
  const mail = openMail({ url: mailServer.url, sender })
  app = await startTestApp({ mail, trustProxy: ['127.0.0.1'] })
  node = await startTestApp({ beside: app })
}, 120_000)
afterAll(async () => {
  await node.close()
  await app.close()
  await mailServer.close()
})

const publicUrl = 'http://localhost:3000'

async function reset(token: string, password: string, at: TestApp = app): Promise<Reply> {
  return await at.request('POST /api/auth/password/reset', { body: { token, password } })
}

interface Person {
  readonly email: string
  readonly userId: string
  readonly token: string
  readonly cookie: string
}

let people = 0

async function person(): Promise<Person> {
  const email = `person${(people += 1)}@resets.example`
  const body = { email, password: 'violet teapot on the moor', name: 'Ada' }
  const reply = await app.request('POST /api/auth/register', { body })
  const cookie = reply.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  const { user, accessToken: token } = reply.body
  return { email, userId: user.id, token, cookie }
}

/** As the sending of the mail makes it, without the mail. */
async function issue({ userId }: Person): Promise<string> {
  const given = { userId: userId as never, purpose: 'password_reset' } as const
  return (await issueMailToken(app.systemContext(), given))?.token ?? ''
}

async function signIn({ email }: Person, password: string): Promise<number> {
  return (await app.request('POST /api/auth/login', { body: { email, password } })).status
}

/** All that a request may say about the host that it was sent to. */
const hostile = [
  'X-Forwarded-Host: evil.example',
  'X-Forwarded-Server: evil.example',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Port: 8443',
  'X-Forwarded-Prefix: /evil',
  'Forwarded: host=evil.example;proto=https',
  'X-Host: evil.example',
  'X-Original-Host: evil.example',
  'X-Original-URL: http://evil.example/',
  'Origin: http://evil.example',
  'Referer: http://evil.example/',
]

promise(52, 'the link leads to our host, whatever the request says of it', async (proof) => {
  const ada = await person()
  await app.runJobs()
  const body = JSON.stringify({ email: ada.email })
  for (const [line, host] of [
    ['POST /api/auth/password/forgot HTTP/1.1', 'evil.example'],
    ['POST /api/auth/password/forgot HTTP/1.1', 'localhost:3000@evil.example'],
    ['POST http://evil.example/api/auth/password/forgot HTTP/1.1', 'evil.example:80'],
  ]) {
    const head = [line, `Host: ${host}`, ...hostile, 'Content-Type: application/json']
    const length = `Content-Length: ${Buffer.byteLength(body)}`
    const lines = [...head, length, 'Connection: close', '', body]
    await sendRaw({ url: app.url }, lines.join('\r\n'))
  }
  await app.runJobs()
  const mails = await eventually(() => {
    const found = mailServer.mails.filter(({ parsed }) => /password/i.test(parsed.subject ?? ''))
    expect(found.length).toBeGreaterThan(0)
    return found
  })
  let links = 0
  for (const { raw, parsed } of mails) {
    expect(raw.replaceAll('=\r\n', '')).not.toContain('evil')
    const text = `${parsed.text} ${String(parsed.html)}`
    for (const [link] of text.matchAll(/https?:\/\/[^\s"'<>)]+/g)) {
      expect(new URL(link).origin).toBe(publicUrl)
      links += 1
    }
  }
  expect(links).toBeGreaterThan(mails.length)
  proof.measured(`${mails.length} mails, ${links} links, all to PUBLIC_URL`)
})

promise(52, 'a token has 256 random bits and stands nowhere but in its mail', async (proof) => {
  const ada = await person()
  await app.runJobs()
  await app.request('POST /api/auth/password/forgot', { body: { email: ada.email } })
  await app.runJobs()
  const mail = mailServer.mails.findLast(({ to }) => to.includes(ada.email))
  const [, token = ''] = /(usr_\w+\.[\w-]+)/.exec(mail?.parsed.text ?? '') ?? []
  const secretOf = (text: string): string => text.split('.')[1] ?? ''
  expect(await tablesHolding(app, secretOf(token))).toEqual([])
  const hash = createHash('sha256').update(secretOf(token)).digest('base64url')
  expect(await tablesHolding(app, hash)).toEqual(['public.mail_tokens'])
  const secrets = [secretOf(token)]
  for (let round = 0; round < 40; round += 1) secrets.push(secretOf(await issue(ada)))
  expect(new Set(secrets).size).toBe(secrets.length)
  let ones = 0
  for (const secret of secrets) {
    const bytes = Buffer.from(secret, 'base64url')
    expect(bytes.length).toBe(32)
    for (const byte of bytes) ones += byte.toString(2).replaceAll('0', '').length
  }
  const share = ones / (secrets.length * 256)
  // Ten standard deviations from a fair coin.
  expect(Math.abs(share - 0.5)).toBeLessThan(0.05)
  expect((await reset(token, 'eleven herons over a pond')).status, 'an old mail').toBe(401)
  proof.measured(
    `${secrets.length} tokens of 256 bits, ${(100 * share).toFixed(1)} % ones, hash only`,
  )
})

promise(52, 'a token works once, and ends all sessions on all nodes', async (proof) => {
  const ada = await person()
  const token = await issue(ada)
  const other = await issue(ada)
  for (const at of [app, node]) {
    expect((await at.request('GET /api/auth/me', { token: ada.token })).status).toBe(200)
  }
  const passwords = Array.from({ length: 12 }, (_, index) => `heron number ${index} of the pond`)
  const replies = await Promise.all(
    passwords.map((password, index) => reset(token, password, index % 2 ? app : node)),
  )
  const won = replies.findIndex(({ status }) => status === 204)
  expect(replies.map(({ status }) => status).toSorted()).toEqual([
    204,
    ...passwords.slice(1).map(() => 401),
  ])
  expect(await signIn(ada, passwords[won] ?? '')).toBe(200)
  expect(await signIn(ada, 'violet teapot on the moor')).toBe(401)
  expect((await reset(other, 'a later thought of a heron')).status).toBe(401)
  for (const at of [app, node]) {
    await eventually(
      async () => {
        const me = await at.request('GET /api/auth/me', { token: ada.token })
        expect(me.status).toBe(401)
      },
      { withinMs: 1000 },
    )
    const { status } = await at.request('POST /api/auth/refresh', {
      headers: { cookie: ada.cookie },
    })
    expect(status).toBe(401)
  }
  proof.measured('12 at once on 2 nodes, 1 password set, 0 sessions left')
})

promise(52, 'a token is good for an hour and no longer', async (proof) => {
  const [ada, bob] = [await person(), await person()]
  const [fresh, stale] = [await issue(ada), await issue(bob)]
  app.advance(59 * minuteMs)
  expect((await reset(fresh, 'eleven herons over a pond')).status).toBe(204)
  app.advance(minuteMs)
  expect((await reset(stale, 'eleven herons over a pond')).status).toBe(401)
  expect(await signIn(bob, 'violet teapot on the moor')).toBe(200)
  proof.measured('good after 59 min, refused after 60')
})
