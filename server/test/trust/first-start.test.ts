import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'vitest'
import { ConfigError, readConfig } from '../../src/config.ts'
import type { Environment } from '../../src/config/environment.ts'
import { demoPasswordOf } from '../../src/demo/demo-password.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import { createSetupToken } from '../../src/modules/identity/index.ts'
import { startTestApp, type Reply } from '../support/app.ts'
import { listFiles, repository } from '../support/sources.ts'
import { promise } from './promise.ts'

const strong = (): string => randomBytes(32).toString('hex')

function problemsOf(environment: Environment): readonly string[] {
  try {
    readConfig({ NODE_ENV: 'production', ...environment })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

const weakKeys = [
  'short',
  'a'.repeat(64),
  'abcabcabcabcabcabcabcabcabcabcabcabc',
  'change-me-change-me-change-me-change-me',
  'your-secret-key-goes-here-0123456789abcdef',
  'example-0123456789abcdefghijklmnopqrstuv',
  'default0123456789abcdefghijklmnopqrstuv',
  'replace-this-0123456789abcdefghijklmnop',
  'Password0123456789abcdefghijklmnopqrstuv',
]

const defaultLogins = [
  'postgres://postgres:postgres@db/bureau',
  'postgres://bureau:bureau@db/bureau',
  'postgres://app:password@db/bureau',
  'postgres://app:P%61ssword1@db/bureau',
  'postgres://app:changeme@db/bureau',
  'postgres://app:example@db/bureau',
  'postgres://root:root@db/bureau',
  'postgres://app:admin@db/bureau',
  'postgres://app:1234567890@db/bureau',
  'postgres://app:app@db/bureau',
]

promise(53, 'production does not start with a weak secret or a default login', (proof) => {
  const database = { DATABASE_URL: `postgres://app:${strong()}@db/bureau`, SECRET_KEY: strong() }
  expect(problemsOf(database), 'a good one').toEqual([])
  let refused = 0
  const refuses = (environment: Environment, name: string): void => {
    const problems = problemsOf({ ...database, ...environment })
    expect([environment, problems]).toEqual([environment, [expect.stringMatching(name)]])
    const value = environment[name] ?? ''
    if (value.length > 12) expect(problems.join()).not.toContain(value)
    refused += 1
  }
  for (const SECRET_KEY of weakKeys) refuses({ SECRET_KEY }, 'SECRET_KEY')
  refuses({ SECRET_KEY: undefined }, 'SECRET_KEY')
  for (const url of defaultLogins) {
    refuses({ DATABASE_URL: url }, 'DATABASE_URL')
    refuses({ DATABASE_OWNER_URL: url }, 'DATABASE_OWNER_URL')
    refuses({ DATABASE_DIRECT_URL: url }, 'DATABASE_DIRECT_URL')
  }
  const MAIL_FROM = 'office@bureau.example'
  refuses({ SMTP_URL: 'smtp://user:password@mail.example:587', MAIL_FROM }, 'SMTP_URL')
  for (const METRICS_TOKEN of ['short', 'a'.repeat(40), 'change-me-0123456789abcdef']) {
    refuses({ METRICS_TOKEN }, 'METRICS_TOKEN')
  }
  const stripe = { STRIPE_SECRET_KEY: `sk_live_${strong()}` }
  for (const STRIPE_WEBHOOK_SECRET of [undefined, 'whsec_test', `whsec_${'a'.repeat(32)}`]) {
    refuses({ ...stripe, STRIPE_WEBHOOK_SECRET }, 'STRIPE_WEBHOOK_SECRET')
  }
  const good = { ...stripe, STRIPE_WEBHOOK_SECRET: `whsec_${strong()}`, METRICS_TOKEN: strong() }
  expect(problemsOf({ ...database, ...good })).toEqual([])
  proof.measured(`${refused} environments refused, each in one sentence without the value`)
})

promise(53, 'no page shows a secret that anything would take', (proof) => {
  const guides = listFiles(path.join(repository, 'docs'), /\.md$/).map((page) => `docs/${page}`)
  const pages = ['.env.example', 'README.md', 'CONTRIBUTING.md', ...guides]
  expect(pages.length).toBeGreaterThan(15)
  const shown = pages.flatMap((page) => {
    const text = readFileSync(path.join(repository, page), 'utf8')
    const names = 'SECRET_KEY|METRICS_TOKEN|STRIPE_WEBHOOK_SECRET|DATABASE_URL|DATABASE_OWNER_URL'
    return [...text.matchAll(new RegExp(`\\b(${names})=([^\\s\`]+)`, 'g'))].map(
      ([, name = '', value = '']) => ({ page, name, value }),
    )
  })
  const taken = shown.filter(({ name, value }) => problemsOf({ [name]: value }).length === 0)
  expect(taken).toEqual([])
  const passwords = Array.from({ length: 20 }, () => demoPasswordOf(createSecrets(strong())))
  expect(new Set(passwords).size, 'the demo has another one in each installation').toBe(20)
  proof.measured(`${pages.length} pages; 20 demos, 20 passwords`)
})

promise(
  53,
  'nobody can sign in before somebody took the step that makes the first admin',
  async (proof) => {
    const app = await startTestApp()
    try {
      expect(await app.sql('select id from users')).toEqual([])
      const enter = async (body: object): Promise<Reply> =>
        await app.request('POST /api/auth/admin/setup', {
          body: {
            email: 'sam@bureau.example',
            name: 'Sam',
            password: 'violet teapot on the moor',
            ...body,
          },
        })
      for (const token of ['setup', 'admin', strong(), 'A'.repeat(43)]) {
        expect((await enter({ token })).status).toBe(401)
      }
      const token = await createSetupToken(app.systemContext())
      const replies = await Promise.all(
        Array.from({ length: 6 }, (_, index) =>
          enter({ token, email: `sam${index}@bureau.example` }),
        ),
      )
      expect(replies.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409, 409])
      expect((await enter({ token })).status).toBe(409)
      expect(await app.sql('select role from users')).toEqual([{ role: 'admin' }])
      expect(await createSetupToken(app.systemContext())).toBeUndefined()
    } finally {
      await app.close()
    }
    proof.measured('0 logins at first, 1 admin of 6 who used the link at once')
  },
)
