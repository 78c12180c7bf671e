import { rm } from 'node:fs/promises'
import path from 'node:path'
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
import type { Id } from '../../kernel/id.ts'
import { claimDocuments } from './usecases/claim-documents.ts'
import { openDocument } from './usecases/read-documents.ts'

let app: TestApp
let desk: Desk
let ada: TestCustomer
let bob: TestCustomer
let agent: string
let viewer: string
let adas: Ordered
let guests: Ordered

beforeAll(async () => {
  app = await startTestApp()
  desk = await openDesk(app)
  ada = await app.asCustomer('ada')
  bob = await app.asCustomer('bob')
  agent = await app.as('agent')
  viewer = await app.as('viewer')
  adas = await order(desk, 'ada')
  guests = await order(desk)
})
afterAll(async () => {
  await app.close()
})

const unknownKey = '0'.repeat(32)

async function fromAda(name = 'passport.pdf', fields: Record<string, string> = {}) {
  return await uploaded(
    app,
    { token: ada.token, fields: { orderId: adas.orderId, ...fields } },
    pdf(name),
  )
}

async function fromStaff(visibility: 'customer' | 'internal', to: Record<string, string>) {
  return await uploaded(
    app,
    { token: agent, fields: { ...to, visibility } },
    pdf(`${visibility}.pdf`),
  )
}

async function get(key: string, options: RequestOptions = {}) {
  const { token, orderToken, headers } = options
  return await download(app, `/api/documents/${key}`, {
    ...(token ? { authorization: `Bearer ${token}` } : {}),
    ...(orderToken ? { 'x-order-token': orderToken } : {}),
    ...headers,
  })
}

async function list(query: string, options: RequestOptions): Promise<Reply> {
  return await app.request(`GET /api/documents${query}`, options)
}

function keysOf({ body }: Reply): string[] {
  return body.data.map(({ key }: { key: string }) => key)
}

async function patch(key: string, body: unknown, headers = {}, token = agent): Promise<Reply> {
  return await app.request(`PATCH /api/documents/${key}`, { token, body, headers })
}

async function typesOf(key: string): Promise<unknown[]> {
  const rows = await app.sql(
    `select e.type, e.root_version from events e join documents d on d.id = e.root_id
     where d.key = $1 order by e.root_version`,
    [key],
  )
  expect(rows.map((row) => row['root_version'])).toEqual(rows.map((_, index) => index + 1))
  return rows.map((row) => row['type'])
}

describe('GET /api/documents/:key', () => {
  test('200 for all who may read it, 404 for all who may not know of it', async () => {
    const shared = await fromStaff('customer', { caseId: adas.caseId })
    const hidden = await fromStaff('internal', { caseId: adas.caseId })
    const ofGuest = await fromStaff('customer', { caseId: guests.caseId })
    const alone = await uploaded(app, { token: ada.token })
    const { orderToken } = guests
    const verdicts: [string, RequestOptions, number][] = [
      [shared.key, { token: ada.token }, 200],
      [shared.key, { token: viewer }, 200],
      [shared.key, { token: bob.token }, 404],
      [shared.key, { orderToken }, 404],
      [shared.key, {}, 401],
      [shared.key, { token: await app.as('finance') }, 403],
      [hidden.key, { token: viewer }, 200],
      [hidden.key, { token: ada.token }, 404],
      [hidden.key, { token: bob.token }, 404],
      [ofGuest.key, { orderToken }, 200],
      [ofGuest.key, { token: ada.token }, 404],
      [alone.key, { token: ada.token }, 200],
      [alone.key, { token: bob.token }, 404],
      [alone.key, { token: await app.as('admin') }, 404],
      [alone.key, { orderToken }, 404],
      [unknownKey, { token: viewer }, 404],
    ]
    for (const [key, options, status] of verdicts) {
      expect([key, options, (await get(key, options)).status]).toEqual([key, options, status])
    }
    expect((await get('no-key', { token: viewer })).status).toBe(400)
  })

  test('206, 304 and HEAD: parts, nothing, and only the headers', async () => {
    const { key, sha256 } = await fromAda()
    const token = ada.token
    const whole = await get(key, { token })
    expect(whole.headers.get('etag')).toBe(`"${sha256}"`)
    const part = await get(key, { token, headers: { range: 'bytes=0-4' } })
    expect([part.status, part.bytes.toString()]).toEqual([206, '%PDF-'])
    const beyond = await get(key, { token, headers: { range: 'bytes=9999-' } })
    expect(beyond.status).toBe(416)
    const known = await get(key, { token, headers: { 'if-none-match': `"${sha256}"` } })
    expect([known.status, known.bytes.length]).toEqual([304, 0])
    const head = await app.request(`HEAD /api/documents/${key}`, { token })
    expect([head.status, head.headers.get('content-length')]).toEqual([
      200,
      String(pdf().bytes.length),
    ])
  })

  test('a reading is an event: once for each reader and minute, and it makes no ETag stale', async () => {
    const { key, version } = await fromAda()
    for (const range of ['bytes=0-1', 'bytes=2-3', 'bytes=4-']) {
      await get(key, { token: ada.token, headers: { range } })
    }
    await app.request(`HEAD /api/documents/${key}`, { token: viewer })
    expect(await typesOf(key)).toEqual(['document.uploaded', 'document.read'])
    await get(key, { token: viewer })
    await get(key, { token: ada.token })
    app.advance(61_000)
    await get(key, { token: ada.token })
    expect(await typesOf(key)).toEqual(['document.uploaded', ...Array(4).fill('document.read')])
    const reviewed = await patch(key, { status: 'accepted' }, { 'if-match': `"${version}-staff"` })
    expect(reviewed.status).toBe(200)
  })

  test('500, and not somebody else’s bytes, where the file is gone', async () => {
    const { key } = await fromAda()
    await rm(path.join(app.documentsDirectory, 'kept', key.slice(0, 2), key))
    expect((await get(key, { token: ada.token })).status).toBe(500)
  })
})

