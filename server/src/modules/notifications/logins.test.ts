import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestApp, testPassword, type TestApp } from '../../../test/support/app.ts'
import { startMailServer, type MailServer } from '../../../test/support/mail-server.ts'
import { openMail } from '../../platform/mail.ts'

const sender = { name: 'Fairwater', address: 'office@fairwater.example' }

let server: MailServer
let app: TestApp

beforeAll(async () => {
  server = await startMailServer()
  app = await startTestApp({ mail: openMail({ url: server.url, sender, restMs: 0 }) })
})
afterAll(async () => {
  await app.close()
  await server.close()
})
beforeEach(async () => {
  await app.runJobs()
  seen = server.mails.length
})

let seen = 0

/** What has arrived since the test began, as `address: subject`. */
async function arrived(from: MailServer = server): Promise<string[]> {
  await app.runJobs()
  return from.mails
    .slice(from === server ? seen : 0)
    .map(({ to, parsed }) => `${to.join()}: ${parsed.subject ?? ''}`)
    .toSorted()
}

function textOf(subject: RegExp): string {
  const found = server.mails.slice(seen).find(({ parsed }) => subject.test(parsed.subject ?? ''))
  return found?.parsed.text ?? ''
}

function tokenIn(text: string): string {
  return decodeURIComponent(/#token=(\S+)/.exec(text)?.[1] ?? '')
}

/** Tables in which any column of any row holds the text, the job queue’s too. */
async function tablesThatHold(text: string): Promise<string[]> {
  const tables = await app.sql(`
    select table_name as name, quote_ident(table_schema) || '.' || quote_ident(table_name) as full
    from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema in (current_schema(), 'graphile_worker')`)
  const found: string[] = []
  for (const { name, full } of tables) {
    const [row] = await app.sql(
      `select count(*)::int as count from ${String(full)} t where position($1 in t::text) > 0`,
      [text],
    )
    if (row?.['count'] !== 0) found.push(String(name))
  }
  return found
}

describe('somebody who registers', () => {
  test('is welcomed, and asked for proof by a link whose token is in no row', async () => {
    const { email, userId } = await app.asCustomer('newcomer')
    expect(await arrived()).toEqual([
      `${email}: Please confirm your e-mail`,
      `${email}: Welcome to Fairwater`,
    ])
    const [, secret = ''] = tokenIn(textOf(/^Please confirm/)).split('.')
    expect(secret.length).toBeGreaterThan(40)
    expect(await tablesThatHold(secret)).toEqual([])
    expect(await tablesThatHold(userId)).toContain('notifications')
    const token = await app.as('admin')
    const list = await app.request('GET /api/notifications?template=verify_email', { token })
    const { id } = list.body.data[0]
    const { body } = await app.request(`GET /api/notifications/${id}`, { token })
    expect(body.text).toContain('#token=********')
    expect(JSON.stringify(body)).not.toContain(secret)
  })

  test('can prove the e-mail with the link that came', async () => {
    const { token, email } = await app.asCustomer('prover')
    expect((await arrived()).length).toBe(2)
    const mailed = tokenIn(textOf(/^Please confirm/))
    const proof = await app.request('POST /api/auth/email/verify', {
      token,
      body: { token: mailed },
    })
    expect([proof.status, proof.body.email]).toEqual([200, email])
  })
})

describe('somebody who forgot the password', () => {
  test('has a link to choose another, which works', async () => {
    const { email } = await app.asCustomer('forgetful')
    await app.runJobs()
    seen = server.mails.length
    await app.request('POST /api/auth/password/forgot', { body: { email } })
    expect(await arrived()).toEqual([`${email}: Choose a new password`])
    const text = textOf(/^Choose/)
    expect(text).toMatch(/^http:\/\/localhost:3000\/portal\/reset-password#token=\S+$/m)
    expect(text).toMatch(/The link works once, until \d+ \w+ \d{4}, \d\d:\d\d/)
    const reset = await app.request('POST /api/auth/password/reset', {
      body: { token: tokenIn(text), password: 'seven green teapots dance' },
    })
    expect(reset.status, JSON.stringify(reset.body)).toBeLessThan(300)
  })

  test('hears nothing at an address that nobody has', async () => {
    const forgot = { body: { email: 'nobody@example.com' } }
    await app.request('POST /api/auth/password/forgot', forgot)
    expect(await arrived()).toEqual([])
  })

  test('has a link that a forged Host header does not change', async () => {
    const { email } = await app.asCustomer('forged')
    await app.runJobs()
    seen = server.mails.length
    await app.request('POST /api/auth/password/forgot', {
      body: { email },
      headers: { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
    })
    expect((await arrived()).length).toBe(1)
    expect(textOf(/^Choose/)).not.toContain('evil.example')
  })
})

describe('a colleague', () => {
  test('who is invited gets a link to the console; shut again, the mail has no reason', async () => {
    const token = await app.as('admin')
    const invite = async (email: string) =>
      await app.request('POST /api/users', { token, body: { email, name: 'Priya', role: 'agent' } })
    expect((await invite('priya@fairwater.example')).status).toBe(201)
    expect(await arrived()).toEqual(['priya@fairwater.example: You are invited to Fairwater'])
    expect(textOf(/invited/)).toContain('http://localhost:3000/console/accept-invitation#token=')

    const gone = await invite('gone@fairwater.example')
    await app.sql('update users set active = false where id = $1', [gone.body.id])
    expect(await arrived()).toEqual(['priya@fairwater.example: You are invited to Fairwater'])
    const [row] = await app.sql('select status, last_error from notifications where user_id = $1', [
      gone.body.id,
    ])
    expect(row).toEqual({ status: 'suppressed', last_error: 'There was no reason left for it.' })
  })
})

describe('where e-mails are verified first', () => {
  test('a new one gets a link, a known one word that there is an account', async () => {
    const mails = await startMailServer()
    const careful = await startTestApp({
      business: { registration: 'verify' },
      mail: openMail({ url: mails.url, sender, restMs: 0 }),
    })
    const register = async (): Promise<number> => {
      const body = { email: 'ada@example.com', name: 'Ada', password: testPassword }
      return (await careful.request('POST /api/auth/register', { body })).status
    }
    expect(await register()).toBe(202)
    await careful.runJobs()
    const [first] = mails.mails
    expect(first?.parsed.subject).toBe('Please confirm your e-mail')
    const proof = await careful.request('POST /api/auth/email/verify', {
      body: { token: tokenIn(first?.parsed.text ?? ''), password: testPassword },
    })
    expect(proof.status, JSON.stringify(proof.body)).toBe(200)
    expect(await register()).toBe(202)
    await careful.runJobs()
    expect(mails.mails.map(({ parsed }) => parsed.subject).toSorted()).toEqual([
      'Please confirm your e-mail',
      'Welcome to Fairwater',
      'You have an account at Fairwater already',
    ])
    await careful.close()
    await mails.close()
  })
})

describe('without a mail server', () => {
  test('the link is shown once, and no other mail leaves the outbox', async () => {
    const kept = await startTestApp()
    const { email } = await kept.asCustomer('ada')
    await kept.runJobs()
    const sweep = kept.app.jobs.find(({ name }) => name === 'deliver-due-notifications')
    await sweep?.run(kept.systemContext(), {})
    await kept.runJobs()
    expect(kept.shownLinks).toEqual([
      {
        to: email,
        subject: 'Please confirm your e-mail',
        url: expect.stringMatching(/^http:\/\/localhost:3000\/portal\/verify-email#token=usr_\S+$/),
      },
    ])
    const list = await kept.request('GET /api/notifications', { token: await kept.as('admin') })
    const kinds = list.body.data.map(
      (mail: Record<string, string>) => `${mail['template']} ${mail['status']}`,
    )
    expect(kinds.toSorted()).toEqual(['verify_email sent', 'welcome queued'])
    await kept.close()
  })
})
