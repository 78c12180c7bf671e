import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect } from 'vitest'
import { request, signInAdmin } from '../../support/client.ts'
import { cloneDatabase, type TestDatabase } from '../../support/database.ts'
import { eventually } from '../../support/eventually.ts'
import { settingsOf } from '../../support/fresh-database.ts'
import { buyAsGuest, publishService } from '../../support/journey.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import { pdfOfSize } from '../../support/sample-files.ts'
import { promise } from '../promise.ts'

const mebibyte = 1024 * 1024
/** Above the room that Bureau never touches, so that a file can be begun. */
const diskMiB = 200
const namespaces = process.geteuid?.() === 0 ? [] : ['--user', '--map-root-user']
const boundary = 'the-edge-of-a-part'

let database: TestDatabase
let bureau: Running
/** Bureau's own disk, seen from outside the namespace that it is mounted in. */
let disk: string

beforeAll(async () => {
  database = await cloneDatabase()
  const dataDir = await makeFolder()
  // In namespaces of its own nobody needs a right to mount a small disk in memory; root has it,
  // and would lose the way to the database of another account there.
  const mount = `mount -t tmpfs -o size=${diskMiB}m tmpfs ${dataDir} && exec "$@"`
  bureau = await startBureau(
    { ...settingsOf(database, dataDir), PAYMENTS: 'sandbox' },
    { within: ['unshare', ...namespaces, '--mount', 'sh', '-c', mount, 'sh'] },
  )
  disk = `/proc/${bureau.child.pid}/root${dataDir}`
}, startTimeoutMs)
afterAll(async () => {
  await cleanUp()
  await database.drop()
}, startTimeoutMs)

promise(
  36,
  'a disk that fills while a file comes in is 507, and nothing of it stays',
  async (proof) => {
    const token = await signInAdmin(bureau.url)
    const serviceId = await publishService(bureau.url, token)
    const small = pdfOfSize(20_000).bytes
    expect((await send(small, token)).status).toBe(201)
    expect(await listFiles()).toHaveLength(1)

    const large = pdfOfSize(8 * mebibyte).bytes
    const half = large.subarray(0, 4 * mebibyte)
    const { upload, answered } = begin(large.length, token)
    upload.write(half)
    await eventually(async () => expect(await sizeOfIncoming()).toBeGreaterThan(mebibyte))
    await fillDisk()
    upload.write(large.subarray(half.length))
    upload.end(tail)
    const refused = await answered
    const problem = JSON.parse(await text(refused)) as { code: string }
    expect([refused.statusCode, problem.code]).toEqual([507, 'storage_full'])
    const next = await send(small, token)
    expect([next.status, next.body.code]).toEqual([507, 'storage_full'])
    expect(await listFiles()).toHaveLength(1)

    const health = await request(bureau.url, 'GET /api/system/health', { token })
    expect([health.status, health.body.status]).toEqual([503, 'fail'])
    const { order } = await buyAsGuest(bureau.url, serviceId, 'grace')
    expect(order.paymentStatus).toBe('paid')

    await rm(path.join(disk, 'filler'))
    await eventually(async () => expect((await send(small, token)).status).toBe(201))
    expect(await listFiles()).toHaveLength(2)
    expect(bureau.child.exitCode).toBe(null)
    proof.measured(
      `a disk of ${diskMiB} MiB filled at ${half.length} of ${large.length} bytes: 507`,
    )
    proof.measured('0 files left over, orders go on, uploads again once there is room')
  },
)

const head = [
  `--${boundary}`,
  'Content-Disposition: form-data; name="file"; filename="a.pdf"',
  'Content-Type: application/pdf',
  '\r\n',
].join('\r\n')
const tail = `\r\n--${boundary}--\r\n`

interface BegunUpload {
  readonly upload: ClientRequest
  readonly answered: Promise<IncomingMessage>
}

/** A form up to its file, which the test writes as slowly as it likes. */
function begin(fileLength: number, token: string): BegunUpload {
  const upload = httpRequest(`${bureau.url}/api/documents/upload`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': head.length + fileLength + tail.length,
    },
  })
  const answered = once(upload, 'response').then(([response]) => response as IncomingMessage)
  // Whoever was refused may be hung up on while it still writes.
  upload.on('error', () => undefined)
  upload.write(head)
  return { upload, answered }
}

async function send(bytes: Buffer, token: string) {
  const body = new FormData()
  body.append('file', new Blob([new Uint8Array(bytes)], { type: 'application/pdf' }), 'a.pdf')
  return await request(bureau.url, 'POST /api/documents/upload', { token, body })
}

async function fillDisk(): Promise<void> {
  const filler = createWriteStream(path.join(disk, 'filler'))
  const full = once(filler, 'error')
  const piece = Buffer.alloc(mebibyte)
  for (let written = 0; written <= diskMiB; written += 1) filler.write(piece)
  const [error] = await full
  expect(error).toMatchObject({ code: 'ENOSPC' })
}

async function listFiles(): Promise<string[]> {
  const entries = await readdir(path.join(disk, 'documents'), {
    recursive: true,
    withFileTypes: true,
  })
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
}

async function sizeOfIncoming(): Promise<number> {
  const folder = path.join(disk, 'documents/incoming')
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (name) => (await stat(path.join(folder, name))).size),
  )
  return Math.max(0, ...sizes)
}
