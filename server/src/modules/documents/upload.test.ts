import { createHash, randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp, type TestCustomer } from '../../../test/support/app.ts'
import { openDesk, order, uploaded, type Desk, type Ordered } from '../../../test/support/desk.ts'
import { eventually } from '../../../test/support/eventually.ts'
import {
  heic,
  jpeg,
  office,
  pdf,
  pdfOfSize,
  png,
  text,
  webp,
} from '../../../test/support/sample-files.ts'
import { download, upload } from '../../../test/support/upload.ts'
import { newId, type Id } from '../../kernel/id.ts'
import type { AppContext } from '../../platform/context.ts'
import type { ReceivedFile } from '../../platform/files.ts'
import { claimDocuments } from './usecases/claim-documents.ts'
import { uploadDocument } from './usecases/upload-document.ts'

let app: TestApp
let desk: Desk
let ada: TestCustomer
let adas: Ordered
let guests: Ordered
let agent: string

beforeAll(async () => {
  app = await startTestApp({ business: { uploads: bounds } })
  desk = await openDesk(app)
  ada = await app.asCustomer('ada')
  adas = await order(desk, 'ada')
  guests = await order(desk)
  agent = await app.as('agent')
})
afterAll(async () => {
  await app.close()
})

const kibibyte = 1024
const bounds = {
  maxBytes: 200 * kibibyte,
  customerQuotaBytes: 100_000 * kibibyte,
  storageQuotaBytes: undefined,
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(path.join(app.documentsDirectory, folder), {
    recursive: true,
    withFileTypes: true,
  })
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
}

async function eventsOf(key: string): Promise<Record<string, unknown>[]> {
  return await app.sql(
    `select e.type, e.root_version, e.actor_kind, e.data from events e
     join documents d on d.id = e.root_id where d.key = $1 order by e.root_version`,
    [key],
  )
}

