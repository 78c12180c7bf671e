import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp()
})

afterAll(async () => {
  await app.close()
})

const question = { subject: 'A question', description: 'May I ask something?' }
const contact = { name: 'Ada Lovelace', email: 'ada@example.com' }
const unknownCase = 'case_01jd8q9yg8e5v9c0m4t7k2x3za'

/** A case that staff opened, for its customer where one is named. */
async function openByStaff(fields: Record<string, unknown> = {}): Promise<Reply['body']> {
  const { status, body } = await app.request('POST /api/crm', {
    token: await app.as('agent'),
    body: { ...question, ...('customerId' in fields ? {} : { contact }), ...fields },
  })
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}

async function openForCustomer(name: string): Promise<Reply['body']> {
  const { token } = await app.asCustomer(name)
  const { status, body } = await app.request('POST /api/crm', { token, body: question })
  expect(status).toBe(201)
  return body
}

async function readAsStaff(id: string): Promise<Reply['body']> {
  const { status, body } = await app.request(`GET /api/crm/${id}`, { token: await app.as('agent') })
  expect(status).toBe(200)
  return body
}

async function userIdOf(role: 'admin' | 'agent' | 'finance' | 'manager'): Promise<string> {
  const token = await app.as(role)
  return (await app.request('GET /api/auth/me', { token })).body.id
}

async function moveTo(id: string, status: string): Promise<Reply> {
  return await app.request(`PATCH /api/crm/${id}/status`, {
    token: await app.as('agent'),
    body: { status },
  })
}

async function resolve(id: string, summary = 'All is done.'): Promise<Reply> {
  return await app.request(`POST /api/crm/${id}/resolve`, {
    token: await app.as('agent'),
    body: { outcome: 'completed', summary },
  })
}

async function note(id: string, token: string, body: Record<string, unknown>): Promise<Reply> {
  return await app.request(`POST /api/crm/${id}/notes`, { token, body })
}

function pointersOf({ body }: Reply): string[] {
  return body.errors.map(({ pointer }: { pointer: string }) => pointer)
}

function statusesOf(replies: readonly Reply[]): number[] {
  return replies.map(({ status }) => status).toSorted((a, b) => a - b)
}

async function sendKeyed(): Promise<Reply> {
  return await app.request('POST /api/crm', {
    body: { ...question, contact },
    headers: { 'idempotency-key': 'a-key-that-nobody-guesses' },
  })
}

/** As though the process had died after the commit: the key knows its resource and no reply. */
async function forgetReplies(): Promise<void> {
  await app.sql(`update idempotency_keys
    set status = null, headers = null, reply = null, lease_until = '2000-01-01T00:00:00Z'`)
}

