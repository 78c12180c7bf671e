import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import { startMailServer, type MailServer } from '../../../test/support/mail-server.ts'
import { keepMail, openMail, type Mail } from '../../platform/mail.ts'
import { templates } from './rules/templates.ts'
import { templateNames } from './schema.ts'
import { mailCheck, mailFigures } from './usecases/keep-outbox.ts'

const sender = { name: 'Fairwater', address: 'office@fairwater.example' }
const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

let server: MailServer
let opened: Mail
let app: TestApp

/** Each test has a server of its own, and a way to it that has learnt nothing from the last one. */
const currentMail = new Proxy({} as Mail, { get: (_, name) => Reflect.get(opened, name) })

beforeAll(async () => {
  opened = keepMail(sender)
  app = await startTestApp({ mail: currentMail })
})
afterAll(async () => {
  await app.close()
})
beforeEach(async () => {
  await app.sql('delete from notifications')
  await app.runJobs()
  server = await startMailServer()
  opened = mailTo(server)
})
afterEach(async () => {
  await opened.close()
  await server.close()
})

function mailTo(target: MailServer): Mail {
  return openMail({ url: target.url, sender, restMs: 0, deadlineMs: 1500 })
}

async function send(body: Record<string, unknown> = {}): Promise<string> {
  const reply = await app.request('POST /api/notifications/email', {
    token: await app.as('manager'),
    body: { to: 'ada@example.com', subject: 'Hello', text: 'Words.', ...body },
  })
  expect(reply.status, JSON.stringify(reply.body)).toBe(202)
  return reply.body.id
}

async function read(id: string): Promise<Reply['body']> {
  const token = await app.as('manager')
  return (await app.request(`GET /api/notifications/${id}`, { token })).body
}

/** The minute's sweep, and what it has enqueued. */
async function sweep(node: TestApp = app): Promise<void> {
  const job = node.app.jobs.find(({ name }) => name === 'deliver-due-notifications')
  await job?.run(node.systemContext(), {})
  await node.runJobs()
}

async function eventsOf(id: string): Promise<unknown[]> {
  const rows = await app.sql('select type from events where root_id = $1 order by root_version', [
    id,
  ])
  return rows.map(({ type }) => type).filter((type) => type !== 'notification.read')
}

describe('a mail', () => {
  test('is sent by a job, in both forms, from MAIL_FROM, with the id that its row keeps', async () => {
    const id = await send()
    expect((await read(id)).status).toBe('queued')
    await app.runJobs()
    const mail = await read(id)
    expect(mail).toMatchObject({
      status: 'sent',
      attempts: 1,
      lastError: null,
      nextAttemptAt: null,
    })
    expect(mail.sentAt).toMatch(/Z$/)
    const [taken] = server.mails
    expect(taken?.parsed).toMatchObject({
      messageId: `<${id}@fairwater.example>`,
      subject: 'Hello',
      from: { text: '"Fairwater" <office@fairwater.example>' },
    })
    expect(taken?.parsed.messageId).toBe(mail.messageId)
    expect(taken?.parsed.text).toBe(mail.text)
    expect(taken?.parsed.html).toBe(mail.html)
    expect(taken?.parsed.headers.has('auto-submitted')).toBe(false)
  })

  test('of each template arrives as multipart/alternative', async () => {
    const byHand = templateNames.filter((name) => templates[name].byHand)
    for (const template of byHand) {
      const data = templates[template].sample
      await send({ template, data, subject: undefined, text: undefined })
    }
    await app.runJobs()
    expect(server.mails.length).toBe(byHand.length)
    for (const { raw, parsed } of server.mails) {
      expect(raw).toMatch(/^Content-Type: multipart\/alternative;/m)
      expect(raw).toMatch(/^Auto-Submitted: auto-generated/m)
      expect(raw).toMatch(/^Content-Type: text\/plain; charset=utf-8/m)
      expect(raw).toMatch(/^Content-Type: text\/html; charset=utf-8/m)
      expect(parsed.text).toContain('Hello Ada Lovelace,')
      expect(String(parsed.html)).toContain('Hello Ada Lovelace,')
    }
    const subjects = server.mails.map(({ parsed }) => parsed.subject)
    expect(new Set(subjects).size).toBe(byHand.length)
  })

  test('is sent once by two nodes that try at the same time', async () => {
    const beside = await startTestApp({ beside: app, mail: mailTo(server) })
    const ids = []
    for (let n = 0; n < 10; n += 1) ids.push(await send())
    await Promise.all([app.runJobs(), beside.runJobs(), sweep(), sweep(beside)])
    expect(server.mails.map(({ parsed }) => parsed.messageId).toSorted()).toEqual(
      ids.map((id) => `<${id}@fairwater.example>`).toSorted(),
    )
    await beside.close()
  })
})

