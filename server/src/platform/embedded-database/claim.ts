import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { giveToOwnerOfFolder } from './account.ts'
import { EmbeddedDatabaseError, hasErrorCode } from './error.ts'
import { findProcess } from './processes.ts'

const SETTLE_TIMEOUT_MS = 5_000
const SETTLE_POLL_MS = 20

/**
 * Claims a data directory for this process until the returned function is called or the process
 * ends, however it ends. Throws when another living process holds or is about to hold it.
 *
 * Every claimant first writes a file named after itself and only then lists the others'. Of two
 * claimants the later one therefore always sees the earlier, so two can never both find themselves
 * alone. A file whose process has ended is removed by whoever sees it: its name never comes back,
 * for it holds the process's start as well as its id. Where two wait for each other, the smaller
 * name stays.
 */
export async function claimDataDirectory(
  dataDirectory: string,
  claimDirectory: string,
): Promise<() => Promise<void>> {
  await mkdir(claimDirectory, { recursive: true })
  await giveToOwnerOfFolder(claimDirectory)
  const own = `${process.pid}-${findProcess(process.pid)?.startedAt ?? '0'}`
  const ownFile = join(claimDirectory, own)
  const release = () => rm(ownFile, { force: true })
  try {
    await writeFile(ownFile, '', { flag: 'wx' })
  } catch (error) {
    if (hasErrorCode(error, 'EEXIST')) throw alreadyClaimed(dataDirectory, own)
    throw error
  }

  try {
    const rival = await awaitRivals(claimDirectory, own)
    if (rival !== undefined) throw alreadyClaimed(dataDirectory, rival)
    await writeFile(ownFile, 'held')
    return release
  } catch (error) {
    await release()
    throw error
  }
}

/** Returns the claim that goes before our own, or undefined once we are alone. */
async function awaitRivals(claimDirectory: string, own: string): Promise<string | undefined> {
  const giveUpAt = performance.now() + SETTLE_TIMEOUT_MS
  for (;;) {
    const rivals = await listLivingRivals(claimDirectory, own)
    const [waiting] = rivals
    if (waiting === undefined) return undefined
    for (const rival of rivals) {
      if (rival < own || (await isHeld(join(claimDirectory, rival)))) return rival
    }
    if (performance.now() > giveUpAt) return waiting
    await delay(SETTLE_POLL_MS)
  }
}

async function listLivingRivals(claimDirectory: string, own: string): Promise<string[]> {
  const living: string[] = []
  for (const name of await readdir(claimDirectory)) {
    if (name === own) continue
    const [, pid = '', startedAt] = /^(\d+)-(\w+)$/.exec(name) ?? []
    if (startedAt !== undefined && findProcess(Number(pid))?.startedAt === startedAt) {
      living.push(name)
    } else {
      await rm(join(claimDirectory, name), { force: true, recursive: true })
    }
  }
  return living
}

async function isHeld(claimFile: string): Promise<boolean> {
  // A claim that was withdrawn meanwhile is not held.
  const content = await readFile(claimFile, 'utf8').catch(() => '')
  return content === 'held'
}

function alreadyClaimed(dataDirectory: string, claim: string): EmbeddedDatabaseError {
  const [pid] = claim.split('-')
  return new EmbeddedDatabaseError(
    `Another Bureau (process ${pid}) is using the data in ${dataDirectory}: ` +
      'stop it first, or give this one a DATA_DIR of its own.',
  )
}
