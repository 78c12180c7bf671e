import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from './support/app.ts'

describe('the job prune-platform', () => {
  let app: TestApp
  beforeAll(async () => {
    app = await startTestApp()
  })
  afterAll(() => app.close())

  test('forgets keys and limits that have ended, and job queues that stand empty', async () => {
    const now = app.now()
    const old = new Date(now.getTime() - 25 * 3600 * 1000)
    await app.sql(
      `insert into idempotency_keys (id, fingerprint, holder, lease_until, created_at)
       values ('old', '', '', $1, $1), ('young', '', '', $2, $2)`,
      [old, now],
    )
    await app.sql(
      `insert into rate_limits (key, hits, expires_at) values ('ended', 1, $1), ('open', 1, $2)`,
      [old, new Date(now.getTime() + 60_000)],
    )
    await app.sql(`select graphile_worker.add_job('prune-platform', queue_name => 'ord_empty')`)
    await app.runJobs()
    const job = app.app.jobs.find(({ name }) => name === 'prune-platform')
    await job?.run(app.systemContext(), {})
    const count = async (statement: string): Promise<unknown> => (await app.sql(statement))[0]
    expect(await count(`select string_agg(id, ',') as ids from idempotency_keys`)).toEqual({
      ids: 'young',
    })
    expect(await count(`select string_agg(key, ',') as keys from rate_limits`)).toEqual({
      keys: 'open',
    })
    const queues = `select count(*)::int as queues from graphile_worker._private_job_queues`
    expect(await count(queues)).toEqual({ queues: 0 })
  })
})
