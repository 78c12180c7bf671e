import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../../../test/support/app.ts'

let app: TestApp
let admin: string

beforeAll(async () => {
  app = await startTestApp()
  admin = await app.as('admin')
})
afterAll(async () => {
  await app.close()
})
beforeEach(async () => {
  await app.sql('delete from graphile_worker._private_jobs')
})

/** Adds a job as the queue itself does, and says how it stands. */
async function addJob(task: string, standing: 'queued' | 'running' | 'failed'): Promise<string> {
  const [job] = await app.sql(
    `select id from graphile_worker.add_job($1, '{"secret":"of ada@customer.example"}',
       max_attempts => 3)`,
    [task],
  )
  const id = String(job?.['id'])
  if (standing === 'running') {
    await app.sql(
      `update graphile_worker._private_jobs
       set locked_at = now(), locked_by = 'worker', attempts = 1 where id = $1`,
      [id],
    )
  }
  if (standing === 'failed') {
    await app.sql(
      `update graphile_worker._private_jobs set attempts = max_attempts,
         last_error = E'no mail to ada@customer.example with sk_test_0123456789\\nsecond line'
       where id = $1`,
      [id],
    )
  }
  return id
}

const list = (query = '') => app.request(`GET /api/system/jobs${query}`, { token: admin })
const retry = (id: string, options = {}) =>
  app.request(`POST /api/system/jobs/${id}/retry`, { token: admin, ...options })

describe('GET /api/system/jobs', () => {
  test('401 and 403 for everybody without system:read', async () => {
    const { token } = await app.asCustomer('ada')
    const asked = await Promise.all([
      app.request('GET /api/system/jobs'),
      app.request('GET /api/system/jobs', { token }),
      app.request('GET /api/system/jobs', { token: await app.as('agent') }),
    ])
    expect(asked.map(({ status }) => status)).toEqual([401, 403, 403])
  })

  test('200 empty while there is nothing to do', async () => {
    expect((await list()).body).toEqual({ data: [], nextCursor: null })
  })

  test('200 with how each stands, without its payload and without what an error quotes', async () => {
    const failed = await addJob('prune-platform', 'failed')
    const running = await addJob('expire-orders', 'running')
    const queued = await addJob('expire-orders', 'queued')
    const { body } = await list()
    expect(body.data.map((job: { id: string; status: string }) => [job.id, job.status])).toEqual([
      [queued, 'queued'],
      [running, 'running'],
      [failed, 'failed'],
    ])
    expect(body.data[2]).toEqual({
      id: failed,
      task: 'prune-platform',
      queue: null,
      status: 'failed',
      attempts: 3,
      maxAttempts: 3,
      runAt: expect.stringMatching(/Z$/),
      lastError: 'no mail to [address] with [redacted]',
      createdAt: expect.stringMatching(/Z$/),
      updatedAt: expect.stringMatching(/Z$/),
    })
    expect(JSON.stringify(body)).not.toContain('ada@')
  })

  test('200 by status and by task, page by page', async () => {
    const ids: string[] = []
    for (let count = 0; count < 5; count += 1) ids.push(await addJob('expire-orders', 'failed'))
    await addJob('prune-platform', 'queued')
    const first = (await list('?status=failed&limit=3')).body
    const second = (await list(`?status=failed&limit=3&cursor=${first.nextCursor}`)).body
    const seen = [...first.data, ...second.data].map(({ id }: { id: string }) => id)
    expect(seen).toEqual(ids.toReversed())
    expect(second.nextCursor).toBeNull()
    expect((await list('?task=prune-platform')).body.data).toHaveLength(1)
    expect((await list('?status=running')).body.data).toEqual([])
    const rising = (await list('?sort=createdAt&status=failed')).body.data
    expect(rising.map(({ id }: { id: string }) => id)).toEqual(ids)
  })

  test('400 for a status that there is not', async () => {
    const { status, body } = await list('?status=dead')
    expect([status, body.code]).toEqual([400, 'invalid_input'])
  })
})

