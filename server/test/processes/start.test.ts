import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { withDatabase } from '../support/global-setup.ts'
import {
  cleanUp,
  isAlive,
  makeFolder,
  readPostmasterPid,
  run,
  runToEnd,
  startBureau,
  startTimeoutMs,
  waiting,
  type Running,
} from '../support/process.ts'

describe('a first start, and those after it', () => {
  let dataDir: string
  let bureau: Running
  beforeAll(async () => {
    dataDir = await makeFolder()
    bureau = await startBureau({ DATA_DIR: dataDir })
  }, startTimeoutMs)
  afterAll(cleanUp, startTimeoutMs)

  test('shows where everything is', async () => {
    const output = bureau.output()
    expect(output).toContain(`API         ${bureau.url}/api`)
    expect(output).toContain('admin@fairwater.example')
    const docs = await fetch(`${bureau.url}/docs`)
    expect([docs.status, docs.headers.get('content-type')]).toEqual([
      200,
      expect.stringContaining('text/html'),
    ])
    expect((await fetch(`${bureau.url}/readyz`)).status).toBe(200)
    const [, sandbox = ''] = /Payments\s+(http:\S+)/.exec(output) ?? []
    expect((await fetch(sandbox)).status).toBe(200)
  })

  test('shows a command that buys a service', async () => {
    const { status, body } = await runCurl(bureau.output())
    expect(status).toBe(201)
    expect(body).toMatchObject({
      order: { status: 'confirmed', paymentStatus: 'paid', case: { status: 'new' } },
      payment: { status: 'succeeded' },
      orderToken: expect.any(String),
    })
  })

  test('shows logins that let their owners in', async () => {
    const [, password] = /Password\s+(\S+)/.exec(bureau.output()) ?? []
    const { status } = await send(`${bureau.url}/api/auth/admin/login`, {
      email: 'admin@fairwater.example',
      password,
    })
    expect(status).toBe(200)
  })

  test(
    'ends with 0 at SIGTERM, and is there again soon, with all that it had',
    async () => {
      const { body } = await runCurl(bureau.output())
      const stoppingAt = performance.now()
      bureau.child.kill('SIGTERM')
      expect(await bureau.ended).toBe(0)
      expect(performance.now() - stoppingAt).toBeLessThan(15_000)
      expect(isAlive(await readPostmasterPid(dataDir))).toBe(false)

      const again = await startBureau({ DATA_DIR: dataDir })
      process.stdout.write(`warm start to healthy: ${again.tookMs.toFixed(0)} ms\n`)
      expect(again.tookMs).toBeLessThan(10_000)
      expect(await readOrder(again.url, body)).toMatchObject({ paymentStatus: 'paid' })
      const password = (output: string) => /Password\s+(\S+)/.exec(output)?.[1]
      expect(password(again.output())).toBe(password(bureau.output()))
      bureau = again
    },
    startTimeoutMs,
  )

  test('a second one on the same data is refused with a sentence', async () => {
    const second = await runToEnd('start', { DATA_DIR: dataDir })
    expect(second).toMatchObject({ code: 1 })
    expect(second.output).toMatch(/^Another Bureau \(process \d+\) is using the data/m)
    expect(second.output).not.toMatch(/^\s+at /m)
    expect((await fetch(`${bureau.url}/readyz`)).status).toBe(200)
  })

  test(
    'after kill -9 in the midst of purchases, the next start has each that was acknowledged',
    async () => {
      const bought: Purchase[] = []
      const buyers = Array.from({ length: 4 }, () => buyUntilItEnds(bureau, bought))
      await vi.waitFor(() => expect(bought.length).toBeGreaterThan(3), waiting)
      bureau.child.kill('SIGKILL')
      await bureau.ended
      await Promise.all(buyers)

      bureau = await startBureau({ DATA_DIR: dataDir })
      for (const purchase of bought) {
        const order = await readOrder(bureau.url, purchase)
        expect([order['id'], order['paymentStatus'], order['case']]).toEqual([
          purchase.order.id,
          'paid',
          expect.objectContaining({ status: 'new' }),
        ])
      }
      bureau.child.kill('SIGTERM')
      expect(await bureau.ended).toBe(0)
    },
    startTimeoutMs,
  )
})

test(
  'SIGTERM in the midst of the first start ends it with 0, and leaves no database behind',
  async () => {
    const dataDir = await makeFolder()
    const { child, ended, output } = run('start', { DATA_DIR: dataDir })
    await vi.waitFor(() => expect(output()).toContain('migration 0001'), waiting)
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(output()).not.toContain('Password')
    expect(isAlive(await readPostmasterPid(dataDir))).toBe(false)
    await cleanUp()
  },
  startTimeoutMs,
)

