import { startSandbox, type Sandbox } from '@bureau/stripe-sandbox'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { open, readdir, unlink } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { afterEach, expect } from 'vitest'
import { joinEmbeddedDatabase } from '../../../src/platform/embedded-database/index.ts'
import { booksAgree } from '../../journeys/books.ts'
import { expectReply, request, signInAdmin } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import { admin, makeFreshDatabase, query, settingsOf } from '../../support/fresh-database.ts'
import { buyAsGuest, publishService } from '../../support/journey.ts'
import { startMailServer } from '../../support/mail-server.ts'
import {
  cleanUp,
  makeFolder,
  run,
  runToEnd,
  startBureau,
  type Environment,
} from '../../support/process.ts'
import { pdfOfSize } from '../../support/sample-files.ts'
import { promise, type Proof } from '../promise.ts'

const long = { timeoutMs: 600_000 }
const webhookSecret = 'whsec_of_the_provider_that_outlives_us'
const holdingKey = 44
const backupName = /(\S*bureau-\d{8}T\d{6}Z)$/m

afterEach(cleanUp, 120_000)

/** The provider is not ours: it goes on while we are gone. */
async function openProvider(): Promise<{ sandbox: Sandbox; settings: Environment }> {
  const sandbox = await startSandbox({ port: 0, webhookSecrets: [webhookSecret] })
  return {
    sandbox,
    settings: {
      DEMO: 'false',
      ADMIN_EMAIL: admin.email,
      ADMIN_PASSWORD: admin.password,
      PAYMENTS: 'stripe',
      STRIPE_SECRET_KEY: 'sk_test_bureau',
      STRIPE_WEBHOOK_SECRET: webhookSecret,
      STRIPE_API_BASE: sandbox.url,
    },
  }
}

promise(44, 'a backup under load restores to one instant of it', provesInstant, long)

async function provesInstant(proof: Proof): Promise<void> {
  const { sandbox, settings } = await openProvider()
  const source = await makeFolder()
  const backups = await makeFolder()
  // Without a mail server all mails wait.
  const environment = { ...settings, DATA_DIR: source }
  const before = await startBureau(environment)
  sandbox.setWebhook(`${before.url}/api/webhook/stripe`, [webhookSecret])
  const token = await signInAdmin(before.url)
  const serviceId = await publishService(before.url, token)
  const load = startLoad(before.url, { token, serviceId, random: proof.random })
  await eventually(() => expect(load.bought.length).toBeGreaterThan(8), { withinMs: 60_000 })
  const acknowledged = [...load.bought]
  const documents = new Map(load.documents)
  const made = await runToEnd('backup', environment, [backups])
  expect(made.code, made.output).toBe(0)
  const duringBackup = load.bought.length - acknowledged.length
  await load.stop()
  const folder = backupName.exec(made.output)?.[1] ?? ''
  const allAtEnd = load.bought.length
  before.child.kill('SIGKILL')
  await before.ended

  const target = await makeFolder()
  const brought = await runToEnd('restore', { ...settings, DATA_DIR: target }, [folder])
  expect(brought.code, brought.output).toBe(0)
  const mails = await startMailServer()
  const after = await startBureau({
    ...settings,
    DATA_DIR: target,
    SMTP_URL: mails.url,
    MAIL_FROM: 'office@example.com',
  })
  sandbox.setWebhook(`${after.url}/api/webhook/stripe`, [webhookSecret])
  const urls = await joinEmbeddedDatabase(target)
  const sql = async (text: string) => await query(urls?.ownerUrl ?? '', text)

  const orders = await sql('select id, number, status from orders')
  const ids = new Set(orders.map(({ id }) => String(id)))
  expect(acknowledged.filter(({ id }) => !ids.has(id))).toEqual([])
  // In the middle of being paid at that instant: at most one of each customer of the load. The
  // provider's comparison settles or lists them, and everything else agrees with it to the penny.
  const underWay = orders.filter(({ status }) => status === 'pending').map(({ id }) => String(id))
  expect(underWay.length).toBeLessThanOrEqual(3)
  expect(acknowledged.filter(({ id }) => underWay.includes(id))).toEqual([])
  const audit = sandbox.audit()
  const settled = Object.entries(audit.chargesByOrder).filter(([id]) => !underWay.includes(id))
  const seen = { ...audit, chargesByOrder: Object.fromEntries(settled) }
  await booksAgree({ sandbox: { audit: () => seen }, sql })
  const rows = await sql('select key, sha256, size::int from documents where has_bytes')
  const adminToken = await signInAdmin(after.url)
  for (const { key, sha256 } of rows) {
    const headers = { authorization: `Bearer ${adminToken}` }
    const reply = await fetch(`${after.url}/api/documents/${String(key)}`, { headers })
    const bytes = Buffer.from(await reply.arrayBuffer())
    expect([reply.status, createHash('sha256').update(bytes).digest('hex')]).toEqual([200, sha256])
    const sent = documents.get(String(key))
    if (sent !== undefined) expect(sha256).toBe(sent)
  }
  proof.measured(
    `${ids.size} of ${allAtEnd} orders (${acknowledged.length} before, ${duringBackup} during ` +
      `the backup, ${underWay.length} under way), ${rows.length} documents: books and bytes agree`,
  )

  const next = await buy(after.url, serviceId, 'newcomer')
  expect(orders.map(({ number }) => String(number))).not.toContain(next.number)
  expect(await readStatus(after.url, acknowledged[0])).toBe(200)
  proof.measured('logins, tokens of orders and numbers go on')

  const perOrder = await eventually(
    async () => {
      const waiting = await sql(
        `select count(*)::int as waiting from notifications where status = 'queued'`,
      )
      expect(waiting).toEqual([{ waiting: 0 }])
      return mails.mails.map(({ to, parsed }) => `${to.join()} ${parsed.subject ?? ''}`)
    },
    { withinMs: 120_000 },
  )
  expect(perOrder.filter((one, index) => perOrder.indexOf(one) !== index)).toEqual([])
  const received = perOrder.filter((one) => one.includes('Payment received'))
  // What was being paid at the instant may have been settled since, and told its buyer.
  expect(received.length).toBeGreaterThanOrEqual(ids.size - underWay.length + 1)
  expect(received.length).toBeLessThanOrEqual(ids.size + 1)
  proof.measured(`${perOrder.length} mails that waited went out once each`)
  await mails.close()
  await sandbox.close()
}

