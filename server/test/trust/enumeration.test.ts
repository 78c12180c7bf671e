import { afterAll, beforeAll, expect } from 'vitest'
import { createStaffUser, updateStaff } from '../../src/modules/identity/index.ts'
import { startTestApp, testPassword, type Reply, type TestApp } from '../support/app.ts'
import { promise } from './promise.ts'

/** A business that proves e-mails first: who registers is told nothing either. */
let app: TestApp

beforeAll(async () => {
  app = await startTestApp({ business: { registration: 'verify' } })
  const open = await startTestApp({ beside: app })
  for (const name of ['known', 'unproved']) {
    const body = { email: `${name}@people.example`, password: testPassword, name }
    expect((await open.request('POST /api/auth/register', { body })).status).toBe(201)
  }
  await open.close()
  await app.sql(`update users set email_verified = true where email = 'known@people.example'`)
  for (const name of ['colleague', 'former']) {
    const details = { email: `${name}@people.example`, name, password: testPassword } as const
    const { id } = await createStaffUser(app.systemContext(), { ...details, role: 'agent' })
    const shut = { userId: id, patch: { active: false } }
    if (name === 'former') await updateStaff(app.systemContext(), shut)
  }
}, 120_000)
afterAll(async () => {
  await app.close()
})

/** Whose e-mail is asked about; the first has a login, the last nobody has. */
const people = ['known', 'unproved', 'colleague', 'former', 'nobody'] as const

interface Question {
  readonly route: `POST /${string}`
  bodyFor(email: string): object
  readonly status: number
}

const questions: Readonly<Record<string, Question>> = {
  'signing in': {
    route: 'POST /api/auth/login',
    bodyFor: (email) => ({ email, password: `${testPassword}?` }),
    status: 401,
  },
  'signing in with the right password of another audience or state': {
    route: 'POST /api/auth/login',
    bodyFor: (email) => ({ email, password: email.startsWith('known') ? 'wrong' : testPassword }),
    status: 401,
  },
  'signing in as staff': {
    route: 'POST /api/auth/admin/login',
    bodyFor: (email) => ({ email, password: `${testPassword}?`, totp: '123456' }),
    status: 401,
  },
  'a forgotten password': {
    route: 'POST /api/auth/password/forgot',
    bodyFor: (email) => ({ email }),
    status: 202,
  },
  'a forgotten password of staff': {
    route: 'POST /api/auth/password/forgot',
    bodyFor: (email) => ({ email, audience: 'staff' }),
    status: 202,
  },
  registering: {
    route: 'POST /api/auth/register',
    bodyFor: (email) => ({ email, password: testPassword, name: 'Ada' }),
    status: 202,
  },
}

/** All that can be seen of an answer but for the clock and the count of requests. */
function seenOf({ status, headers, body }: Reply): unknown {
  const { requestId: _requestId, ...words } = body
  const shown = [...headers]
    .filter(([name]) => name !== 'date' && name !== 'x-request-id')
    .map(([name, value]) => [name, name === 'ratelimit' ? value.replaceAll(/\d+/g, '#') : value])
  return { status, words, shown }
}

promise(48, 'an answer tells nothing of whether there is such a login', async (proof) => {
  let answers = 0
  for (const [name, { route, bodyFor, status }] of Object.entries(questions)) {
    const seen: unknown[] = []
    for (const person of people) {
      const before = app.db.statementCount()
      const reply = await app.request(route, { body: bodyFor(`${person}@people.example`) })
      const statements = app.db.statementCount() - before
      expect([name, person, reply.status]).toEqual([name, person, status])
      seen.push({ ...(seenOf(reply) as object), statements })
      answers += 1
    }
    for (const one of seen) expect([name, one]).toEqual([name, seen[0]])
  }
  proof.measured(
    `${answers} answers to ${Object.keys(questions).length} questions, alike in each word and header`,
  )
})

/** Doors, and who knocks at each: the first has a login there and a wrong password. */
const doors: Readonly<Record<`POST /${string}`, readonly (typeof people)[number][]>> = {
  'POST /api/auth/login': ['known', 'unproved', 'nobody'],
  'POST /api/auth/admin/login': ['colleague', 'former', 'nobody'],
}

promise(48, 'who is unknown or shut out costs the same hash as a wrong password', async (proof) => {
  const findings: string[] = []
  for (const [door, knocking] of Object.entries(doors)) {
    const took = new Map(knocking.map((person) => [person, [] as number[]]))
    for (let round = 0; round < 11; round += 1) {
      for (const [person, times] of took) {
        const body = { email: `${person}@people.example`, password: 'a wrong password' }
        const startedAt = performance.now()
        await app.request(door as `POST /${string}`, { body })
        times.push(performance.now() - startedAt)
      }
    }
    const [known = 0, ...others] = [...took.values()].map(quickest)
    // Without its hash one takes a tenth of the first; what else runs here only adds to all.
    for (const other of others) expect(other / known).toBeGreaterThan(0.5)
    findings.push([known, ...others].map((ms) => ms.toFixed(0)).join(', '))
  }
  proof.measured(`quickest of 11: ${findings.join('; ')} ms`)
})

const quickest = (times: readonly number[]): number => Math.min(...times)