describe('a mail that the server puts off', () => {
  test('is tried again after a minute, then less often, and each try can be seen', async () => {
    const id = await send()
    server.trouble('rcpt', 'defer')
    await app.runJobs()
    const first = await read(id)
    expect(first).toMatchObject({ status: 'queued', attempts: 1 })
    expect(first.lastError).toBe('The mail server said: 451 4.7.1 Try again later')
    const waits = (mail: Reply['body']) =>
      Math.round((Date.parse(mail.nextAttemptAt) - app.now().getTime()) / minuteMs)
    expect(waits(first)).toBe(1)
    // Not before its time, however often somebody looks.
    await sweep()
    expect((await read(id)).attempts).toBe(1)
    app.advance(minuteMs)
    await sweep()
    const second = await read(id)
    expect([second.attempts, waits(second)]).toEqual([2, 1])
    app.advance(hourMs)
    await sweep()
    const third = await read(id)
    expect([third.attempts, waits(third)]).toEqual([3, 61])
    server.wellAgain()
    app.advance(62 * minuteMs)
    await sweep()
    expect(await read(id)).toMatchObject({ status: 'sent', attempts: 4, lastError: null })
    expect(server.mails.length).toBe(1)
  })

  test('has failed after three days, visibly, and can be tried again', async () => {
    const id = await send()
    server.trouble('connect', 'drop')
    await app.runJobs()
    for (let hour = 0; hour < 80; hour += 8) {
      app.advance(8 * hourMs)
      await sweep()
    }
    const failed = await read(id)
    expect(failed).toMatchObject({ status: 'failed', nextAttemptAt: null, sentAt: null })
    expect(failed.attempts).toBeGreaterThan(8)
    expect(await eventsOf(id)).toEqual(['notification.requested', 'notification.failed'])
    server.wellAgain()
    await sweep()
    expect(server.mails.length).toBe(0)
    const token = await app.as('manager')
    const retried = await app.request(`POST /api/notifications/${id}/retry`, { token })
    expect([retried.status, retried.body.status]).toEqual([200, 'queued'])
    // Put off again, it begins anew with short waits.
    server.trouble('rcpt', 'defer')
    await app.runJobs()
    const waits = Date.parse((await read(id)).nextAttemptAt) - app.now().getTime()
    expect(waits).toBeLessThanOrEqual(minuteMs)
    server.wellAgain()
    app.advance(minuteMs)
    await sweep()
    expect((await read(id)).status).toBe('sent')
    expect(server.mails.map(({ parsed }) => parsed.messageId)).toEqual([failed.messageId])
  })
})

