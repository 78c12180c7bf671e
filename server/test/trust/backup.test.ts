import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { cp, stat, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect } from 'vitest'
import { readConfig, type Config } from '../../src/config.ts'
import { namedBytes } from '../../src/modules/documents/index.ts'
import { readSnapshot, sealManifest, type Manifest } from '../../src/platform/backup/index.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import { backUp } from '../../src/verbs/backup.ts'
import { restore } from '../../src/verbs/restore.ts'
import { bought, buy, openShop, runScheduled, settleAll, type Shop } from '../journeys/shop.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { makeFreshDatabase, query, type FreshDatabase } from '../support/fresh-database.ts'
import { pdf } from '../support/sample-files.ts'
import { upload } from '../support/upload.ts'
import { promise } from './promise.ts'

const secretKey = 'f3a9d07c93b25e68a4b1d07c93f25e68a4b1c07c93f25e68'
const quietly = { progress: () => undefined, signal: new AbortController().signal }

let app: TestApp
let shop: Shop
let folder: string
let backup: string
const databases: FreshDatabase[] = []

/** A business in the middle of its day: orders in several states, and work that is not done yet. */
beforeAll(async () => {
  app = await startTestApp()
  shop = await openShop(app)
  folder = await mkdtemp(path.join(tmpdir(), 'bureau-backup-'))
  await mkdir(path.join(folder, 'source'))
  await symlink(app.documentsDirectory, path.join(folder, 'source/documents'))
  for (let index = 0; index < 3; index += 1) {
    const { payer } = await bought(shop, { as: 'ada', paymentMethod: 'pm_card_visa' })
    const sent = await upload(app, pdf(`${index}.pdf`, `Page ${index}`), { ...payer })
    expect(sent.status).toBe(201)
  }
  await settleAll(shop)
  await buy(shop, { paymentMethod: 'pm_card_chargeDeclined' })
  await bought(shop, { mode: 'hosted' })
  await app.sql(`
    select graphile_worker.permanently_fail_jobs(array[id], E'a\\ttab and a \\\\')
    from graphile_worker.add_job('deliver-mail', '{"text":"a\\\\nline"}', queue_name => 'q')`)
  await app.sql(`select graphile_worker.add_job('prune-platform', max_attempts => 1)`)
  await app.sql(`
    update graphile_worker._private_jobs set locked_at = now(), locked_by = 'gone', attempts = 1
    where id = (select max(id) from graphile_worker._private_jobs)`)
  const made = await backUp(sourceConfig(), path.join(folder, 'backups'), quietly)
  backup = made.folder
})

afterAll(async () => {
  for (const database of databases) await database.drop()
  await rm(folder, { recursive: true, force: true })
  await app.close()
})

promise(44, 'what is restored is what was there, row for row and byte for byte', async (proof) => {
  const target = await emptyTarget()
  await restore(target.config, backup, quietly.progress)
  const again = await backUp(target.config, path.join(folder, 'again'), quietly)
  const [before, after] = await Promise.all([readSums(backup), readSums(again.folder)])
  expect(after).toEqual(before)
  const restored = await readJobs(target.database.ownerUrl)
  const jobs = await readJobs(app.database.ownerUrl)
  expect(jobs.filter((job) => job['locked'])).toHaveLength(1)
  // What ran at that instant has not run: it begins anew, with the try that it had begun.
  expect(restored).toEqual(
    jobs.map((job) => (job['locked'] ? { ...job, attempts: 0, locked: false } : job)),
  )
  const { sequences } = JSON.parse(await readManifestText()) as Manifest
  expect(again.manifest.sequences).toEqual(sequences)
  const { tables, documents } = again.manifest
  const rows = tables.reduce((sum, table) => sum + table.rows, 0)
  proof.measured(`${rows} rows of ${tables.length} tables, ${documents.files} documents equal`)
  proof.measured(`${restored.length} jobs equal, one that ran begins anew`)
})

promise(44, 'what happens during the backup is not in it', async (proof) => {
  const [before] = await app.sql('select count(*)::int as orders from orders')
  await readSnapshot(app.database.ownerUrl, namedBytes, async (snapshot) => {
    await bought(shop, { as: 'eve', paymentMethod: 'pm_card_visa' })
    for (const table of snapshot.tables.filter(({ name }) => name === 'orders')) {
      const copy = snapshot.copyTable(table)
      expect(await text(copy.rows)).not.toBe('')
      expect(copy.count()).toBe(before?.['orders'])
    }
  })
  proof.measured('an order placed meanwhile: 0 rows of it')
})

