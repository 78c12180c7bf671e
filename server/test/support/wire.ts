import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

/** A way to anything that speaks TCP which can fail like a network, or like what it leads to. */
export interface Wire {
  /** The target's address by way of the wire. */
  readonly url: string
  /** Ends every connection and refuses new ones. */
  cut(): void
  /** Breaks every connection with a reset; new ones are good. */
  reset(): void
  /** Nobody listens any more: what is there is reset, what is new is refused by the machine. */
  down(): void
  /** Takes everything and hands nothing on, without a word to either end. It is lost. */
  swallow(): void
  /** Hands nothing on until it is mended, as while packets are lost: then all of it arrives. */
  hold(): void
  /** What is there stays open to the near end and is dead; new connections are good. */
  strand(): void
  /** Hands on what comes so much later, each way. */
  slow(delayMs: number): void
  /** Breaks the first connection that meets the place; resolves once it has. */
  breakAt(place: BreakingPlace): Promise<void>
  /** Everything is handed on again; only what was stranded stays dead. */
  mend(): void
  /** How many connections are held. */
  count(): number
  close(): Promise<void>
}

/** Where in the bytes of one connection it breaks. */
export interface BreakingPlace {
  /** Bytes of the near end, the client, or of the far one. */
  readonly of: 'near' | 'far'
  /** After so many bytes since the connection was made, or where these bytes stand. */
  readonly at: number | string
  /** The so manieth time that they come, counted over all connections; the first when absent. */
  readonly nth?: number
  /**
   * `lost`: these bytes do not arrive; of a number, none that follows does. `heard`: they arrive,
   * and the wire breaks when the other end has answered, of which nothing comes back.
   */
  readonly fate: 'lost' | 'heard'
}

type State = 'whole' | 'cut' | 'down' | 'swallowing' | 'holding'
type End = 'near' | 'far'

/** What the wire does at the moment, to all that it holds. */
interface Line {
  state: State
  delayMs: number
  /** What is to break next, if anything is. */
  awaited: { readonly place: BreakingPlace; readonly tell: () => void; met: number } | undefined
  readonly pairs: Set<Pair>
}

interface Pair {
  readonly near: Socket
  readonly far: Socket
  isStranded: boolean
  /** The next word of this end is the sign that what the other said was heard. */
  breaksAtWordOf: End | undefined
}

/** `targetUrl` is an address with a port, or one of PostgreSQL. */
export async function openWire(targetUrl: string): Promise<Wire> {
  const line: Line = { state: 'whole', delayMs: 0, awaited: undefined, pairs: new Set() }
  const server = createServer((near) => {
    if (line.state === 'cut') near.destroy()
    else join(line, near, connect(targetOf(targetUrl)))
  })
  const port = await listen(server, 0)
  const each = (change: (pair: Pair) => void): void => [...line.pairs].forEach(change)
  const endAll = (): void => each(({ near }) => near.destroy())
  return {
    url: throughPort(targetUrl, port),
    cut: () => {
      line.state = 'cut'
      endAll()
    },
    reset: () => each(({ near }) => near.resetAndDestroy()),
    down: () => {
      line.state = 'down'
      server.close()
      each(({ near }) => near.resetAndDestroy())
    },
    swallow: () => void (line.state = 'swallowing'),
    hold: () => {
      line.state = 'holding'
      each(pause)
    },
    strand: () => each(strand),
    slow: (delayMs) => void (line.delayMs = delayMs),
    breakAt: (place) => new Promise((tell) => (line.awaited = { place, tell, met: 0 })),
    mend: () => {
      const before = line.state
      Object.assign(line, { state: 'whole', delayMs: 0, awaited: undefined })
      if (before === 'down') server.listen(port, host)
      // What was swallowed is gone: the two ends would misunderstand each other from here on.
      if (before === 'swallowing') endAll()
      each(resume)
    },
    count: () => line.pairs.size,
    close: async () => {
      endAll()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const host = '127.0.0.1'

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  return (server.address() as { port: number }).port
}

function pause({ near, far }: Pair): void {
  near.pause()
  far.pause()
}

function resume({ near, far }: Pair): void {
  near.resume()
  far.resume()
}

function strand(pair: Pair): void {
  pair.isStranded = true
  pair.far.destroy()
}

function join(line: Line, near: Socket, far: Socket): void {
  const pair: Pair = { near, far, isStranded: false, breaksAtWordOf: undefined }
  line.pairs.add(pair)
  const end = (): void => {
    line.pairs.delete(pair)
    near.destroy()
    far.destroy()
  }
  handOn(line, pair, { name: 'near', from: near, to: far, end })
  handOn(line, pair, { name: 'far', from: far, to: near, end })
  // The near end of a stranded pair hears nothing, not even of the far one's end.
  const endUnlessStranded = (): void => void (pair.isStranded || end())
  near.on('close', end).on('error', end)
  far.on('close', endUnlessStranded).on('error', endUnlessStranded)
  if (line.state === 'holding') pause(pair)
}

interface Way {
  readonly name: End
  readonly from: Socket
  readonly to: Socket
  readonly end: () => void
}

function handOn(line: Line, pair: Pair, { name, from, to, end }: Way): void {
  const send = createSender(line, to)
  const find = createFinder()
  from.on('data', (bytes: Buffer) => {
    if (line.state === 'swallowing' || pair.isStranded) return
    if (pair.breaksAtWordOf === name) return end()
    const { awaited } = line
    const at = find(bytes, awaited?.place.of === name ? awaited.place.at : undefined)
    if (at === undefined || !awaited) return send(bytes)
    awaited.met += 1
    if (awaited.met < (awaited.place.nth ?? 1)) return send(bytes)
    line.awaited = undefined
    if (awaited.place.fate === 'heard') {
      pair.breaksAtWordOf = name === 'near' ? 'far' : 'near'
      send(bytes)
    } else {
      to.write(bytes.subarray(0, at))
      end()
    }
    awaited.tell()
  })
}

/** Pieces keep their order, whatever becomes of the delay. */
function createSender(line: Line, to: Socket): (bytes: Buffer) => void {
  let waiting = 0
  let last = Promise.resolve()
  return (bytes) => {
    if (line.delayMs === 0 && waiting === 0) {
      to.write(bytes)
      return
    }
    waiting += 1
    const due = wait(line.delayMs)
    last = last
      .then(() => due)
      .then(() => {
        waiting -= 1
        to.write(bytes)
      })
  }
}

/**
 * Follows the bytes of one direction and tells where in the piece at hand the place is, which may
 * have begun in the piece before; undefined where it is not there.
 */
function createFinder(): (bytes: Buffer, place: number | string | undefined) => number | undefined {
  let seen = 0
  let tail = Buffer.alloc(0)
  return (bytes, place) => {
    const before = seen
    seen += bytes.length
    if (typeof place === 'number') return place <= seen ? Math.max(0, place - before) : undefined
    const text = Buffer.concat([tail, bytes])
    const offset = bytes.length - text.length
    tail = text.subarray(-longestPlace)
    const found = place === undefined ? -1 : text.indexOf(place, 0, 'latin1')
    return found < 0 ? undefined : Math.max(0, found + offset)
  }
}

const longestPlace = 64

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
