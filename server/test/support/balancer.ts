import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** One address in front of several servers that speak TCP, as a load balancer has it. */
export interface Balancer {
  readonly port: number
  /** The same address with the balancer's port. */
  through(url: string): string
  /** New connections go to these, one after the other; those that stand stay where they are. */
  turnTo(...urls: string[]): void
  /** Ends every connection. */
  endAll(): void
  close(): Promise<void>
}

export async function openBalancer(...urls: string[]): Promise<Balancer> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let targets = urls
  let turn = 0
  const server = createServer((near) => {
    const target = targets[turn++ % targets.length] ?? ''
    const far = connect(Number(new URL(target).port), '127.0.0.1')
    const pair = [near, far] as const
    pairs.add(pair)
    const end = (): void => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    near.pipe(far).on('error', end).on('close', end)
    far.pipe(near).on('error', end).on('close', end)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const endAll = (): void => pairs.forEach(([near]) => near.destroy())
  return {
    port,
    through: (url) => Object.assign(new URL(url), { port: String(port) }).toString(),
    turnTo: (...others) => {
      targets = others
    },
    endAll,
    close: async () => {
      endAll()
      server.close()
      await once(server, 'close')
    },
  }
}