describe('GET /api/documents', () => {
  test('200 with what is theirs and nothing else, whatever is asked for', async () => {
    const own = await fromAda()
    const shared = await fromStaff('customer', { orderId: adas.orderId })
    const hidden = await fromStaff('internal', { orderId: adas.orderId })
    const alone = await uploaded(app, { token: ada.token })
    const ofStaff = await uploaded(app, { token: agent })
    const { orderToken } = guests
    const ofGuest = await uploaded(app, { orderToken })
    const adaSees = keysOf(await list('?limit=100', { token: ada.token }))
    expect(adaSees).toEqual(expect.arrayContaining([own.key, shared.key, alone.key]))
    for (const { key } of [hidden, ofStaff, ofGuest]) expect(adaSees).not.toContain(key)
    const guestSees = keysOf(await list('?limit=100', { orderToken }))
    expect(guestSees).toContain(ofGuest.key)
    for (const { key } of [own, shared, hidden, alone]) expect(guestSees).not.toContain(key)
    const staffSees = keysOf(await list('?limit=100', { token: agent }))
    expect(staffSees).toEqual(
      expect.arrayContaining([own.key, shared.key, hidden.key, ofStaff.key, ofGuest.key]),
    )
    expect(staffSees).not.toContain(alone.key)
    expect(keysOf(await list('?limit=100', { token: viewer }))).not.toContain(ofStaff.key)
    for (const query of [
      `?orderId=${adas.orderId}`,
      `?caseId=${adas.caseId}`,
      `?customerId=${ada.customerId}`,
    ]) {
      expect((await list(query, { token: bob.token })).body.data).toEqual([])
      expect((await list(query, { orderToken })).body.data).toEqual([])
    }
  })

  test('200 with what came along when a guest’s record passed to a login', async () => {
    const { orderId, orderToken } = await order(desk)
    const { key, uploadedBy } = await uploaded(app, { orderToken })
    await app.sql('update orders set customer_id = $1 where id = $2', [ada.customerId, orderId])
    await claimDocuments(app.systemContext(), {
      fromId: uploadedBy.id,
      toId: ada.customerId as Id<'cus'>,
    })
    expect(keysOf(await list('', { token: ada.token }))).toContain(key)
    expect((await get(key, { token: ada.token })).status).toBe(200)
  })

  test('200 by each filter', async () => {
    const ofOrder = await fromAda()
    const ofCase = await fromStaff('customer', { caseId: adas.caseId })
    await patch(ofCase.key, { status: 'rejected', reason: 'Blurred.' })
    const token = agent
    const byOrder = keysOf(await list(`?orderId=${adas.orderId}&limit=100`, { token }))
    expect(byOrder).toContain(ofOrder.key)
    expect(byOrder).not.toContain(ofCase.key)
    expect(keysOf(await list(`?caseId=${adas.caseId}&limit=100`, { token }))).toContain(ofCase.key)
    const byCustomer = keysOf(await list(`?customerId=${ada.customerId}&limit=100`, { token }))
    expect(byCustomer).toEqual(expect.arrayContaining([ofOrder.key, ofCase.key]))
    const rejected = await list('?status=rejected&limit=100', { token: ada.token })
    expect(keysOf(rejected)).toContain(ofCase.key)
    expect(rejected.body.data[0]).toMatchObject({
      reason: 'Blurred.',
      uploadedBy: { id: null, name: 'agent', kind: 'staff' },
    })
    expect((await list('?status=new', { token })).status).toBe(400)
  })

  test('200 on the second page: each once, newest first, with a total', async () => {
    const { orderId, orderToken } = await order(desk)
    const keys: string[] = []
    for (let index = 0; index < 5; index += 1) {
      keys.unshift((await uploaded(app, { orderToken })).key)
    }
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const more: string = cursor === '' ? '' : `&cursor=${cursor}`
      const page = await list(`?limit=2&count=true&orderId=${orderId}${more}`, { orderToken })
      expect([page.status, page.body.total]).toEqual([200, 5])
      seen.push(...keysOf(page))
      cursor = page.body.nextCursor
    }
    expect(seen).toEqual(keys)
    const oldest = await list(`?sort=createdAt&limit=1&orderId=${orderId}`, { orderToken })
    expect(keysOf(oldest)).toEqual([keys.at(-1)])
  })
})