promise(44, 'a backup cut short leaves nothing that looks whole', provesCut, long)

async function provesCut(proof: Proof): Promise<void> {
  const { sandbox, settings } = await openProvider()
  const dataDir = await makeFolder()
  const environment = { ...settings, DATA_DIR: dataDir }
  const bureau = await startBureau(environment)
  // The backup stands still here until somebody writes: it is in the middle for as long as we like.
  const pipe = path.join(dataDir, 'stripe-sandbox.jsonl')
  execFileSync('sh', ['-c', `mkfifo '${pipe}'`])
  const isUnderWay = async (place: string): Promise<void> => {
    await eventually(async () => expect(await readdir(place)).toHaveLength(1), {
      withinMs: 60_000,
    })
  }
  const killed = await makeFolder()
  const first = run('backup', environment, [killed])
  await isUnderWay(killed)
  first.child.kill('SIGKILL')
  await first.ended
  const [left = ''] = await readdir(killed)
  expect(left).toMatch(/\.unfinished-/)
  const target = { ...settings, DATA_DIR: await makeFolder() }
  const refused = await runToEnd('restore', target, [path.join(killed, left)])
  expect([refused.code, refused.output]).toEqual([1, expect.stringContaining('no whole backup')])
  proof.measured('kill -9: 1 folder left, named unfinished, refused')

  const stopped = await makeFolder()
  const second = run('backup', environment, [stopped])
  await isUnderWay(stopped)
  second.child.kill('SIGTERM')
  // Opened for both ends, so that we wait for no reader: it may have stopped before.
  const writer = await open(pipe, 'r+')
  await writer.write('go')
  expect(await second.ended).toBe(1)
  await writer.close()
  expect(await readdir(stopped)).toEqual([])
  proof.measured('SIGTERM: nothing left')
  await unlink(pipe)

  const full = await makeFolder()
  const large = pdfOfSize(3 * 1024 * 1024)
  await sendDocument(bureau.url, await signInAdmin(bureau.url), large.bytes)
  const third = run('backup', environment, [full], { largestFile: 2 * 1024 * 1024 })
  expect(await third.ended, third.output()).toBe(1)
  expect(third.output()).toMatch(/^The backup cannot be written: /m)
  expect(third.output()).not.toMatch(/^\s+at /m)
  expect(await readdir(full)).toEqual([])
  expect((await fetch(`${bureau.url}/readyz`)).status).toBe(200)
  proof.measured('no room: one sentence, nothing left, the business serves on')
  await sandbox.close()
}

promise(44, 'a restore cut short says so, and is run again', provesRestoredAgain, long)