promise(44, 'a document that is deleted during the backup is in it', async (proof) => {
  const { payer } = await bought(shop, { as: 'eve', paymentMethod: 'pm_card_visa' })
  const { body } = await upload(app, pdf('mine.pdf', 'Deleted soon'), { ...payer })
  const key = (body as { key: string }).key
  await readSnapshot(app.database.ownerUrl, namedBytes, async (snapshot) => {
    const removed = await app.request(`DELETE /api/documents/${key}`, { ...payer })
    expect(removed.status).toBe(204)
    app.advance(2 * 3_600_000)
    await runScheduled(shop, 'sweep-document-storage')
    const keys: string[] = []
    for await (const named of snapshot.releaseRows()) {
      expect(await app.ports.files.has(named.key)).toBe(true)
      keys.push(named.key)
    }
    expect(keys).toContain(key)
    const gone = await app.request(`GET /api/documents/${key}`, { ...payer })
    expect([401, 404]).toContain(gone.status)
  })
  await runScheduled(shop, 'sweep-document-storage')
  expect(await app.ports.files.has(key)).toBe(false)
  proof.measured('1 document deleted and swept meanwhile was held, and is gone after')
})

promise(
  44,
  'what is not whole or not ours is refused before anything is touched',
  async (proof) => {
    const target = await emptyTarget()
    const refused = async (given: string, config = target.config): Promise<string> => {
      const failure = await restore(config, given, quietly.progress).catch(
        (error: unknown) => error,
      )
      expect(failure).toMatchObject({ name: 'Refusal' })
      expect(await listTables(target.database.ownerUrl)).toEqual([])
      return (failure as Error).message
    }
    const names = [...(await readSums(backup)).keys(), 'SHA256SUMS', 'manifest.json']
    const damages = 24
    const pick = (count: number): number => Math.floor(proof.random() * count)
    for (let turn = 0; turn < damages; turn += 1) {
      const copy = path.join(folder, `damaged-${turn}`)
      await cp(backup, copy, { recursive: true })
      // The two that speak of all others, and others by chance.
      const name = names[turn < 4 ? names.length - 1 - (turn % 2) : pick(names.length)] ?? ''
      const damage = await harm(path.join(copy, name), proof.random)
      expect(await refused(copy), `${name}: ${damage}`).toMatch(
        /damaged|no whole backup|another key/,
      )
    }
    proof.measured(`${damages} of ${damages} files cut, altered or missing refused`)

    // The sums made to fit what was altered, as somebody would who means to.
    const forged = await mkdtemp(path.join(folder, 'forged-'))
    await cp(backup, forged, { recursive: true })
    const lines = (await readFile(path.join(forged, 'SHA256SUMS'), 'utf8')).trim().split('\n')
    await writeFile(path.join(forged, 'SHA256SUMS'), `${lines.slice(0, -1).join('\n')}\n`)
    expect(await refused(forged)).toContain('SHA256SUMS was changed')

    const told = { ...(JSON.parse(await readManifestText()) as Manifest), product: '9.9.9' }
    await writeFile(path.join(forged, 'manifest.json'), JSON.stringify(told))
    expect(await refused(forged)).toContain('its manifest')

    const { seal: _, keyCheck: __, ...manifest } = JSON.parse(await readManifestText()) as Manifest
    const resealed = async (change: Partial<Manifest>): Promise<string> => {
      const copy = await mkdtemp(path.join(folder, 'resealed-'))
      await cp(backup, copy, { recursive: true })
      const changed = sealManifest({ ...manifest, ...change }, createSecrets(secretKey))
      await writeFile(path.join(copy, 'manifest.json'), JSON.stringify(changed))
      return copy
    }
    const [first] = manifest.migrations
    const newer = [...manifest.migrations, { name: '9999_platform.sql', checksum: 'a' }]
    const other = [{ name: first?.name ?? '', checksum: 'another' }]
    expect(await refused(await resealed({ migrations: newer }))).toContain('9999_platform.sql')
    expect(await refused(await resealed({ migrations: other }))).toContain('is not the one of this')
    expect(await refused(await resealed({ format: 2 as 1 }))).toContain('by a newer Bureau')
    const otherKey = { ...target.config, secretKey: secretKey.replaceAll('f', 'e') }
    expect(await refused(backup, otherKey)).toContain('another key')
    expect(await refused(backup, { ...target.config, secretKey: undefined })).toContain(
      'SECRET_KEY',
    )
    expect(await refused(path.join(folder, 'nowhere'))).toContain('no whole backup')
    proof.measured('a newer schema, a changed migration, a newer format and another key refused')
  },
)

