import { execFile } from 'node:child_process'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { cloneDatabase, type TestDatabase } from './support/database.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  waiting,
  type Running,
} from './support/process.ts'

const admin = { email: 'owner@example.com', password: 'seven quiet otters' }

/** A process as an operator runs it, on a database whose owner the test can be. */
async function start(
  database: TestDatabase,
  environment: Readonly<Record<string, string>>,
): Promise<Running> {
  return await startBureau({
    DATA_DIR: await makeFolder(),
    DATABASE_URL: database.serverUrl,
    DATABASE_OWNER_URL: database.ownerUrl,
    DEMO: 'false',
    LOG_LEVEL: 'info',
    ADMIN_EMAIL: admin.email,
    ADMIN_PASSWORD: admin.password,
    ...environment,
  })
}

async function signIn(url: string): Promise<string> {
  const reply = await fetch(`${url}/api/auth/admin/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(admin),
  })
  const { accessToken } = (await reply.json()) as { accessToken: string }
  return accessToken
}

interface Problem {
  readonly detail: string
  readonly stack?: string
  readonly requestId: string
}

/** A table is not there: nobody expected that, so it is a 500. */
async function forceFailure(database: TestDatabase, url: string, token: string): Promise<Problem> {
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  await owner.connect()
  await owner.query('alter table cases rename to cases_away')
  try {
    const reply = await fetch(`${url}/api/crm`, { headers: { authorization: `Bearer ${token}` } })
    expect(reply.status).toBe(500)
    expect(reply.headers.get('content-type')).toContain('application/problem+json')
    return (await reply.json()) as Problem
  } finally {
    await owner.query('alter table cases_away rename to cases')
    await owner.end()
  }
}

const describeMode = describe.each([
  { mode: 'detailed', environment: { ERROR_DETAIL: 'true' } },
  { mode: 'sanitised', environment: { ERROR_DETAIL: 'false' } },
])

describeMode('a process with $mode errors', ({ mode, environment }) => {
  let database: TestDatabase
  let bureau: Running
  beforeAll(async () => {
    database = await cloneDatabase()
    bureau = await start(database, environment)
  }, startTimeoutMs)
  afterAll(async () => {
    await cleanUp()
    await database.drop()
  }, startTimeoutMs)

  test('500 tells its cause as the mode says, and the log and the list of errors tell it always', async () => {
    const token = await signIn(bureau.url)
    const { detail, stack, requestId } = await forceFailure(database, bureau.url, token)
    if (mode === 'detailed') {
      expect(detail).toContain('"cases" does not exist')
      expect(stack).toContain('at ')
    } else {
      expect(detail).toBe('Something went wrong on our side.')
      expect(stack).toBeUndefined()
    }
    const line = await vi.waitFor(() => {
      const found = bureau
        .output()
        .split('\n')
        .find((text) => text.includes(requestId) && text.includes('unexpected error'))
      expect(found).toBeDefined()
      return found ?? ''
    }, waiting)
    expect(JSON.parse(line)).toMatchObject({ level: 50, requestId })
    expect(line).toContain('does not exist')
    const listed = await fetch(`${bureau.url}/api/system/errors`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect(await listed.json()).toMatchObject({
      data: [{ code: '42P01', place: 'GET /api/crm', count: 1, lastRequestId: requestId }],
    })
  })
})

describe('an error that nobody catches', () => {
  const modules = path.resolve(import.meta.dirname, '../dist/platform')
  const at = (name: string): string => JSON.stringify(pathToFileURL(path.join(modules, name)).href)

  test.each([
    ['thrown', 'setTimeout(() => { throw new Error("nobody caught this") }, 1)'],
    ['rejected', 'void Promise.reject(new Error("nobody caught this"))'],
  ])('%s: is written down, and the process ends with 1', async (_how, fault) => {
    const script = `
      const { createLogger } = await import(${at('log.js')})
      const { recordUncaught } = await import(${at('uncaught.js')})
      recordUncaught({
        log: createLogger('info'),
        errorReports: {
          report: (error, place) => console.log('reported', error.message, place.kind),
          stop: async () => console.log('written'),
        },
      })
      setInterval(() => undefined, 1000)
      ${fault}`
    const ended = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', script],
      { timeout: 20_000 },
    ).catch((error: unknown) => error as { code: number; stdout: string })
    expect(ended).toMatchObject({ code: 1 })
    expect(ended.stdout).toContain('"msg":"uncaught error"')
    expect(ended.stdout).toContain('reported nobody caught this process')
    expect(ended.stdout).toContain('written')
  })
})