async function provesRestoredAgain(proof: Proof): Promise<void> {
  const { sandbox, settings } = await openProvider()
  const database = await makeFreshDatabase()
  const source = { ...settings, ...settingsOf(database, await makeFolder()) }
  const bureau = await startBureau(source)
  sandbox.setWebhook(`${bureau.url}/api/webhook/stripe`, [webhookSecret])
  const token = await signInAdmin(bureau.url)
  const serviceId = await publishService(bureau.url, token)
  const order = await buy(bureau.url, serviceId, 'grace')
  const made = await runToEnd('backup', source, [await makeFolder()])
  const folder = backupName.exec(made.output)?.[1] ?? ''
  bureau.child.kill('SIGTERM')
  await bureau.ended

  const other = await makeFreshDatabase()
  const target = { ...settings, ...settingsOf(other, await makeFolder()) }
  const holding = await holdLoading(other.superuserUrl)
  const cut = run('restore', target, [folder])
  await eventually(
    async () => {
      expect(cut.child.exitCode, cut.output()).toBe(null)
      const waiting = `select from pg_locks
        where locktype = 'advisory' and objid = ${holdingKey} and not granted`
      expect(await query(other.superuserUrl, waiting)).toHaveLength(1)
    },
    { withinMs: 60_000 },
  )
  cut.child.kill('SIGKILL')
  await cut.ended
  await holding.release()
  for (const verb of ['start', 'migrate']) {
    const refused = await runToEnd(verb, target)
    expect([refused.code, refused.output]).toEqual([
      1,
      expect.stringContaining('A restore into this database was not finished: run the restore'),
    ])
  }
  expect(await query(other.ownerUrl, 'select from orders')).toEqual([])
  const again = await runToEnd('restore', target, [folder])
  expect(again.code, again.output).toBe(0)
  const restored = await startBureau(target)
  expect(await readStatus(restored.url, order)).toBe(200)
  proof.measured('killed in the middle of the rows: 0 rows, start and migrate refused, then whole')
  for (const one of [database, other]) await one.drop()
  await sandbox.close()
}

interface BoughtOrder {
  readonly id: string
  readonly number: string
  readonly orderToken: string
}

interface Load {
  /** What the server has said that it did, in the order in which it said so. */
  readonly bought: readonly BoughtOrder[]
  /** The digest of what was sent, by the document's key. */
  readonly documents: ReadonlyMap<string, string>
  stop(): Promise<void>
}

/** Customers who buy one after the other, and an office that sends documents and deletes some. */
function startLoad(
  url: string,
  { token, serviceId, random }: { token: string; serviceId: string; random: () => number },
): Load {
  const bought: BoughtOrder[] = []
  const documents = new Map<string, string>()
  const state = { isOver: false }
  const repeat = async (work: (turn: number) => Promise<void>): Promise<void> => {
    for (let turn = 0; !state.isOver; turn += 1) await work(turn)
  }
  const running = [
    ...[1, 2, 3].map((buyer) =>
      repeat(async (turn) => {
        bought.push(await buy(url, serviceId, `guest-${buyer}-${turn}`))
      }),
    ),
    repeat(async (turn) => {
      const { bytes } = pdfOfSize(200 + Math.floor(random() * 200_000))
      const { key } = await sendDocument(url, token, bytes)
      documents.set(key, createHash('sha256').update(bytes).digest('hex'))
      if (turn % 3 === 2) {
        await expectReply(204, url, `DELETE /api/documents/${key}`, { token })
      }
    }),
  ]
  return {
    bought,
    documents,
    stop: async () => {
      state.isOver = true
      await Promise.all(running)
    },
  }
}

async function buy(url: string, serviceId: string, guest: string): Promise<BoughtOrder> {
  const { order, orderToken } = await buyAsGuest(url, serviceId, guest)
  expect(order.paymentStatus).toBe('paid')
  return { id: order.id, number: order.number, orderToken }
}

async function sendDocument(url: string, token: string, bytes: Buffer): Promise<{ key: string }> {
  const body = new FormData()
  body.append('file', new Blob([new Uint8Array(bytes)], { type: 'application/pdf' }), 'scan.pdf')
  return await expectReply(201, url, 'POST /api/documents/upload', { token, body })
}

async function readStatus(url: string, order: BoughtOrder | undefined): Promise<number> {
  const orderToken = order?.orderToken ?? ''
  return (await request(url, `GET /api/orders/${order?.id ?? ''}`, { orderToken })).status
}

/** In a database yet to be filled: the first note of a case waits for us before it is written. */
async function holdLoading(superuserUrl: string): Promise<{ release(): Promise<void> }> {
  const client = new pg.Client({ connectionString: superuserUrl })
  await client.connect()
  await client.query(`
    create schema holding;
    grant usage on schema holding to public;
    create function holding.wait() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock(${holdingKey}); return new; end $$;
    create function holding.watch() returns event_trigger language plpgsql as $$ begin
      if to_regclass('public.users') is not null
        and not exists (select from pg_trigger where tgname = 'holding') then
        create trigger holding before insert on public.users
          for each row execute function holding.wait();
      end if; end $$;
    create event trigger holding on ddl_command_end when tag in ('CREATE TABLE')
      execute function holding.watch()`)
  await client.query(`select pg_advisory_lock(${holdingKey})`)
  return {
    release: async () => {
      await client.query('drop event trigger holding')
      await client.query('drop schema holding cascade')
      await client.end()
    },
  }
}
