import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'
import { templateNames } from './schema.ts'

let app: TestApp
beforeAll(async () => {
  app = await startTestApp()
})
afterAll(async () => {
  await app.close()
})

async function staff(role: 'admin' | 'manager' | 'agent' = 'manager'): Promise<{ token: string }> {
  return { token: await app.as(role) }
}

async function send(body: unknown, headers: Record<string, string> = {}): Promise<Reply> {
  return await app.request('POST /api/notifications/email', {
    ...(await staff()),
    body,
    headers,
  })
}

const words = { subject: 'Your appointment', text: 'We meet at ten.\n\nPlease bring a passport.' }

/** What an error says is wrong, as `pointer code`. */
function faultsOf({ status, body }: Reply): string[] {
  expect([status, body.code]).toEqual([400, 'invalid_input'])
  return body.errors.map(({ pointer, code }: Record<string, string>) => `${pointer} ${code}`)
}

async function detail(id: string): Promise<Reply['body']> {
  const { status, body } = await app.request(`GET /api/notifications/${id}`, await staff())
  expect(status).toBe(200)
  return body
}

async function eventsOf(id: string): Promise<string[]> {
  const rows = await app.sql(
    'select type, actor_kind from events where root_id = $1 order by root_version',
    [id],
  )
  return rows.map(({ type, actor_kind: kind }) => `${String(type)} by ${String(kind)}`)
}

