import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../../test/support/app.ts'
import { startJobs } from './jobs.ts'
import { createLogger } from './log.ts'

let app: TestApp
beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.close())

describe('a job that fails', () => {
  test('has one line in the log, found by the id that its events and error reports name', async () => {
    let written = ''
    const destination = new Writable({
      write(chunk: Buffer, _encoding, done) {
        written += chunk.toString()
        done()
      },
    })
    const runner = await startJobs({
      directUrl: app.database.serverUrl,
      tasks: {
        fail: async () => {
          throw new Error('the printer is on fire')
        },
      },
      jobs: [],
      contextFor: () => app.systemContext(),
      log: createLogger('info', destination),
    })
    const lines = (): string[] => written.split('\n').filter((line) => line.includes('on fire'))
    try {
      const [job] = await app.sql(`
        select id from graphile_worker.add_job('fail', '{"to":"ada@customer.example"}',
          max_attempts => 7)`)
      const id = String(job?.['id'])
      await expect.poll(() => lines().length, { timeout: 15_000 }).toBe(1)
      expect(JSON.parse(lines()[0] ?? '')).toEqual({
        level: 50,
        time: expect.stringMatching(/Z$/),
        requestId: `job-${id}`,
        jobId: Number(id),
        job: 'fail',
        attempts: 1,
        maxAttempts: 7,
        err: expect.objectContaining({ message: 'the printer is on fire' }),
        msg: 'job failed',
      })
      expect(written).not.toContain('ada@')
    } finally {
      await runner.stop()
    }
  })
})
