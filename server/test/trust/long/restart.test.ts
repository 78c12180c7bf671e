import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect } from 'vitest'
import { openBalancer, type Balancer } from '../../support/balancer.ts'
import { expectReply, request, signInAdmin } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import {
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../../support/fresh-database.ts'
import { publishService } from '../../support/journey.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import { promise } from '../promise.ts'

/** Two real nodes on one database, behind one address. */
let database: FreshDatabase
let nodes: Running[]
let edge: Balancer

beforeAll(async () => {
  database = await makeFreshDatabase()
  nodes = [await start(), await start()]
  edge = await openBalancer(...nodes.map(({ url }) => url))
}, startTimeoutMs)
afterAll(async () => {
  await edge.close()
  await cleanUp()
  await database.drop()
}, startTimeoutMs)

async function start(): Promise<Running> {
  return await startBureau(settingsOf(database, await makeFolder()))
}

const stopWithinMs = 15_000

promise(
  40,
  'two nodes are replaced one after the other under load, and nothing is dropped',
  async (proof) => {
    const address = `http://127.0.0.1:${edge.port}`
    const token = await signInAdmin(address)
    const serviceId = await publishService(address, token)
    const answered = new Map<string, string>()
    const refused: unknown[] = []
    let cutOff = 0
    const state = { isStopped: false }
    const buy = async (): Promise<void> => {
      while (!state.isStopped) {
        const key = randomBytes(12).toString('hex')
        const items = [{ serviceId, quantity: 1 }]
        const body = { items, customer: { email: `${key}@example.com`, name: key } }
        await eventually(async () => {
          // A connection that ends before an answer came: the key makes asking again harmless.
          const reply = await request(address, 'POST /api/orders', { token, key, body }).catch(
            (error: unknown) => {
              cutOff += 1
              throw error
            },
          )
          if (reply.status !== 201) refused.push(reply)
          else answered.set(key, reply.body.id)
        })
      }
    }
    const buyers = Promise.all(Array.from({ length: 8 }, buy))
    const untilMore = async (count: number): Promise<void> => {
      const wanted = answered.size + count
      await eventually(() => expect(answered.size).toBeGreaterThan(wanted), { withinMs: 30_000 })
    }
    let slowestMs = 0
    for (const index of [0, 1]) {
      await untilMore(30)
      const [leaving, staying] = [nodes[index], nodes[1 - index]]
      if (!leaving || !staying) throw new Error('two nodes are there')
      const toldAt = performance.now()
      leaving.child.kill('SIGTERM')
      // As a load balancer does once it is not ready.
      edge.turnTo(staying.url)
      expect(await leaving.ended, leaving.output()).toBe(0)
      slowestMs = Math.max(slowestMs, performance.now() - toldAt)
      const fresh = await start()
      nodes[index] = fresh
      edge.turnTo(staying.url, fresh.url)
    }
    await untilMore(30)
    state.isStopped = true
    await buyers
    expect(slowestMs).toBeLessThan(stopWithinMs)
    expect(refused).toEqual([])
    expect(cutOff).toBeLessThanOrEqual(2 * 8)
    const rows = await query<{ id: string }>(database.ownerUrl, 'select id from orders')
    expect(rows.map(({ id }) => id).toSorted()).toEqual([...answered.values()].toSorted())
    await expectReply(200, address, 'GET /readyz')
    proof.measured(`2 nodes ended with 0, the slower after ${Math.round(slowestMs)} ms`)
    proof.measured(
      `${answered.size} orders of 8 buyers, 0 refused, ${cutOff} asked again at the edge`,
    )
  },
  { timeoutMs: 200_000 },
)

interface Begun {
  readonly socket: Socket
  /** Sends the rest of its request. */
  finish(): void
  heard(): string
  readonly closed: Promise<unknown>
}

/** A request up to the middle of its body; its connection may be kept after the reply. */
async function begin(url: string, head: string, body: Buffer): Promise<Begun> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const closed = once(socket, 'close')
  let heard = ''
  socket.on('data', (bytes: Buffer) => (heard += String(bytes)))
  const half = Math.floor(body.length / 2)
  socket.write(`${head}Content-Length: ${body.length}\r\nHost: a\r\nExpect: 100-continue\r\n\r\n`)
  // So it is certain that the server has begun with it.
  await eventually(() => expect(heard).toBe('HTTP/1.1 100 Continue\r\n\r\n'))
  heard = ''
  socket.write(body.subarray(0, half))
  return {
    socket,
    finish: () => void socket.write(body.subarray(half)),
    heard: () => heard,
    closed,
  }
}

/** What came of it: an error's code, or that somebody listens. */
async function tryToConnect(url: string): Promise<unknown> {
  return await new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    socket.on('connect', () => {
      socket.destroy()
      resolve('connected')
    })
  })
}

const form = Buffer.from(
  '--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n' +
    `Content-Type: text/plain\r\n\r\n${'A word. '.repeat(20_000)}\r\n--b--\r\n`,
)

promise(
  40,
  'what is half way at a SIGTERM is finished, told that it was the last, and nothing new begins',
  async (proof) => {
    const node = await start()
    const token = await signInAdmin(node.url)
    const serviceId = await publishService(node.url, token)
    const bearer = `Authorization: Bearer ${token}\r\n`
    const email = 'half-way@example.com'
    const order = { items: [{ serviceId, quantity: 1 }], customer: { email, name: 'Half way' } }
    const json = `POST /api/orders HTTP/1.1\r\n${bearer}Content-Type: application/json\r\n`
    const type = 'Content-Type: multipart/form-data; boundary=b\r\n'
    const upload = `POST /api/documents/upload HTTP/1.1\r\n${bearer}${type}`
    const begun: Begun[] = []
    for (let index = 0; index < 10; index += 1) {
      begun.push(await begin(node.url, json, Buffer.from(JSON.stringify(order))))
      if (index < 3) begun.push(await begin(node.url, upload, form))
    }
    const toldAt = performance.now()
    node.child.kill('SIGTERM')
    await eventually(async () => expect(await tryToConnect(node.url)).toBe('ECONNREFUSED'), {
      withinMs: 5000,
    })
    expect(node.child.exitCode).toBe(null)
    for (const one of begun) one.finish()
    await Promise.all(begun.map(({ closed }) => closed))
    for (const { heard } of begun) {
      expect(heard()).toMatch(/^HTTP\/1\.1 201 /)
      expect(heard()).toMatch(/\r\nconnection: close\r\n/i)
    }
    expect(await node.ended, node.output()).toBe(0)
    expect(performance.now() - toldAt).toBeLessThan(stopWithinMs)
    const [rows] = await query(
      database.ownerUrl,
      `select (select count(*)::int from orders where customer_email = '${email}') as orders,
        (select count(*)::int from documents) as documents`,
    )
    expect(rows).toEqual({ orders: 10, documents: 3 })
    proof.measured(`10 orders and 3 uploads half way: all made, each with Connection: close`)
    proof.measured('new connections refused meanwhile, ended with 0')
  },
  { timeoutMs: 120_000 },
)
