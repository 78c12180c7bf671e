import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** Looks for malware in files. */
export interface Scanner {
  /** Throws where the scanner cannot be reached, or does not answer in time. */
  scan(source: AsyncIterable<Uint8Array>): Promise<ScanVerdict>
  /** Throws where the scanner cannot be reached. */
  check(): Promise<void>
}

export type ScanVerdict =
  | { readonly outcome: 'clean' }
  /** `signature` is what the scanner calls what it found. */
  | { readonly outcome: 'infected'; readonly signature: string }
  /** The scanner works and will not judge this file, as where it is too large for it. */
  | { readonly outcome: 'refused'; readonly reason: string }

export interface ScannerOptions {
  /** `tcp://host:port` or `unix:///path`. */
  readonly url: string
  /** Without a byte taken or sent for so long, the scanner counts as down. */
  readonly idleMs?: number
  /** No scan takes longer. */
  readonly totalMs?: number
}

/** ClamAV's clamd, over its INSTREAM command (clamd(8)): nothing of its own disk is named. */
export function openScanner(options: ScannerOptions): Scanner {
  return {
    scan: async (source) =>
      await converse(options, async (socket, answer) => {
        // A scanner that has seen enough answers in the middle and closes: its word counts.
        const sent = sendStream(socket, source).catch((error: unknown) => {
          if (!socket.destroyed) throw error
        })
        await Promise.race([answer, sent])
        return readVerdict(await answer)
      }),
    check: async () => {
      const text = await converse(options, async (socket, answer) => {
        socket.write('zPING\0')
        return await answer
      })
      if (text !== 'PONG') throw new Error('the scanner does not answer as clamd')
    },
  }
}

const defaultIdleMs = 30_000
const defaultTotalMs = 10 * 60_000
/** An answer is one short line. */
const maxAnswerBytes = 4096
/** Far below what clamd takes at once. */
const maxChunkBytes = 64 * 1024

/** One connection for one command, ended by every way out. */
async function converse<T>(
  { url, idleMs = defaultIdleMs, totalMs = defaultTotalMs }: ScannerOptions,
  talk: (socket: Socket, answer: Promise<string>) => Promise<T>,
): Promise<T> {
  const socket = connectTo(url)
  const fail = (reason: string) => () => socket.destroy(new Error(`the scanner ${reason}`))
  const deadline = setTimeout(fail('takes too long'), totalMs)
  socket.setTimeout(idleMs, fail('does not answer'))
  try {
    const answer = readAnswer(socket)
    // Awaited below, after the connection: until then its failure is nobody's surprise.
    answer.catch(() => undefined)
    await once(socket, 'connect')
    return await talk(socket, answer)
  } finally {
    clearTimeout(deadline)
    socket.destroy()
  }
}

function connectTo(url: string): Socket {
  const { protocol, hostname, port, pathname } = new URL(url)
  return protocol === 'unix:'
    ? connect(decodeURIComponent(pathname))
    : connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || '3310') })
}

/** Everything up to the closing NUL, or to the end of the connection. */
async function readAnswer(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString('latin1')
    const end = text.indexOf('\0')
    if (end >= 0) return text.slice(0, end)
    if (text.length > maxAnswerBytes) throw new Error('the scanner answers at too great a length')
  }
  return text
}

/** Chunks with their length before each, and an empty one at the end. */
async function sendStream(socket: Socket, source: AsyncIterable<Uint8Array>): Promise<void> {
  socket.write('zINSTREAM\0')
  for await (const chunk of source) {
    for (let offset = 0; offset < chunk.length; offset += maxChunkBytes) {
      await sendChunk(socket, chunk.subarray(offset, offset + maxChunkBytes))
    }
  }
  await sendChunk(socket, Buffer.alloc(0))
}

async function sendChunk(socket: Socket, chunk: Uint8Array): Promise<void> {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(chunk.length)
  if (socket.destroyed || socket.writableEnded) throw new Error('the scanner hung up')
  socket.write(length)
  if (socket.write(chunk)) return
  // Whichever comes, the other is waited for no longer: a large file has hundreds of chunks.
  const over = new AbortController()
  const { signal } = over
  await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })])
  over.abort()
}

function readVerdict(answer: string): ScanVerdict {
  if (answer === 'stream: OK') return { outcome: 'clean' }
  const signature = /^stream: (.+) FOUND$/.exec(answer)?.[1]
  if (signature !== undefined) return { outcome: 'infected', signature }
  if (answer.endsWith('ERROR')) return { outcome: 'refused', reason: answer.slice(0, 200) }
  throw new Error('the scanner gave no answer')
}
