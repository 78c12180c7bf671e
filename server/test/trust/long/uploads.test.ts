import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, utimes } from 'node:fs/promises'
import { connect } from 'node:net'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, expect } from 'vitest'
import { signInAdmin } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import {
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../../support/fresh-database.ts'
import { bombs, floods } from '../../support/hostile-files.ts'
import { watchMemory } from '../../support/process-memory.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import { pdfOfSize, type SampleFile } from '../../support/sample-files.ts'
import { promise, type Proof } from '../promise.ts'

const megabyte = 1_000_000
const slow = { timeoutMs: 300_000 }

let database: FreshDatabase
let dataDir: string

beforeEach(async () => {
  database = await makeFreshDatabase()
  dataDir = await makeFolder()
}, startTimeoutMs)
afterEach(async () => {
  await cleanUp()
  await database.drop()
}, startTimeoutMs)
afterAll(cleanUp)

async function start(): Promise<{ bureau: Running; token: string }> {
  const bureau = await startBureau(settingsOf(database, dataDir))
  return { bureau, token: await signInAdmin(bureau.url) }
}

promise(
  86,
  '60 MB into a cold process: refused as it streams, and no larger for it',
  async (proof) => {
    const { bureau, token } = await start()
    const memory = watchMemory(bureau.child)
    const costs: number[] = []
    let sent = 0
    // The first into a cold process, and those after it; in pieces of any size.
    for (const pieceBytes of [65_536, 10_000, 1_000_000]) {
      memory.forgetPeak()
      const before = memory.resident()
      const reply = await sendForm(bureau, { token, bytes: 60 * megabyte, pieceBytes })
      costs.push((memory.peak() - before) / megabyte)
      expect(Math.max(...costs)).toBeLessThan(20)
      expect([pieceBytes, reply.status]).toEqual([pieceBytes, 413])
      sent = Math.max(sent, reply.sent)
    }
    // 25 MiB are taken, and what the two ends of the connection hold back.
    expect(sent).toBeLessThan(50 * megabyte)
    const announced = await sendForm(bureau, { token, bytes: 60 * megabyte, isAnnounced: true })
    expect(announced.status).toBe(413)
    expect(announced.sent).toBeLessThan(12 * megabyte)
    expect(await filesUnder('documents')).toEqual([])
    const round = (bytes: number): string => (bytes / megabyte).toFixed(0)
    proof.measured(
      `60 MB in chunks: 413 after ${round(sent)} MB at most, resident memory + ` +
        `${costs.map((cost) => cost.toFixed(1)).join(', ')} MB; announced: 413 after ${round(announced.sent)} MB`,
    )
  },
  slow,
)

promise(
  81,
  'bombs and floods leave a process as large as it was',
  async (proof) => {
    const { bureau, token } = await start()
    const memory = watchMemory(bureau.child)
    const files = [...bombs(), ...floods()]
    const sendAll = async (): Promise<number> => {
      let slowestMs = 0
      for (const file of files) {
        const startedAt = performance.now()
        expect([201, 415]).toContain((await upload(bureau, token, file)).status)
        slowestMs = Math.max(slowestMs, performance.now() - startedAt)
      }
      return slowestMs
    }
    // Once, so that what the process loads and compiles for it is there.
    await sendAll()
    memory.forgetPeak()
    const before = memory.resident()
    let slowestMs = 0
    for (let round = 0; round < 5; round += 1) slowestMs = Math.max(slowestMs, await sendAll())
    const grownBy = (memory.peak() - before) / megabyte
    expect(grownBy).toBeLessThan(32)
    expect(slowestMs).toBeLessThan(2000)
    proof.measured(
      `${files.length} files, 5 times: resident memory + ${grownBy.toFixed(1)} MB at its peak, ` +
        `slowest ${Math.ceil(slowestMs)} ms`,
    )
  },
  slow,
)

promise(
  83,
  'kill -9 in the middle of uploads: what was acknowledged is whole, the rest is gone',
  async (proof) => {
    const rounds = 6
    const acknowledged = new Map<string, string>()
    let begun = 0
    for (let round = 0; round < rounds; round += 1) {
      const { bureau, token } = await start()
      const killAfter = 1 + Math.floor(proof.random() * 12)
      const answered = { count: 0 }
      const senders = Array.from({ length: 4 }, () =>
        uploadUntilDead(bureau, token, { acknowledged, answered, proof }),
      )
      // By chance after so many answers, with others half way.
      await eventually(() => expect(answered.count).toBeGreaterThanOrEqual(killAfter), {
        withinMs: 60_000,
      })
      bureau.child.kill('SIGKILL')
      await bureau.ended
      begun += (await Promise.all(senders)).reduce((sum, count) => sum + count, 0)
    }
    const { bureau, token } = await start()
    const rows = await query<{ key: string; sha256: string }>(
      database.superuserUrl,
      'select key, sha256 from documents',
    )
    const known = new Map(rows.map(({ key, sha256 }) => [key, sha256]))
    expect([...acknowledged.keys()].filter((key) => !known.has(key))).toEqual([])
    // Every row, told or not, is a whole document.
    for (const [key, sha256] of known) {
      const reply = await fetch(`${bureau.url}/api/documents/${key}`, {
        headers: { authorization: `Bearer ${token}` },
      })
      const bytes = Buffer.from(await reply.arrayBuffer())
      expect([key, reply.status, digest(bytes)]).toEqual([key, 200, sha256])
    }
    for (const [key, sha256] of acknowledged) expect(known.get(key)).toBe(sha256)
    const left = await sweep()
    expect((await filesUnder('documents')).map((file) => path.basename(file)).toSorted()).toEqual(
      [...known.keys()].toSorted(),
    )
    proof.measured(
      `${rounds} times kill -9, ${begun} uploads begun, ${acknowledged.size} acknowledged: all whole, ` +
        `${left} leavings swept, then 0; ${known.size} rows and ${known.size} files`,
    )
  },
  slow,
)

interface Sending {
  readonly acknowledged: Map<string, string>
  readonly answered: { count: number }
  readonly proof: Proof
}

/** One upload after the other until the process is gone; how many were begun. */
async function uploadUntilDead(
  bureau: Running,
  token: string,
  { acknowledged, answered, proof }: Sending,
): Promise<number> {
  for (let begun = 1; ; begun += 1) {
    const size = 1000 + Math.floor(proof.random() * 3 * megabyte)
    const file = pdfOfSize(size)
    randomBytes(16)
      .toString('hex')
      .split('')
      .forEach((letter, at) => file.bytes.write(letter, 20 + at))
    const reply = await upload(bureau, token, file).catch(() => undefined)
    if (!reply) return begun
    expect(reply.status).toBe(201)
    acknowledged.set(reply.key, digest(file.bytes))
    answered.count += 1
  }
}

/** The job, as the process runs it, with all leavings as old as they have to be; how many went. */
async function sweep(): Promise<number> {
  const before = await filesUnder('documents')
  const old = new Date(Date.now() - 3 * 3_600_000)
  for (const file of before) await utimes(file, old, old)
  await query(database.ownerUrl, `select graphile_worker.add_job('sweep-document-storage')`)
  await eventually(
    async () => {
      const [row] = await query<{ left: number }>(
        database.superuserUrl,
        'select count(*)::int as left from graphile_worker.jobs',
      )
      expect(row?.left).toBe(0)
    },
    { withinMs: 60_000 },
  )
  return before.length - (await filesUnder('documents')).length
}

async function filesUnder(folder: string): Promise<string[]> {
  const place = path.join(dataDir, folder)
  const entries = await readdir(place, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function upload(
  { url }: Running,
  token: string,
  { name, type, bytes }: SampleFile,
): Promise<{ status: number; key: string }> {
  const form = new FormData()
  form.append('file', new Blob([new Uint8Array(bytes)], { type }), name)
  const reply = await fetch(`${url}/api/documents/upload`, {
    method: 'POST',
    body: form,
    headers: { authorization: `Bearer ${token}` },
  })
  const { key = '' } = (await reply.json()) as { key?: string }
  return { status: reply.status, key }
}

interface Form {
  readonly token: string
  readonly bytes: number
  readonly pieceBytes?: number
  /** With its length in advance, instead of in chunks without an end. */
  readonly isAnnounced?: boolean
}

/**
 * A client that still writes when the other end hangs up may lose the answer that came before: it
 * asks once more, as any client does.
 */
async function sendForm(bureau: Running, form: Form): Promise<{ status: number; sent: number }> {
  const reply = await tryForm(bureau, form)
  return reply.status === 0 ? await tryForm(bureau, form) : reply
}

/** Writes a form for as long as anybody reads it; the status, and the bytes that went out. */
async function tryForm(
  { url }: Running,
  { token, bytes, pieceBytes = 65_536, isAnnounced = false }: Form,
): Promise<{ status: number; sent: number }> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const closed = once(socket, 'close').catch(() => undefined)
  let answer = ''
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
  const send = async (part: Buffer): Promise<void> => {
    const ends = isAnnounced
      ? [Buffer.alloc(0), Buffer.alloc(0)]
      : [Buffer.from(`${part.length.toString(16)}\r\n`), Buffer.from('\r\n')]
    const isTaken = socket.write(Buffer.concat([ends[0]!, part, ends[1]!]))
    if (!isTaken) await Promise.race([once(socket, 'drain').catch(() => undefined), closed])
    // What the kernel takes at once lets nobody else have a turn, and the answer is to be read.
    await nextTurn()
  }
  const length = isAnnounced ? `Content-Length: ${bytes}` : 'Transfer-Encoding: chunked'
  socket.write(
    `POST /api/documents/upload HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n` +
      `Content-Type: multipart/form-data; boundary=b\r\n${length}\r\n\r\n`,
  )
  await send(
    Buffer.from(
      '--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n' +
        'Content-Type: application/pdf\r\n\r\n%PDF-1.7\n',
    ),
  )
  const piece = Buffer.alloc(pieceBytes, 'x')
  for (let left = bytes; left > 0 && !socket.destroyed; left -= piece.length) await send(piece)
  await closed
  return { status: Number(answer.slice(9, 12)), sent: socket.bytesWritten }
}
