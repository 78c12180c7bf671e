import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../scripts/steps/project.mjs'
import { run } from '../../scripts/steps/run.mjs'

const program = join(root, 'server/dist/cli.js')
const START_TIMEOUT_MS = 60_000
const SECRET_KEY = randomBytes(32).toString('hex')
const METRICS_TOKEN = randomBytes(24).toString('hex')

/**
 * A business of that size in a folder, of which Bureau is started in production mode on its
 * embedded PostgreSQL with its normal durability. `stop` ends it, `remove` takes the folder away.
 */
export async function openBusiness(size) {
  const dataDir = mkdtempSync(join(tmpdir(), 'bureau-bench-'))
  const remove = () => rmSync(dataDir, { recursive: true, force: true })
  const words = size === 'demo' ? [] : ['--size', size]
  const env = { PATH: process.env.PATH, ...settingsOf(dataDir) }
  const { code } = await run(process.execPath, [program, 'seed', ...words], { env, show: true })
  if (code === 0) return { remove, start: () => startServing(dataDir) }
  remove()
  throw new Error('the business could not be seeded')
}

function settingsOf(dataDir) {
  return {
    DATA_DIR: dataDir,
    NODE_ENV: 'production',
    PORT: '0',
    SECRET_KEY,
    // Nobody is held back: what a limit costs is paid all the same.
    RATE_LIMIT_SCALE: '1000000',
    METRICS_TOKEN,
    LOG_LEVEL: 'warn',
    DEMO: 'true',
    PAYMENTS: 'sandbox',
  }
}

async function startServing(dataDir) {
  const started = await startProcess([process.execPath, program, 'start'], settingsOf(dataDir))
  const postmaster = readFileSync(join(dataDir, 'postgres/data/postmaster.pid'), 'utf8')
  return {
    ...started,
    dataDir,
    postgresPid: Number.parseInt(postmaster, 10),
    password: /Password\s+(\S+)/.exec(started.output())?.[1],
  }
}

/** Starts Bureau by this command and waits until it is healthy, which took `tookMs`. */
export async function startProcess([command, ...words], settings) {
  const beganAt = performance.now()
  const child = spawn(command, words, {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
    // npm hands a signal on to nobody: its whole group is told.
    detached: true,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => (output = (output + chunk).slice(-20_000)))
  }
  const ended = once(child, 'exit')
  const endGroup = () => process.kill(-(child.pid ?? Number.NaN), 'SIGTERM')
  // Of a bench that ends before it nobody else would tell it.
  process.once('exit', endGroup)
  void ended.then(() => process.off('exit', endGroup))
  const url = await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`Bureau did not start (${why}):\n${output}`))
    const timer = setTimeout(fail, START_TIMEOUT_MS, 'too slow')
    ended.then(([code]) => fail(`ended with ${code}`), fail)
    child.stdout.on('data', () => {
      const [, found] = /(?:API|serves)\s+(http:[^\s,]+?)(?:\/api|,)/.exec(output) ?? []
      if (!found) return
      clearTimeout(timer)
      resolve(found)
    })
  })
  const { status } = await fetch(`${url}/readyz`)
  if (status !== 200) throw new Error(`Bureau is not healthy: ${status}`)
  return {
    url,
    pid: child.pid,
    tookMs: performance.now() - beganAt,
    output: () => output,
    stop: async () => {
      endGroup()
      await ended
    },
  }
}

/** p99 of the event loop's delay in milliseconds since it was last asked. */
export async function readLag(url) {
  const reply = await fetch(`${url}/api/system/metrics`, {
    headers: { authorization: `Bearer ${METRICS_TOKEN}` },
  })
  const [, seconds] = /^nodejs_eventloop_lag_p99_seconds (\S+)$/m.exec(await reply.text()) ?? []
  return Number(seconds) * 1000
}

/** How to connect to the business's database, by role. */
export function connectionOf(dataDir, role) {
  const passwords = JSON.parse(readFileSync(join(dataDir, 'postgres/passwords.json'), 'utf8'))
  const user = { superuser: 'postgres', owner: 'bureau_owner', server: 'bureau_server' }[role]
  return {
    host: join(dataDir, 'postgres/run'),
    user,
    password: passwords[role],
    database: 'bureau',
  }
}
