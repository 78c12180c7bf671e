import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adaActor, serveTable, type ServedTable } from '../../test/support/table.ts'
import { newId } from '../kernel/id.ts'
import { strictObject } from '../kernel/shapes.ts'
import { inTx, type AppContext } from '../platform/context.ts'
import { defineEvent } from '../platform/events.ts'
import { emit } from '../platform/outbox.ts'
import { sql } from '../platform/sql.ts'
import { secret } from './compile.ts'
import { answer, endpoint, type Endpoint } from './endpoint.ts'
import { claimKey, pruneKeys } from './idempotency.ts'

const ThingMade = defineEvent('thing.made', { data: Type.Object({ size: Type.Integer() }) })
const Thing = Type.Object({
  id: Type.String(),
  size: Type.Integer(),
  how: Type.String(),
  payment: Type.Object({ clientSecret: secret(Type.String()) }),
})
type ThingReply = { id: string; size: number; how: string; payment: { clientSecret: string } }

const theSecret = 'pi_123_secret_never_stored'
/** What the endpoint shall do next, so that a test can make it fail at one exact place. */
let fault: 'none' | 'before the fact' | 'within the fact' | 'after the fact' = 'none'
let executions = 0

const makeThing = async (ctx: AppContext, size: number): Promise<ThingReply> => {
  executions += 1
  if (fault === 'before the fact') throw new Error(fault)
  const id = newId('ord', ctx.now)
  await inTx(ctx, async (ctx) => {
    await emit(ctx, ThingMade({ rootId: id, rootVersion: 1, data: { size } }))
    if (fault === 'within the fact') throw new Error(fault)
  })
  if (fault === 'after the fact') throw new Error(fault)
  return { id, size, how: 'made', payment: { clientSecret: theSecret } }
}

const table: readonly Endpoint[] = [
  endpoint(
    'POST /api/things/:place',
    {
      summary: 'Make a thing',
      access: 'public',
      params: Type.Object({ place: Type.String({ maxLength: 50 }) }),
      body: strictObject({ size: Type.Integer() }),
      reply: Thing,
      status: 201,
      idempotency: {
        resume: async (_ctx, id) => ({
          id,
          size: 0,
          how: 'resumed',
          payment: { clientSecret: theSecret },
        }),
        restoreSecrets: async (_ctx, kept) => ({
          ...kept,
          payment: { ...kept.payment, clientSecret: theSecret },
        }),
      },
      example: {},
    },
    async (ctx, { body }) => await makeThing(ctx, body.size),
  ),
]

let looks = 0
const stillRunning = endpoint(
  'POST /api/outcome',
  {
    summary: 'Ask how it stands',
    access: 'public',
    reply: Type.Object({ looks: Type.Integer() }),
    alsoStatus: [202],
    idempotency: { resume: async () => ({ looks }) },
    example: {},
  },
  async () => {
    looks += 1
    return looks < 3
      ? answer({ looks }, { status: 202, headers: { 'Retry-After': '1' } })
      : { looks }
  },
)

let served: ServedTable

beforeAll(async () => {
  served = await serveTable([...table, stillRunning], { events: [ThingMade] })
})
afterAll(async () => {
  await served.close()
})

interface Attempt {
  readonly key?: string
  readonly size?: number
  readonly place?: string
  readonly token?: string | null
  readonly requestId?: string
}

async function make({ key, size = 1, place = 'here', token = 'ada', requestId }: Attempt) {
  const reply = await fetch(`${served.url}/api/things/${place}`, {
    method: 'POST',
    body: JSON.stringify({ size }),
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
    },
  })
  return {
    status: reply.status,
    headers: reply.headers,
    body: (await reply.json()) as ThingReply & { code?: string },
  }
}

async function countFacts(): Promise<number> {
  const { count } = await served.db.one<{ count: number }>(sql`select count(*) from events`)
  return count
}

async function failAt<T>(where: typeof fault, work: () => Promise<T>): Promise<T> {
  fault = where
  try {
    return await work()
  } finally {
    fault = 'none'
  }
}

