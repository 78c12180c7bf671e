import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  startTestApp,
  type Reply,
  type RequestOptions,
  type TestApp,
  type TestCustomer,
} from '../../../test/support/app.ts'
import { openDesk, order, uploaded, type Desk, type Ordered } from '../../../test/support/desk.ts'
import { pdf } from '../../../test/support/sample-files.ts'
import { download } from '../../../test/support/upload.ts'

let app: TestApp
let desk: Desk
let ada: TestCustomer
let agent: string
let adas: Ordered

beforeAll(async () => {
  app = await startTestApp()
  desk = await openDesk(app)
  ada = await app.asCustomer('ada')
  agent = await app.as('agent')
  adas = await order(desk, 'ada')
})
afterAll(async () => {
  await app.close()
})

interface Note {
  readonly visibility?: 'public' | 'internal'
  readonly keys: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
}

async function write(
  caseId: string,
  who: RequestOptions,
  { visibility = 'public', keys, headers = {} }: Note,
): Promise<Reply> {
  return await app.request(`POST /api/crm/${caseId}/notes`, {
    ...who,
    headers,
    body: { body: 'Here it is.', visibility, documentKeys: keys },
  })
}

async function notesOf(caseId: string, who: RequestOptions): Promise<Reply['body'][]> {
  return (await app.request(`GET /api/crm/${caseId}`, who)).body.notes
}

