import { connect, createServer, type Socket } from 'node:net'

/** A way to a database that can fail like a network: for what must notice that it is cut off. */
export interface Wire {
  /** The database's address by way of the wire. */
  readonly url: string
  /** Ends every connection and refuses new ones. */
  cut(): void
  /** Takes everything and hands nothing on, without a word to either end. */
  swallow(): void
  mend(): void
  /** How many connections are held. */
  count(): number
  close(): Promise<void>
}

type State = 'whole' | 'cut' | 'swallowing'

export async function openWire(databaseUrl: string): Promise<Wire> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let state: State = 'whole'
  const server = createServer((near) => {
    if (state === 'cut') {
      near.destroy()
      return
    }
    const far = connect(targetOf(databaseUrl))
    const pair = [near, far] as const
    pairs.add(pair)
    const end = (): void => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('data', (bytes) => void (state === 'whole' && to.write(bytes)))
      from.on('close', end)
      from.on('error', end)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endAll = (): void => pairs.forEach(([near]) => near.destroy())
  return {
    url: throughPort(databaseUrl, (server.address() as { port: number }).port),
    cut: () => {
      state = 'cut'
      endAll()
    },
    swallow: () => void (state = 'swallowing'),
    mend: () => {
      state = 'whole'
      // What was swallowed is gone: the two ends would misunderstand each other from here on.
      endAll()
    },
    count: () => pairs.size,
    close: async () => {
      endAll()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Sends the text as it is, and reads until the server closes. */
export async function sendRaw({ url }: { readonly url: string }, text: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let answer = ''
    socket.on('data', (bytes) => (answer += bytes.toString()))
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
    socket.write(text)
  })
}

/** Over TCP, or by the socket that PostgreSQL has in a folder. */
function targetOf(databaseUrl: string): { path: string } | { host: string; port: number } {
  const { hostname, port, searchParams } = new URL(databaseUrl)
  const folder = searchParams.get('host')
  if (folder?.startsWith('/'))
    return { path: `${folder}/.s.PGSQL.${searchParams.get('port') ?? port}` }
  return { host: hostname, port: Number(port || 5432) }
}

function throughPort(databaseUrl: string, port: number): string {
  const url = new URL(databaseUrl)
  url.searchParams.delete('host')
  url.searchParams.delete('port')
  url.hostname = '127.0.0.1'
  url.port = String(port)
  return url.toString()
}