describe('PATCH /api/documents/:key', () => {
  test('200 accepted, then rejected after all, then accepted again, each an event', async () => {
    const { key } = await fromAda()
    const accepted = await patch(key, { status: 'accepted' })
    expect([accepted.status, accepted.body]).toMatchObject([
      200,
      { status: 'accepted', reason: null, version: 2, allowedTransitions: [{ to: 'rejected' }] },
    ])
    expect(accepted.headers.get('etag')).toBe('"2-staff"')
    const rejected = await patch(key, { status: 'rejected', reason: 'It has expired.' })
    expect(rejected.body).toMatchObject({ status: 'rejected', reason: 'It has expired.' })
    const again = await patch(key, { status: 'accepted' })
    expect(again.body).toMatchObject({ status: 'accepted', reason: null, version: 4 })
    expect(await typesOf(key)).toEqual([
      'document.uploaded',
      'document.accepted',
      'document.rejected',
      'document.accepted',
    ])
    const [event] = await app.sql(
      `select data from events where type = 'document.rejected'
       and root_id = (select id from documents where key = $1)`,
      [key],
    )
    expect(event?.['data']).toEqual({
      orderId: adas.orderId,
      caseId: null,
      customerId: ada.customerId,
      visibility: 'customer',
      cause: 'review',
    })
  })

  test('200 and no event for what is so already', async () => {
    const { key } = await fromAda('same.pdf', { label: 'Passport' })
    await patch(key, { status: 'accepted' })
    const { status, body } = await patch(key, { status: 'accepted', label: 'Passport' })
    expect([status, body.version]).toEqual([200, 2])
    expect(await typesOf(key)).toEqual(['document.uploaded', 'document.accepted'])
  })

  test('200 for label and visibility, one event, null clears', async () => {
    const { key } = await fromStaff('internal', { caseId: adas.caseId })
    const shown = await patch(key, { label: 'Certificate', visibility: 'customer' })
    expect(shown.body).toMatchObject({ label: 'Certificate', visibility: 'customer', version: 2 })
    expect((await get(key, { token: ada.token })).status).toBe(200)
    const cleared = await patch(key, { label: null, visibility: 'internal' })
    expect(cleared.body).toMatchObject({ label: null, visibility: 'internal', version: 3 })
    expect((await get(key, { token: ada.token })).status).toBe(404)
    const types = await typesOf(key)
    expect(types.filter((type) => type === 'document.updated')).toHaveLength(2)
  })

  test('200 with two events where review and label change together', async () => {
    const { key } = await fromAda()
    const { body } = await patch(key, { status: 'rejected', reason: 'Blurred.', label: 'Page 1' })
    expect(body).toMatchObject({ version: 2, status: 'rejected', label: 'Page 1' })
    expect(await typesOf(key)).toEqual([
      'document.uploaded',
      'document.rejected',
      'document.updated',
    ])
    const better = await patch(key, { reason: 'The second page is blurred.' })
    expect(better.body).toMatchObject({ reason: 'The second page is blurred.', version: 3 })
  })

  test('400 for a rejection without a reason, and for a reason without a rejection', async () => {
    const { key } = await fromAda()
    for (const [body, code] of [
      [{ status: 'rejected' }, 'required'],
      [{ status: 'rejected', reason: null }, 'required'],
      [{ status: 'rejected', reason: '  ' }, 'pattern'],
      [{ status: 'rejected', reason: 'x'.repeat(2001) }, 'maxLength'],
      [{ status: 'accepted', reason: 'Fine.' }, 'not_allowed'],
      [{ reason: 'Because.' }, 'not_allowed'],
      [{ status: 'uploaded' }, 'enum'],
      [{}, 'minProperties'],
      [{ orderId: adas.orderId }, 'additionalProperties'],
    ] as const) {
      const reply = await patch(key, body)
      expect([body, reply.status, reply.body.errors?.[0]?.code]).toEqual([body, 400, code])
    }
    await patch(key, { status: 'rejected', reason: 'Blurred.' })
    expect((await patch(key, { reason: null })).status).toBe(400)
  })

  test('409 visibility_fixed for what a customer or guest sent', async () => {
    const ofGuest = await uploaded(app, { orderToken: guests.orderToken })
    for (const { key } of [await fromAda(), ofGuest]) {
      const { status, body } = await patch(key, { visibility: 'internal' })
      expect([status, body.code]).toEqual([409, 'visibility_fixed'])
      expect((await patch(key, { visibility: 'customer' })).status).toBe(200)
    }
  })

  test('412 for a version that is not the newest; of ten at once one is written', async () => {
    const { key } = await fromAda()
    const tries = Array.from({ length: 10 }, (_, index) =>
      patch(key, { label: `Label ${index}` }, { 'if-match': '"1-staff"' }),
    )
    const statuses = (await Promise.all(tries)).map(({ status }) => status)
    expect(statuses.toSorted()).toEqual([200, ...Array(9).fill(412)])
    const last = await patch(key, { label: 'x' }, { 'if-match': '"1-staff"' })
    expect([last.status, last.body.code]).toEqual([412, 'precondition_failed'])
  })

  test('200 once for one Idempotency-Key, also when the answer was lost', async () => {
    const { key } = await fromAda()
    const headers = { 'idempotency-key': `review ${key}`.replace(' ', '-') }
    const first = await patch(key, { status: 'accepted' }, headers)
    await app.sql(`update idempotency_keys
      set status = null, headers = null, reply = null, lease_until = '2000-01-01T00:00:00Z'`)
    const resumed = await patch(key, { status: 'accepted' }, headers)
    expect([resumed.status, resumed.body]).toEqual([200, first.body])
  })

  test('401, 403 and 404 for who and what it is not for', async () => {
    const { key } = await fromAda()
    const alone = await uploaded(app, { token: ada.token })
    const body = { label: 'x' }
    expect((await app.request(`PATCH /api/documents/${key}`, { body })).status).toBe(401)
    expect((await patch(key, body, {}, ada.token)).status).toBe(403)
    expect((await patch(key, body, {}, viewer)).status).toBe(403)
    expect((await patch(unknownKey, body)).status).toBe(404)
    expect((await patch(alone.key, body)).status).toBe(404)
  })
})

