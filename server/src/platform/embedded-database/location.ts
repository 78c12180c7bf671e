import { createHash, randomBytes } from 'node:crypto'
import { chmod, chown, lstat, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { canReach, chooseServerAccount, giveTo, ownerOfCluster } from './account.ts'
import type { ServerAccount } from './account.ts'
import { exists, writeDurably } from './durable-file.ts'
import { EmbeddedDatabaseError, hasErrorCode } from './error.ts'

/** Where a cluster and all that belongs to it live, and the account that runs it. */
export interface ClusterHome {
  account: ServerAccount
  path: string
  /** PostgreSQL's own data directory; it exists once the cluster is complete. */
  dataDirectory: string
  socketDirectory: string
  passwordFile: string
  logFile: string
  /** Holds copies of PostgreSQL's programs where the account cannot reach the package. */
  binariesDirectory: string
  /** The pointer in the data directory, when the home lies elsewhere. */
  pointerFile: string | undefined
}

interface Pointer {
  home: string
  /** False until initdb has finished, so that a lost cluster is told from one never made. */
  complete: boolean
}

/** macOS allows 103 bytes for a socket's path, Linux 107; PostgreSQL adds its file name. */
const SOCKET_DIRECTORY_MAX_BYTES = 103 - '/.s.PGSQL.5432'.length

/** The home of this data directory's cluster, chosen now if there is none yet. */
export async function locateHome(dataDirectory: string): Promise<ClusterHome> {
  const inside = describeHome(join(dataDirectory, 'postgres'))
  if (await exists(inside.dataDirectory)) return await withOwner(inside)

  const pointerFile = join(dataDirectory, 'postgres.location')
  const pointer = await readPointer(pointerFile)
  if (!pointer) {
    const account = await chooseServerAccount()
    if (await canHoldCluster(dataDirectory, account)) return { ...inside, account }
    const home = await makeOutsideHome(account)
    await writePointer(pointerFile, { home, complete: false })
    return { ...describeHome(home), account, pointerFile }
  }

  const outside = { ...describeHome(pointer.home), pointerFile }
  if (await exists(outside.dataDirectory)) {
    // The start that made it may have been cut short just before it said so.
    if (!pointer.complete) await markComplete(outside)
    return await withOwner(outside)
  }
  if (pointer.complete) {
    throw new EmbeddedDatabaseError(
      `The database of ${dataDirectory} lay in ${pointer.home}, where it is no more: ` +
        `bring it back, or delete ${pointerFile} to begin with an empty one.`,
    )
  }
  await makeHome(pointer.home)
  return { ...outside, account: await chooseServerAccount() }
}

/** The home of a cluster that stands; undefined where there is none. Makes nothing. */
export async function findHome(dataDirectory: string): Promise<ClusterHome | undefined> {
  const inside = describeHome(join(dataDirectory, 'postgres'))
  if (await exists(inside.dataDirectory)) return await withOwner(inside)
  const pointerFile = join(dataDirectory, 'postgres.location')
  const pointer = await readPointer(pointerFile)
  if (!pointer) return undefined
  const outside = { ...describeHome(pointer.home), pointerFile }
  return (await exists(outside.dataDirectory)) ? await withOwner(outside) : undefined
}

/** Notes in the pointer, where there is one, that the cluster stands. */
export async function markComplete(home: Pick<ClusterHome, 'path' | 'pointerFile'>): Promise<void> {
  if (home.pointerFile) await writePointer(home.pointerFile, { home: home.path, complete: true })
}

/** Makes the folder for the socket, which only the server's account may enter. */
export async function makeSocketDirectory(home: ClusterHome): Promise<void> {
  const path = home.socketDirectory
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    if (!hasErrorCode(error, 'EEXIST')) throw error
    // In the shared temporary folder anyone could have made one of that name before us.
    const found = await lstat(path)
    const ours = home.account === 'ourselves' ? process.geteuid?.() : home.account.uid
    if (!found.isDirectory() || (ours !== undefined && found.uid !== ours && found.uid !== 0)) {
      throw new EmbeddedDatabaseError(`${path} should be the database's and is another user's.`)
    }
  }
  await giveTo(home.account, path)
  await chmod(path, 0o700)
}

/** Makes the home itself: others may pass through it to what is theirs, and list nothing. */
export async function makeHome(path: string): Promise<void> {
  await mkdir(path, { recursive: true })
  await chmod(path, 0o711)
}

function describeHome(path: string): Omit<ClusterHome, 'account'> {
  return {
    path,
    dataDirectory: join(path, 'data'),
    socketDirectory: placeSockets(path),
    passwordFile: join(path, 'passwords.json'),
    logFile: join(path, 'postgres.log'),
    binariesDirectory: join(path, 'binaries'),
    pointerFile: undefined,
  }
}

async function withOwner(home: Omit<ClusterHome, 'account'>): Promise<ClusterHome> {
  return { ...home, account: await ownerOfCluster(home.dataDirectory) }
}

/** Tries it, for some mounted file systems take no owners: PostgreSQL insists on its own. */
async function canHoldCluster(dataDirectory: string, account: ServerAccount): Promise<boolean> {
  if (account === 'ourselves') return true
  if (!(await canReach(account, dataDirectory, 'execute'))) return false
  const home = join(dataDirectory, 'postgres')
  await makeHome(home)
  const trial = await mkdtemp(join(home, 'trial-'))
  try {
    await chown(trial, account.uid, account.gid)
    return (await stat(trial)).uid === account.uid
  } catch (error) {
    if (hasErrorCode(error, 'EPERM', 'EINVAL', 'ENOTSUP')) return false
    throw error
  } finally {
    await rm(trial, { recursive: true, force: true })
  }
}

/**
 * A new folder outside the data directory. Its name is random, so that a data directory that was
 * deleted and made anew never meets the database of the one before.
 */
async function makeOutsideHome(account: ServerAccount): Promise<string> {
  const name = randomBytes(8).toString('hex')
  const candidates = [join('/var/lib/bureau', name), `/var/tmp/bureau-${name}`]
  for (const path of candidates) {
    try {
      const firstMade = await mkdir(path, { recursive: true })
      if (firstMade && firstMade !== path) await chmod(dirname(path), 0o711)
      await makeHome(path)
      if (await canReach(account, path, 'execute')) return path
      await rm(path, { recursive: true })
    } catch (error) {
      if (!hasErrorCode(error, 'EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR')) throw error
    }
  }
  throw new EmbeddedDatabaseError(
    `Neither DATA_DIR nor ${candidates.map((path) => dirname(path)).join(' nor ')} can hold a ` +
      'database that another user than root runs: choose a DATA_DIR that everyone may pass through.',
  )
}

async function readPointer(path: string): Promise<Pointer | undefined> {
  try {
    const found = JSON.parse(await readFile(path, 'utf8')) as Partial<Pointer> | null
    if (typeof found?.home === 'string') return { home: found.home, complete: !!found.complete }
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return undefined
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new EmbeddedDatabaseError(`${path} should name the database's folder and does not.`)
}

async function writePointer(path: string, pointer: Pointer): Promise<void> {
  await writeDurably(path, `${JSON.stringify(pointer)}\n`)
}

/** In the home, or in the temporary folder where the path would not do for a socket. */
function placeSockets(home: string): string {
  const path = join(home, 'run')
  // PostgreSQL reads the setting as a list, in which commas and quotes have a meaning.
  if (Buffer.byteLength(path) <= SOCKET_DIRECTORY_MAX_BYTES && !/[",]/.test(path)) return path
  return `/tmp/bureau-${createHash('sha256').update(home).digest('hex').slice(0, 16)}`
}
