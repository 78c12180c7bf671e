import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from './support/eventually.ts'
import { openWire, type Wire } from './support/wire.ts'

/** A target that answers each piece with itself in brackets, and remembers what it heard. */
let target: Server
let heard: string
let wire: Wire
let clients: Socket[]

beforeEach(async () => {
  heard = ''
  clients = []
  target = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      heard += bytes.toString()
      socket.write(`[${bytes.toString()}]`)
    })
  }).listen(0, '127.0.0.1')
  await once(target, 'listening')
  wire = await openWire(`tcp://127.0.0.1:${(target.address() as AddressInfo).port}`)
})
afterEach(async () => {
  for (const client of clients) client.destroy()
  await wire.close()
  target.close()
})

interface Client {
  readonly socket: Socket
  /** What has come back so far, then how it ended. */
  told(): string
}

async function dial(): Promise<Client> {
  const socket = connect(Number(new URL(wire.url).port), '127.0.0.1')
  clients.push(socket)
  let told = ''
  socket.on('data', (bytes) => (told += bytes.toString()))
  socket.on('error', (error) => (told += ` ${(error as NodeJS.ErrnoException).code}`))
  socket.on('close', () => (told += ' closed'))
  await eventually(() => expect(socket.connecting).toBe(false))
  return { socket, told: () => told }
}

async function talk(): Promise<Client> {
  const client = await dial()
  client.socket.write('hello')
  await eventually(() => expect(client.told()).toBe('[hello]'))
  return client
}

describe('the fault proxy of the tests', () => {
  test('cuts, resets and refuses, and is whole again', async () => {
    const cut = await talk()
    wire.cut()
    await eventually(() => expect(cut.told()).toBe('[hello] closed'))
    const refused = await dial()
    await eventually(() => expect(refused.told()).toBe(' closed'))
    wire.mend()

    const reset = await talk()
    wire.reset()
    await eventually(() => expect(reset.told()).toBe('[hello] ECONNRESET closed'))

    const ended = await talk()
    wire.down()
    await eventually(() => expect(ended.told()).toBe('[hello] ECONNRESET closed'))
    const unheard = await dial()
    await eventually(() => expect(unheard.told()).toBe(' ECONNREFUSED closed'))
    wire.mend()
    await eventually(talk)
  })

  test('holds what it hands on later, and swallows what it never does', async () => {
    const held = await talk()
    wire.hold()
    held.socket.write('late')
    const begunMeanwhile = await dial()
    begunMeanwhile.socket.write('new')
    expect(heard).toBe('hello')
    wire.mend()
    await eventually(() => expect(held.told()).toBe('[hello][late]'))
    await eventually(() => expect(begunMeanwhile.told()).toBe('[new]'))

    wire.swallow()
    held.socket.write('lost')
    await eventually(() => expect(held.socket.bytesWritten).toBe('hellolatelost'.length))
    wire.mend()
    await eventually(() => expect(held.told()).toMatch(/^\[hello\]\[late\].* closed$/))
    expect(heard).not.toContain('lost')
  })

  test('strands what is there, whose target is told that it is gone', async () => {
    const stranded = await talk()
    wire.strand()
    stranded.socket.write('anybody?')
    await talk()
    expect(stranded.told()).toBe('[hello]')
    expect(heard).toBe('hellohello')
    expect(wire.count()).toBe(2)
    await eventually(async () => {
      const open = await new Promise((resolve) => target.getConnections((_, n) => resolve(n)))
      expect(open).toBe(1)
    })
  })

  test('is slow both ways, and keeps the order when it is quick again', async () => {
    const client = await talk()
    wire.slow(100)
    const begunAt = performance.now()
    client.socket.write('slow')
    await eventually(() => expect(client.told()).toBe('[hello][slow]'))
    expect(performance.now() - begunAt).toBeGreaterThan(190)
    client.socket.write('1')
    await eventually(() => expect(client.socket.writableLength).toBe(0))
    wire.mend()
    client.socket.write('2')
    await eventually(() => expect(heard).toBe('helloslow12'))
  })

  test.each([
    { fate: 'lost', at: 'COMMIT', hears: 'BEGIN;', told: ' closed' },
    { fate: 'heard', at: 'COMMIT', hears: 'BEGIN;COMMIT', told: ' closed' },
    { fate: 'lost', at: 8, hears: 'BEGIN;CO', told: ' closed' },
  ] as const)('breaks at $at, which is $fate, once', async ({ fate, at, hears, told }) => {
    const broken = wire.breakAt({ of: 'near', at, fate })
    const client = await dial()
    client.socket.write('BEGIN;COMMIT')
    await broken
    await eventually(() => expect(client.told()).toBe(told))
    await eventually(() => expect(heard).toBe(hears))
    await talk()
  })

  test('finds a place that comes in pieces, in what the target says too', async () => {
    const client = await talk()
    const broken = wire.breakAt({ of: 'far', at: 'one][two', fate: 'lost' })
    client.socket.write('one')
    await eventually(() => expect(client.told()).toBe('[hello][one]'))
    client.socket.write('two')
    await broken
    await eventually(() => expect(client.told()).toBe('[hello][one] closed'))
  })
})