describe('POST /api/documents/:key/link', () => {
  async function link(key: string, options: RequestOptions, expiresInSeconds: unknown = 3600) {
    return await app.request(`POST /api/documents/${key}/link`, {
      body: { expiresInSeconds },
      ...options,
    })
  }
  const local = (url: string): string => {
    const { pathname, search } = new URL(url)
    return pathname + search
  }

  test('200 with an address that opens this document to whoever has it', async () => {
    const { key } = await fromAda()
    const { status, body } = await link(key, { token: ada.token })
    expect(status).toBe(200)
    expect(body.url).toMatch(
      /^http:\/\/localhost:3000\/api\/documents\/\w{32}\?expires=\d+&signature=[\w-]{43}$/,
    )
    expect(Date.parse(body.expiresAt) - app.now().getTime()).toBeLessThanOrEqual(3_601_000)
    const opened = await download(app, local(body.url))
    expect([opened.status, opened.bytes.equals(pdf().bytes)]).toEqual([200, true])
    const part = await download(app, local(body.url), { range: 'bytes=0-0' })
    expect(part.status).toBe(206)
    expect(await typesOf(key)).toEqual(['document.uploaded', 'document.shared', 'document.read'])
    const [read] = await app.sql(`select data, actor_kind from events
      where type = 'document.read' order by at desc limit 1`)
    expect(read).toEqual({ data: { via: 'signed_link' }, actor_kind: 'anonymous' })
  })

  test('401 for a link that was altered, is another’s or has expired', async () => {
    const { key } = await fromAda()
    const other = await fromAda('other.pdf', { label: 'x' })
    const { body } = await link(key, { token: agent }, 60)
    const good = local(body.url)
    const expires = Number(new URL(body.url).searchParams.get('expires'))
    const bad = [
      good.slice(0, -1) + (good.endsWith('A') ? 'B' : 'A'),
      good.replace(String(expires), String(expires + 1)),
      good.replace(key, other.key),
      good.replace(/expires=\d+&/, ''),
      good.replace(/signature=.*/, 'signature='),
      good.replace(/signature=.*/, 'signature=x'),
    ]
    for (const address of bad) {
      expect([address, (await download(app, address)).status]).toEqual([address, 401])
    }
    expect((await download(app, good.replace(/&signature=.*/, ''))).status).toBe(401)
    expect((await download(app, good.replace(/expires=\d+/, 'expires=soon'))).status).toBe(400)
    expect((await download(app, good)).status).toBe(200)
    app.advance(61_000)
    expect((await download(app, good)).status).toBe(401)
  })

  test('404 once the document is deleted, 401 once it has become internal', async () => {
    const first = await fromStaff('customer', { caseId: adas.caseId })
    const { body } = await link(first.key, { token: ada.token })
    await patch(first.key, { visibility: 'internal' })
    expect((await download(app, local(body.url))).status).toBe(401)
    const second = await fromAda()
    const { body: made } = await link(second.key, { token: ada.token })
    await app.request(`DELETE /api/documents/${second.key}`, { token: ada.token })
    expect((await download(app, local(made.url))).status).toBe(404)
  })

  test('200 again with the same address for one Idempotency-Key, and nothing of it is stored', async () => {
    const { key } = await fromAda()
    const options = { token: ada.token, headers: { 'idempotency-key': 'the-link' } }
    const first = await link(key, options)
    const again = await link(key, options)
    expect(again.body).toEqual(first.body)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    const signature = new URL(first.body.url).searchParams.get('signature') ?? ''
    const kept = await app.sql('select reply from idempotency_keys')
    expect(JSON.stringify(kept)).not.toContain(signature)
    await app.sql(`update idempotency_keys
      set status = null, headers = null, reply = null, lease_until = '2000-01-01T00:00:00Z'`)
    const resumed = await link(key, options)
    expect((await download(app, local(resumed.body.url))).status).toBe(200)
    expect((await typesOf(key)).filter((type) => type === 'document.shared')).toHaveLength(1)
  })

  test('400, 401, 403 and 404 for who and what it is not for', async () => {
    const { key } = await fromAda()
    for (const seconds of [0, 604_801, 1.5, '60', null]) {
      expect((await link(key, { token: ada.token }, seconds)).status).toBe(400)
    }
    expect((await link(key, { token: ada.token }, 604_800)).status).toBe(200)
    expect((await link(key, {})).status).toBe(401)
    expect((await link(key, { token: await app.as('finance') })).status).toBe(403)
    expect((await link(key, { token: bob.token })).status).toBe(404)
    const ofGuest = await uploaded(app, { orderToken: guests.orderToken })
    expect((await link(ofGuest.key, { orderToken: guests.orderToken })).status).toBe(403)
    const hidden = await fromStaff('internal', { caseId: adas.caseId })
    expect((await link(hidden.key, { token: ada.token })).status).toBe(404)
    expect((await link(unknownKey, { token: agent })).status).toBe(404)
  })
})