describe('POST /api/documents/upload', () => {
  test('201 for a customer: visible to them, linked to their order, stored as it came', async () => {
    const { status, headers, body } = await upload(app, pdf('Pass Ada.pdf'), {
      token: ada.token,
      fields: { orderId: adas.orderId, label: 'Passport' },
    })
    expect(status).toBe(201)
    expect(body).toEqual({
      key: expect.stringMatching(/^[0-9a-hjkmnp-tv-z]{32}$/),
      filename: 'Pass Ada.pdf',
      contentType: 'application/pdf',
      size: pdf().bytes.length,
      sha256: createHash('sha256').update(pdf().bytes).digest('hex'),
      status: 'uploaded',
      reason: null,
      label: 'Passport',
      visibility: 'customer',
      orderId: adas.orderId,
      caseId: null,
      uploadedBy: { id: ada.userId, name: 'ada', kind: 'customer' },
      allowedTransitions: [],
      version: 1,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    })
    expect(headers.get('location')).toBe(`/api/documents/${body.key}`)
    expect(headers.get('etag')).toBe('"1-customer"')
    expect(await filesIn('kept')).toContain(body.key)
    expect(await eventsOf(body.key)).toEqual([
      {
        type: 'document.uploaded',
        root_version: 1,
        actor_kind: 'customer',
        data: {
          orderId: adas.orderId,
          caseId: null,
          customerId: ada.customerId,
          status: 'uploaded',
          visibility: 'customer',
          contentType: 'application/pdf',
          size: pdf().bytes.length,
        },
      },
    ])
  })

  test('201 for each kind of file, and the same bytes come back', async () => {
    const random = randomBytes(100_000)
    const files = [
      pdf(),
      png(),
      jpeg(),
      webp(),
      heic(),
      text(),
      text('a.csv', 'a;b\n1;2\n'),
      office('docx'),
      office('xlsx'),
      office('pptx'),
      { ...jpeg('large.jpg'), bytes: Buffer.concat([jpeg().bytes, random]) },
    ]
    for (const file of files) {
      const { key } = await uploaded(app, { token: ada.token }, file)
      const reply = await download(app, `/api/documents/${key}`, {
        authorization: `Bearer ${ada.token}`,
      })
      expect([file.name, reply.status, reply.bytes.equals(file.bytes)]).toEqual([
        file.name,
        200,
        true,
      ])
    }
  })

  test('201 with the fields behind the file, for order and case', async () => {
    for (const fields of [{ orderId: adas.orderId }, { caseId: adas.caseId }]) {
      const document = await uploaded(app, { token: ada.token, fields, fileFirst: true })
      expect(document).toMatchObject({ orderId: null, caseId: null, ...fields })
    }
  })

  test('201 for staff: internal unless they say otherwise, and not counted for a customer', async () => {
    const fields = { caseId: adas.caseId }
    const hidden = await uploaded(app, { token: agent, fields })
    expect(hidden).toMatchObject({
      visibility: 'internal',
      uploadedBy: { name: 'agent', kind: 'staff' },
      allowedTransitions: [
        { to: 'accepted', blockedBy: null },
        { to: 'rejected', blockedBy: null },
      ],
    })
    const shown = await uploaded(app, {
      token: agent,
      fields: { ...fields, visibility: 'customer' },
    })
    expect(shown.visibility).toBe('customer')
    const [row] = await app.sql('select quota_customer_id from documents where key = $1', [
      shown.key,
    ])
    expect(row).toEqual({ quota_customer_id: null })
  })

  test('201 for the holder of an order’s token: that order, or a case of it', async () => {
    const { orderToken } = guests
    const plain = await uploaded(app, { orderToken })
    expect(plain).toMatchObject({
      orderId: guests.orderId,
      visibility: 'customer',
      uploadedBy: { id: expect.stringMatching(/^cus_/), kind: 'guest' },
    })
    const ofCase = await uploaded(app, { orderToken, fields: { caseId: guests.caseId } })
    expect(ofCase).toMatchObject({ orderId: null, caseId: guests.caseId })
  })

  /** What happens while the file is looked at: its place has been found, its row is not there. */
  async function uploadWhile(
    ctx: AppContext,
    fields: { orderId: Id<'ord'> } | { caseId: Id<'case'> },
    happening: () => Promise<unknown>,
  ): Promise<{ customerId: unknown }> {
    const { bytes, name: filename, type: declaredType } = pdf()
    const received = await ctx.files.receive(Readable.from([bytes]), bounds)
    let hasHappened = false
    const file: ReceivedFile = {
      ...received,
      read: async (offset, length) => {
        if (!hasHappened) await happening()
        hasHappened = true
        return await received.read(offset, length)
      },
    }
    try {
      const { key } = await uploadDocument(ctx, fields, { filename, declaredType, file })
      const [row] = await app.sql('select customer_id from documents where key = $1', [key])
      return { customerId: row?.['customer_id'] }
    } finally {
      await file.discard()
    }
  }

  test('201 for the login to which the customer’s record passes meanwhile', async () => {
    const { orderId } = await order(desk)
    const [before] = await app.sql('select customer_id from orders where id = $1', [orderId])
    const fromId = before?.['customer_id'] as Id<'cus'>
    const toId = ada.customerId as Id<'cus'>
    const written = await uploadWhile(
      app.systemContext(),
      { orderId: orderId as Id<'ord'> },
      async () => {
        await app.sql('update customers set claimed_by = $1 where id = $2', [toId, fromId])
        // What takes the documents along has run, and found none.
        await claimDocuments(app.systemContext(), { fromId, toId })
      },
    )
    expect(written).toEqual({ customerId: toId })
  })

  test('201 for the customer to whom staff give the case meanwhile, 404 for the one before', async () => {
    const bob = await app.asCustomer('bob')
    const enquiry = await app.request('POST /api/crm', {
      token: ada.token,
      body: { subject: 'A question', description: 'About my visa.' },
    })
    const fields = { caseId: enquiry.body.id as Id<'case'> }
    const give =
      ({ customerId }: TestCustomer) =>
      async () => {
        const { status } = await app.request(`PATCH /api/crm/${fields.caseId}`, {
          token: agent,
          body: { customerId },
        })
        expect(status).toBe(200)
      }
    const ofStaff = await uploadWhile(app.systemContext(), fields, give(bob))
    expect(ofStaff).toEqual({ customerId: bob.customerId })
    const asBob: AppContext = {
      ...app.systemContext(),
      actor: {
        kind: 'customer',
        userId: bob.userId as Id<'usr'>,
        customerId: bob.customerId as Id<'cus'>,
        sessionId: newId('ses', app.now()),
      },
    }
    const before = await filesIn('.')
    await expect(uploadWhile(asBob, fields, give(ada))).rejects.toMatchObject({ status: 404 })
    expect(await filesIn('.')).toEqual(before)
  })

  test.each([
    ['../../etc/passwd.pdf', 'passwd.pdf'],
    ['C:\\Users\\ada\\scan.pdf', 'scan.pdf'],
    ['Grüße ✓ 😀.pdf', 'Grüße ✓ 😀.pdf'],
    ['gpj.\u202efdp.pdf', 'gpj.fdp.pdf'],
    ['a\u200bb\ufeffc.pdf', 'abc.pdf'],
    ['con.pdf', '_con.pdf'],
    ['..pdf.pdf', 'pdf.pdf'],
    ['a<b>:"|?*.pdf', /^a_b_.*\.pdf$/],
    [`${'x'.repeat(5000)}.pdf`, `${'x'.repeat(251)}.pdf`],
    [`${'ü'.repeat(300)}.pdf`, `${'ü'.repeat(125)}.pdf`],
  ])('201 and a harmless name for %s', async (name, shown) => {
    const document = await uploaded(app, { token: ada.token }, pdf(name))
    expect(document.filename).toEqual(
      typeof shown === 'string' ? shown : expect.stringMatching(shown),
    )
    expect(Buffer.byteLength(document.filename)).toBeLessThanOrEqual(255)
    const { headers } = await download(app, `/api/documents/${document.key}`, {
      authorization: `Bearer ${ada.token}`,
    })
    const disposition = headers.get('content-disposition') ?? ''
    expect(disposition).toMatch(/^attachment; filename="[\x20-\x7e]+"/)
    const exact = /filename\*=UTF-8''(\S+)$/.exec(disposition)?.[1]
    if (exact) expect(decodeURIComponent(exact)).toBe(document.filename)
  })

  test.each([
    ['a page', { ...text('a.html', '<p>hi'), type: 'text/html' }],
    ['a page named as a text', text('a.txt', '<!doctype html><script>alert(1)</script>')],
    ['a picture named as a PDF', { ...png(), name: 'a.pdf', type: 'application/pdf' }],
    ['a type that is not the file’s', { ...pdf(), type: 'image/png' }],
    ['macros', office('docx', { more: [{ name: 'word/vbaProject.bin' }] })],
    ['no extension', pdf('passport')],
  ])('415 unsupported_file for %s, and nothing is kept', async (_what, file) => {
    const before = await filesIn('kept')
    const { status, body } = await upload(app, file, { token: ada.token })
    expect([status, body.code]).toEqual([415, 'unsupported_file'])
    expect(body.allowed).toContain('pdf')
    expect(await filesIn('kept')).toEqual(before)
    await eventually(async () => expect(await filesIn('incoming')).toEqual([]))
  })

  test('400 for what is not the actor’s to say', async () => {
    const { orderId, caseId } = adas
    const asks = [
      [{ orderId, caseId }, '/caseId', 'conflict'],
      [{ visibility: 'internal' }, '/visibility', 'not_allowed'],
      [{ visibility: 'public' }, '/visibility', 'enum'],
      [{ orderId: 'B-1042' }, '/orderId', 'pattern'],
      [{ label: '' }, '/label', 'minLength'],
      [{ label: 'a\u0007b' }, '/label', 'pattern'],
      [{ status: 'accepted' }, '/status', 'additionalProperties'],
      [{ customerId: ada.customerId }, '/customerId', 'additionalProperties'],
    ] as const
    for (const [fields, pointer, code] of asks) {
      const { status, body } = await upload(app, pdf(), { token: ada.token, fields })
      expect([pointer, status]).toEqual([pointer, 400])
      expect(body.errors[0]).toMatchObject({ pointer, code })
    }
    await eventually(async () => expect(await filesIn('incoming')).toEqual([]))
  })

  test('404 for an order or case of somebody else, and for one that is not there', async () => {
    const bob = await app.asCustomer('bob')
    const unknown = 'ord_01jd8q9yg8e5v9c0m4t7k2x3za'
    const strangers = [
      { token: bob.token, fields: { orderId: adas.orderId } },
      { token: bob.token, fields: { caseId: adas.caseId } },
      { orderToken: guests.orderToken, fields: { orderId: adas.orderId } },
      { orderToken: guests.orderToken, fields: { caseId: adas.caseId } },
      { token: ada.token, fields: { orderId: guests.orderId } },
      { token: ada.token, fields: { orderId: unknown } },
      { token: agent, fields: { orderId: unknown } },
    ]
    const before = await filesIn('kept')
    for (const options of strangers) {
      const { status, body } = await upload(app, pdf(), options)
      expect([status, body.code]).toEqual([404, 'not_found'])
    }
    expect(await filesIn('kept')).toEqual(before)
  })

  test('401 and 403 before the file is looked at', async () => {
    expect((await upload(app, png('a.exe'), {})).status).toBe(401)
    expect((await upload(app, png('a.exe'), { token: await app.as('viewer') })).status).toBe(403)
    expect((await upload(app, png('a.exe'), { token: await app.as('finance') })).status).toBe(403)
  })

  test('413 beyond the largest size, 201 exactly at it', async () => {
    expect((await upload(app, pdfOfSize(bounds.maxBytes), { token: ada.token })).status).toBe(201)
    const { status, body } = await upload(app, pdfOfSize(bounds.maxBytes + 1), {
      token: ada.token,
    })
    expect([status, body.code, body.maxBytes]).toEqual([413, 'payload_too_large', bounds.maxBytes])
  })
})

