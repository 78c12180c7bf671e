import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { templates } from '../../src/modules/notifications/rules/templates.ts'
import {
  mailData,
  templateNames,
  type TemplateName,
} from '../../src/modules/notifications/schema.ts'
import { openMail } from '../../src/platform/mail.ts'
import { startTestApp, testPassword, type TestApp } from '../support/app.ts'
import { startMailServer, type MailServer, type ReceivedMail } from '../support/mail-server.ts'
import { promise } from './promise.ts'

const sender = { name: 'Fairwater', address: 'office@fairwater.example' }
const publicUrl = 'http://localhost:3000'

let server: MailServer
let app: TestApp
/** The same business, where an e-mail is proved before there is a login. */
let careful: TestApp

beforeAll(async () => {
  server = await startMailServer()
  app = await startTestApp({ mail: openMail({ url: server.url, sender, restMs: 0 }) })
  careful = await startTestApp({
    beside: app,
    business: { registration: 'verify' },
    mail: openMail({ url: server.url, sender, restMs: 0 }),
  })
})
afterAll(async () => {
  await careful.close()
  await app.close()
  await server.close()
})

/** Hundreds of requests, with passwords to hash: enough for a machine that is busy. */
const slow = { timeoutMs: 240_000 }

/** Each wants to be more than a word: a header, a command, a tag, a link, another reader's line. */
const hostilePieces = [
  '\r\nBcc: eve@evil.example',
  '\nX-Injected: 1',
  '\rX-Injected: 1',
  '\r\n\r\n<script>alert(1)</script>',
  '\u2028X-Injected: 1',
  '\u2029Bcc: eve@evil.example',
  '\u0085X-Injected: 1',
  '\u000bX-Injected: 1',
  '\u560a\u560dX-Injected: 1',
  '=?utf-8?q?=0D=0ABcc:_eve@evil.example?=',
  '=?utf-8?b?DQpYLUluamVjdGVkOiAx?=',
  '%0d%0aBcc:eve@evil.example',
  '\r\n.\r\nMAIL FROM:<eve@evil.example>\r\nRCPT TO:<eve@evil.example>\r\nDATA\r\n',
  '<img src=x onerror=alert(1)>',
  '"><script>alert(1)</script>',
  '<a href="https://evil.example">click</a>',
  "' onmouseover='alert(1)",
  '&lt;script&gt;&#60;script&#62;',
  'https://evil.example/pay',
  'javascript:alert(1)',
  '" <eve@evil.example>',
  'eve@evil.example, ',
  '\u202egro.live',
  'Ünïcödé 😀 \u0000',
]

const hostileText = fc
  .array(fc.oneof(fc.constantFrom(...hostilePieces), fc.string({ unit: 'binary', maxLength: 8 })), {
    minLength: 1,
    maxLength: 3,
  })
  .map((pieces) => `A${pieces.join('b')}`)

const byHand = templateNames.filter((name) => templates[name].byHand && name !== 'message')

promise(
  70,
  'every mail that staff send, with hostile words in each field',
  async (proof) => {
    const token = await app.as('admin')
    const seen = server.mails.length
    const expected: string[] = []
    let refused = 0
    const send = async (template: TemplateName, words: string): Promise<void> => {
      const to = `reader${expected.length}@customer.example`
      const content =
        template === 'message'
          ? { subject: words, text: `${words}\n${words}`, html: `<p>${words}</p>${words}` }
          : { template, data: withWords(template, words) }
      const { status, body } = await app.request('POST /api/notifications/email', {
        token,
        body: { to, ...content },
      })
      // Refused for a character that no line may hold, or taken: nothing in between.
      expect([words, status, body.code]).toEqual([words, isLine(words) ? 202 : 400, body.code])
      if (status === 202) expected.push(to)
      else refused += 1
    }
    const asLine = (words: string): string => words.replaceAll(/[\p{Cc}]/gu, '')
    for (const [kind, template] of [...byHand, 'message' as const].entries()) {
      const pieces = hostilePieces.filter((_, at) => at % 3 === kind % 3)
      for (const words of pieces) await send(template, asLine(`A${words}`))
    }
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...byHand, 'message' as const),
        hostileText.filter((words) => words.isWellFormed()),
        send,
      ),
      { seed: proof.seed, numRuns: 40 },
    )
    await app.runJobs()
    const mails = server.mails.slice(seen)
    for (const mail of mails) expectHarmless(mail)
    expect(mails.map(({ to }) => to.join()).toSorted()).toEqual(expected.toSorted())
    proof.measured(
      `${byHand.length + 1} kinds of mail, ${mails.length} sent by SMTP, ${refused} refused: ` +
        'no header added, no tag but ours, links to our host alone',
    )
  },
  slow,
)

