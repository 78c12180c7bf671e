import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { publishService } from '../../support/journey.ts'
import { request, signInAdmin } from '../../support/client.ts'
import { makeFreshDatabase, settingsOf, type FreshDatabase } from '../../support/fresh-database.ts'
import { cleanUp, makeFolder, startBureau, startTimeoutMs } from '../../support/process.ts'
import { promise } from '../promise.ts'

let database: FreshDatabase

beforeAll(async () => {
  database = await makeFreshDatabase()
})
afterEach(cleanUp, startTimeoutMs)
afterAll(async () => {
  await database.drop()
})

const reads = ['/livez', '/readyz', '/api/services'] as const

promise(
  51,
  'a hundred hashes that queue keep nobody else waiting',
  async (proof) => {
    const { url } = await startBureau(settingsOf(database, await makeFolder()))
    await publishService(url, await signInAdmin(url))
    const startedAt = performance.now()
    const waiting = new Set<number>()
    const flood = Array.from({ length: 100 }, async (_, index) => {
      waiting.add(index)
      const body = { email: `nobody${index}@example.com`, password: 'a guess at nothing' }
      const { status } = await request(url, 'POST /api/auth/login', { body })
      waiting.delete(index)
      return status
    })
    const took: number[] = []
    let whileManyWaited = 0
    while (waiting.size > 0) {
      for (const path of reads) {
        const askedAt = performance.now()
        const { status } = await request(url, `GET ${path}`)
        took.push(performance.now() - askedAt)
        expect([path, status]).toEqual([path, 200])
      }
      if (waiting.size > 50) whileManyWaited += 1
    }
    const floodMs = performance.now() - startedAt
    expect(new Set(await Promise.all(flood))).toEqual(new Set([401]))
    expect(whileManyWaited).toBeGreaterThan(0)
    expect(Math.max(...took)).toBeLessThan(1000)
    const slowest = Math.ceil(Math.max(...took))
    proof.measured(
      `100 hashes in ${(floodMs / 1000).toFixed(1)} s, ${took.length} reads beside them, slowest ${slowest} ms`,
    )
  },
  { timeoutMs: 300_000 },
)
