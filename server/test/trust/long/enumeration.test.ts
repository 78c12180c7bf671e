import { afterAll, beforeAll, expect } from 'vitest'
import { startTestApp, testPassword, type TestApp } from '../../support/app.ts'
import { promise } from '../promise.ts'

let app: TestApp

beforeAll(async () => {
  app = await startTestApp({ business: { registration: 'verify' } })
  const open = await startTestApp({ beside: app, rateLimitScale: 100_000 })
  for (let index = 0; index < loginCount; index += 1) {
    const body = { email: `known${index}@people.example`, password: testPassword, name: 'Ada' }
    expect((await open.request('POST /api/auth/register', { body })).status).toBe(201)
  }
  await open.close()
  await app.sql('update users set email_verified = true')
  await app.runJobs()
})
afterAll(async () => {
  await app.close()
})

const loginCount = 20

interface Question {
  readonly name: string
  readonly route: `POST /${string}`
  bodyFor(email: string): object
  readonly rounds: number
}

const questions: readonly Question[] = [
  {
    name: 'login',
    route: 'POST /api/auth/login',
    bodyFor: (email) => ({ email, password: 'a wrong password' }),
    rounds: 150,
  },
  {
    name: 'admin login',
    route: 'POST /api/auth/admin/login',
    bodyFor: (email) => ({ email, password: 'a wrong password' }),
    rounds: 150,
  },
  {
    name: 'forgot',
    route: 'POST /api/auth/password/forgot',
    bodyFor: (email) => ({ email }),
    rounds: 600,
  },
  {
    name: 'register',
    route: 'POST /api/auth/register',
    bodyFor: (email) => ({ email, password: testPassword, name: 'Ada' }),
    rounds: 600,
  },
]

promise(
  48,
  'the time of an answer tells nothing of whether there is such a login',
  async (proof) => {
    const findings: string[] = []
    for (const question of questions) {
      const took = { known: [] as number[], unknown: [] as number[] }
      for (let round = 0; round < question.rounds; round += 1) {
        // In random order, so that what else the machine does falls on both alike.
        const order =
          proof.random() < 0.5 ? (['known', 'unknown'] as const) : (['unknown', 'known'] as const)
        for (const kind of order) {
          const email = `${kind}${round % loginCount}@people.example`
          const startedAt = performance.now()
          await app.request(question.route, { body: question.bodyFor(email) })
          took[kind].push(performance.now() - startedAt)
        }
      }
      const [known, unknown] = [medianOf(took.known), medianOf(took.unknown)]
      const difference = Math.abs(known - unknown) / known
      expect([question.name, difference < 0.1, known, unknown]).toEqual([
        question.name,
        true,
        known,
        unknown,
      ])
      findings.push(
        `${question.name} ${known.toFixed(1)} and ${unknown.toFixed(1)} ms (${(100 * difference).toFixed(1)} %)`,
      )
    }
    proof.measured(findings.join('; '))
  },
  { timeoutMs: 600_000 },
)

function medianOf(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
