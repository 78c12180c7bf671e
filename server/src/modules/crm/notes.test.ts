import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type Reply, type TestApp } from '../../../test/support/app.ts'

let app: TestApp
let agent: string
let ada: { readonly token: string; readonly userId: string }

beforeAll(async () => {
  app = await startTestApp()
  agent = await app.as('agent')
  ada = await app.asCustomer('ada')
})

afterAll(async () => {
  await app.close()
})

async function openForAda(): Promise<string> {
  const body = { subject: 'A question', description: 'May I ask something?' }
  const reply = await app.request('POST /api/crm', { token: ada.token, body })
  expect(reply.status).toBe(201)
  return reply.body.id
}

async function write(id: string, token: string, visibility: string, body = 'A note.') {
  return await app.request(`POST /api/crm/${id}/notes`, { token, body: { body, visibility } })
}

async function readAsStaff(id: string): Promise<Reply['body']> {
  return (await app.request(`GET /api/crm/${id}`, { token: agent })).body
}

async function moveTo(id: string, status: string): Promise<void> {
  const body = { status }
  const reply = await app.request(`PATCH /api/crm/${id}/status`, { token: agent, body })
  expect(reply.status).toBe(200)
}

async function resolve(id: string): Promise<void> {
  const body = { outcome: 'completed', summary: 'Answered.' }
  const reply = await app.request(`POST /api/crm/${id}/resolve`, { token: agent, body })
  expect(reply.status).toBe(200)
}

function typesOf({ timeline }: Reply['body']): string[] {
  return timeline.map(({ type }: { type: string }) => type)
}