describe('POST /api/crm', () => {
  test('201 the public learns the number alone, and staff find a lead of normal priority', async () => {
    const phone = '+44 20 7946 0000'
    const sent = { ...question, contact: { ...contact, phone } }
    const { status, body, headers } = await app.request('POST /api/crm', { body: sent })
    expect(status).toBe(201)
    expect(body).toEqual({ number: expect.stringMatching(/^C-\d{4,}$/) })
    expect(headers.get('location')).toBeNull()
    expect(headers.get('etag')).toBeNull()
    expect(await readAsStaff(body.number)).toMatchObject({
      ...question,
      number: body.number,
      kind: 'lead',
      origin: 'contact',
      status: 'new',
      priority: 'normal',
      contact: { ...contact, phone },
      customerId: null,
      orderId: null,
      assignee: null,
      tags: [],
      dueAt: null,
      overdue: false,
      resolution: null,
      notes: [],
      version: 1,
      timeline: [{ type: 'case.opened', actor: { id: null, name: null, kind: 'anonymous' } }],
    })
  })

  test('201 a customer asks under their own name', async () => {
    const ada = await app.asCustomer('ada')
    const { status, body, headers } = await app.request('POST /api/crm', {
      token: ada.token,
      body: question,
    })
    expect(status).toBe(201)
    expect(headers.get('location')).toBe(`/api/crm/${body.id}`)
    expect(headers.get('etag')).toBe('"1-customer"')
    expect(body).toMatchObject({
      ...question,
      kind: 'case',
      origin: 'enquiry',
      contact: { name: 'ada', email: ada.email, phone: null },
      customerId: ada.customerId,
      allowedTransitions: [],
      timeline: [{ type: 'case.opened', actor: { name: 'ada', kind: 'customer' } }],
    })
    for (const staffsOwn of ['priority', 'assignee', 'tags'])
      expect(body).not.toHaveProperty(staffsOwn)
  })

  test('201 staff set everything', async () => {
    const { customerId, email } = await app.asCustomer('ada')
    const assigneeId = await userIdOf('agent')
    const marks = {
      priority: 'urgent',
      dueAt: '2026-12-01T17:00:00.000Z',
      tags: ['vat', 'two words'],
    }
    const opened = await openByStaff({ kind: 'lead', customerId, assigneeId, ...marks })
    expect(opened).toMatchObject({
      ...question,
      ...marks,
      kind: 'lead',
      origin: 'enquiry',
      customerId,
      contact: { name: 'ada', email },
      assignee: { id: assigneeId, name: 'agent' },
      allowedTransitions: [
        { to: 'open', blockedBy: null },
        { to: 'waiting_customer', blockedBy: null },
        { to: 'waiting_third_party', blockedBy: null },
        { to: 'resolved', blockedBy: 'use_resolve' },
      ],
    })
  })

  test('201 whom staff know by a contact only is a lead', async () => {
    expect(await openByStaff()).toMatchObject({ kind: 'lead', contact, customerId: null })
  })

  test('400 for what is not the public’s to set, each named', async () => {
    const refused = { priority: 'urgent', kind: 'case', tags: ['vip'] }
    const reply = await app.request('POST /api/crm', { body: { ...question, contact, ...refused } })
    expect(reply.status).toBe(400)
    expect(pointersOf(reply).toSorted()).toEqual(['/kind', '/priority', '/tags'])
  })

  test('400 for what is not a customer’s to set', async () => {
    const { token, customerId } = await app.asCustomer('ada')
    const body = { ...question, customerId, dueAt: '2026-12-01T17:00:00.000Z' }
    const reply = await app.request('POST /api/crm', { token, body })
    expect(reply.status).toBe(400)
    expect(pointersOf(reply).toSorted()).toEqual(['/customerId', '/dueAt'])
  })

  test.each([
    ['no contact', { ...question }, '/contact'],
    ['no subject', { description: 'x', contact }, '/subject'],
    ['a blank subject', { ...question, contact, subject: ' \t ' }, '/subject'],
    ['a long subject', { ...question, contact, subject: 'x'.repeat(201) }, '/subject'],
    ['a blank description', { ...question, contact, description: '\n' }, '/description'],
    [
      'a long description',
      { ...question, contact, description: 'x'.repeat(10_001) },
      '/description',
    ],
    ['no e-mail', { ...question, contact: { name: 'Ada' } }, '/contact/email'],
    [
      'two addresses in one',
      { ...question, contact: { ...contact, email: 'a@b.c\nd@e.f' } },
      '/contact/email',
    ],
    ['an unknown member', { ...question, contact, documentKeys: [] }, '/documentKeys'],
  ])('400 for %s', async (_name, body, pointer) => {
    const reply = await app.request('POST /api/crm', { body })
    expect(reply.status).toBe(400)
    expect(pointersOf(reply)).toContain(pointer)
  })

  test('400 for people who are not there, not staff, or may not work on cases', async () => {
    const token = await app.as('agent')
    const { userId } = await app.asCustomer('ada')
    const wrong: [Record<string, unknown>, string][] = [
      [{ contact, assigneeId: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za' }, '/assigneeId'],
      [{ contact, assigneeId: userId }, '/assigneeId'],
      [{ contact, assigneeId: await userIdOf('finance') }, '/assigneeId'],
      [{ customerId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3za' }, '/customerId'],
      [{ contact, dueAt: '1999-01-01T00:00:00Z' }, '/dueAt'],
      [{ contact, dueAt: 'tomorrow' }, '/dueAt'],
      [{ contact, tags: ['same', 'same'] }, '/tags'],
      [{ contact, tags: [' edge'] }, '/tags/0'],
    ]
    for (const [fields, pointer] of wrong) {
      const reply = await app.request('POST /api/crm', { token, body: { ...question, ...fields } })
      expect(reply.status, JSON.stringify(fields)).toBe(400)
      expect(pointersOf(reply)).toContain(pointer)
    }
  })

  test('401 for a bad token, though the form is public', async () => {
    const reply = await app.request('POST /api/crm', {
      token: 'nonsense',
      body: { ...question, contact },
    })
    expect(reply.status).toBe(401)
  })

  test.each(['finance', 'viewer'] as const)('403 for %s, who may not write', async (role) => {
    const token = await app.as(role)
    const reply = await app.request('POST /api/crm', { token, body: { ...question, contact } })
    expect(reply.status).toBe(403)
  })

  test('404 for an order that is not there', async () => {
    const { token } = await app.asCustomer('ada')
    const body = { ...question, orderId: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za' }
    expect((await app.request('POST /api/crm', { token, body })).status).toBe(404)
  })

  test('201 once for one Idempotency-Key, also when the answer was lost', async () => {
    const first = await sendKeyed()
    const again = await sendKeyed()
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    await forgetReplies()
    const resumed = await sendKeyed()
    expect([first.status, again.status, resumed.status]).toEqual([201, 201, 201])
    expect(again.body).toEqual(first.body)
    expect(resumed.body).toEqual(first.body)
    expect(Object.keys(resumed.body)).toEqual(['number'])
  })
})

describe('POST /api/crm, the limits of the public form', () => {
  let limited: TestApp

  beforeAll(async () => {
    limited = await startTestApp({ rateLimitScale: 1 })
  })

  afterAll(async () => {
    await limited.close()
  })

  test('429 from the sixth in an hour by one address, which uses up nobody else’s', async () => {
    const body = { ...question, contact }
    const wrong = await limited.request('POST /api/crm', { body: question })
    expect(wrong.status).toBe(400)
    for (let sent = 0; sent < 5; sent += 1) {
      expect((await limited.request('POST /api/crm', { body })).status).toBe(201)
    }
    const refused = await limited.request('POST /api/crm', { body })
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3000)
    const { remaining } = await limited.ports.limits.look('contactInAll', 'all')
    expect(remaining).toBe(95)
    expect(await limited.sql('select id from cases')).toHaveLength(5)
  })

  test('429 when a hundred came in all, until the hour is over', async () => {
    await limited.ports.limits.forget('contactByAddress', '127.0.0.1')
    for (let sent = 0; sent < 95; sent += 1) await limited.ports.limits.spend('contactInAll', 'all')
    const body = { ...question, contact }
    expect((await limited.request('POST /api/crm', { body })).status).toBe(429)
    limited.advance(3600 * 1000 + 1)
    expect((await limited.request('POST /api/crm', { body })).status).toBe(201)
  })
})

describe('GET /api/crm/:id', () => {
  test('200 by id and by number, with its ETag, and 304 for who has it', async () => {
    const { id, number } = await openByStaff()
    const token = await app.as('viewer')
    const byId = await app.request(`GET /api/crm/${id}`, { token })
    const byNumber = await app.request(`GET /api/crm/${number}`, { token })
    expect(byId.status).toBe(200)
    expect(byNumber.body).toEqual(byId.body)
    expect(byId.headers.get('etag')).toBe('"1-staff"')
    const headers = { 'if-none-match': '"1-staff"' }
    expect((await app.request(`GET /api/crm/${id}`, { token, headers })).status).toBe(304)
  })

  test('200 for its customer, 404 for another, and for a case that nobody owns', async () => {
    const own = await openForCustomer('ada')
    const lead = await openByStaff()
    const { token } = await app.asCustomer('ada')
    const { token: other } = await app.asCustomer('bob')
    expect((await app.request(`GET /api/crm/${own.id}`, { token })).status).toBe(200)
    expect((await app.request(`GET /api/crm/${own.number}`, { token })).status).toBe(200)
    expect((await app.request(`GET /api/crm/${own.id}`, { token: other })).status).toBe(404)
    expect((await app.request(`GET /api/crm/${own.number}`, { token: other })).status).toBe(404)
    expect((await app.request(`GET /api/crm/${lead.id}`, { token })).status).toBe(404)
  })

  test('401 for nobody, 403 without the permission, 404 for what is not there', async () => {
    const { id } = await openByStaff()
    const token = await app.as('agent')
    expect((await app.request(`GET /api/crm/${id}`)).status).toBe(401)
    expect(
      (await app.request(`GET /api/crm/${id}`, { token: await app.as('finance') })).status,
    ).toBe(403)
    for (const key of [unknownCase, 'C-1', 'nonsense', 'C-999999999999999999999']) {
      expect((await app.request(`GET /api/crm/${key}`, { token })).status).toBe(404)
    }
  })

  test('200 shows colleagues to customers by the names under their public notes only', async () => {
    const { id } = await openForCustomer('ada')
    const agent = await app.as('agent')
    const agentId = await userIdOf('agent')
    await note(id, agent, { body: 'We look into it.', visibility: 'public' })
    await moveTo(id, 'open')
    const { token, userId } = await app.asCustomer('ada')
    const { body } = await app.request(`GET /api/crm/${id}`, { token })
    expect(body.notes).toEqual([
      expect.objectContaining({
        body: 'We look into it.',
        visibility: 'public',
        author: { id: null, name: 'agent', kind: 'staff' },
        documents: [],
      }),
    ])
    expect(body.timeline.map(({ type, actor }: Reply['body']) => [type, actor])).toEqual([
      ['case.status_changed', null],
      ['case.replied', null],
      ['case.opened', { id: userId, name: 'ada', kind: 'customer' }],
    ])
    expect(JSON.stringify(body)).not.toContain(agentId)
    const seen = await readAsStaff(id)
    expect(seen.timeline[0].actor).toEqual({ id: agentId, name: 'agent', kind: 'staff' })
    expect(seen.notes[0].author).toEqual({ id: agentId, name: 'agent', kind: 'staff' })
  })

  test('200 shows customers no internal note, nor anything else that is the staff’s own', async () => {
    const canary = `canary ${randomUUID()}`
    const { id, number } = await openForCustomer('ada')
    const agent = await app.as('agent')
    const internal = await note(id, agent, { body: canary, visibility: 'internal' })
    expect(internal.body).toMatchObject({ body: canary, visibility: 'internal' })
    const comment = { status: 'waiting_customer', comment: canary }
    await app.request(`PATCH /api/crm/${id}/status`, { token: agent, body: comment })
    const marks = {
      tags: [canary.slice(0, 50)],
      priority: 'urgent',
      assigneeId: await userIdOf('agent'),
    }
    await app.request(`PATCH /api/crm/${id}`, { token: agent, body: marks })
    expect(JSON.stringify(await readAsStaff(id)).split(canary)).toHaveLength(4)
    const { token } = await app.asCustomer('ada')
    const seen = [
      await app.request(`GET /api/crm/${id}`, { token }),
      await app.request(`GET /api/crm/${number}`, { token }),
      await app.request('GET /api/crm', { token }),
      await app.request(`GET /api/crm?q=${encodeURIComponent(canary)}`, { token }),
      await note(id, token, { body: 'Here I am.', visibility: 'public' }),
      await app.request(`GET /api/crm/${id}`, { token }),
    ]
    for (const { status, body } of seen) {
      expect([200, 201]).toContain(status)
      const text = JSON.stringify(body)
      expect(text).not.toContain('canary')
      expect(text).not.toContain(internal.body.id)
      expect(text).not.toMatch(
        /urgent|"assignee|"tags"|"priority"|note_added|case\.assigned|case\.updated/,
      )
    }
  })
})

describe('PATCH /api/crm/:id', () => {
  test('200 sets, leaves and clears, and raises the version by each event', async () => {
    const { id } = await openByStaff({ tags: ['old'] })
    const token = await app.as('agent')
    const assigneeId = await userIdOf('manager')
    const patch = { assigneeId, priority: 'high', dueAt: '2026-12-01T17:00:00+01:00' }
    const set = await app.request(`PATCH /api/crm/${id}`, { token, body: patch })
    expect(set.status).toBe(200)
    expect(set.body).toMatchObject({
      assignee: { id: assigneeId, name: 'manager' },
      priority: 'high',
      dueAt: '2026-12-01T16:00:00.000Z',
      tags: ['old'],
      version: 3,
    })
    expect(set.body.timeline.slice(0, 2)).toMatchObject([
      { type: 'case.updated', data: { fields: ['priority', 'dueAt'] } },
      { type: 'case.assigned', data: { assigneeId, previousAssigneeId: null } },
    ])
    const body = { assigneeId: null, dueAt: null, tags: null }
    const cleared = await app.request(`PATCH /api/crm/${id}`, { token, body })
    expect(cleared.body).toMatchObject({ assignee: null, dueAt: null, tags: [], priority: 'high' })
    expect(cleared.body.version).toBe(5)
  })

  test('200 without a new version where everything is so already', async () => {
    const { id } = await openByStaff({ tags: ['a', 'b'], dueAt: '2026-12-01T17:00:00.000Z' })
    const body = {
      priority: 'normal',
      tags: ['a', 'b'],
      dueAt: '2026-12-01T17:00:00.000Z',
      assigneeId: null,
    }
    const reply = await app.request(`PATCH /api/crm/${id}`, { token: await app.as('agent'), body })
    expect(reply.body).toMatchObject({ version: 1, timeline: [{ type: 'case.opened' }] })
  })

  test('200 linking a lead makes it a case that its customer sees', async () => {
    const { id } = await openByStaff()
    const { token, customerId } = await app.asCustomer('ada')
    const agent = await app.as('agent')
    const body = { customerId }
    const linked = await app.request(`PATCH /api/crm/${id}`, { token: agent, body })
    expect(linked.body).toMatchObject({ kind: 'case', customerId, contact })
    expect((await app.request(`GET /api/crm/${id}`, { token })).status).toBe(200)
  })

  test('200 for the version that If-Match names, 412 for another', async () => {
    const { id } = await openByStaff()
    const token = await app.as('agent')
    const patch = async (priority: string) =>
      await app.request(`PATCH /api/crm/${id}`, {
        token,
        body: { priority },
        headers: { 'if-match': '"1-staff"' },
      })
    const replies = await Promise.all([patch('low'), patch('high')])
    expect(statusesOf(replies)).toEqual([200, 412])
    expect((await patch('urgent')).status).toBe(412)
  })

  test('400 for nothing, for unknown members and for people who are not there', async () => {
    const { id } = await openByStaff()
    const token = await app.as('agent')
    const wrong: [Record<string, unknown>, string][] = [
      [{}, ''],
      [{ status: 'open' }, '/status'],
      [{ priority: null }, '/priority'],
      [{ assigneeId: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za' }, '/assigneeId'],
      [{ customerId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3za' }, '/customerId'],
      [{ dueAt: '3000-01-01T00:00:00Z' }, '/dueAt'],
    ]
    for (const [body, pointer] of wrong) {
      const reply = await app.request(`PATCH /api/crm/${id}`, { token, body })
      expect(reply.status).toBe(400)
      expect(pointersOf(reply)).toContain(pointer)
    }
  })

  test('401, 403 and 404 for who and what it is not for', async () => {
    const { id } = await openForCustomer('ada')
    const body = { priority: 'low' }
    const { token } = await app.asCustomer('ada')
    expect((await app.request(`PATCH /api/crm/${id}`, { body })).status).toBe(401)
    expect((await app.request(`PATCH /api/crm/${id}`, { token, body })).status).toBe(403)
    for (const role of ['finance', 'viewer'] as const) {
      const reply = await app.request(`PATCH /api/crm/${id}`, { token: await app.as(role), body })
      expect(reply.status).toBe(403)
    }
    const missing = await app.request(`PATCH /api/crm/${unknownCase}`, {
      token: await app.as('agent'),
      body,
    })
    expect(missing.status).toBe(404)
  })
})

describe('PATCH /api/crm/:id/status', () => {
  test('200 through the machine, and 409 with what is allowed where it says no', async () => {
    const { id } = await openByStaff()
    for (const status of ['waiting_customer', 'open', 'waiting_third_party', 'open']) {
      const reply = await moveTo(id, status)
      expect(reply.status).toBe(200)
      expect(reply.body.status).toBe(status)
    }
    const same = await moveTo(id, 'open')
    expect(same.status).toBe(409)
    expect(same.body).toMatchObject({
      code: 'invalid_transition',
      allowedTransitions: [
        { to: 'waiting_customer', blockedBy: null },
        { to: 'waiting_third_party', blockedBy: null },
        { to: 'resolved', blockedBy: 'use_resolve' },
      ],
    })
    const resolved = await moveTo(id, 'resolved')
    expect([resolved.status, resolved.body.code]).toEqual([409, 'use_resolve'])
    expect((await moveTo(id, 'new')).body.code).toBe('invalid_transition')
    expect((await readAsStaff(id)).version).toBe(5)
  })

  test('200 with a comment that stays among staff', async () => {
    const { id } = await openByStaff()
    const { body } = await app.request(`PATCH /api/crm/${id}/status`, {
      token: await app.as('agent'),
      body: { status: 'open', comment: 'Mine now.' },
    })
    expect(body.notes).toMatchObject([
      { body: 'Mine now.', visibility: 'internal', author: { name: 'agent', kind: 'staff' } },
    ])
    expect(body.version).toBe(3)
    expect(body.timeline.map(({ type }: { type: string }) => type)).toEqual([
      'case.status_changed',
      'case.note_added',
      'case.opened',
    ])
  })

  test('200 closes a resolved case, and closed is final', async () => {
    const { id } = await openByStaff()
    await resolve(id)
    const closed = await moveTo(id, 'closed')
    expect(closed.body).toMatchObject({
      status: 'closed',
      allowedTransitions: [],
      resolution: { outcome: 'completed' },
    })
    expect((await moveTo(id, 'open')).body).toMatchObject({
      code: 'invalid_transition',
      allowedTransitions: [],
    })
    expect((await resolve(id)).status).toBe(409)
  })

  test('200 reopens; what the resolution said stays as a public note', async () => {
    const { id } = await openByStaff()
    await resolve(id, 'The company is registered.')
    const { body } = await moveTo(id, 'open')
    expect(body).toMatchObject({
      status: 'open',
      resolution: null,
      notes: [
        { body: 'The company is registered.', visibility: 'public', author: { name: 'agent' } },
      ],
    })
    expect((await resolve(id, 'Once more.')).body).toMatchObject({
      resolution: { summary: 'Once more.' },
    })
  })

  test('200 for one of two who do the same at once, 409 for the other', async () => {
    const { id } = await openByStaff()
    const replies = await Promise.all([moveTo(id, 'open'), moveTo(id, 'open')])
    expect(statusesOf(replies)).toEqual([200, 409])
    expect((await readAsStaff(id)).version).toBe(2)
  })

  test('412 for a version that has passed', async () => {
    const { id } = await openByStaff()
    await moveTo(id, 'open')
    const reply = await app.request(`PATCH /api/crm/${id}/status`, {
      token: await app.as('agent'),
      body: { status: 'waiting_customer' },
      headers: { 'if-match': '"1-staff"' },
    })
    expect(reply.status).toBe(412)
  })

  test('400, 401, 403 and 404', async () => {
    const { id } = await openForCustomer('ada')
    const { token } = await app.asCustomer('ada')
    const agent = await app.as('agent')
    const body = { status: 'open' }
    const ask = async (who: object, key = id) =>
      (await app.request(`PATCH /api/crm/${key}/status`, who)).status
    expect(await ask({ token: agent, body: { status: 'done' } })).toBe(400)
    expect(await ask({ token: agent, body: { ...body, comment: ' ' } })).toBe(400)
    expect(await ask({ body })).toBe(401)
    expect(await ask({ token, body })).toBe(403)
    expect(await ask({ token: await app.as('viewer'), body })).toBe(403)
    expect(await ask({ token: await app.as('finance'), body })).toBe(403)
    expect(await ask({ token: agent, body }, unknownCase)).toBe(404)
  })
})

describe('POST /api/crm/:id/resolve', () => {
  test('200 with outcome and summary, which the customer sees', async () => {
    const { id } = await openForCustomer('ada')
    const { status, body } = await resolve(id, 'Answered by telephone.')
    expect(status).toBe(200)
    const resolution = { outcome: 'completed', summary: 'Answered by telephone.' }
    expect(body).toMatchObject({ status: 'resolved', resolution, version: 2 })
    const { token } = await app.asCustomer('ada')
    const seen = await app.request(`GET /api/crm/${id}`, { token })
    expect(seen.body).toMatchObject({
      resolution,
      timeline: [
        { type: 'case.resolved', actor: null, data: { from: 'new', outcome: 'completed' } },
        {},
      ],
    })
  })

  test('409 for what is resolved already, also when two come at once', async () => {
    const { id } = await openByStaff()
    const replies = await Promise.all([resolve(id), resolve(id)])
    expect(statusesOf(replies)).toEqual([200, 409])
    expect(replies.find(({ status }) => status === 409)?.body.code).toBe('invalid_transition')
  })

  test('400, 401, 403 and 404', async () => {
    const { id } = await openForCustomer('ada')
    const { token } = await app.asCustomer('ada')
    const agent = await app.as('agent')
    const body = { outcome: 'declined', summary: 'Not for us.' }
    const ask = async (who: object, key = id) =>
      (await app.request(`POST /api/crm/${key}/resolve`, who)).status
    expect(await ask({ token: agent, body: { ...body, outcome: 'won' } })).toBe(400)
    expect(await ask({ token: agent, body: { outcome: 'declined' } })).toBe(400)
    expect(await ask({ body })).toBe(401)
    expect(await ask({ token, body })).toBe(403)
    expect(await ask({ token: await app.as('viewer'), body })).toBe(403)
    expect(await ask({ token: agent, body }, unknownCase)).toBe(404)
  })
})
