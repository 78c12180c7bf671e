import { randomBytes } from 'node:crypto'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client, DatabaseError } from 'pg'
import { giveTo } from './account.ts'
import { programPath, runProgram, type Binaries } from './binaries.ts'
import { renameDurably, writeDurably } from './durable-file.ts'
import { EmbeddedDatabaseError, hasErrorCode } from './error.ts'
import type { ClusterHome } from './location.ts'

export interface Passwords {
  superuser: string
  owner: string
  server: string
}

/** Connection strings, one a role. */
export interface ClusterUrls {
  superuserUrl: string
  ownerUrl: string
  serverUrl: string
}

const UNFINISHED_PREFIX = 'unfinished-'
const CONNECT_TIMEOUT_MS = 10_000

/** Defaults that the operator may change in postgresql.conf; durability stays PostgreSQL's own. */
const SETTINGS = [
  'shared_buffers=128MB',
  'max_connections=100',
  'jit=off',
  'timezone=UTC',
  'log_timezone=UTC',
  // Failed statements are the application's to log; here they could only reveal people's data.
  'log_min_messages=log',
  'log_checkpoints=off',
]

/** Reads the passwords, or makes them where there is no cluster yet that would know others. */
export async function providePasswords(home: ClusterHome, isNew: boolean): Promise<Passwords> {
  try {
    return JSON.parse(await readFile(home.passwordFile, 'utf8')) as Passwords
  } catch (error) {
    if (!isNew || !hasErrorCode(error, 'ENOENT')) {
      const sentence =
        `The database's passwords in ${home.passwordFile} cannot be read: ` +
        'start Bureau as the user who made them, or bring the file back.'
      throw new EmbeddedDatabaseError(sentence, { cause: error })
    }
  }
  const [superuser, owner, server] = [makePassword(), makePassword(), makePassword()]
  const passwords: Passwords = { superuser, owner, server }
  await writeDurably(home.passwordFile, `${JSON.stringify(passwords, null, 2)}\n`)
  return passwords
}

/** Makes the cluster under another name and gives it its own only when it is complete. */
export async function createCluster(
  home: ClusterHome,
  binaries: Binaries,
  superuserPassword: string,
): Promise<void> {
  const program = programPath(binaries, 'initdb')
  const suffix = randomBytes(4).toString('hex')
  const unfinished = join(home.path, `${UNFINISHED_PREFIX}${suffix}`)
  const dataDirectory = join(unfinished, 'data')
  const passwordFile = join(unfinished, 'password')
  await mkdir(unfinished, { mode: 0o700 })
  await writeFile(passwordFile, superuserPassword, { mode: 0o600 })
  await giveTo(home.account, passwordFile)
  await giveTo(home.account, unfinished)

  const args = ['--pgdata', dataDirectory, '--username=postgres', `--pwfile=${passwordFile}`]
  args.push('--auth=scram-sha-256', '--encoding=UTF8', '--data-checksums', '--no-instructions')
  // The builtin provider sorts alike on every machine and version; the bundled ICU is of 2017.
  args.push('--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8')
  args.push(...SETTINGS.map((setting) => `--set=${setting}`))
  try {
    // pg_trgm asks the system's locale what a letter is, and in C an umlaut is none.
    await runProgram(program, [...args, '--lc-ctype=C.UTF-8'], home.account)
  } catch (error) {
    const { message } = error as Error
    if (!message.includes('invalid locale name')) throw error
    const lettersOfMacos = process.platform === 'darwin' ? ['--lc-ctype=en_US.UTF-8'] : []
    await runProgram(program, [...args, ...lettersOfMacos], home.account)
  }

  await renameDurably(dataDirectory, home.dataDirectory)
  await rm(unfinished, { recursive: true, force: true })
}

/**
 * Removes what a killed first start left. An initdb that outlived its parent may still write
 * there; what stays for that reason goes at the next start.
 */
export async function removeUnfinished(home: ClusterHome): Promise<void> {
  for (const name of await readdir(home.path)) {
    if (!name.startsWith(UNFINISHED_PREFIX)) continue
    await rm(join(home.path, name), { recursive: true, force: true }).catch(() => undefined)
  }
}

/** Refuses a cluster that another major version of PostgreSQL made. */
export async function requireSameMajor(home: ClusterHome, binaries: Binaries): Promise<void> {
  const made = (await readFile(join(home.dataDirectory, 'PG_VERSION'), 'utf8')).trim()
  const [major] = binaries.version.split('.')
  if (made === major) return
  throw new EmbeddedDatabaseError(
    `The database in ${home.dataDirectory} was made by PostgreSQL ${made} and this is ` +
      `PostgreSQL ${major}: move its data with the release of Bureau that made it.`,
  )
}

export function buildUrls(
  passwords: Passwords,
  address: { host: string; port: number },
): ClusterUrls {
  const build = (role: string, password: string, database: string) => {
    const url = new URL(`postgresql://${role}:${password}@localhost:${address.port}/${database}`)
    // As a parameter, for a folder with a socket has no place before the path of a URL.
    url.searchParams.set('host', address.host)
    return url.href
  }
  return {
    superuserUrl: build('postgres', passwords.superuser, 'postgres'),
    ownerUrl: build('bureau_owner', passwords.owner, 'bureau'),
    serverUrl: build('bureau_server', passwords.server, 'bureau'),
  }
}

/** Makes the roles and the database unless they stand; a crash half way is made good here. */
export async function provideDatabase(
  urls: ClusterUrls,
  passwords: Passwords,
  isNew: boolean,
): Promise<void> {
  if (!isNew && (await answersOwner(urls.ownerUrl))) return
  await withConnection(urls.superuserUrl, async (client) => {
    await provideRole(client, 'bureau_owner', passwords.owner)
    await provideRole(client, 'bureau_server', passwords.server)
    const { rowCount } = await client.query(`select from pg_database where datname = 'bureau'`)
    // Nobody can connect before the rights are right, so a connection proves that all is done.
    if (!rowCount) {
      await client.query('create database bureau owner bureau_owner allow_connections false')
    }
    await client.query('revoke all on database bureau from public')
    await client.query('grant connect on database bureau to bureau_server')
    await client.query('alter database bureau allow_connections true')
  })
  if (!(await answersOwner(urls.ownerUrl))) {
    throw new EmbeddedDatabaseError('The embedded database does not let its owner in.')
  }
}

function makePassword(): string {
  return randomBytes(24).toString('base64url')
}

/** False where roles or the database are missing; any other failure is thrown. */
async function answersOwner(ownerUrl: string): Promise<boolean> {
  try {
    await withConnection(ownerUrl, (client) => client.query('select 1'))
    return true
  } catch (error) {
    const notYetMade = ['28P01', '3D000', '55000']
    if (error instanceof DatabaseError && notYetMade.includes(error.code ?? '')) return false
    throw error
  }
}

async function provideRole(client: Client, role: string, password: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
  const verb = rowCount ? 'alter' : 'create'
  // Statements on roles take no parameters; both values are ours, without a quote in them.
  await client.query(`${verb} role ${role} login password '${password}'`)
}

async function withConnection<Result>(
  connectionString: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
  // Without a listener, a connection that breaks while idle would end the process.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}