describe('an upload with an Idempotency-Key', () => {
  const keyed = (key: string) => ({ token: ada.token, headers: { 'idempotency-key': key } })
  const countOf = async (name: string): Promise<unknown> =>
    (await app.sql('select count(*)::int as n from documents where filename = $1', [name]))[0]?.[
      'n'
    ]

  test('201 once, and the same reply again', async () => {
    const first = await upload(app, pdf('once.pdf'), keyed('once'))
    const again = await upload(app, pdf('once.pdf'), keyed('once'))
    expect([first.status, again.status]).toEqual([201, 201])
    expect(again.body).toEqual(first.body)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(await countOf('once.pdf')).toBe(1)
  })

  test('201 once although the answer was lost before it was kept', async () => {
    const first = await upload(app, pdf('lost.pdf'), keyed('lost'))
    await app.sql(`update idempotency_keys
      set status = null, headers = null, reply = null, lease_until = '2000-01-01T00:00:00Z'`)
    const resumed = await upload(app, pdf('lost.pdf'), keyed('lost'))
    expect([resumed.status, resumed.body]).toEqual([201, first.body])
    expect(await countOf('lost.pdf')).toBe(1)
  })

  test('422 with another file, another name or other fields', async () => {
    await upload(app, pdf('same.pdf'), keyed('same'))
    const others = [
      upload(app, pdf('same.pdf', 'other bytes'), keyed('same')),
      upload(app, pdf('other.pdf'), keyed('same')),
      upload(app, pdf('same.pdf'), { ...keyed('same'), fields: { label: 'x' } }),
    ]
    for (const { status, body } of await Promise.all(others)) {
      expect([status, body.code]).toEqual([422, 'idempotency_key_reused'])
    }
  })

  test('201 once of twenty at the same moment, 409 or the same reply for the others', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => upload(app, pdf('twenty.pdf'), keyed('twenty'))),
    )
    const keys = replies.filter(({ status }) => status === 201).map(({ body }) => body.key)
    expect(new Set(keys).size).toBe(1)
    expect(replies.every(({ status }) => status === 201 || status === 409)).toBe(true)
    expect(await countOf('twenty.pdf')).toBe(1)
    await eventually(async () => expect(await filesIn('incoming')).toEqual([]))
  })

  test('a refused upload gives its key back', async () => {
    expect((await upload(app, pdf('no-extension'), keyed('back'))).status).toBe(415)
    expect((await upload(app, pdf('now.pdf'), keyed('back'))).status).toBe(201)
  })
})