/** A request that got the key and then died with its process: its lease is never given back. */
async function claimAndDie(key: string, { makesFact }: { makesFact: boolean }) {
  const ctx = served.contextFor(adaActor, { requestId: 'req_of_the_dead' })
  const body = { size: 1 }
  const path = '/api/things/here'
  const claim = await claimKey(ctx, { key, actor: adaActor, method: 'POST', path, body })
  if (claim.outcome !== 'run') throw new Error(`claim came to ${claim.outcome}`)
  const leased: AppContext = { ...ctx, origin: { ...ctx.origin, lease: claim.lease } }
  return { leased, made: makesFact ? await makeThing(leased, 1) : undefined }
}

const leaseMs = 30_000

describe('Idempotency-Key', () => {
  test('201 makes two things without a key', async () => {
    const [first, second] = [await make({}), await make({})]
    expect(first.body.id).not.toBe(second.body.id)
  })

  test('201 once for 100 requests in parallel: the others are equal or 409', async () => {
    const [factsBefore, executionsBefore] = [await countFacts(), executions]
    const replies = await Promise.all(
      Array.from({ length: 100 }, () => make({ key: 'one-of-a-hundred' })),
    )
    expect(await countFacts()).toBe(factsBefore + 1)
    expect(executions).toBe(executionsBefore + 1)
    const done = replies.filter(({ status }) => status === 201)
    expect(new Set(done.map(({ body }) => JSON.stringify(body))).size).toBe(1)
    for (const { status, headers, body } of replies) {
      if (status === 201) continue
      expect([status, body.code]).toEqual([409, 'idempotency_in_progress'])
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
    const later = await make({ key: 'one-of-a-hundred' })
    expect([later.status, later.body]).toEqual([201, done[0]?.body])
  })

  test('201 repeats the reply, marks it, and puts the secret back', async () => {
    const first = await make({ key: 'repeated' })
    expect(first.headers.get('idempotent-replayed')).toBeNull()
    const again = await make({ key: 'repeated' })
    expect([again.status, again.body]).toEqual([201, first.body])
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(again.body.payment.clientSecret).toBe(theSecret)
  })

  test('nothing secret is stored: neither the key nor the members that are secret', async () => {
    await make({ key: 'stored-without-secrets' })
    const rows = await served.db.many<object>(sql`
      select id, fingerprint, holder, headers, reply from idempotency_keys`)
    expect(rows.length).toBeGreaterThan(0)
    expect(JSON.stringify(rows)).not.toContain(theSecret)
    expect(JSON.stringify(rows)).not.toContain('stored-without-secrets')
  })

  test('422 for another body under the same key, which changes nothing', async () => {
    const first = await make({ key: 'reused', size: 1 })
    const other = await make({ key: 'reused', size: 2 })
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused'])
    expect((await make({ key: 'reused', size: 1 })).body).toEqual(first.body)
  })

  test('201 apart for another actor and another path under the same key', async () => {
    const replies = [
      await make({ key: 'a-key-shared-by-chance' }),
      await make({ key: 'a-key-shared-by-chance', token: 'bob' }),
      await make({ key: 'a-key-shared-by-chance', token: null }),
      await make({ key: 'a-key-shared-by-chance', place: 'there' }),
    ]
    expect(replies.map(({ status }) => status)).toEqual([201, 201, 201, 201])
    expect(new Set(replies.map(({ body }) => body.id)).size).toBe(4)
  })

  test.each([
    ['too long', 'x'.repeat(256)],
    ['with a space', 'a b'],
  ])('400 for a key that is %s', async (_what, key) => {
    const { status, body } = await make({ key })
    expect([status, body.code]).toEqual([400, 'idempotency_key_invalid'])
  })

  test('400 idempotency_key_weak for a short key without a token', async () => {
    const { status, body } = await make({ key: 'x'.repeat(19), token: null })
    expect([status, body.code]).toEqual([400, 'idempotency_key_weak'])
    expect((await make({ key: 'x'.repeat(20), token: null })).status).toBe(201)
    expect((await make({ key: 'x' })).status).toBe(201)
  })

  test('400 for a wrong body leaves the key free', async () => {
    expect((await make({ key: 'after-a-typing-error', size: 0.5 })).status).toBe(400)
    expect((await make({ key: 'after-a-typing-error' })).status).toBe(201)
  })

  test.each([['before the fact'], ['within the fact']] as const)(
    '201 for the retry after a failure %s: a 500 is never kept',
    async (where) => {
      const key = `failed ${where}`.replaceAll(' ', '-')
      const failed = await failAt(where, () => make({ key }))
      expect(failed.status).toBe(500)
      const before = await countFacts()
      const retried = await make({ key })
      expect([retried.status, retried.body.how]).toEqual([201, 'made'])
      expect(await countFacts()).toBe(before + 1)
    },
  )

  test('201 resumes at once when the request failed after its fact', async () => {
    const before = await countFacts()
    const failed = await failAt('after the fact', () => make({ key: 'answer-lost' }))
    expect(failed.status).toBe(500)
    const retried = await make({ key: 'answer-lost' })
    expect([retried.status, retried.body.how]).toEqual([201, 'resumed'])
    expect(await countFacts()).toBe(before + 1)
    const again = await make({ key: 'answer-lost' })
    expect(again.body).toEqual(retried.body)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
  })
})

describe('Idempotency-Key after a crash', () => {
  test('409 while the lease may be alive, then 201 names the thing that was made', async () => {
    const { made } = await claimAndDie('crashed-after', { makesFact: true })
    const early = await make({ key: 'crashed-after' })
    expect([early.status, early.body.code]).toEqual([409, 'idempotency_in_progress'])
    served.advance(leaseMs + 1)
    const [before, replies] = [
      await countFacts(),
      await Promise.all(Array.from({ length: 10 }, () => make({ key: 'crashed-after' }))),
    ]
    expect(await countFacts()).toBe(before)
    for (const { status, body } of replies) {
      if (status === 201) expect(body).toMatchObject({ id: made?.id, how: 'resumed' })
      else expect(status).toBe(409)
    }
    expect((await make({ key: 'crashed-after' })).body).toMatchObject({ id: made?.id })
  })

  test('201 makes the thing when the crash came before it', async () => {
    await claimAndDie('crashed-before', { makesFact: false })
    served.advance(leaseMs + 1)
    expect((await make({ key: 'crashed-before' })).body.how).toBe('made')
  })

  test('422 for another body is not fooled by a lease that has ended', async () => {
    await claimAndDie('crashed-and-reused', { makesFact: false })
    served.advance(leaseMs + 1)
    const other = await make({ key: 'crashed-and-reused', size: 2 })
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused'])
  })

  test('a request that was only slow cannot make a second thing', async () => {
    const { leased } = await claimAndDie('slow-not-dead', { makesFact: false })
    served.advance(leaseMs + 1)
    // The client tries again and sends the same X-Request-Id as before.
    const taken = await make({ key: 'slow-not-dead', requestId: 'req_of_the_dead' })
    expect(taken.status).toBe(201)
    const before = await countFacts()
    await expect(makeThing(leased, 1)).rejects.toMatchObject({
      status: 409,
      code: 'idempotency_in_progress',
    })
    expect(await countFacts()).toBe(before)
  })

  test('keys are forgotten after 24 hours, not before', async () => {
    await make({ key: 'kept-for-a-day' })
    const ctx = served.contextFor(adaActor)
    served.advance(24 * 3600 * 1000 - 1)
    await pruneKeys(served.db, served.contextFor(adaActor).now)
    expect((await make({ key: 'kept-for-a-day' })).headers.get('idempotent-replayed')).toBe('true')
    served.advance(2)
    const { now } = served.contextFor(adaActor)
    expect(await pruneKeys(served.db, now)).toBeGreaterThan(0)
    expect(now > ctx.now).toBe(true)
    expect((await make({ key: 'kept-for-a-day' })).headers.get('idempotent-replayed')).toBeNull()
  })
})

test('202 with Retry-After is not kept: the same key looks anew until there is an outcome', async () => {
  const ask = async () => {
    const reply = await fetch(`${served.url}/api/outcome`, {
      method: 'POST',
      headers: { 'idempotency-key': 'asking-how-it-stands-0001' },
    })
    return [reply.status, await reply.json(), reply.headers.get('idempotent-replayed')]
  }
  expect(await ask()).toEqual([202, { looks: 1 }, null])
  expect(await ask()).toEqual([202, { looks: 2 }, null])
  expect(await ask()).toEqual([200, { looks: 3 }, null])
  expect(await ask()).toEqual([200, { looks: 3 }, 'true'])
})