promise(
  70,
  'every mail that strangers can cause, with hostile names',
  async (proof) => {
    const admin = await app.as('admin')
    const seen = server.mails.length
    const emails: string[] = []
    let refused = 0
    const pieces = hostilePieces.filter((_, at) => at % 2 === 0)
    const strangers: { email: string; name: string; password: string }[] = []
    for (const [index, piece] of pieces.entries()) {
      const email = `stranger${index}@customer.example`
      for (const name of [`A${piece}`, `A${piece.replaceAll(/\p{Cc}/gu, '')}`]) {
        const body = { email, name, password: testPassword }
        const { status } = await app.request('POST /api/auth/register', { body })
        expect([name, status]).toEqual([name, isLine(name) ? 201 : 400])
        if (status === 400) {
          refused += 1
          continue
        }
        strangers.push(body)
        await app.request('POST /api/auth/password/forgot', { body: { email } })
        const colleague = { email: `colleague-of-${email}`, name, role: 'viewer' }
        const invited = await app.request('POST /api/users', { token: admin, body: colleague })
        expect([name, invited.status]).toEqual([name, 201])
        emails.push(email, email, email, colleague.email)
        break
      }
    }
    await app.runJobs()
    // As if their links had been followed: who registers again is told that there is an account.
    await app.sql('update users set email_verified = true')
    for (const body of strangers) {
      await careful.request('POST /api/auth/register', { body })
      emails.push(body.email)
    }
    await app.runJobs()
    const mails = server.mails.slice(seen)
    for (const mail of mails) {
      expectHarmless(mail)
      // Who a stranger says to be is repeated only where nobody could take it for a link.
      expect(mail.parsed.text).not.toMatch(/evil\.example/)
    }
    expect(mails.map(({ to }) => to.join()).toSorted()).toEqual(emails.toSorted())
    const rows = await app.sql('select distinct template from notifications')
    const kinds = new Set(rows.map(({ template }) => String(template)))
    expect([...kinds].toSorted()).toEqual([...templateNames].toSorted())
    proof.measured(
      `${pieces.length} names: ${mails.length} mails with and without tokens, ${refused} ` +
        `refused; all ${kinds.size} kinds of mail were sent`,
    )
  },
  slow,
)

