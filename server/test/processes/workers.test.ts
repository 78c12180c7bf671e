import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { expectReply, signInAdmin } from '../support/client.ts'
import { cloneDatabase, type TestDatabase } from '../support/database.ts'
import { settingsOf } from '../support/fresh-database.ts'
import { buyAsGuest, publishService } from '../support/journey.ts'
import {
  cleanUp,
  isAlive,
  makeFolder,
  runToEnd,
  startBureau,
  startTimeoutMs,
  waiting,
  type Environment,
  type Running,
} from '../support/process.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await cloneDatabase()
})
afterEach(cleanUp, startTimeoutMs)
afterAll(() => database.drop())

async function settings(own: Environment = {}): Promise<Environment> {
  const shared = settingsOf(database, await makeFolder())
  return { ...shared, PAYMENTS: 'sandbox', WORKERS: '2', ...own }
}

async function childrenOf({ child }: Running): Promise<number[]> {
  const { stdout } = await promisify(execFile)('pgrep', ['-P', String(child.pid)]).catch(() => ({
    stdout: '',
  }))
  return stdout.split('\n').filter(Boolean).map(Number)
}

/** By a connection of its own: which process has it is decided when it is opened. */
async function getAnew(url: string): Promise<IncomingMessage> {
  const [reply] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage]
  reply.resume()
  expect(reply.statusCode).toBe(200)
  return reply
}

test(
  'two processes share the port, the limits and the work, and end with 0',
  async () => {
    const bureau = await startBureau(await settings({ RATE_LIMIT_SCALE: '1' }))
    const { url } = bureau
    const token = await signInAdmin(url)
    const left: unknown[] = []
    for (let asked = 0; asked < 10; asked += 1) {
      const { headers } = await getAnew(`${url}/livez`)
      expect(headers['ratelimit-policy']).toBe('"probe";q=3000;w=60')
      left.push(headers['ratelimit'])
    }
    // Each process counts for itself: what one has counted, the other still has left.
    expect(new Set(left).size).toBeLessThan(left.length)

    const { order } = await buyAsGuest(url, await publishService(url, token), 'shared')
    expect(order).toMatchObject({ paymentStatus: 'paid', case: { status: 'new' } })
    await vi.waitFor(async () => {
      const { data } = await expectReply(200, url, 'GET /api/notifications', { token })
      const templates = data.map(({ template }: { template: string }) => template)
      expect(templates).toContain('payment_confirmed')
    }, waiting)

    const workers = await childrenOf(bureau)
    expect(workers).toHaveLength(2)
    bureau.child.kill('SIGTERM')
    expect(await bureau.ended, bureau.output().slice(-2000)).toBe(0)
    expect(workers.filter(isAlive)).toEqual([])
  },
  startTimeoutMs,
)

test(
  'a process that is killed is replaced, and meanwhile the other serves',
  async () => {
    const bureau = await startBureau(await settings())
    const before = await childrenOf(bureau)
    const [victim = NaN] = before
    process.kill(victim, 'SIGKILL')
    await vi.waitFor(() => expect(isAlive(victim)).toBe(false), waiting)
    for (let asked = 0; asked < 20; asked += 1) {
      await getAnew(`${bureau.url}/readyz`)
    }
    await vi.waitFor(async () => {
      const now = await childrenOf(bureau)
      expect(now).toHaveLength(2)
      expect(now).not.toContain(victim)
    }, waiting)
    await vi.waitFor(() => expect(bureau.output()).toContain('another takes its place'), waiting)
  },
  startTimeoutMs,
)

test(
  'none outlives a parent that was killed',
  async () => {
    const bureau = await startBureau(await settings())
    const workers = await childrenOf(bureau)
    bureau.child.kill('SIGKILL')
    await bureau.ended
    await vi.waitFor(() => expect(workers.filter(isAlive)).toEqual([]), waiting)
  },
  startTimeoutMs,
)

test(
  'a port that is taken, and more connections than the database has, are told in a sentence',
  async () => {
    const squatter = createServer().listen(0, '127.0.0.1')
    await once(squatter, 'listening')
    const { port } = squatter.address() as AddressInfo
    const taken = await runToEnd('start', await settings({ PORT: String(port) }))
    squatter.close()
    expect(taken.code).toBe(1)
    expect(taken.output).toMatch(/^The port is taken: .* PORT to another\.$/m)

    const greedy = await runToEnd('start', await settings({ WORKERS: '8', DATABASE_POOL: '50' }))
    expect(greedy.code).toBe(1)
    expect(greedy.output).toMatch(
      /^WORKERS=8 with DATABASE_POOL=50 need 410 connections, .* max_connections=\d+: lower/m,
    )
    expect(greedy.output).not.toMatch(/^\s+at /m)
  },
  startTimeoutMs,
)
