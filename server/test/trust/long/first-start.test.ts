import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { expectReply, request } from '../../support/client.ts'
import {
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../../support/fresh-database.ts'
import {
  cleanUp,
  makeFolder,
  runToEnd,
  startBureau,
  startTimeoutMs,
} from '../../support/process.ts'
import { promise } from '../promise.ts'

let database: FreshDatabase

beforeAll(async () => {
  database = await makeFreshDatabase()
})
afterEach(cleanUp, startTimeoutMs)
afterAll(async () => {
  await database.drop()
})

const usual = ['admin', 'root', 'administrator', 'test', 'demo', 'owner', 'bureau', 'user']

promise(
  53,
  'a production that starts on an empty database has no login, but a link that makes one',
  async (proof) => {
    const {
      ADMIN_EMAIL: _email,
      ADMIN_PASSWORD: _password,
      ...settings
    } = settingsOf(database, await makeFolder())
    const environment = { ...settings, NODE_ENV: 'production' }
    const weak = { ...environment, SECRET_KEY: 'change-me-to-something-random-0123456789' }
    const refused = await runToEnd('start', weak)
    expect([refused.code, refused.output]).toEqual([1, expect.stringMatching('SECRET_KEY')])
    expect(refused.output).not.toContain(weak.SECRET_KEY)
    const bureau = await startBureau(environment)
    expect(await query(database.serverUrl, 'select id from users')).toEqual([])
    let tries = 0
    for (const name of usual) {
      for (const password of [name, `${name}123`, 'password', 'changeme', 'secret', '12345678']) {
        for (const door of ['login', 'admin/login'] as const) {
          const body = { email: `${name}@example.com`, password }
          const { status } = await request(bureau.url, `POST /api/auth/${door}`, { body })
          expect(status).toBe(401)
          tries += 1
        }
      }
    }
    const token = /"token":"([\w-]{43})"/.exec(bureau.output())?.[1]
    expect(token, bureau.output()).toBeDefined()
    const password = randomBytes(12).toString('hex')
    const body = { token, email: 'sam@example.com', name: 'Sam', password }
    await expectReply(201, bureau.url, 'POST /api/auth/admin/setup', { body })
    await expectReply(409, bureau.url, 'POST /api/auth/admin/setup', { body })
    proof.measured(`${tries} usual logins refused, 1 admin by the link`)
  },
  { timeoutMs: startTimeoutMs },
)