promise(70, 'an address is one address', async (proof) => {
  const token = await app.as('admin')
  const seen = server.mails.length
  const hostile = [
    'a@b.example\r\nBcc: eve@evil.example',
    'a@b.example\nRCPT TO:<eve@evil.example>',
    'a@b.example>\r\nRCPT TO:<eve@evil.example',
    'a@b.example,eve@evil.example',
    'a@b.example;eve@evil.example',
    'a@b.example eve@evil.example',
    'Ada <eve@evil.example>',
    '<eve@evil.example>',
    '"a b"@b.example',
    'a@b.example\u2028eve@evil.example',
    'a@b.example\u0000',
    'a@b@evil.example',
    'a\u0085@b.example',
    '(comment)a@b.example',
  ]
  for (const to of hostile) {
    const { status } = await app.request('POST /api/notifications/email', {
      token,
      body: { to, subject: 'Hello', text: 'Hello' },
    })
    expect([to, status]).toEqual([to, 400])
    for (const route of ['POST /api/auth/register', 'POST /api/customers'] as const) {
      const login = route.endsWith('register') ? { password: testPassword } : {}
      await app.request(route, { token, body: { email: to, name: 'Ada', ...login } })
      await app.request('POST /api/auth/password/forgot', { body: { email: to } })
    }
  }
  await app.runJobs()
  const mails = server.mails.slice(seen)
  for (const mail of mails) expectHarmless(mail)
  expect(mails.flatMap(({ to }) => to).filter((to) => /evil|,|\s/.test(to))).toEqual([])
  proof.measured(`${hostile.length} addresses for more than one reader: nobody else was mailed`)
})

/** The sample of the template, with the words in place of everything that is free. */
function withWords(template: TemplateName, words: string): unknown {
  const isFixed = /^\d{4}-|^[A-Z]{3}$|^[BC]-\d|^(customer|completed)$/
  const replace = (value: unknown): unknown => {
    if (typeof value === 'string') return isFixed.test(value) ? value : words
    if (Array.isArray(value)) return value.map(replace)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, replace(member)]),
    )
  }
  expect(Object.keys(mailData)).toContain(template)
  return replace(templates[template].sample)
}

/** Whether the words can stand on one line, as names and subjects have to. */
function isLine(words: string): boolean {
  return !/\p{Cc}/u.test(words) && words.length <= 200
}

const headerNames = new Set([
  'from',
  'to',
  'subject',
  'message-id',
  'date',
  'mime-version',
  'content-type',
  'auto-submitted',
])

/** The headers that we write and no other, one reader, our own tags and our own links. */
function expectHarmless({ raw, to, from, parsed }: ReceivedMail): void {
  const [head = ''] = raw.split('\r\n\r\n')
  for (const line of head.split('\r\n')) {
    expect(line).toMatch(/^([\w-]+: ?|[ \t])/)
    expect(line).not.toMatch(/[\r\n\u0085\u2028\u2029]/)
  }
  const names = parsed.headerLines.map(({ key }) => key)
  expect(names.filter((name) => !headerNames.has(name))).toEqual([])
  expect(new Set(names).size).toBe(names.length)
  expect([from, to.length]).toEqual([sender.address, 1])
  const readers = [parsed.to ?? []].flat().flatMap(({ value }) => value)
  expect(readers.map(({ address }) => address)).toEqual(to)
  expect([parsed.cc, parsed.bcc, parsed.attachments]).toEqual([undefined, undefined, []])
  expect(parsed.subject).not.toMatch(/[\r\n\u2028\u2029\u202a-\u202e]/)
  expectTame(parsed.html || '')
}

const tags = new Set([
  'html',
  'head',
  'meta',
  'title',
  'style',
  'body',
  'div',
  'span',
  'table',
  'tbody',
  'tr',
  'td',
  'th',
  'p',
  'a',
  'h1',
  'h2',
  'br',
  'hr',
  'blockquote',
  'strong',
  'b',
  'u',
  'thead',
])

function expectTame(html: string): void {
  const found = [...html.matchAll(/<\s*\/?\s*([a-z][\w-]*)([^>]*)>/gi)]
  expect(found.length).toBeGreaterThan(5)
  for (const [whole, tag = '', attributes = ''] of found) {
    expect([whole, tags.has(tag.toLowerCase())]).toEqual([whole, true])
    expect(attributes).not.toMatch(/\son\w+\s*=|javascript:|url\(/i)
    for (const [, address = ''] of attributes.matchAll(/(?:href|src|action)\s*=\s*"([^"]*)"/gi)) {
      expect([whole, new URL(address).origin]).toEqual([whole, publicUrl])
    }
  }
}
