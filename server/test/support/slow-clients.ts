import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'

/** What a client does that takes its time, or never comes to the point. */
export interface Slowness {
  /** Written at once. */
  readonly head?: string
  /** Written after that byte by byte, one each two seconds, again and again from its beginning. */
  readonly drip?: string
  /** It drips only once it has heard as much as this. */
  readonly dripsAfter?: string
  /** It takes nothing of what it is sent. */
  readonly isDeaf?: boolean
}

export interface SlowClient {
  /** By which the other end knows its connection. */
  readonly port: number
  readonly connectedAt: number
  /** What it was told, at most the last of it. */
  heard(): string
  leave(): void
}

const dripEveryMs = 2000
const heardBytes = 4000

export async function beSlow(url: string, slowness: Slowness): Promise<SlowClient> {
  const { head = '', drip = '', dripsAfter = '', isDeaf = false } = slowness
  const socket: Socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  let heard = ''
  let dripped = 0
  const timer = setInterval(() => {
    if (drip === '' || !heard.includes(dripsAfter) || !socket.writable) return
    socket.write(drip.charAt(dripped % drip.length))
    dripped += 1
  }, dripEveryMs)
  socket.on('error', () => undefined).on('close', () => clearInterval(timer))
  if (isDeaf) socket.pause()
  else socket.on('data', (bytes: Buffer) => (heard = (heard + String(bytes)).slice(-heardBytes)))
  socket.write(head)
  return {
    port: socket.localPort ?? 0,
    connectedAt: performance.now(),
    heard: () => heard,
    leave: () => void socket.destroy(),
  }
}

/**
 * The ports of the clients whose connections a server on this machine holds, as Linux tells. A
 * client that does not read would never learn that its connection was given up.
 */
export async function clientsHeldBy(url: string): Promise<ReadonlySet<number>> {
  const listening = Number(new URL(url).port)
  const table = await readFile('/proc/net/tcp', 'latin1')
  const held = new Set<number>()
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', remote = '', state, , , , , , inode] = line.trim().split(/\s+/)
    // What the kernel still tries to deliver for nobody has no inode.
    const isHeld = (state === '01' || state === '08') && inode !== '0'
    if (isHeld && portOf(local) === listening) held.add(portOf(remote))
  }
  return held
}

function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16)
}
