import { spawn } from 'node:child_process'
import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from '../failure.mjs'

const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 15_000
const POLL_MS = 50
const KEPT_LENGTH = 4000

/**
 * The account that runs a component, as options of `spawn`. These refuse to run as root, so root
 * hands over to the one that Debian's package made; everyone else runs them as themselves.
 */
export function accountOf(name) {
  if (process.geteuid?.() !== 0) return {}
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([user]) => user === name)
  if (!entry) throw new Failure(`There is no account ${name}, which its package should have made.`)
  return { uid: Number(entry[2]), gid: Number(entry[3]) }
}

/** A folder that belongs to the account alone. */
export function makeFolderFor(account, path) {
  mkdirSync(path, { mode: 0o700 })
  giveTo(account, path)
  return path
}

/** A file in it, which may hold passwords. */
export function writeFileFor(account, path, text) {
  writeFileSync(path, text, { mode: 0o600 })
  giveTo(account, path)
  return path
}

function giveTo({ uid, gid }, path) {
  if (uid !== undefined) chownSync(path, uid, gid)
}

/** A port of this machine's own that nobody listens on now. */
export async function findFreePort() {
  const server = createServer()
  await new Promise((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/**
 * Starts a component and waits until it answers on its port. `stop` asks it to end by `signal`
 * and makes it end where it does not; should we end first, it is ended with us.
 */
export async function startComponent({ program, args, account, port, signal }) {
  // In a group of its own: an interrupt at the terminal shall reach the tests first.
  const child = spawn(program, args, {
    ...account,
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const keep = (chunk) => {
    output = (output + chunk).slice(-KEPT_LENGTH)
  }
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', keep)
  let hasEnded = false
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve(keep(error.message)))
    child.once('close', resolve)
  }).then(() => {
    hasEnded = true
  })
  const abandon = () => child.kill('SIGKILL')
  process.once('exit', abandon)

  const stop = async () => {
    if (!hasEnded) child.kill(signal)
    const timer = setTimeout(abandon, STOP_TIMEOUT_MS)
    await ended
    clearTimeout(timer)
    process.off('exit', abandon)
  }
  const giveUpAt = performance.now() + START_TIMEOUT_MS
  while (!(await answers(port))) {
    if (hasEnded || performance.now() > giveUpAt) {
      await stop()
      throw new Failure(`${program} did not start:\n${output.trim()}`)
    }
    await delay(POLL_MS)
  }
  return { stop }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (isThere) => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}
