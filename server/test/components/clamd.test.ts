import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../support/process.ts'
import { expectReply, request, signInAdmin, type Reply } from '../support/client.ts'
import {
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../support/fresh-database.ts'
import { publishService } from '../support/journey.ts'
import { scannerUrl, startScanner, type Scanner } from './scanner.ts'

/** In parts, so that no scanner eats this file. */
const eicar = [
  'X5O!P%@AP[4\\PZX54(P^)7CC)7}$',
  'EICAR-STANDARD-',
  'ANTIVIRUS-TEST-FILE!$H+H*',
].join('')

describe("Debian's clamd", () => {
  let database: FreshDatabase
  let dataDir: string
  let bureau: Running
  let scanner: Scanner | undefined
  let staff: string
  let customer: string
  let orderId: string

  beforeAll(async () => {
    database = await makeFreshDatabase()
    dataDir = await makeFolder()
    scanner = await startScanner()
    bureau = await startBureau({ ...settingsOf(database, dataDir), CLAMD_URL: scannerUrl })
    staff = await signInAdmin(bureau.url)
    const registered = await expectReply(201, bureau.url, 'POST /api/auth/register', {
      body: { email: 'ada@example.com', password: 'engines weave algebra', name: 'Ada Lovelace' },
    })
    customer = registered.accessToken
    const serviceId = await publishService(bureau.url, staff)
    const order = await expectReply(201, bureau.url, 'POST /api/orders', {
      token: customer,
      body: { items: [{ serviceId, quantity: 1 }] },
    })
    orderId = order.id
  }, startTimeoutMs)
  afterAll(async () => {
    await scanner?.stop()
    await cleanUp()
    await database.drop()
  }, startTimeoutMs)

  test('clean: quarantined first, then uploaded and there to be read', async () => {
    const key = await upload('clean.txt', 'Nothing but a note.')
    expect(await settled(key)).toMatchObject({ status: 'uploaded', reason: null })
    const { status, body } = await read(key)
    expect([status, body]).toEqual([200, 'Nothing but a note.'])
  })

  test('infected: rejected as malware, and its bytes are gone', async () => {
    const key = await upload('infected.txt', eicar)
    expect(await settled(key)).toMatchObject({ status: 'rejected', reason: 'malware' })
    expect((await read(key)).status).toBeGreaterThanOrEqual(400)
    await eventually(async () => expect(await filesHolding(eicar)).toEqual([]))
  })

  test(
    'stopped: what comes stays quarantined and closed to all, until it scans again',
    async () => {
      await scanner?.stop()
      scanner = undefined
      const key = await upload('waiting.txt', 'A note that waits.')
      // The scan has been tried and has failed; what it could not judge is not let through.
      await eventually(() => expect(bureau.output()).toContain('document not scanned'))
      expect(await find(key)).toMatchObject({ status: 'quarantined' })
      for (const token of [customer, staff]) {
        const { status, body } = await read(key, token)
        expect([status, body.code]).toEqual([409, 'document_quarantined'])
      }

      scanner = await startScanner()
      await makeScansDue()
      expect(await settled(key)).toMatchObject({ status: 'uploaded' })
      expect(await read(key)).toEqual({ status: 200, body: 'A note that waits.' })
    },
    startTimeoutMs,
  )

  async function upload(name: string, text: string): Promise<string> {
    const form = new FormData()
    form.set('orderId', orderId)
    form.set('file', new File([text], name, { type: 'text/plain' }))
    const document = await expectReply(201, bureau.url, 'POST /api/documents/upload', {
      token: customer,
      body: form,
    })
    expect(document).toMatchObject({ filename: name, status: 'quarantined' })
    return document.key
  }

  function read(key: string, token = customer): Promise<Reply> {
    return request(bureau.url, `GET /api/documents/${key}`, { token })
  }

  async function find(key: string): Promise<Reply['body']> {
    const { data } = await expectReply(200, bureau.url, 'GET /api/documents', { token: customer })
    return data.find((document: { key: string }) => document.key === key)
  }

  /** What is tried again in a minute, and by a job of each minute, shall not keep us waiting. */
  async function makeScansDue(): Promise<void> {
    const due = 'update documents set scan_due_at = created_at where scan_due_at is not null'
    await query(database.superuserUrl, due)
    const job = "select graphile_worker.add_job('scan-quarantined-documents')"
    await query(database.superuserUrl, job)
  }

  /** Once it is out of quarantine. */
  async function settled(key: string): Promise<Reply['body']> {
    return await eventually(async () => {
      const document = await find(key)
      expect(document.status).not.toBe('quarantined')
      return document
    })
  }

  async function filesHolding(text: string): Promise<string[]> {
    const entries = await readdir(dataDir, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile())
    const holding = await Promise.all(
      files.map(async ({ parentPath, name }) => {
        const file = path.join(parentPath, name)
        const bytes = await readFile(file).catch(() => Buffer.alloc(0))
        return bytes.includes(text) ? [file] : []
      }),
    )
    return holding.flat()
  }
})