describe('DELETE /api/documents/:key', () => {
  async function remove(key: string, options: RequestOptions): Promise<number> {
    return (await app.request(`DELETE /api/documents/${key}`, options)).status
  }

  test('204 and gone: row, bytes and the room that it took', async () => {
    const usage = async () =>
      (
        await app.sql(`select bytes::int, files from document_usage where id = $1`, [
          ada.customerId,
        ])
      )[0]
    const before = await usage()
    const { key } = await fromAda()
    expect(await usage()).not.toEqual(before)
    expect(await remove(key, { token: ada.token })).toBe(204)
    expect(await usage()).toEqual(before)
    expect((await get(key, { token: ada.token })).status).toBe(404)
    expect(await app.ports.files.has(key)).toBe(false)
    const [event] = await app.sql(
      `select data->>'cause' as cause from events where type = 'document.deleted'
       order by at desc limit 1`,
    )
    expect(event).toEqual({ cause: 'request' })
    expect(await remove(key, { token: ada.token })).toBe(404)
  })

  test('204 for staff at any time', async () => {
    const { key } = await fromAda()
    await patch(key, { status: 'accepted' })
    expect(await remove(key, { token: agent })).toBe(204)
  })

  test('403 for the holder of an order’s token, even of what they sent', async () => {
    const { orderToken } = guests
    const ofGuest = await uploaded(app, { orderToken })
    expect(await remove(ofGuest.key, { orderToken })).toBe(403)
    expect((await get(ofGuest.key, { orderToken })).status).toBe(200)
  })

  test('404 for a reader who was a moment too late, not a failure of ours', async () => {
    const { key } = await fromAda()
    const file = await openDocument(app.systemContext(), key, {})
    expect(await remove(key, { token: ada.token })).toBe(204)
    await expect(file.open()).rejects.toMatchObject({ status: 404, code: 'not_found' })
  })

  test('409 document_reviewed for a customer after the review', async () => {
    const { key } = await fromAda()
    await patch(key, { status: 'rejected', reason: 'Blurred.' })
    const { status, body } = await app.request(`DELETE /api/documents/${key}`, {
      token: ada.token,
    })
    expect([status, body.code]).toEqual([409, 'document_reviewed'])
  })

  test('403 for what somebody else shared with them, 404 for what they may not know of', async () => {
    const shared = await fromStaff('customer', { caseId: adas.caseId })
    const hidden = await fromStaff('internal', { caseId: adas.caseId })
    expect(await remove(shared.key, { token: ada.token })).toBe(403)
    expect(await remove(hidden.key, { token: ada.token })).toBe(404)
    expect(await remove(shared.key, { token: bob.token })).toBe(404)
    expect(await remove(shared.key, { token: viewer })).toBe(403)
    expect(await remove(shared.key, {})).toBe(401)
  })

  test('412 for a version that is not the newest; 204 once of ten at once', async () => {
    const { key } = await fromAda()
    await patch(key, { label: 'x' })
    expect(await remove(key, { token: agent, headers: { 'if-match': '"1-staff"' } })).toBe(412)
    const statuses = await Promise.all(
      Array.from({ length: 10 }, () => remove(key, { token: agent })),
    )
    expect(statuses.toSorted()).toEqual([204, ...Array(9).fill(404)])
  })
})