describe('a mail that the server refuses', () => {
  test.each(['rcpt', 'data'] as const)(
    'at %s has failed at once, with the reason',
    async (stage) => {
      const id = await send()
      server.trouble(stage, 'refuse')
      await app.runJobs()
      expect(await read(id)).toMatchObject({
        status: 'failed',
        attempts: 1,
        lastError: 'The mail server said: 550 5.1.1 No such mailbox',
      })
      server.wellAgain()
      app.advance(dayMs)
      await sweep()
      expect(server.mails.length).toBe(0)
    },
  )

  test('does not keep another from being sent', async () => {
    const bad = await send()
    // Such an address may stand in an old record.
    await app.sql(`update notifications set recipient_email = '"a,b"@example.com'`)
    const good = await send()
    await app.runJobs()
    expect([(await read(bad)).status, (await read(good)).status]).toEqual(['failed', 'sent'])
  })
})

describe('a server that is silent or cuts off', () => {
  test.each([
    ['connect', 'stall'],
    ['rcpt', 'stall'],
    ['connect', 'drop'],
    ['data', 'drop'],
  ] as const)('at %s, %s: the mail waits and is sent later', async (stage, trouble) => {
    const id = await send()
    server.trouble(stage, trouble)
    const began = performance.now()
    await app.runJobs()
    expect(performance.now() - began).toBeLessThan(5000)
    const waiting = await read(id)
    expect([waiting.status, waiting.attempts]).toEqual(['queued', 1])
    expect(waiting.lastError).toMatch(
      /^The mail server (does not answer in time|cannot be reached)/,
    )
    server.wellAgain()
    app.advance(minuteMs)
    await sweep()
    expect(server.mails.length).toBe(1)
  })

  test('after it took the mail: sent twice, under one Message-ID', async () => {
    const id = await send()
    server.trouble('answer', 'drop')
    await app.runJobs()
    expect((await read(id)).status).toBe('queued')
    server.wellAgain()
    app.advance(minuteMs)
    await sweep()
    expect((await read(id)).status).toBe('sent')
    const ids = server.mails.map(({ parsed }) => parsed.messageId)
    expect(ids).toEqual([`<${id}@fairwater.example>`, `<${id}@fairwater.example>`])
  })
})

describe('a sender that died', () => {
  test('between the server’s yes and the commit: sent again, under the same Message-ID', async () => {
    const id = await send()
    await app.runJobs()
    // As it was before the commit: taken, leased, and nobody there any more.
    await app.sql(
      `update notifications set status = 'queued', sent_at = null, waiting_since = created_at,
         next_attempt_at = created_at, leased_until = $2 where id = $1`,
      [id, new Date(app.now().getTime() + 2 * minuteMs)],
    )
    await sweep()
    expect(server.mails.length).toBe(1)
    app.advance(2 * minuteMs + 1000)
    await sweep()
    expect(server.mails.map(({ parsed }) => parsed.messageId)).toEqual([
      `<${id}@fairwater.example>`,
      `<${id}@fairwater.example>`,
    ])
    expect((await read(id)).status).toBe('sent')
  })
})

describe('without a mail server', () => {
  test('mails wait where they can be read, and those of long ago are not sent later', async () => {
    await opened.close()
    opened = keepMail(sender)
    const old = await send()
    await app.runJobs()
    app.advance(4 * dayMs)
    await sweep()
    expect(await read(old)).toMatchObject({ status: 'queued', attempts: 0 })

    opened = mailTo(server)
    await sweep()
    expect(await read(old)).toMatchObject({
      status: 'failed',
      lastError: 'It waited for three days, and nobody took it.',
    })
    expect(server.mails.length).toBe(0)
  })
})

describe('figures and health', () => {
  test('count mails by status, and warn where the server is gone', async () => {
    await send()
    await app.runJobs()
    await send()
    const readings = await mailFigures.read(app.systemContext())
    expect(readings.map(({ labels, value }) => [labels?.['status'], value])).toEqual([
      ['queued', 1],
      ['sent', 1],
      ['failed', 0],
      ['suppressed', 0],
    ])
    expect(await mailCheck.run(app.systemContext())).toEqual({ status: 'pass' })
    await server.close()
    expect((await mailCheck.run(app.systemContext())).status).toBe('warn')
  })
})