describe('POST /api/system/jobs/:id/retry', () => {
  test('401 and 403 for everybody without system:write', async () => {
    const { token } = await app.asCustomer('ada')
    const id = await addJob('expire-orders', 'failed')
    const asked = await Promise.all([
      app.request(`POST /api/system/jobs/${id}/retry`),
      app.request(`POST /api/system/jobs/${id}/retry`, { token }),
      app.request(`POST /api/system/jobs/${id}/retry`, { token: await app.as('finance') }),
    ])
    expect(asked.map(({ status }) => status)).toEqual([401, 403, 403])
  })

  test('202 gives a failed job all its tries again, and it runs', async () => {
    const id = await addJob('expire-orders', 'failed')
    const { status, body } = await retry(id)
    expect([status, body.id, body.status, body.attempts]).toEqual([202, id, 'queued', 0])
    const [again] = (await list()).body.data
    expect(again).toMatchObject({ id, status: 'queued', attempts: 0 })
    await app.runJobs()
    await expect.poll(async () => (await list()).body.data).toEqual([])
  })

  test('202 leaves a line in the audit trail: who had what run again, and by which request', async () => {
    const id = await addJob('expire-orders', 'failed')
    expect((await retry(id, { headers: { 'x-request-id': 'retry-seen' } })).status).toBe(202)
    const { body } = await app.request('GET /api/events?requestId=retry-seen', { token: admin })
    expect(body.data).toHaveLength(1)
    expect(body.data[0]).toMatchObject({
      type: 'job.retried',
      actor: { name: 'admin', kind: 'staff' },
      rootId: expect.stringMatching(/^job_/),
      data: { jobId: id, task: 'expire-orders' },
    })
  })

  test('202 as the queue has it from then on', async () => {
    const id = await addJob('expire-orders', 'failed')
    const { body } = await retry(id)
    expect((await list()).body.data).toEqual([body])
  })

  test('202 brings forward a job that waits for its next try', async () => {
    const id = await addJob('expire-orders', 'queued')
    await app.sql(
      `update graphile_worker._private_jobs set run_at = now() + interval '1 day' where id = $1`,
      [id],
    )
    expect((await retry(id)).status).toBe(202)
    await app.runJobs()
    await expect.poll(async () => (await list()).body.data).toEqual([])
  })

  test('202 once and again with one Idempotency-Key: the reply is the same', async () => {
    const id = await addJob('expire-orders', 'failed')
    const headers = { 'idempotency-key': 'retry-of-a-failed-job' }
    const retries = async (): Promise<number> =>
      (await app.sql(`select id from events where type = 'job.retried'`)).length
    const before = await retries()
    const first = await retry(id, { headers })
    const second = await retry(id, { headers })
    expect([first.status, second.status]).toEqual([202, 202])
    expect(second.body).toEqual(first.body)
    expect(second.headers.get('idempotent-replayed')).toBe('true')
    expect(await retries()).toBe(before + 1)
  })

  test('409 job_running while it runs, and it is left alone', async () => {
    const id = await addJob('expire-orders', 'running')
    const { status, body } = await retry(id)
    expect([status, body.code]).toEqual([409, 'job_running'])
    expect((await list()).body.data[0]).toMatchObject({ status: 'running', attempts: 1 })
  })

  test('202 for each of ten at once, and the job runs once', async () => {
    const id = await addJob('expire-orders', 'failed')
    const asked = await Promise.all(Array.from({ length: 10 }, () => retry(id)))
    expect(asked.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 202))
    expect((await list()).body.data).toHaveLength(1)
  })

  test('404 for a job that is done or never was', async () => {
    for (const id of ['999999999', '1']) expect((await retry(id)).status).toBe(404)
  })

  test('404 for a job that ends while it is asked for', async () => {
    const id = await addJob('expire-orders', 'queued')
    const ending = new pg.Client({ connectionString: app.database.ownerUrl })
    await ending.connect()
    try {
      await ending.query('begin')
      await ending.query('delete from graphile_worker._private_jobs where id = $1', [id])
      const asked = retry(id)
      // Whoever waits for a row holds its place in the line.
      await expect
        .poll(() =>
          app.sql(`select pid from pg_locks where locktype = 'tuple'
            and database = (select oid from pg_database where datname = current_database())`),
        )
        .toHaveLength(1)
      await ending.query('commit')
      expect((await asked).status).toBe(404)
    } finally {
      await ending.end()
    }
  })

  test('400 for what is no number of a job', async () => {
    for (const id of ['abc', '0', '-1', '9'.repeat(30)]) expect((await retry(id)).status).toBe(400)
  })
})
