import { randomBytes } from 'node:crypto'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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

const UNFINISHED_PREFIX = 'unfinished-'

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

function makePassword(): string {
  return randomBytes(24).toString('base64url')
}
