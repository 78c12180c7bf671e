import { connect } from 'node:net'

/** What came back over a socket whose every byte the test wrote itself. */
export interface RawReply {
  /** 0 where nothing came that begins like a reply. */
  readonly status: number
  /** Names in lower case; of repeated ones the last. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** All of it, for whoever looks for a second reply. */
  readonly text: string
  readonly tookMs: number
  /** Whether the server ended the connection, and not the patience of the test. */
  readonly wasClosed: boolean
}

/** Writes the bytes and reads until the server closes, or until the time is up. */
export async function sendRaw(
  url: string,
  bytes: string | Uint8Array,
  { withinMs = 10_000 }: { withinMs?: number } = {},
): Promise<RawReply> {
  const startedAt = performance.now()
  const { port, hostname } = new URL(url)
  const chunks: Buffer[] = []
  const wasClosed = await new Promise<boolean>((resolve) => {
    const socket = connect({ port: Number(port), host: hostname })
    const patience = setTimeout(() => {
      socket.destroy()
      resolve(false)
    }, withinMs)
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    // A server that hangs up on bytes it does not want resets the connection: what it said counts.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(patience)
      resolve(true)
    })
    socket.write(bytes)
  })
  const text = Buffer.concat(chunks).toString()
  return { ...readReply(text), text, tookMs: performance.now() - startedAt, wasClosed }
}

function readReply(text: string): Pick<RawReply, 'status' | 'headers' | 'body'> {
  const final = text.replace(/^(HTTP\/1\.1 1\d\d [^\r]*\r\n\r\n)+/, '')
  const endOfHead = final.indexOf('\r\n\r\n')
  const [first = '', ...lines] = final.slice(0, Math.max(0, endOfHead)).split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  const [, status = '0'] = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first) ?? []
  return { status: Number(status), headers, body: final.slice(endOfHead + 4) }
}