describe('POST /api/crm/:id/notes', () => {
  test('201 staff write among themselves and to the customer, each an event of its own', async () => {
    const id = await openForAda()
    const internal = await write(id, agent, 'internal', 'Between us.')
    const reply = await write(id, agent, 'public', 'Dear Ada, yes.')
    expect([internal.status, reply.status]).toEqual([201, 201])
    expect(internal.body).toEqual({
      id: expect.stringMatching(/^note_/),
      body: 'Between us.',
      visibility: 'internal',
      author: { id: expect.stringMatching(/^usr_/), name: 'agent', kind: 'staff' },
      documents: [],
      createdAt: expect.any(String),
    })
    const seen = await readAsStaff(id)
    expect(seen.notes).toEqual([internal.body, reply.body])
    expect(typesOf(seen)).toEqual(['case.replied', 'case.note_added', 'case.opened'])
    expect(seen).toMatchObject({ version: 3, status: 'new' })
    expect(seen.timeline[0].data).toEqual({ noteId: reply.body.id })
  })

  test('201 a customer’s note opens what waited for them', async () => {
    const id = await openForAda()
    await moveTo(id, 'waiting_customer')
    const { status, body } = await write(id, ada.token, 'public', 'Here it is.')
    expect(status).toBe(201)
    expect(body).toMatchObject({
      body: 'Here it is.',
      visibility: 'public',
      author: { id: ada.userId, name: 'ada', kind: 'customer' },
    })
    const seen = await readAsStaff(id)
    expect(seen).toMatchObject({ status: 'open', version: 4 })
    expect(typesOf(seen).slice(0, 2)).toEqual(['case.status_changed', 'case.answered'])
  })

  test('201 a customer’s note reopens what was resolved, and the resolution stays readable', async () => {
    const id = await openForAda()
    await resolve(id)
    await write(id, ada.token, 'public', 'Not quite.')
    const { body } = await app.request(`GET /api/crm/${id}`, { token: ada.token })
    expect(body).toMatchObject({
      status: 'open',
      resolution: null,
      notes: [
        { body: 'Answered.', author: { id: null, name: 'agent', kind: 'staff' } },
        { body: 'Not quite.', author: { name: 'ada' } },
      ],
    })
  })

  test.each(['new', 'open', 'waiting_third_party'])(
    '201 a customer’s note leaves what is %s as it is',
    async (status) => {
      const id = await openForAda()
      if (status !== 'new') await moveTo(id, status)
      expect((await write(id, ada.token, 'public')).status).toBe(201)
      expect((await readAsStaff(id)).status).toBe(status)
    },
  )

  test('409 case_closed for a customer’s note on a closed case; staff may still write', async () => {
    const id = await openForAda()
    await resolve(id)
    await moveTo(id, 'closed')
    const { status, body } = await write(id, ada.token, 'public')
    expect([status, body.code]).toEqual([409, 'case_closed'])
    expect((await write(id, agent, 'internal')).status).toBe(201)
    expect((await readAsStaff(id)).notes).toHaveLength(1)
  })

  test('201 fifty at once: fifty notes and fifty versions, none lost', async () => {
    const id = await openForAda()
    const replies = await Promise.all(
      Array.from({ length: 50 }, async (_, index) =>
        index % 2 === 0
          ? await write(id, agent, index % 4 === 0 ? 'internal' : 'public', `Note ${index}`)
          : await write(id, ada.token, 'public', `Note ${index}`),
      ),
    )
    expect(replies.map(({ status }) => status)).toEqual(Array(50).fill(201))
    const seen = await readAsStaff(id)
    expect(seen.version).toBe(51)
    expect(new Set(seen.notes.map(({ body }: Reply['body']) => body)).size).toBe(50)
    const versions = await app.sql('select root_version from events where root_id = $1', [id])
    expect(new Set(versions.map((row) => row['root_version'])).size).toBe(51)
  })

  test('201 twenty answers at once to a resolved case reopen it once', async () => {
    const id = await openForAda()
    await resolve(id)
    const replies = await Promise.all(
      Array.from({ length: 20 }, async () => await write(id, ada.token, 'public')),
    )
    expect(replies.map(({ status }) => status)).toEqual(Array(20).fill(201))
    const seen = await readAsStaff(id)
    expect(typesOf(seen).filter((type) => type === 'case.status_changed')).toHaveLength(1)
    expect(seen).toMatchObject({ status: 'open', version: 23 })
    expect(seen.notes).toHaveLength(21)
  })

  test('200 a case shows its newest two hundred notes, oldest first', async () => {
    const id = await openForAda()
    await app.sql(
      `insert into case_notes (case_id, id, body, visibility, author_kind, created_at)
       select $1, 'note_0000000000000000000000' || lpad(n::text, 4, '0'), 'Note ' || n, 'public',
         'system', '2026-01-01T00:00:00Z'
       from generate_series(1, 205) as n`,
      [id],
    )
    for (const token of [agent, ada.token]) {
      const { body } = await app.request(`GET /api/crm/${id}`, { token })
      expect(body.notes).toHaveLength(200)
      expect(body.notes[0].body).toBe('Note 6')
      expect(body.notes[199].body).toBe('Note 205')
    }
  })

  test('201 once for one Idempotency-Key, also when the answer was lost', async () => {
    const id = await openForAda()
    for (const token of [agent, ada.token]) {
      const send = async () =>
        await app.request(`POST /api/crm/${id}/notes`, {
          token,
          body: { body: 'Only once.', visibility: 'public' },
          headers: { 'idempotency-key': 'once' },
        })
      const first = await send()
      await app.sql(`update idempotency_keys
        set status = null, headers = null, reply = null, lease_until = '2000-01-01T00:00:00Z'`)
      const resumed = await send()
      expect([first.status, resumed.status]).toEqual([201, 201])
      expect(resumed.body).toEqual(first.body)
    }
    expect((await readAsStaff(id)).notes).toHaveLength(2)
  })

  test('400 for an internal note by a customer, for no text and for unknown members', async () => {
    const id = await openForAda()
    expect((await write(id, ada.token, 'internal')).body.errors).toMatchObject([
      { pointer: '/visibility' },
    ])
    const ask = async (body: unknown) =>
      (await app.request(`POST /api/crm/${id}/notes`, { token: agent, body })).status
    expect(await ask({ body: ' \n', visibility: 'public' })).toBe(400)
    expect(await ask({ body: 'x'.repeat(10_001), visibility: 'public' })).toBe(400)
    expect(await ask({ body: 'x' })).toBe(400)
    expect(await ask({ body: 'x', visibility: 'secret' })).toBe(400)
    expect(await ask({ body: 'x', visibility: 'public', documentKeys: ['a'] })).toBe(400)
    expect((await readAsStaff(id)).version).toBe(1)
  })

  test('401, 403 and 404 for who and what it is not for', async () => {
    const id = await openForAda()
    const other = await app.asCustomer('bob')
    const body = { body: 'x', visibility: 'public' }
    expect((await app.request(`POST /api/crm/${id}/notes`, { body })).status).toBe(401)
    expect((await write(id, await app.as('viewer'), 'public')).status).toBe(403)
    expect((await write(id, await app.as('finance'), 'public')).status).toBe(403)
    expect((await write(id, other.token, 'public')).status).toBe(404)
    // Existence is private: a wrong note on another's case does not tell that the case is there.
    expect((await write(id, other.token, 'internal')).status).toBe(404)
    const unknown = 'case_01jd8q9yg8e5v9c0m4t7k2x3za'
    expect((await write(unknown, agent, 'public')).status).toBe(404)
    expect((await write(unknown, ada.token, 'public')).status).toBe(404)
  })
})
