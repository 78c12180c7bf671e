import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { giveTo } from './account.ts'
import { explainLaunchFailure, launchOptions, programPath, runProgram } from './binaries.ts'
import type { Binaries } from './binaries.ts'
import { EmbeddedDatabaseError, hasErrorCode } from './error.ts'
import { makeSocketDirectory, type ClusterHome } from './location.ts'
import { findProcess } from './processes.ts'
import { measureServerLog, readServerLog } from './server-log.ts'

/** A server that accepts connections. */
export interface Postmaster {
  pid: number
  /** A folder with a socket, or an IP address on Windows. */
  host: string
  port: number
}

/** What PostgreSQL writes into postmaster.pid. */
interface PostmasterFile {
  /** NaN while the file has no content yet. */
  pid: number
  port: number
  socketDirectory: string
  /** `starting`, `ready`, `stopping`, or empty before the first of them. */
  status: string
}

const POLL_MS = 5
/** Replaying the log after a crash takes as long as there is log to replay. */
const READY_TIMEOUT_MS = 600_000
const CONTENTION_TIMEOUT_MS = 15_000
const CONTENTION_POLL_MS = 50
const EMPTY_FILE_TIMEOUT_MS = 1_000
const STOP_TIMEOUT_MS = 10_000

/** The living server of this cluster, once it accepts connections; it may be one left behind. */
export async function findPostmaster(home: ClusterHome): Promise<Postmaster | undefined> {
  const file = await readPostmasterFile(home)
  return file ? await awaitReady(home, file.pid) : undefined
}

/**
 * Starts the server, which then lives on its own: it survives us, and the next start finds it.
 * `recovered` tells that a server had ended without removing its file.
 */
export async function startPostmaster(
  home: ClusterHome,
  binaries: Binaries,
): Promise<{ postmaster: Postmaster; recovered: boolean }> {
  const giveUpAt = performance.now() + CONTENTION_TIMEOUT_MS
  let recovered = false
  for (;;) {
    const stale = await readPostmasterFile(home)
    recovered ||= stale !== undefined
    if (stale && Number.isNaN(stale.pid)) await removeEmptyFile(home)

    const logBytes = await measureServerLog(home.logFile)
    const pid = await launch(home, binaries, stale)
    const postmaster = (await awaitReady(home, pid)) ?? (await findPostmaster(home))
    if (postmaster) return { postmaster, recovered }

    const words = (await readServerLog(home.logFile, logBytes)).trim()
    // Processes of a killed server need a moment to notice and to let go of its memory.
    const isContention = /lock file|shared memory block/.test(words)
    if (!isContention || performance.now() > giveUpAt) {
      throw new EmbeddedDatabaseError(`PostgreSQL did not start: ${words || 'it gave no reason.'}`)
    }
    await delay(CONTENTION_POLL_MS)
  }
}

/** Whether the process is this cluster's server, and not another that was given its id. */
export function isPostmasterOf(home: ClusterHome, pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  const command = findProcess(pid)?.command ?? ''
  if (process.platform === 'win32') return command === 'postgres.exe'
  return command.includes(`postgres -D ${home.dataDirectory} `)
}

/**
 * Ends the server's sessions and then the server, in an orderly way. Returns after 10 s even when
 * it has not ended: a slow disk may need longer for the last checkpoint, and to kill the server
 * would only make the next start replay the log. That start waits for it.
 */
export async function stopPostmaster(
  home: ClusterHome,
  findBinaries: () => Promise<Binaries>,
): Promise<void> {
  const giveUpAt = performance.now() + STOP_TIMEOUT_MS
  const pid = (await readPostmasterFile(home))?.pid ?? Number.NaN
  if (!isPostmasterOf(home, pid)) return
  if (!interrupt(pid)) {
    const args = ['stop', '-D', home.dataDirectory, '-m', 'fast', '--no-wait']
    await runProgram(programPath(await findBinaries(), 'pg_ctl'), args, home.account)
  }
  while (isPostmasterOf(home, pid) && performance.now() < giveUpAt) await delay(POLL_MS)
}

/** False where a signal cannot do it: on Windows it would kill, and a root may lack the right. */
function interrupt(pid: number): boolean {
  if (process.platform === 'win32') return false
  try {
    process.kill(pid, 'SIGINT')
  } catch (error) {
    if (hasErrorCode(error, 'EPERM')) return false
    if (!hasErrorCode(error, 'ESRCH')) throw error
  }
  return true
}