describe('on a PostgreSQL that is there', () => {
  afterEach(cleanUp, startTimeoutMs)

  test(
    'two processes start at once on an empty database, and make one demo',
    async () => {
      const { superuser, owner, server } = inject('cluster')
      const name = `start_${randomBytes(6).toString('hex')}`
      await query(superuser, `create database ${name} owner bureau_owner`)
      const environment = {
        DATABASE_URL: withDatabase(server, name),
        DATABASE_OWNER_URL: withDatabase(owner, name),
        SECRET_KEY: randomBytes(32).toString('hex'),
      }
      const both = await Promise.all(
        [1, 2].map(async () => startBureau({ ...environment, DATA_DIR: await makeFolder() })),
      )
      const counts = 'select count(*)::int as services from services'
      expect(await query(environment.DATABASE_URL, counts)).toEqual([{ services: 12 }])
      for (const { url, output, child, ended } of both) {
        expect((await fetch(`${url}/readyz`)).status).toBe(200)
        expect((await runCurl(output())).status).toBe(201)
        child.kill('SIGTERM')
        expect(await ended).toBe(0)
      }
      await query(superuser, `drop database ${name} with (force)`)
    },
    startTimeoutMs,
  )

  test(
    'one role for everything starts, and the start says what is not held',
    async () => {
      const { superuser, owner } = inject('cluster')
      const name = `start_${randomBytes(6).toString('hex')}`
      await query(superuser, `create database ${name} owner bureau_owner`)
      const environment = { DATABASE_URL: withDatabase(owner, name), DATA_DIR: await makeFolder() }
      const seeded = await runToEnd('seed', environment)
      expect([seeded.code, seeded.output]).toEqual([0, expect.stringContaining('demo business')])
      const repeated = await runToEnd('seed', environment)
      expect(repeated.code).toBe(1)
      expect(repeated.output).toMatch(/^The business is not empty: /m)

      const bureau = await startBureau(environment)
      expect(bureau.output()).toContain('schema changes are not held apart')
      const busy = await runToEnd('reset', environment, ['--yes'])
      expect([busy.code, busy.output]).toEqual([1, expect.stringContaining('stop it first')])
      bureau.child.kill('SIGTERM')
      expect(await bureau.ended).toBe(0)

      expect((await runToEnd('reset', environment, ['--yes'])).code).toBe(0)
      const counts = 'select count(*)::int as services from services'
      expect(await query(environment.DATABASE_URL, counts)).toEqual([{ services: 0 }])
      await query(superuser, `drop database ${name} with (force)`)
    },
    startTimeoutMs,
  )

  test('the demo does not go beside a live key', async () => {
    const environment = { DEMO: 'false', STRIPE_SECRET_KEY: 'sk_live_private' }
    const refused = await runToEnd('seed', environment)
    expect(refused.code).toBe(1)
    expect(refused.output).toContain('does not go beside a live STRIPE_SECRET_KEY')
  })

  test('a wrong password is told in one sentence, without the password', async () => {
    const url = new URL(inject('cluster').server)
    url.password = 'wrong-and-private'
    const refused = await runToEnd('start', {
      DATABASE_URL: url.toString(),
      DATA_DIR: await makeFolder(),
    })
    expect(refused.code).toBe(1)
    expect(refused.output).toMatch(/^The database does not let us in .*: see DATABASE_URL\.$/m)
    expect(refused.output).not.toContain('wrong-and-private')
    expect(refused.output).not.toMatch(/^\s+at /m)
  })
})

describe('reset', () => {
  afterEach(cleanUp, startTimeoutMs)

  test(
    'empties the embedded database, the documents and the sandbox, and the next start begins anew',
    async () => {
      const dataDir = await makeFolder()
      const before = await startBureau({ DATA_DIR: dataDir })
      const { body } = await runCurl(before.output())
      before.child.kill('SIGTERM')
      await before.ended
      expect(await runToEnd('reset', { DATA_DIR: dataDir })).toMatchObject({
        code: 1,
        output: expect.stringContaining('reset --yes means it'),
      })
      const documents = path.join(dataDir, 'documents')
      expect((await readdir(path.join(documents, 'kept'))).length).toBeGreaterThan(0)
      const reset = await runToEnd('reset', { DATA_DIR: dataDir }, ['--yes'])
      await expect(readdir(documents)).rejects.toThrow('ENOENT')
      expect([reset.code, reset.output]).toEqual([0, expect.stringContaining('is empty')])

      const after = await startBureau({ DATA_DIR: dataDir })
      const { status } = await fetch(`${after.url}/api/orders/${body.order.id}`, {
        headers: { 'x-order-token': body.orderToken },
      })
      expect(status).toBe(401)
      expect((await runCurl(after.output())).status).toBe(201)
      after.child.kill('SIGTERM')
      expect(await after.ended).toBe(0)
    },
    startTimeoutMs,
  )

  test('is refused in production', async () => {
    const refused = await runToEnd('reset', { NODE_ENV: 'production' }, ['--yes'])
    expect(refused).toMatchObject({ code: 1, output: expect.stringContaining('in production') })
  })
})

