import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../../test/support/app.ts'
import { later, minuteMs, secondMs } from '../kernel/time.ts'
import { freeDeadJobs, keepJobProcess, sayAlive } from './job-processes.ts'

let app: TestApp
beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

/** A job that a process has taken so long ago, with the queue that it stands at the head of. */
async function takenJob(process: string, agoMs: number): Promise<unknown> {
  const [job] = await app.sql(
    `select id from graphile_worker.add_job('take', queue_name => $1, job_key => $1)`,
    [process],
  )
  const at = later(new Date(), -agoMs)
  for (const table of ['_private_jobs', '_private_job_queues']) {
    await app.sql(
      `update graphile_worker.${table} set locked_by = $1, locked_at = $2
       where ${table === '_private_jobs' ? 'key' : 'queue_name'} = $1`,
      [process, at],
    )
  }
  return job?.['id']
}

async function locked(): Promise<unknown[]> {
  const rows = await app.sql(`
    select locked_by from graphile_worker._private_jobs where locked_by is not null
    union all
    select locked_by from graphile_worker._private_job_queues where locked_by is not null
    order by 1`)
  return rows.map((row) => row['locked_by'])
}

describe('processes that run jobs', () => {
  test('the jobs and queues of a dead one are given free, those of a living one stay', async () => {
    const now = new Date()
    await sayAlive(app.db, 'living', now)
    await sayAlive(app.db, 'silent', later(now, -minuteMs))
    await takenJob('living', minuteMs)
    await takenJob('silent', minuteMs)
    await takenJob('unheard-of', minuteMs)
    await takenJob('just-begun', 5 * secondMs)
    expect((await freeDeadJobs(app.db, now)).toSorted()).toEqual(['silent', 'unheard-of'])
    expect(await locked()).toEqual(['just-begun', 'just-begun', 'living', 'living'])
    expect(await freeDeadJobs(app.db, now)).toEqual([])
  })

  test('a process is there from its start to its stop', async () => {
    const ids = async (): Promise<unknown[]> =>
      (await app.sql(`select id from job_processes where id = 'kept'`)).map((row) => row['id'])
    const kept = keepJobProcess({ db: app.db, log: app.ports.log }, { id: 'kept' })
    await expect.poll(ids).toEqual(['kept'])
    await kept.stop()
    expect(await ids()).toEqual([])
  })
})