async function launch(
  home: ClusterHome,
  binaries: Binaries,
  stale: PostmasterFile | undefined,
): Promise<number> {
  const program = programPath(binaries, 'postgres')
  const args = ['-D', home.dataDirectory, ...(await provideAddress(home, stale?.port))]
  const { env, ...account } = launchOptions(home.account)
  // PostgreSQL takes a lock file that names its grandparent for a stale one. We know that the
  // process it names is no server of this cluster, be it gone, unreaped or another altogether;
  // PostgreSQL still makes sure by its shared memory that no process of a former server lives.
  if (stale && !Number.isNaN(stale.pid)) env['PG_GRANDPARENT_PID'] = String(stale.pid)

  const log = await open(home.logFile, 'a', 0o600)
  try {
    await giveTo(home.account, home.logFile)
    const stdio: ['ignore', number, number] = ['ignore', log.fd, log.fd]
    const options = { ...account, env, cwd: '/', detached: true, windowsHide: true, stdio }
    const child = spawn(program, args, options)
    await once(child, 'spawn')
    child.unref()
    return child.pid ?? Number.NaN
  } catch (error) {
    throw explainLaunchFailure(error, program)
  } finally {
    await log.close()
  }
}

/** A socket that only the server's account may open; Windows has none, so a port on loopback. */
async function provideAddress(home: ClusterHome, port: number | undefined): Promise<string[]> {
  const settings: string[] = []
  if (process.platform === 'win32') {
    settings.push('listen_addresses=127.0.0.1', `port=${await findFreePort(port)}`)
  } else {
    await makeSocketDirectory(home)
    settings.push('listen_addresses=', 'port=5432', 'unix_socket_permissions=0700')
    settings.push(`unix_socket_directories=${home.socketDirectory}`)
  }
  return settings.flatMap((setting) => ['-c', setting])
}

/** The preferred port where nobody has taken it, so that a restart keeps the address. */
async function findFreePort(preferred = 0): Promise<number> {
  const server = createServer()
  try {
    await once(server.listen(preferred, '127.0.0.1'), 'listening')
  } catch (error) {
    if (preferred === 0) throw error
    return await findFreePort()
  }
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Waits until the server is ready; undefined when it ends instead, or is no server of ours. */
async function awaitReady(home: ClusterHome, pid: number): Promise<Postmaster | undefined> {
  const giveUpAt = performance.now() + READY_TIMEOUT_MS
  while (isPostmasterOf(home, pid)) {
    const file = await readPostmasterFile(home)
    if (file?.pid === pid && file.status === 'ready') {
      const host = process.platform === 'win32' ? '127.0.0.1' : file.socketDirectory
      return { pid, host, port: file.port }
    }
    if (performance.now() > giveUpAt) {
      const patience = `${READY_TIMEOUT_MS / 60_000} minutes`
      const sentence = `PostgreSQL (process ${pid}) is not ready after ${patience}`
      throw new EmbeddedDatabaseError(`${sentence}: see ${home.logFile}.`)
    }
    await delay(POLL_MS)
  }
  return undefined
}

async function readPostmasterFile(home: ClusterHome): Promise<PostmasterFile | undefined> {
  let content: string
  try {
    content = await readFile(join(home.dataDirectory, 'postmaster.pid'), 'utf8')
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return undefined
    throw error
  }
  const [pid = '', , , port = '', socketDirectory = '', , , status = ''] = content.split('\n')
  return {
    pid: Number.parseInt(pid, 10),
    port: Number.parseInt(port, 10),
    socketDirectory,
    status: status.trim(),
  }
}

/** A power cut may leave the file without content, which PostgreSQL does not dare to replace. */
async function removeEmptyFile(home: ClusterHome): Promise<void> {
  const giveUpAt = performance.now() + EMPTY_FILE_TIMEOUT_MS
  while (performance.now() < giveUpAt) {
    const file = await readPostmasterFile(home)
    if (!file || !Number.isNaN(file.pid)) return
    await delay(CONTENTION_POLL_MS)
  }
  await rm(join(home.dataDirectory, 'postmaster.pid'), { force: true })
}