describe('POST /api/crm/:id/notes with documents', () => {
  test('201 for documents of the case and of its order, in the order that was given', async () => {
    const ofOrder = await uploaded(app, { token: ada.token, fields: { orderId: adas.orderId } })
    const ofCase = await uploaded(
      app,
      { token: agent, fields: { caseId: adas.caseId, visibility: 'customer' } },
      pdf('certificate.pdf'),
    )
    const keys = [ofCase.key, ofOrder.key]
    const { status, body } = await write(adas.caseId, { token: agent }, { keys })
    expect(status).toBe(201)
    expect(body.documents).toEqual([
      {
        key: ofCase.key,
        filename: 'certificate.pdf',
        contentType: 'application/pdf',
        size: pdf().bytes.length,
        status: 'uploaded',
      },
      expect.objectContaining({ key: ofOrder.key, filename: 'passport.pdf' }),
    ])
    for (const who of [{ token: agent }, { token: ada.token }]) {
      const note = (await notesOf(adas.caseId, who)).at(-1)
      expect(note.documents.map(({ key }: { key: string }) => key)).toEqual(keys)
    }
  })

  test('201 links what is the writer’s own and linked to nothing to the case', async () => {
    const { caseId, orderId } = await order(desk, 'ada')
    const own = await uploaded(app, { token: ada.token })
    const reply = await write(caseId, { token: ada.token }, { keys: [own.key] })
    expect([reply.status, reply.body.documents[0].key]).toEqual([201, own.key])
    const list = await app.request(`GET /api/documents?caseId=${caseId}`, { token: agent })
    expect(list.body.data).toMatchObject([{ key: own.key, caseId, orderId: null, version: 2 }])
    const [event] = await app.sql(
      `select data from events where type = 'document.linked'
       and root_id = (select id from documents where key = $1)`,
      [own.key],
    )
    expect(event?.['data']).toEqual({ caseId })
    const [row] = await app.sql('select token_order_id from documents where key = $1', [own.key])
    expect(row).toEqual({ token_order_id: orderId })
    const ofStaff = await uploaded(app, { token: agent })
    const internal = await write(
      caseId,
      { token: agent },
      { visibility: 'internal', keys: [ofStaff.key] },
    )
    expect(internal.body.documents).toHaveLength(1)
  })

  test('201 for a guest, with what the guest sent', async () => {
    const { caseId, orderToken } = await order(desk)
    const own = await uploaded(app, { orderToken })
    const reply = await write(caseId, { orderToken }, { keys: [own.key] })
    expect([reply.status, reply.body.documents[0].key]).toEqual([201, own.key])
    expect((await notesOf(caseId, { orderToken })).at(-1).documents).toHaveLength(1)
  })

  test('409 document_internal for a public note, and nothing is written', async () => {
    const { caseId } = await order(desk, 'ada')
    const linked = await uploaded(app, { token: agent, fields: { caseId } })
    const own = await uploaded(app, { token: agent })
    for (const { key } of [linked, own]) {
      const { status, body } = await write(caseId, { token: agent }, { keys: [key] })
      expect([status, body.code, body.documentKeys]).toEqual([409, 'document_internal', [key]])
    }
    expect(await notesOf(caseId, { token: agent })).toEqual([])
    const [row] = await app.sql('select case_id, version from documents where key = $1', [own.key])
    expect(row).toEqual({ case_id: null, version: 1 })
    const internal = await write(
      caseId,
      { token: agent },
      { visibility: 'internal', keys: [linked.key] },
    )
    expect(internal.status).toBe(201)
  })

  test('400 for what is not of the case, by its place in the list', async () => {
    const other = await order(desk, 'ada')
    const bob = await app.asCustomer('bob')
    const good = await uploaded(app, { token: ada.token, fields: { caseId: adas.caseId } })
    const hidden = await uploaded(app, { token: agent, fields: { caseId: adas.caseId } })
    const bad = [
      await uploaded(app, { token: ada.token, fields: { caseId: other.caseId } }),
      await uploaded(app, { token: ada.token, fields: { orderId: other.orderId } }),
      await uploaded(app, { token: bob.token }),
      await uploaded(app, { token: agent }),
      { key: '0'.repeat(32) },
      // Existence is private: what is internal is answered like what is not there.
      hidden,
    ]
    for (const { key } of bad) {
      const { status, body } = await write(
        adas.caseId,
        { token: ada.token },
        { keys: [good.key, key] },
      )
      expect([status, body.errors]).toEqual([
        400,
        [expect.objectContaining({ pointer: '/documentKeys/1', code: 'unknown' })],
      ])
    }
    const ofAda = await uploaded(app, { token: ada.token })
    expect((await write(adas.caseId, { token: agent }, { keys: [ofAda.key] })).status).toBe(400)
    for (const keys of [
      ['a'],
      [good.key, good.key],
      Array.from({ length: 21 }, (_, index) => String(index).padStart(32, '0')),
    ]) {
      expect((await write(adas.caseId, { token: agent }, { keys })).status).toBe(400)
    }
  })

  test('what becomes internal or is deleted stands in no note of the customer’s any more', async () => {
    const { caseId } = await order(desk, 'ada')
    const fields = { caseId, visibility: 'customer' }
    const first = await uploaded(app, { token: agent, fields })
    const second = await uploaded(app, { token: agent, fields })
    await write(caseId, { token: agent }, { keys: [first.key, second.key] })
    await app.request(`PATCH /api/documents/${first.key}`, {
      token: agent,
      body: { visibility: 'internal' },
    })
    const keysFor = async (who: RequestOptions): Promise<string[]> =>
      (await notesOf(caseId, who)).flatMap(({ documents }) =>
        documents.map(({ key }: { key: string }) => key),
      )
    expect(await keysFor({ token: ada.token })).toEqual([second.key])
    expect(await keysFor({ token: agent })).toEqual([first.key, second.key])
    await app.request(`DELETE /api/documents/${second.key}`, { token: agent })
    expect(await keysFor({ token: ada.token })).toEqual([])
    expect(await keysFor({ token: agent })).toEqual([first.key])
  })

  test('201 once for one Idempotency-Key, also when the answer was lost', async () => {
    const { caseId } = await order(desk, 'ada')
    const own = await uploaded(app, { token: ada.token })
    const headers = { 'idempotency-key': 'note-with-document' }
    const send = async () => await write(caseId, { token: ada.token }, { keys: [own.key], headers })
    const first = await send()
    await app.sql(`update idempotency_keys
      set status = null, headers = null, reply = null, lease_until = '2000-01-01T00:00:00Z'`)
    const resumed = await send()
    expect([first.status, resumed.status, resumed.body]).toEqual([201, 201, first.body])
    expect(await notesOf(caseId, { token: agent })).toHaveLength(1)
  })

  test('one of two cases gets it when both want it at the same moment', async () => {
    const [first, second] = [await order(desk, 'ada'), await order(desk, 'ada')]
    const own = await uploaded(app, { token: ada.token })
    const replies = await Promise.all(
      [first, second].map(({ caseId }) => write(caseId, { token: ada.token }, { keys: [own.key] })),
    )
    expect(replies.map(({ status }) => status).toSorted()).toEqual([201, 400])
    const notes = await Promise.all(
      [first, second].map(({ caseId }) => notesOf(caseId, { token: agent })),
    )
    expect(notes.flat()).toHaveLength(1)
  })

  test('a case shows the documents of all its notes by one statement', async () => {
    const { caseId } = await order(desk, 'ada')
    const fields = { caseId, visibility: 'customer' }
    for (let index = 0; index < 3; index += 1) {
      const { key } = await uploaded(app, { token: agent, fields })
      await write(caseId, { token: agent }, { keys: [key] })
    }
    const countOf = async (): Promise<number> => {
      const before = app.db.statementCount()
      await app.request(`GET /api/crm/${caseId}`, { token: agent })
      return app.db.statementCount() - before
    }
    const few = await countOf()
    for (let index = 0; index < 3; index += 1) {
      const { key } = await uploaded(app, { token: agent, fields })
      await write(caseId, { token: agent }, { keys: [key] })
    }
    expect(await countOf()).toBe(few)
  })
})

describe('PATCH /api/crm/:id with another customer', () => {
  test('takes the documents of the case along: the new customer reads them, the old one does not', async () => {
    const bob = await app.asCustomer('bob')
    const body = { subject: 'A question', description: 'May I?' }
    const opened = await app.request('POST /api/crm', { token: ada.token, body })
    const caseId = opened.body.id
    const { key } = await uploaded(app, { token: ada.token, fields: { caseId } })
    const moved = await app.request(`PATCH /api/crm/${caseId}`, {
      token: agent,
      body: { customerId: bob.customerId },
    })
    expect(moved.status).toBe(200)
    for (const [{ token }, status] of [
      [ada, 404],
      [bob, 200],
    ] as const) {
      const headers = { authorization: `Bearer ${token}` }
      expect((await download(app, `/api/documents/${key}`, headers)).status).toBe(status)
      const list = await app.request('GET /api/documents?limit=100', { token })
      const keys = list.body.data.map((one: { key: string }) => one.key)
      expect(keys.includes(key)).toBe(status === 200)
    }
  })
})
