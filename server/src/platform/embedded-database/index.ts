import { chmod, mkdir, readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isRoot } from './account.ts'
import { provideBinaries, type Binaries } from './binaries.ts'
import { claimDataDirectory } from './claim.ts'
import { createCluster, providePasswords, removeUnfinished, requireSameMajor } from './cluster.ts'
import type { Passwords } from './cluster.ts'
import { buildUrls, isConnectionLost, provideDatabase, type ClusterUrls } from './database.ts'
import { exists } from './durable-file.ts'
import { EmbeddedDatabaseError } from './error.ts'
import { findHome, locateHome, makeHome, markComplete } from './location.ts'
import type { ClusterHome } from './location.ts'
import { findPostmaster, startPostmaster, stopPostmaster, type Postmaster } from './postmaster.ts'
import { boundServerLog } from './server-log.ts'
import { watchPostmaster } from './watch.ts'

export { EmbeddedDatabaseError }

export interface EmbeddedDatabase {
  /** Role `bureau_owner`: owns the database `bureau` and migrates it. */
  ownerUrl: string
  /** Role `bureau_server`: serves, without a right to change the schema. */
  serverUrl: string
  /** Role `postgres`, for tests that make databases of their own. */
  superuserUrl: string
  /** `adopted`: a server left behind by a killed process; `recovered`: one that had crashed. */
  outcome: Outcome
  /** Shuts the server down and gives the data directory free, within about 15 s. */
  stop(): Promise<void>
}

const ANSWER_TIMEOUT_MS = 10_000
const ANSWER_POLL_MS = 50

type Outcome = 'created' | 'started' | 'adopted' | 'recovered'
type Progress = (message: string) => void
type Release = () => Promise<void>

/** The means of one start: where the cluster is, and its programs, which not every start needs. */
interface Setting {
  home: ClusterHome
  binaries: () => Promise<Binaries>
  isNew: boolean
  progress: Progress
}

/**
 * Provides the PostgreSQL that lives in the data directory: makes it on the first start, finds or
 * starts it on later ones, and starts it again should it crash. One process at a time may have it;
 * when that process is killed, the server lives on and the next start adopts it. Throws an
 * EmbeddedDatabaseError, one sentence for the operator, where it cannot be had.
 */
export async function startEmbeddedDatabase(options: {
  dataDir: string
  progress?: Progress
}): Promise<EmbeddedDatabase> {
  const { dataDir, progress = () => undefined } = options
  const releases: Release[] = []
  const release: Release = async () => {
    for (const one of releases.splice(0).toReversed()) await one()
  }
  try {
    const dataDirectory = await makeDataDirectory(dataDir)
    const claims = join(dataDirectory, 'postgres.lock')
    releases.push(await claimDataDirectory(dataDirectory, claims))
    const home = await locateHome(dataDirectory)
    await makeHome(home.path)
    // A copied data directory points at the same home outside it.
    if (home.pointerFile) {
      releases.push(await claimDataDirectory(home.path, join(home.path, 'postgres.lock')))
    }
    return await open(await describeSetting(home, progress), release)
  } catch (error) {
    await release()
    throw explainFailure(error, dataDir)
  }
}

/**
 * The database of this data directory where it runs, be it for another process: it may be asked,
 * and whoever started it may end it at any time. Undefined where it does not run.
 */
export async function joinEmbeddedDatabase(dataDir: string): Promise<ClusterUrls | undefined> {
  if (!(await exists(dataDir))) return undefined
  const home = await findHome(await realpath(dataDir))
  const postmaster = home && (await findPostmaster(home))
  if (!postmaster) return undefined
  return buildUrls(await providePasswords(home, false), postmaster)
}

/**
 * Made so that another account may pass through; what is private in it has its own mode. So is one
 * that root was given empty, such as a new volume: the database shall lie in it, not elsewhere.
 */
async function makeDataDirectory(path: string): Promise<string> {
  if (await mkdir(path, { recursive: true })) await chmod(path, 0o711)
  else if (isRoot() && (await readdir(path)).length === 0) {
    await chmod(path, (await stat(path)).mode | 0o011)
  }
  return await realpath(path)
}

async function describeSetting(home: ClusterHome, progress: Progress): Promise<Setting> {
  const binaries = () => provideBinaries(home.account, home.binariesDirectory)
  return { home, binaries, isNew: !(await exists(home.dataDirectory)), progress }
}

async function open(setting: Setting, release: Release): Promise<EmbeddedDatabase> {
  const { home, binaries, isNew } = setting
  const passwords = await providePasswords(home, isNew)
  const { postmaster, outcome, urls } = await provideAnsweringServer(setting, passwords)
  const watch = watchPostmaster(home, postmaster, setting)
  const stop = async (): Promise<void> => {
    await watch.end()
    await stopPostmaster(home, binaries)
    await release()
  }
  let stopping: Promise<void> | undefined
  return { ...urls, outcome, stop: () => (stopping ??= stop()) }
}

/** A server that was killed a moment ago still looks alive, and ends while we talk to it. */
async function provideAnsweringServer(
  setting: Setting,
  passwords: Passwords,
): Promise<{ postmaster: Postmaster; outcome: Outcome; urls: ClusterUrls }> {
  const giveUpAt = performance.now() + ANSWER_TIMEOUT_MS
  for (;;) {
    const { postmaster, outcome } = await provideServer(setting, passwords.superuser)
    const urls = buildUrls(passwords, postmaster)
    try {
      await provideDatabase(urls, passwords, setting.isNew)
      return { postmaster, outcome, urls }
    } catch (error) {
      if (!isConnectionLost(error) || performance.now() > giveUpAt) {
        await stopPostmaster(setting.home, setting.binaries)
        throw error
      }
    }
    await delay(ANSWER_POLL_MS)
  }
}

async function provideServer(
  setting: Setting,
  superuserPassword: string,
): Promise<{ postmaster: Postmaster; outcome: Outcome }> {
  const { home, isNew, progress } = setting
  const living = await findPostmaster(home)
  if (living) return { postmaster: living, outcome: 'adopted' }

  await removeUnfinished(home)
  const binaries = await setting.binaries()
  if (isNew) {
    progress(`Creating a PostgreSQL ${binaries.version.split('-')[0]} cluster in ${home.path}`)
    await createCluster(home, binaries, superuserPassword)
    await markComplete(home)
  }
  await requireSameMajor(home, binaries)
  await boundServerLog(home.logFile)
  const { postmaster, recovered } = await startPostmaster(home, binaries)
  return { postmaster, outcome: isNew ? 'created' : recovered ? 'recovered' : 'started' }
}

/** Failures of the file system, such as a full disk or a missing right, become a sentence too. */
function explainFailure(error: unknown, dataDir: string): unknown {
  if (error instanceof EmbeddedDatabaseError || !(error instanceof Error)) return error
  const { code, syscall } = error as NodeJS.ErrnoException
  if (code === undefined || syscall === undefined) return error
  const sentence = `The embedded database in ${dataDir} cannot be used: ${error.message}.`
  return new EmbeddedDatabaseError(sentence, { cause: error })
}