describe('what is internal', () => {
  test('stands in no reply to any customer, and what is one customer’s in none to another', async () => {
    const canary = 'canary-8c1f'
    const secret = { ...pdf(`${canary}.pdf`, canary) }
    const fields = { caseId: adas.caseId, label: canary, visibility: 'internal' }
    const { key } = await uploaded(app, { token: agent, fields }, secret)
    const note = { body: 'Between us.', visibility: 'internal', documentKeys: [key] }
    await app.request(`POST /api/crm/${adas.caseId}/notes`, { token: agent, body: note })
    await patch(key, { status: 'rejected', reason: canary })
    const addresses = [
      '/api/documents?limit=100',
      `/api/documents?caseId=${adas.caseId}`,
      `/api/documents?orderId=${adas.orderId}`,
      '/api/documents?status=rejected',
      `/api/documents/${key}`,
      '/api/crm',
      `/api/crm/${adas.caseId}`,
      '/api/orders',
      `/api/orders/${adas.orderId}`,
    ]
    const customers: RequestOptions[] = [
      { token: ada.token },
      { token: bob.token },
      { orderToken: guests.orderToken },
    ]
    for (const options of customers) {
      for (const address of addresses) {
        const { body } = await app.request(`GET ${address}` as `GET /${string}`, options)
        expect(JSON.stringify(body)).not.toContain(canary)
        if (!address.includes(key)) expect(JSON.stringify(body)).not.toContain(key)
      }
    }
    const seen = await app.request(`GET /api/crm/${adas.caseId}`, { token: agent })
    expect(JSON.stringify(seen.body)).toContain(canary)
  })
})