describe('POST /api/notifications/email', () => {
  test('202 for words of one’s own, queued to be sent and readable in both forms', async () => {
    const { status, body } = await send({ to: 'Ada@Example.com', ...words })
    expect([status, body]).toEqual([202, { id: expect.stringMatching(/^mail_/), status: 'queued' }])
    const mail = await detail(body.id)
    expect(mail).toMatchObject({
      to: 'Ada@Example.com',
      template: 'message',
      subject: words.subject,
      status: 'queued',
      attempts: 0,
      lastError: null,
      sentAt: null,
    })
    expect(mail.text).toContain(words.text)
    expect(mail.html).toContain('Please bring a passport.')
    expect(await eventsOf(body.id)).toEqual([
      'notification.requested by staff',
      'notification.read by staff',
    ])
  })

  test('202 for a template with its data, to a customer at the address of the record', async () => {
    const { customerId, email } = await app.asCustomer('ada')
    const data = {
      name: 'Ada',
      orderNumber: 'B-1',
      amount: { amount: 500, currency: 'GBP' },
    }
    const { status, body } = await send({ customerId, template: 'refund', data })
    expect(status).toBe(202)
    const mail = await detail(body.id)
    expect(mail).toMatchObject({ to: email, customerId, subject: 'Your refund for order B-1' })
    expect(mail.text).toContain('£5.00')
  })

  test('202 with html that was made safe', async () => {
    const html =
      '<p onclick="x()">Hi <b>Ada</b><script>alert(1)</script><img src="https://evil.example/p">' +
      '<a href="https://evil.example/">here</a> <a href="http://localhost:3000/portal">there</a></p>'
    const { body } = await send({ to: 'ada@example.com', ...words, html })
    const mail = await detail(body.id)
    expect(mail.html).toContain(
      '<p>Hi <b>Ada</b><u>https://evil.example/</u> ' +
        '<a href="http://localhost:3000/portal">there</a></p>',
    )
    expect(mail.html).not.toMatch(/alert|onclick|<img/)
    expect(mail.text).toContain(words.text)
  })

  test('202 with html made of the text where nothing of the html was left', async () => {
    const html = '<p> <img src="https://evil.example/p"></p><script>alert(1)</script>'
    const { body } = await send({ to: 'ada@example.com', ...words, html })
    expect((await detail(body.id)).html).toContain('Please bring a passport.')
  })

  test('400 unless there is exactly one recipient', async () => {
    expect(faultsOf(await send(words))).toEqual(['/to required'])
    const { customerId } = await app.asCustomer('ada')
    const both = await send({ to: 'ada@example.com', customerId, ...words })
    expect(faultsOf(both)).toEqual(['/to combination'])
    const unknown = await send({ customerId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3zd', ...words })
    expect(faultsOf(unknown)).toEqual(['/customerId unknown'])
  })

  test.each([
    'ada@example.com, eve@evil.example',
    'ada@example.com\r\nBcc: eve@evil.example',
    'ada@example.com\nbcc:eve@evil.example',
    'Ada <ada@example.com>',
    '<ada@example.com>',
    'ada;eve@example.com',
    'ada(eve)@example.com',
    'ada',
    ['ada@example.com'],
  ])('400 for what is not one address: %j', async (to) => {
    expect(faultsOf(await send({ to, ...words }))[0]).toMatch(/^\/to (pattern|type)$/)
  })

  test.each(['Hello\r\nBcc: eve@evil.example', 'Hello\nX: 1', 'Hello\u0000', '', ' '])(
    '400 for a subject that is not one line of words: %j',
    async (subject) => {
      const { status, body } = await send({ to: 'ada@example.com', ...words, subject })
      expect([status, body.code]).toEqual([
        400,
        expect.stringMatching(/^(invalid_input|malformed)/),
      ])
    },
  )

  test('400 for a content that is neither whole nor of one kind', async () => {
    const to = 'ada@example.com'
    expect(faultsOf(await send({ to }))).toEqual(['/subject required', '/text required'])
    expect(faultsOf(await send({ to, ...words, data: {} }))).toEqual(['/data combination'])
    expect(faultsOf(await send({ to, template: 'welcome' }))).toEqual(['/data required'])
    expect(
      faultsOf(await send({ to, template: 'welcome', data: { name: 'Ada' }, html: '<p>x</p>' })),
    ).toEqual(['/html combination'])
    expect(faultsOf(await send({ to, template: 'message', data: {} }))).toEqual(['/template enum'])
  })

  test('400 with pointers where data is not the template’s', async () => {
    const to = 'ada@example.com'
    const data = { orderNumber: 'B-1', amount: { amount: 1.5, currency: 'GBP' }, more: 1 }
    const faults = faultsOf(await send({ to, template: 'refund', data }))
    expect(faults.toSorted()).toEqual([
      '/data/amount/amount type',
      '/data/more additionalProperties',
      '/data/name required',
    ])
    const broken = { ...data, name: 'Ada\r\nBcc: x@y.z' }
    expect(faultsOf(await send({ to, template: 'refund', data: broken }))).toContain(
      '/data/name pattern',
    )
  })

  test.each(['verify_email', 'password_reset', 'staff_invitation', 'account_exists'])(
    '400 for %s, which Bureau alone may send',
    async (template) => {
      const data = { name: 'Ada', audience: 'customer' }
      const faults = faultsOf(await send({ to: 'ada@example.com', template, data }))
      expect(faults).toContain('/template not_allowed')
    },
  )

  test('one mail for one Idempotency-Key, however often and at once', async () => {
    const headers = { 'idempotency-key': 'one-mail-please' }
    const body = { to: 'once@example.com', ...words }
    const replies = await Promise.all(Array.from({ length: 10 }, () => send(body, headers)))
    const ids = new Set(replies.filter(({ status }) => status === 202).map((one) => one.body.id))
    expect(ids.size).toBe(1)
    expect(replies.every(({ status }) => status === 202 || status === 409)).toBe(true)
    const again = await send(body, headers)
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([202, 'true'])
    expect(again.body.id).toBe([...ids][0])
    const other = await send({ ...body, text: 'Other words.' }, headers)
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused'])
    const [row] = await app.sql(
      "select count(*)::int as count from notifications where recipient_key = 'once@example.com'",
    )
    expect(row).toEqual({ count: 1 })
  })
})

describe('60 mails an hour for each login', () => {
  let limited: TestApp
  beforeAll(async () => {
    limited = await startTestApp({ rateLimitScale: 0.05 })
  })
  afterAll(async () => {
    await limited.close()
  })

  test('429 beyond, with the seconds to wait; another login is not held back', async () => {
    const [token, other] = [await limited.as('manager'), await limited.as('admin')]
    const body = { to: 'ada@example.com', ...words }
    const statuses: number[] = []
    for (let n = 0; n < 4; n += 1) {
      const reply = await limited.request('POST /api/notifications/email', { token, body })
      statuses.push(reply.status)
      if (reply.status === 429) expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    expect(statuses).toEqual([202, 202, 202, 429])
    const free = await limited.request('POST /api/notifications/email', { token: other, body })
    expect(free.status).toBe(202)
    limited.advance(61 * 60_000)
    const later = await limited.request('POST /api/notifications/email', {
      token: await limited.as('manager'),
      body,
    })
    expect(later.status).toBe(202)
  })
})

describe('GET /api/notifications', () => {
  let shop: TestApp
  beforeAll(async () => {
    shop = await startTestApp()
    const { customerId } = await shop.asCustomer('grace')
    const token = await shop.as('manager')
    const write = async (body: unknown): Promise<void> => {
      const { status } = await shop.request('POST /api/notifications/email', { token, body })
      expect(status).toBe(202)
      shop.advance(1000)
    }
    for (const n of [1, 2, 3]) await write({ to: `p${n}@Example.com`, ...words })
    await write({ customerId, template: 'welcome', data: { name: 'Grace' } })
  })
  afterAll(async () => {
    await shop.close()
  })

  async function list(query: string): Promise<Reply> {
    const token = await shop.as('admin')
    return await shop.request(`GET /api/notifications?${query}`, { token })
  }

  test('200 with the newest first, a second page and a total', async () => {
    const first = await list('limit=3&count=true')
    expect(first.body.data.map((mail: Reply['body']) => mail.template)).toEqual([
      'welcome',
      'message',
      'message',
    ])
    expect(first.body.total).toBe(4)
    expect(first.body.data[0]).not.toHaveProperty('text')
    const second = await list(`limit=3&cursor=${first.body.nextCursor}`)
    expect(second.body).toMatchObject({ data: [{ to: 'p1@Example.com' }], nextCursor: null })
    const oldest = await list('sort=createdAt&limit=1')
    expect(oldest.body.data[0].to).toBe('p1@Example.com')
  })

  test('200 by each filter, and nothing where nothing fits', async () => {
    const { customerId, email } = await shop.asCustomer('grace')
    const found = async (query: string): Promise<string[]> =>
      (await list(query)).body.data.map(({ to }: { to: string }) => to)
    expect(await found('template=welcome')).toEqual([email])
    expect(await found(`customerId=${customerId}`)).toEqual([email])
    expect(await found('to=P2@example.COM')).toEqual(['p2@Example.com'])
    expect(await found('to=example.com')).toEqual([])
    expect(await found('status=failed')).toEqual([])
    expect((await found('status=queued')).length).toBe(4)
    expect(await found('aboutId=ord_01jd8q9yg8e5v9c0m4t7k2x3za')).toEqual([])
  })

  test('400 for a filter or a sort that there is not', async () => {
    expect((await list('colour=red')).status).toBe(400)
    expect((await list('sort=subject')).status).toBe(400)
    expect((await list('status=lost')).status).toBe(400)
  })
})

describe('GET /api/notifications/:id', () => {
  test('404 for a mail that there is not, 400 for what is no id', async () => {
    const missing = await app.request(
      'GET /api/notifications/mail_01jd8q9yg8e5v9c0m4t7k2x3za',
      await staff(),
    )
    expect([missing.status, missing.body.code]).toEqual([404, 'not_found'])
    expect((await app.request('GET /api/notifications/B-1', await staff())).status).toBe(400)
  })

  test('200 at once for two who read it, each on record', async () => {
    const { body } = await send({ to: 'both@example.com', ...words })
    const texts = await Promise.all(Array.from({ length: 5 }, () => detail(body.id)))
    expect(new Set(texts.map(({ text }) => text)).size).toBe(1)
    const read = (await eventsOf(body.id)).filter((event) => event.startsWith('notification.read'))
    expect(read.length).toBe(5)
  })
})

describe('POST /api/notifications/:id/retry', () => {
  async function retry(id: string, headers: Record<string, string> = {}): Promise<Reply> {
    return await app.request(`POST /api/notifications/${id}/retry`, { ...(await staff()), headers })
  }

  test('409 notification_not_failed for one that waits, 404 for one that is not there', async () => {
    const { body } = await send({ to: 'ada@example.com', ...words })
    const refused = await retry(body.id)
    expect([refused.status, refused.body.code]).toEqual([409, 'notification_not_failed'])
    expect((await retry('mail_01jd8q9yg8e5v9c0m4t7k2x3za')).status).toBe(404)
  })

  test('200 once for many who click at once', async () => {
    const { body } = await send({ to: 'ada@example.com', ...words })
    await app.sql(
      `update notifications set status = 'failed', waiting_since = null, next_attempt_at = null
       where id = $1`,
      [body.id],
    )
    const replies = await Promise.all(Array.from({ length: 6 }, () => retry(body.id)))
    expect(replies.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409, 409, 409])
    expect(await eventsOf(body.id)).toEqual([
      'notification.requested by staff',
      'notification.retried by staff',
    ])
  })

  test('409 notification_pruned for one whose text is gone', async () => {
    const { body } = await send({ to: 'ada@example.com', ...words })
    await app.sql(
      `update notifications set status = 'failed', waiting_since = null, next_attempt_at = null
       where id = $1`,
      [body.id],
    )
    app.advance(91 * 24 * 3_600_000)
    const prune = app.app.jobs.find(({ name }) => name === 'prune-notifications')
    await prune?.run(app.systemContext(), {})
    const refused = await retry(body.id)
    expect([refused.status, refused.body.code]).toEqual([409, 'notification_pruned'])
    const mail = await detail(body.id)
    expect([mail.text, mail.html, mail.subject]).toEqual([null, null, words.subject])
    app.advance(310 * 24 * 3_600_000)
    await prune?.run(app.systemContext(), {})
    expect((await app.request(`GET /api/notifications/${body.id}`, await staff())).status).toBe(404)
  })
})

describe('mails that no server ever takes', () => {
  test('have failed once they are old, and say no more then', async () => {
    const prune = app.app.jobs.find(({ name }) => name === 'prune-notifications')
    const { body } = await send({ to: 'ada@example.com', ...words })
    app.advance(80 * 24 * 3_600_000)
    await prune?.run(app.systemContext(), {})
    expect(await detail(body.id)).toMatchObject({ status: 'queued', attempts: 0 })
    app.advance(11 * 24 * 3_600_000)
    await prune?.run(app.systemContext(), {})
    expect(await detail(body.id)).toMatchObject({
      status: 'failed',
      lastError: 'It waited for three days, and nobody took it.',
      nextAttemptAt: null,
      text: null,
    })
    expect(await eventsOf(body.id)).toContain('notification.failed by system')
  })
})

describe('GET /api/notifications/templates', () => {
  test('200 with each kind of mail, its schema and how it looks, page by page', async () => {
    const seen: Reply['body'][] = []
    let cursor = ''
    do {
      const reply = await app.request(
        `GET /api/notifications/templates?limit=5&count=true${cursor}`,
        await staff(),
      )
      expect([reply.status, reply.body.total]).toEqual([200, templateNames.length - 1])
      seen.push(...reply.body.data)
      cursor = reply.body.nextCursor === null ? '' : `&cursor=${reply.body.nextCursor}`
    } while (cursor !== '')
    const names = seen.map(({ name }) => name)
    expect(names).toEqual(templateNames.filter((name) => name !== 'message').toSorted())
    for (const { dataSchema, preview } of seen) {
      expect(dataSchema.required).toContain('name')
      expect(preview.text).toContain('http://localhost:3000')
      expect(preview.html).toContain('<!doctype html>')
    }
    const reset = seen.find(({ name }) => name === 'password_reset')
    expect([reset.byHand, reset.preview.text.includes('#token=********')]).toEqual([false, true])
  })

  test('200 backwards', async () => {
    const reply = await app.request('GET /api/notifications/templates?sort=-name&limit=1', {
      ...(await staff()),
    })
    expect(reply.body.data[0].name).toBe('welcome')
  })
})

describe('access', () => {
  test('403 for roles without the permission, 401 for nobody', async () => {
    for (const route of [
      'GET /api/notifications',
      'GET /api/notifications/templates',
      'GET /api/notifications/mail_01jd8q9yg8e5v9c0m4t7k2x3za',
      'POST /api/notifications/mail_01jd8q9yg8e5v9c0m4t7k2x3za/retry',
      'POST /api/notifications/email',
    ] as const) {
      expect((await app.request(route, await staff('agent'))).status).toBe(403)
      const { token } = await app.asCustomer('ada')
      expect((await app.request(route, { token })).status).toBe(403)
      expect((await app.request(route)).status).toBe(401)
    }
  })
})
