import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { expectReply, request, signInAdmin } from '../../support/client.ts'
import { cloneDatabase, type TestDatabase } from '../../support/database.ts'
import { eventually } from '../../support/eventually.ts'
import { settingsOf } from '../../support/fresh-database.ts'
import { buyAsGuest, publishService } from '../../support/journey.ts'
import {
  cleanUp,
  makeFolder,
  run,
  startBureau,
  startTimeoutMs,
  type Environment,
  type Process,
} from '../../support/process.ts'
import { promise } from '../promise.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await cloneDatabase()
}, startTimeoutMs)
afterEach(cleanUp, startTimeoutMs)
afterAll(async () => {
  await database.drop()
}, startTimeoutMs)

/** Every request is a line at this level. */
async function settings(): Promise<Environment> {
  const own = { PAYMENTS: 'sandbox', LOG_LEVEL: 'debug' }
  return { ...settingsOf(database, await makeFolder()), ...own }
}

/** Requests of all kinds, refused ones too; every one of them is written down, or would be. */
async function useIt(url: string): Promise<number> {
  const token = await signInAdmin(url)
  const serviceId = await publishService(url, token)
  for (let round = 0; round < 50; round += 1) {
    await expectReply(200, url, 'GET /api/services')
    expect((await request(url, 'GET /api/orders')).status).toBe(401)
    expect((await request(url, 'GET /api/orders', { token })).status).toBe(200)
  }
  const { order } = await buyAsGuest(url, serviceId, 'ada')
  expect(order.paymentStatus).toBe('paid')
  expect((await request(url, 'GET /api/system/health', { token })).status).toBe(200)
  return 155
}

/** Where nobody can read which one the process took, it is told one. */
async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function expectGoodEnd({ child, ended }: Process): Promise<void> {
  expect(child.exitCode).toBe(null)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
}

promise(
  36,
  'a log that is on a full disk from the start neither ends the process nor fails requests',
  async (proof) => {
    const port = String(await findFreePort())
    // Each write there fails with ENOSPC.
    const within = ['sh', '-c', 'exec "$@" >/dev/full 2>/dev/full', 'sh']
    const bureau = run(
      'start',
      { ...(await settings()), PORT: port, RATE_LIMIT_SCALE: '1000' },
      [],
      {
        within,
      },
    )
    const url = `http://127.0.0.1:${port}`
    const isReady = eventually(
      async () => expect((await fetch(`${url}/readyz`)).status).toBe(200),
      { withinMs: startTimeoutMs },
    )
    await Promise.race([isReady, bureau.ended.then((code) => expect.fail(`it ended with ${code}`))])
    const requests = await useIt(url)
    await expectGoodEnd(bureau)
    proof.measured(`/dev/full as standard output and error: ${requests} requests, ended with 0`)
  },
  { timeoutMs: startTimeoutMs },
)

promise(
  36,
  'a log that nobody reads any more neither ends the process nor fails requests',
  async (proof) => {
    const bureau = await startBureau(await settings())
    // From now on each write fails with EPIPE.
    bureau.child.stdout?.destroy()
    bureau.child.stderr?.destroy()
    const requests = await useIt(bureau.url)
    await expectGoodEnd(bureau)
    proof.measured(`a pipe that was closed: ${requests} requests, ended with 0`)
  },
  { timeoutMs: startTimeoutMs },
)