describe('quotas', () => {
  let small: TestApp
  let shop: Desk
  const size = 10 * kibibyte

  beforeAll(async () => {
    const uploads = {
      maxBytes: 100 * kibibyte,
      customerQuotaBytes: 5 * size,
      storageQuotaBytes: 12 * size,
    }
    small = await startTestApp({ business: { uploads } })
    shop = await openDesk(small)
  })
  afterAll(async () => {
    await small.close()
  })

  test('413 quota_exceeded: of twenty at once by one customer exactly five are kept', async () => {
    const { token } = await small.asCustomer('eve')
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => upload(small, pdfOfSize(size), { token })),
    )
    const kept = replies.filter(({ status }) => status === 201)
    const refused = replies.filter(({ status }) => status === 413)
    expect([kept.length, refused.length]).toEqual([5, 15])
    expect(new Set(refused.map(({ body }) => body.code))).toEqual(new Set(['quota_exceeded']))
    const entries = await readdir(path.join(small.documentsDirectory, 'kept'), { recursive: true })
    expect(entries.filter((name) => /\w{32}$/.test(name))).toHaveLength(5)
    // Room that was given back is room again.
    const [first] = kept
    await small.request(`DELETE /api/documents/${first?.body.key}`, { token })
    expect((await upload(small, pdfOfSize(size), { token })).status).toBe(201)
    expect((await upload(small, pdfOfSize(size), { token })).status).toBe(413)
  })

  test('507 storage_full: of twenty at once by many exactly what fits is kept', async () => {
    const manager = await small.as('manager')
    const { orderToken } = await order(shop)
    const senders = [{ token: manager }, { orderToken }]
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        upload(small, pdfOfSize(size), senders[index % 2] ?? {}),
      ),
    )
    // Five are there already; a guest has room for five, the staff for what is left of all.
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(7)
    const codes = new Set(replies.flatMap(({ body }) => body.code ?? []))
    expect([...codes].every((code) => ['storage_full', 'quota_exceeded'].includes(code))).toBe(true)
    expect(codes).toContain('storage_full')
    const [usage] = await small.sql(`select bytes::int, files from document_usage where id = 'all'`)
    expect(usage).toEqual({ bytes: 12 * size, files: 12 })
    // What is full is told before the next body is read.
    const { status, body } = await upload(small, pdf(), { token: manager })
    expect([status, body.code]).toEqual([507, 'storage_full'])
  })
})