promise(44, 'a backup goes into an empty business only', async (proof) => {
  const before = await listTables(app.database.ownerUrl)
  await expect(restore(sourceConfig(), backup, quietly.progress)).rejects.toThrow('is not empty')
  expect(await listTables(app.database.ownerUrl)).toEqual(before)
  const target = await emptyTarget()
  await query(target.database.ownerUrl, 'create table ledger_of_somebody_else ()')
  await expect(restore(target.config, backup, quietly.progress)).rejects.toThrow('none of Bureau')
  expect(await listTables(target.database.ownerUrl)).toEqual(['ledger_of_somebody_else'])
  proof.measured('2 targets in use refused and unchanged')
})

promise(44, 'a backup that cannot be written leaves nothing that looks like one', async (proof) => {
  const inTheWay = path.join(folder, 'a-file')
  await writeFile(inTheWay, '')
  await expect(backUp(sourceConfig(), inTheWay, quietly)).rejects.toMatchObject({ name: 'Refusal' })
  const place = path.join(folder, 'stopped')
  const signal = AbortSignal.abort()
  await expect(backUp(sourceConfig(), place, { ...quietly, signal })).rejects.toThrow('was stopped')
  expect(await readdir(place)).toEqual([])
  await readSnapshot(app.database.ownerUrl, namedBytes, async () => {
    await expect(backUp(sourceConfig(), place, quietly)).rejects.toThrow('is under way')
  })
  expect(await readdir(place)).toEqual([])
  proof.measured('no place, stopped, two at once: 0 files left')
})

function sourceConfig(): Config {
  return configOf(app.database, path.join(folder, 'source'))
}

function configOf(database: { serverUrl: string; ownerUrl: string }, dataDir: string): Config {
  return readConfig({
    DATABASE_URL: database.serverUrl,
    DATABASE_OWNER_URL: database.ownerUrl,
    DATA_DIR: dataDir,
    SECRET_KEY: secretKey,
  })
}

async function emptyTarget(): Promise<{ database: FreshDatabase; config: Config }> {
  const database = await makeFreshDatabase()
  databases.push(database)
  return { database, config: configOf(database, await mkdtemp(path.join(folder, 'target-'))) }
}

/** Name to digest, but for the queue: its jobs get numbers of their own. */
async function readSums(given: string): Promise<Map<string, string>> {
  const lines = (await readFile(path.join(given, 'SHA256SUMS'), 'utf8')).trim().split('\n')
  const sums = new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]))
  sums.delete('jobs')
  return sums
}

async function readManifestText(): Promise<string> {
  return await readFile(path.join(backup, 'manifest.json'), 'utf8')
}

async function readJobs(url: string): Promise<Record<string, unknown>[]> {
  return await query(
    url,
    `select task_identifier, queue_name, priority, run_at, attempts, max_attempts, key,
       case when attempts >= max_attempts and locked_at is null then last_error end as last_error,
       locked_at is not null as locked,
       (select payload::text from graphile_worker._private_jobs p where p.id = jobs.id) as payload
     from graphile_worker.jobs order by id`,
  )
}

async function listTables(url: string): Promise<string[]> {
  const rows = await query<{ tablename: string }>(
    url,
    `select tablename from pg_tables where schemaname = 'public' order by tablename`,
  )
  return rows.map(({ tablename }) => tablename)
}

/** One of the ways in which a disk, a transfer or a person spoils a file. */
async function harm(file: string, random: () => number): Promise<string> {
  const { size } = await stat(file)
  const kind = Math.floor(random() * 3)
  if (kind === 0 || size === 0) {
    await unlink(file)
    return 'removed'
  }
  const at = Math.floor(random() * size)
  if (kind === 1) {
    await truncate(file, at)
    return `cut at ${at}`
  }
  const handle = await open(file, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, at)
  await handle.write(Buffer.from([(byte[0] ?? 0) ^ (1 << Math.floor(random() * 8))]), 0, 1, at)
  await handle.close()
  return `a bit of byte ${at}`
}
