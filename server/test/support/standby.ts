import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { appendFile, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { eventually } from './eventually.ts'
import { query } from './fresh-database.ts'

/** A PostgreSQL of a test's own, one of two that replicate: Debian's programs on loopback. */
export interface DatabaseServer {
  readonly ownerUrl: string
  readonly serverUrl: string
  readonly superuserUrl: string
  /** Where its files are. */
  readonly data: string
  start(): Promise<void>
  /** SIGKILL, as a machine that loses its power. */
  kill(): Promise<void>
  /** In order, whoever is connected. */
  stop(): Promise<void>
}

/** A primary, and a standby that has written what the primary acknowledges. */
export interface Pair {
  readonly primary: DatabaseServer
  readonly standby: DatabaseServer
  close(): Promise<void>
}

export async function startPair(): Promise<Pair> {
  const account = findAccount()
  const folder = await mkdtemp(path.join(tmpdir(), 'bureau-standby-'))
  if (account.uid !== undefined) await chown(folder, account.uid, account.gid ?? account.uid)
  const password = randomBytes(16).toString('hex')
  const passwordFile = path.join(folder, 'password')
  await writeFile(passwordFile, password, { mode: 0o644 })
  const make = async (name: string): Promise<DatabaseServer> =>
    openServer({ data: path.join(folder, name), port: await findFreePort(), password })
  const primary = await make('first')
  const standby = await make('second')
  const close = async (): Promise<void> => {
    await Promise.all([primary.kill(), standby.kill()])
    await rm(folder, { recursive: true, force: true })
  }
  try {
    // Checksums let pg_rewind follow what was changed.
    const layout = ['--encoding=UTF8', '--locale=C.UTF-8', '--data-checksums', '--no-sync']
    const access = ['--auth=scram-sha-256', '--username=postgres', `--pwfile=${passwordFile}`]
    await runProgram('initdb', [...layout, ...access, '-D', primary.data])
    await appendFile(path.join(primary.data, 'postgresql.conf'), settings.join('\n'))
    await primary.start()
    for (const role of ['bureau_owner', 'bureau_server']) {
      await query(primary.superuserUrl, `create role ${role} login password '${password}'`)
    }
    await query(primary.superuserUrl, 'create database bureau owner bureau_owner')
    await runProgram('pg_basebackup', [
      '-D',
      standby.data,
      '-R',
      '--checkpoint=fast',
      '--no-sync',
      '-d',
      replicationFrom(primary),
    ])
    await standby.start()
    await requireStandby(primary)
    return { primary, standby, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Acknowledges from here on only what the standby has written too. */
export async function requireStandby(primary: DatabaseServer): Promise<void> {
  await query(primary.superuserUrl, `alter system set synchronous_standby_names = '${standbyName}'`)
  await query(primary.superuserUrl, 'select pg_reload_conf()')
  await eventually(async () => {
    const states = await query(
      primary.superuserUrl,
      'select sync_state, state from pg_stat_replication',
    )
    if (states.length !== 1 || states[0]?.['sync_state'] !== 'sync') {
      throw new Error(`the standby does not follow: ${JSON.stringify(states)}`)
    }
  })
}

/** Makes the standby a primary that stands alone; resolves once it takes writes. */
export async function promote(standby: DatabaseServer): Promise<void> {
  const { superuserUrl } = standby
  await query(superuserUrl, `alter system set synchronous_standby_names = ''`)
  await query(superuserUrl, 'select pg_reload_conf()')
  await query(superuserUrl, 'select pg_promote(true, 30)')
}

/** Takes an old primary, which is stopped, back to where the histories part, as a standby. */
export async function rewind(old: DatabaseServer, primary: DatabaseServer): Promise<void> {
  await query(primary.superuserUrl, 'checkpoint')
  await runProgram('pg_rewind', [
    '--target-pgdata',
    old.data,
    '--source-server',
    replicationFrom(primary),
    '--write-recovery-conf',
    '--no-sync',
  ])
  await old.start()
}

const standbyName = 'standby'

function replicationFrom({ superuserUrl }: DatabaseServer): string {
  const { hostname, port, username, password } = new URL(superuserUrl)
  const access = `host=${hostname} port=${port} user=${username} password=${password}`
  return `${access} dbname=postgres application_name=${standbyName}`
}

interface ServerOptions {
  readonly data: string
  readonly port: number
  readonly password: string
}

/** What a cluster that lives for minutes may do without; nobody pulls this machine's plug. */
const settings = [
  "listen_addresses = '127.0.0.1'",
  "unix_socket_directories = ''",
  'fsync = off',
  'max_connections = 60',
  // What pg_rewind looks for, and a standby that was away.
  "wal_keep_size = '256MB'",
]

function openServer({ data, port, password }: ServerOptions): DatabaseServer {
  const urlOf = (role: string, database: string): string =>
    `postgresql://${role}:${password}@127.0.0.1:${port}/${database}`
  const superuserUrl = urlOf('postgres', 'postgres')
  let child: ChildProcess | undefined
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (!child || hasEnded(child)) return
    const ended = once(child, 'close')
    child.kill(signal)
    await ended
  }
  return {
    ownerUrl: urlOf('bureau_owner', 'bureau'),
    serverUrl: urlOf('bureau_server', 'bureau'),
    superuserUrl,
    data,
    // Backends of a killed one are a moment longer there, and hold its memory.
    start: () =>
      eventually(
        async () => {
          child = launch('postgres', ['-D', data, '-p', String(port)])
          await answers(child, superuserUrl)
        },
        { withinMs: 30_000 },
      ),
    kill: () => end('SIGKILL'),
    stop: () => end('SIGINT'),
  }
}

async function answers(child: ChildProcess, url: string): Promise<void> {
  const output = outputOf(child)
  await eventually(
    async () => {
      if (hasEnded(child)) return
      await query(url, 'select 1')
    },
    { withinMs: 30_000 },
  )
  if (hasEnded(child)) throw new Error(`PostgreSQL did not start:\n${output()}`)
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

async function runProgram(name: string, args: readonly string[]): Promise<void> {
  const child = launch(name, args)
  const output = outputOf(child)
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${name} failed:\n${output()}`)
}

/** In a group of its own: an interrupt at the terminal shall reach the tests first. */
function launch(name: string, args: readonly string[]): ChildProcess {
  const { programs } = findPrograms()
  const child = spawn(path.join(programs, name), args, {
    ...findAccount(),
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const abandon = (): void => void child.kill('SIGKILL')
  process.once('exit', abandon)
  child.once('close', () => process.off('exit', abandon))
  return child
}

function outputOf(child: ChildProcess): () => string {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  }
  return () => output
}

interface Programs {
  readonly programs: string
  /** PostgreSQL refuses to run as root: who runs it instead. */
  readonly account: { readonly uid?: number; readonly gid?: number }
}

function findPrograms(): Programs {
  const given = process.env['BUREAU_POSTGRES']
  if (given === undefined) {
    throw new Error('A pair of databases needs the programs of PostgreSQL: npm run trust has them.')
  }
  return JSON.parse(given) as Programs
}

function findAccount(): Programs['account'] {
  return findPrograms().account
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
