import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { createSecrets } from '../../src/platform/secrets.ts'
import { startTestApp, type Reply, type TestApp } from '../support/app.ts'
import { openDesk, order, uploaded, type Desk } from '../support/desk.ts'
import { eventually } from '../support/eventually.ts'
import { pdf, pdfOfSize } from '../support/sample-files.ts'
import { download, filesIn, upload } from '../support/upload.ts'
import { promise } from './promise.ts'

const maxBytes = 1024 * 1024
const uploads = { maxBytes, customerQuotaBytes: 1e9, storageQuotaBytes: undefined }
const hourMs = 3_600_000

let app: TestApp
let desk: Desk

beforeAll(async () => {
  app = await startTestApp({ business: { uploads } })
  desk = await openDesk(app)
})
afterAll(async () => {
  await app.close()
})

promise(83, 'uploads cut off at random bytes leave nothing', async (proof) => {
  const { token } = await app.asCustomer('cutter')
  const boundary = 'cut-off'
  const form = Buffer.concat([
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n` +
        'Content-Type: application/pdf\r\n\r\n',
    ),
    pdfOfSize(300_000).bytes,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  const rowsBefore = await countDocuments()
  const filesBefore = (await filesIn(app, 'kept')).length
  const cuts = Array.from({ length: 30 }, (_, at) =>
    // The first and the last bytes are where a form is most easily misread.
    at < 10 ? form.length - 1 - at : Math.floor(proof.random() * form.length),
  )
  await Promise.all(
    cuts.map(async (bytes, at) => {
      const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
      socket.on('error', () => undefined).resume()
      const length = at % 2 === 0 ? form.length : form.length + 1000
      const head =
        `POST /api/documents/upload HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n` +
        `Content-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: ${length}\r\n\r\n`
      await new Promise<void>((resolve) => {
        socket.on('close', () => resolve())
        const sent = Buffer.concat([Buffer.from(head), form.subarray(0, bytes)])
        if (at % 3 === 0) socket.write(sent, () => socket.resetAndDestroy())
        else socket.end(sent)
      })
    }),
  )
  await eventually(async () => {
    expect(await filesIn(app, 'incoming')).toEqual([])
    expect((await filesIn(app, 'kept')).length).toBe(filesBefore)
  })
  expect(await countDocuments()).toBe(rowsBefore)
  const list = await app.request('GET /api/documents', { token })
  expect(list.body.data).toEqual([])
  expect(await sweep()).toEqual({ removed: 0 })
  proof.measured(`${cuts.length} uploads cut off: 0 documents, 0 files, the sweep finds 0`)
})

promise(84, 'each download asks again who may', async (proof) => {
  const steps: string[] = []
  const step = async (name: string, expected: number, ask: () => Promise<number>) => {
    steps.push(name)
    expect([name, await ask()]).toEqual([name, expected])
  }
  const admin = await app.as('admin')
  const ada = await app.asCustomer('ada')
  const bob = await app.asCustomer('bob')
  const caseId = await openCase(ada.customerId)
  const { key } = await uploaded(app, { token: ada.token, fields: { caseId } })
  const read =
    (token: string, document = key) =>
    async () =>
      (await download(app, `/api/documents/${document}`, { authorization: `Bearer ${token}` }))
        .status

  await step('the owner', 200, read(ada.token))
  await step('another customer', 404, read(bob.token))
  await step('nobody', 401, async () => (await download(app, `/api/documents/${key}`)).status)
  await giveCase(caseId, bob.customerId)
  await step('the owner, after the case went to another', 404, read(ada.token))
  await step('the customer whose case it is now', 200, read(bob.token))

  const staffs = await uploaded(app, { token: admin, fields: { caseId, visibility: 'customer' } })
  await step('what staff share', 200, read(bob.token, staffs.key))
  await patch(staffs.key, { visibility: 'internal' })
  await step('what staff share no more', 404, read(bob.token, staffs.key))

  const agent = await newColleague()
  await step('a colleague', 200, read(agent.token))
  const changed = await app.request(`PATCH /api/users/${agent.id}`, {
    token: admin,
    body: { role: 'finance' },
  })
  expect(changed.status).toBe(200)
  await step('a colleague with another role', 401, read(agent.token))
  await step('a colleague of that role', 403, read(await app.as('finance')))

  await app.request('POST /api/auth/logout', { token: bob.token })
  await step('the customer after signing out', 401, read(bob.token))
  const deleted = await app.request(`DELETE /api/documents/${key}`, { token: admin })
  expect(deleted.status).toBe(204)
  await step('anybody after its deletion', 404, read(admin))
  proof.measured(`${steps.length} askings in turn: ${steps.length} right answers`)
})

promise(84, 'signed links expire and open what they were made for alone', async (proof) => {
  const { token } = await app.asCustomer('linker')
  const [first, second] = [await uploaded(app, { token }), await uploaded(app, { token })]
  const link = await linkTo(first.key, token, 3600)
  const other = await linkTo(second.key, token, 3600)
  expect((await follow(link)).status).toBe(200)
  const alterations = alterationsOf(link, other, { now: app.now(), key: first.key })
  for (const [what, address, expected] of alterations) {
    expect([what, (await follow(address)).status]).toEqual([what, expected])
  }
  let forged = 0
  await fc.assert(
    fc.asyncProperty(alteredSignature(link), async (address) => {
      forged += 1
      expect([address, (await follow(address)).status]).toEqual([address, 401])
    }),
    { seed: proof.seed, numRuns: 40 },
  )
  const { caseId } = await order(desk, 'linker')
  const fields = { caseId, visibility: 'customer' }
  const shared = await uploaded(app, { token: await app.as('admin'), fields })
  const before = await linkTo(shared.key, token, 3600)
  expect((await follow(before)).status).toBe(200)
  await patch(shared.key, { visibility: 'internal' })
  expect((await follow(before)).status, 'what is internal by now').toBe(401)
  app.advance(3_400_000)
  expect((await follow(link)).status).toBe(200)
  // The end of a link is a whole second, the next one.
  app.advance(201_000)
  expect((await follow(link)).status).toBe(401)
  proof.measured(
    `${alterations.length} altered links and ${forged} forged signatures 401 or 404; ` +
      '401 after the expiry',
  )
})

promise(85, 'the bytes come back, whole and in parts', async (proof) => {
  const token = async (): Promise<string> => (await app.asCustomer('keeper')).token
  const sizes = fc.oneof(
    fc.constantFrom(9, 10, 8191, 8192, 65_535, 65_536, 65_537, maxBytes - 1, maxBytes),
    fc.integer({ min: 9, max: 200_000 }),
  )
  let total = 0
  let parts = 0
  await fc.assert(
    fc.asyncProperty(
      sizes,
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 }),
      async (size, places) => {
        const bytes = Buffer.concat([Buffer.from('%PDF-1.7\n'), randomBytes(size - 9)])
        const sent = { ...pdf(), bytes }
        const document = await uploaded(app, { token: await token() }, sent)
        const sha256 = createHash('sha256').update(bytes).digest('hex')
        expect([document.size, document.sha256]).toEqual([size, sha256])
        const address = `/api/documents/${document.key}`
        const headers = { authorization: `Bearer ${await token()}` }
        const whole = await download(app, address, headers)
        expect([whole.status, whole.bytes.equals(bytes)]).toEqual([200, true])
        expect(whole.headers.get('etag')).toBe(`"${sha256}"`)
        const ranges = partsOf(size, places)
        const pieces = await Promise.all(
          ranges.map(async ([start, end]) => {
            const range = `bytes=${start}-${end}`
            const part = await download(app, address, { ...headers, range })
            expect(part.headers.get('content-range')).toBe(`bytes ${start}-${end}/${size}`)
            return part.bytes
          }),
        )
        expect(Buffer.concat(pieces).equals(bytes)).toBe(true)
        total += size
        parts += ranges.length
      },
    ),
    { seed: proof.seed, numRuns: 20 },
  )
  const nothing = await upload(app, { ...pdf(), bytes: Buffer.alloc(0) }, { token: await token() })
  const tooMuch = await upload(app, pdfOfSize(maxBytes + 1), { token: await token() })
  expect([nothing.status, tooMuch.status]).toEqual([400, 413])
  proof.measured(
    `20 files, ${Math.round(total / 1000)} KB, whole and in ${parts} parts: equal, with our sha256`,
  )
})

promise(85, 'what is deleted is gone, by every way to it', async (proof) => {
  const { token } = await app.asCustomer('deleter')
  const admin = await app.as('admin')
  const { caseId } = await order(desk, 'deleter')
  const keys: string[] = []
  const links: string[] = []
  for (let count = 0; count < 5; count += 1) {
    const { key } = await uploaded(app, { token, fields: { caseId } })
    keys.push(key)
    links.push(await linkTo(key, token, 600))
  }
  expect(await filesIn(app, 'kept')).toEqual(expect.arrayContaining(keys))
  for (const key of keys) {
    const { status } = await app.request(`DELETE /api/documents/${key}`, { token })
    expect(status).toBe(204)
  }
  const stored = await filesIn(app, 'kept')
  expect(keys.filter((key) => stored.includes(key))).toEqual([])
  for (const [index, key] of keys.entries()) {
    for (const reader of [token, admin]) {
      const headers = { authorization: `Bearer ${reader}` }
      expect((await download(app, `/api/documents/${key}`, headers)).status).toBe(404)
    }
    expect((await follow(links[index]!)).status).toBe(404)
    expect(
      (await app.request(`PATCH /api/documents/${key}`, { token: admin, body: { label: 'x' } }))
        .status,
    ).toBe(404)
  }
  const { body } = await app.request(`GET /api/documents?caseId=${caseId}`, { token: admin })
  expect(body.data).toEqual([])
  proof.measured(`${keys.length} deleted: 0 files, 0 in lists, 404 by token, staff and signed link`)
})

promise(86, 'quotas hold under uploads in parallel', async (proof) => {
  const [own, all] = [400_000, 1_000_000]
  const bounded = await startTestApp({
    business: { uploads: { maxBytes, customerQuotaBytes: own, storageQuotaBytes: all } },
  })
  try {
    const names = ['ada', 'bob', 'carol', 'dan']
    const tokens = await Promise.all(
      names.map(async (name) => (await bounded.asCustomer(name)).token),
    )
    // As many of each at once as one account may have on their way.
    const sizes = Array.from({ length: 64 }, () => 20_000 + Math.floor(proof.random() * 60_000))
    const replies = await Promise.all(
      sizes.map((size, at) => upload(bounded, pdfOfSize(size), { token: tokens[at % 4]! })),
    )
    const kept = replies.flatMap(({ status, body }, at) =>
      status === 201 ? [{ owner: at % 4, key: body.key, size: sizes[at]! }] : [],
    )
    expectRefusals(replies)
    const sums = names.map((_, owner) => sum(kept.filter((one) => one.owner === owner)))
    for (const bytes of sums) expect(bytes).toBeLessThanOrEqual(own)
    expect(sum(kept)).toBeLessThanOrEqual(all)
    // Not less than what would still have fitted: a quota that refuses everything holds, too.
    expect(sum(kept)).toBeGreaterThan(all - 80_000)
    expect((await filesIn(bounded, 'kept')).toSorted()).toEqual(
      kept.map(({ key }) => key).toSorted(),
    )
    const [usage] = await bounded.sql(`select bytes from document_usage where id = 'all'`)
    expect(Number(usage?.['bytes'])).toBe(sum(kept))

    const [freed] = kept
    await bounded.request(`DELETE /api/documents/${freed!.key}`, { token: tokens[freed!.owner]! })
    const again = await upload(bounded, pdfOfSize(freed!.size), { token: tokens[freed!.owner]! })
    expect(again.status).toBe(201)
    proof.measured(
      `64 uploads of 4 customers at once: ${kept.length} kept, ${Math.round(sum(kept) / 1000)} of ` +
        `${all / 1000} KB, none beyond ${own / 1000} KB of its own`,
    )
  } finally {
    await bounded.close()
  }
})

function expectRefusals(replies: readonly Reply[]): void {
  for (const { status, body } of replies) {
    const isFull = (status === 413 && body.code === 'quota_exceeded') || status === 507
    expect([status, status === 201 || isFull]).toEqual([status, true])
  }
}

function sum(files: readonly { readonly size: number }[]): number {
  return files.reduce((total, { size }) => total + size, 0)
}

async function countDocuments(): Promise<number> {
  const [row] = await app.sql('select count(*)::int as count from documents')
  return Number(row?.['count'])
}

/** The job, two hours later; how many files it took away. */
async function sweep(): Promise<{ removed: number }> {
  const before = [...(await filesIn(app, 'kept')), ...(await filesIn(app, 'incoming'))].length
  app.advance(2 * hourMs)
  await app.app.jobs
    .find(({ name }) => name === 'sweep-document-storage')
    ?.run(app.systemContext(), {})
  const after = [...(await filesIn(app, 'kept')), ...(await filesIn(app, 'incoming'))].length
  return { removed: before - after }
}

/** A case without an order, which may get another customer. */
async function openCase(customerId: string): Promise<string> {
  const { status, body } = await app.request('POST /api/crm', {
    token: await app.as('admin'),
    body: { subject: 'A question', description: 'About a company', kind: 'case', customerId },
  })
  expect(status, JSON.stringify(body)).toBe(201)
  return body.id
}

async function giveCase(caseId: string, customerId: string): Promise<void> {
  const { status, body } = await app.request(`PATCH /api/crm/${caseId}`, {
    token: await app.as('admin'),
    body: { customerId },
  })
  expect([status, body]).toEqual([200, expect.anything()])
}

async function patch(key: string, body: object): Promise<void> {
  const token = await app.as('admin')
  const { status } = await app.request(`PATCH /api/documents/${key}`, { token, body })
  expect(status).toBe(200)
}

/** One whose role may change without harm to other tests. */
async function newColleague(): Promise<{ id: string; token: string }> {
  const token = await app.as('agent')
  const { body } = await app.request('GET /api/auth/me', { token })
  return { id: body.id, token }
}

async function linkTo(key: string, token: string, expiresInSeconds: number): Promise<string> {
  const { status, body } = await app.request(`POST /api/documents/${key}/link`, {
    token,
    body: { expiresInSeconds },
  })
  expect(status, JSON.stringify(body)).toBe(200)
  const { pathname, search } = new URL(body.url)
  return pathname + search
}

async function follow(address: string): Promise<{ status: number }> {
  return await download(app, address)
}

/** What somebody who has a link may try, and what becomes of it. */
function alterationsOf(
  link: string,
  other: string,
  { now, key }: { now: Date; key: string },
): [what: string, address: string, status: number][] {
  const [path = '', query = ''] = link.split('?')
  const [otherPath = '', otherQuery = ''] = other.split('?')
  const { expires = '', signature = '' } = Object.fromEntries(new URLSearchParams(query))
  const later = Math.ceil(now.getTime() / 1000) + 7 * 24 * 3600
  const forger = createSecrets('another key, of the same length and the same worth as ours')
  const document = Object.fromEntries(new URLSearchParams(otherQuery))
  return [
    ['another document', `${otherPath}?${query}`, 401],
    [
      'the signature of another',
      `${path}?expires=${expires}&signature=${document['signature']}`,
      401,
    ],
    ['a document that is not there', `${path.slice(0, -4)}0000?${query}`, 404],
    ['a later expiry', `${path}?expires=${later}&signature=${signature}`, 401],
    ['one second more', `${path}?expires=${Number(expires) + 1}&signature=${signature}`, 401],
    ['no expiry', `${path}?signature=${signature}`, 401],
    ['no signature', `${path}?expires=${expires}`, 401],
    ['an empty signature', `${path}?expires=${expires}&signature=`, 401],
    ['no query', path, 401],
    ['an expiry twice', `${path}?${query}&expires=${later}`, 400],
    ['a signature twice', `${path}?${query}&signature=x`, 400],
    ['something more', `${path}?${query}&download=1`, 400],
    ['an expiry of no number', `${path}?expires=${expires}x&signature=${signature}`, 400],
    [
      'a signature by another key',
      `${path}?expires=${later}&signature=${forger.sign('signed-link', `${key}:${later}`)}`,
      401,
    ],
  ]
}

function alteredSignature(link: string): fc.Arbitrary<string> {
  const [path = '', query = ''] = link.split('?')
  const { expires = '', signature = '' } = Object.fromEntries(new URLSearchParams(query))
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const flipped = fc
    .tuple(fc.nat(signature.length - 1), fc.constantFrom(...alphabet.split('')))
    .map(([at, letter]) => signature.slice(0, at) + letter + signature.slice(at + 1))
  const cut = fc.nat(signature.length - 1).map((length) => signature.slice(0, length))
  return fc
    .oneof(flipped, cut, fc.string({ maxLength: 100 }))
    .filter((forged) => forged !== signature)
    .map((forged) => `${path}?${new URLSearchParams({ expires, signature: forged }).toString()}`)
}

/** The file cut at these places: first and last byte of each part. */
function partsOf(size: number, places: readonly number[]): [start: number, end: number][] {
  const cuts = [...new Set(places.map((place) => Math.floor(place * (size - 1)) + 1))]
    .filter((cut) => cut > 0 && cut < size)
    .toSorted((one, other) => one - other)
  return [0, ...cuts].map((start, at) => [start, (cuts[at] ?? size) - 1])
}
