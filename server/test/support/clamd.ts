import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { eicar } from './hostile-files.ts'

/** How the stand-in behaves: as clamd does, or as clamd does on a bad day. */
export type ClamdMood = 'well' | 'mute' | 'hangs up' | 'refuses' | 'babbles'

/** A stand-in for clamd that knows two signatures: the word `malware`, and the file of EICAR. */
export interface Clamd {
  readonly url: string
  /** What it was sent, whole files. */
  readonly scanned: readonly Buffer[]
  mood: ClamdMood
  close(): Promise<void>
}

export async function startClamd(listenOn: number | string = 0): Promise<Clamd> {
  const scanned: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    let received = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (clamd.mood === 'hangs up') socket.destroy()
      if (clamd.mood === 'mute' || socket.destroyed) return
      if (received.toString('latin1') === 'zPING\0') socket.end('PONG\0')
      const file = readFile(received)
      if (file) socket.end(answerFor(file, clamd.mood))
      if (file) scanned.push(file)
    })
  })
  server.listen(listenOn)
  await once(server, 'listening')
  const address = server.address()
  const clamd: Clamd = {
    url:
      typeof address === 'object' && address !== null
        ? `tcp://127.0.0.1:${address.port}`
        : `unix://${String(address)}`,
    scanned,
    mood: 'well',
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      if (server.listening) await once(server, 'close')
    },
  }
  return clamd
}

/** The bytes of an INSTREAM command that has come to its end. */
function readFile(received: Buffer): Buffer | undefined {
  const command = 'zINSTREAM\0'
  if (!received.subarray(0, command.length).equals(Buffer.from(command))) return undefined
  const chunks: Buffer[] = []
  let at = command.length
  while (at + 4 <= received.length) {
    const length = received.readUInt32BE(at)
    if (length === 0) return Buffer.concat(chunks)
    if (at + 4 + length > received.length) return undefined
    chunks.push(received.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return undefined
}

function answerFor(file: Buffer, mood: ClamdMood): string {
  if (mood === 'refuses') return 'INSTREAM size limit exceeded. ERROR\0'
  if (mood === 'babbles') return 'x'.repeat(10_000)
  if (file.includes('malware')) return 'stream: Test.Malware FOUND\0'
  return file.includes(eicar().bytes) ? 'stream: Eicar-Test-Signature FOUND\0' : 'stream: OK\0'
}
