import { randomBytes } from 'node:crypto'
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
