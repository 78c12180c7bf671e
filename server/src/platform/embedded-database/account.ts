import { chown, readFile, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { hasErrorCode, unsupportedHost, type EmbeddedDatabaseError } from './error.ts'

/**
 * The operating system's account that runs PostgreSQL. PostgreSQL refuses to run as root, so root
 * hands over to another account; everyone else runs it as themselves.
 */
export type ServerAccount = { uid: number; gid: number } | 'ourselves'

/** The account for a cluster that does not exist yet. Throws where initdb could not run. */
export async function chooseServerAccount(): Promise<ServerAccount> {
  if (isRoot()) return await readNobody()
  requireNamedAccount()
  return 'ourselves'
}

/** The account that an existing cluster belongs to: after a start as a user, root serves as them. */
export async function ownerOfCluster(dataDirectory: string): Promise<ServerAccount> {
  if (!isRoot()) return 'ourselves'
  const { uid, gid } = await stat(dataDirectory)
  if (uid === 0) {
    throw unsupportedHost(`The cluster in ${dataDirectory} belongs to root, who may not run it.`)
  }
  return { uid, gid }
}

/** Hands a path to the account; does nothing where PostgreSQL runs as ourselves. */
export async function giveTo(account: ServerAccount, path: string): Promise<void> {
  if (account === 'ourselves') return
  try {
    await chown(path, account.uid, account.gid)
  } catch (error) {
    throw hasErrorCode(error, 'EPERM', 'EINVAL') ? accountNotAllowed(error) : error
  }
}

/** A root without the rights of root, as some containers have it. */
export function accountNotAllowed(cause: unknown): EmbeddedDatabaseError {
  const reason = 'PostgreSQL may not run as root, and this process may not switch to "nobody".'
  return unsupportedHost(reason, cause)
}

/** Whether we are root, who may start PostgreSQL for another account and never for itself. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0
}

/** What root makes in a user's folder shall stay theirs, or their next start cannot replace it. */
export async function giveToOwnerOfFolder(path: string): Promise<void> {
  if (!isRoot()) return
  const { uid, gid } = await stat(dirname(path))
  await chown(path, uid, gid)
}

/**
 * Whether the account can pass through every folder down to the path and use the path itself
 * (`read` a file or list a folder, `execute` a program or pass through a folder). Looks at mode
 * bits only: where an access list says more than they do, we err on one side and copy.
 */
export async function canReach(
  account: ServerAccount,
  path: string,
  use: 'read' | 'execute',
): Promise<boolean> {
  if (account === 'ourselves') return true
  let wanted = use === 'read' ? 4 : 1
  for (let current = path; ; current = dirname(current)) {
    const { mode, uid, gid } = await stat(current)
    const shift = uid === account.uid ? 6 : gid === account.gid ? 3 : 0
    if (((mode >> shift) & wanted) === 0) return false
    if (current === dirname(current)) return true
    wanted = 1
  }
}

async function readNobody(): Promise<ServerAccount> {
  const accounts = await readFile('/etc/passwd', 'utf8').catch(() => '')
  for (const line of accounts.split('\n')) {
    const [name, , uid, gid] = line.split(':')
    // Some systems write nobody's id as -2; the kernel knows it as an unsigned number.
    if (name === 'nobody') return { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }
  }
  throw unsupportedHost('PostgreSQL may not run as root and this system has no account "nobody".')
}

/** initdb looks up the name of its user and fails for a number without one. */
function requireNamedAccount(): void {
  try {
    userInfo()
  } catch (error) {
    throw unsupportedHost(
      `The user id ${process.geteuid?.()} has no name in /etc/passwd, which PostgreSQL needs.`,
      error,
    )
  }
}