describe('what is wrong stops the start with a sentence', () => {
  afterEach(cleanUp)

  test.each([
    ['PORT', '70000', 'PORT must be a whole number from 0 to 65535.'],
    ['SECRET_KEY', 'my-example-secret-key-0123456789', 'SECRET_KEY must hold at least 32 random'],
    ['DATABASE_URL', 'mysql://root:private@localhost/', 'DATABASE_URL must be a postgres://'],
    ['PAYMENTS', 'cash-private', 'PAYMENTS must be one of stripe, sandbox, off.'],
    ['TIME_ZONE', 'Private/Nowhere', 'TIME_ZONE must be an IANA name'],
    ['STRIPE_SECRET_KEY', 'sk_live_private', 'DEMO=true cannot stand beside a live'],
  ])('%s=%s', async (name, value, sentence) => {
    const refused = await runToEnd('start', { [name]: value })
    expect(refused.code).toBe(1)
    expect(refused.output).toContain(sentence)
    expect(refused.output).not.toContain(value)
    expect(refused.output).not.toMatch(/^\s+at /m)
  })

  test(
    'a port that is taken',
    async () => {
      const squatter = createServer().listen(0, '127.0.0.1')
      await once(squatter, 'listening')
      const { port } = squatter.address() as AddressInfo
      const dataDir = await makeFolder()
      const refused = await runToEnd('start', { DATA_DIR: dataDir, PORT: String(port) })
      squatter.close()
      expect(refused.code).toBe(1)
      expect(refused.output).toMatch(/^The port is taken: .* PORT to another\.$/m)
      expect(isAlive(await readPostmasterPid(dataDir))).toBe(false)
    },
    startTimeoutMs,
  )

  test(
    'an ADMIN_PASSWORD that is tried first',
    async () => {
      const dataDir = await makeFolder()
      const admin = { ADMIN_EMAIL: 'sam@example.com', ADMIN_PASSWORD: 'password1234567' }
      const refused = await runToEnd('start', { DATA_DIR: dataDir, DEMO: 'false', ...admin })
      expect(refused.code).toBe(1)
      expect(refused.output).toContain('ADMIN_PASSWORD is among the passwords')
      expect(refused.output).not.toContain(admin.ADMIN_PASSWORD)
      expect(isAlive(await readPostmasterPid(dataDir))).toBe(false)
    },
    startTimeoutMs,
  )

  test.each(['fly', 'constructor'])('the verb %s, which there is not', async (verb) => {
    const refused = await runToEnd(verb, {})
    expect(refused.code).toBe(2)
    expect(refused.output).toContain(`does not know the verb ${verb}`)
    expect(refused.output).toMatch(/^ {2}start +start Bureau$/m)
  })
})

test('openapi prints the description, and nothing else', async () => {
  const { code, output } = await runToEnd('openapi', {})
  expect(code).toBe(0)
  expect(JSON.parse(output)).toMatchObject({ openapi: '3.1.1' })
})

interface Purchase {
  readonly order: { readonly id: string }
  readonly orderToken: string
}

async function send(url: string, body: unknown) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Purchase }
}

/** What the shell would do with the command that the banner shows. */
async function runCurl(output: string) {
  const [, url = '', body = ''] = /curl -s (\S+) \\\n.*\n\s+-d '(.*)'/.exec(output) ?? []
  return await send(url, JSON.parse(body))
}

/** Remembers only what the server has said that it did. */
async function buyUntilItEnds({ output }: Running, bought: Purchase[]): Promise<void> {
  for (;;) {
    const reply = await runCurl(output()).catch(() => undefined)
    if (!reply) return
    expect(reply).toMatchObject({ status: 201, body: { payment: { status: 'succeeded' } } })
    bought.push(reply.body)
  }
}

async function readOrder(url: string, { order, orderToken }: Purchase) {
  const reply = await fetch(`${url}/api/orders/${order.id}`, {
    headers: { 'x-order-token': orderToken },
  })
  expect(reply.status).toBe(200)
  return (await reply.json()) as Record<string, unknown>
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
