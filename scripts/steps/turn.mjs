import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from './failure.mjs'
import { root } from './project.mjs'

const PATIENCE_MS = 15 * 60_000

/**
 * Does the work while no other process on this machine does it in this checkout.
 *
 * Whoever wants its turn writes a file named after its process and only then looks for others', so
 * of two the later one always sees the earlier. Who is not alone takes its file back and tries
 * again. The file of a process that has ended, however it ended, counts for nothing.
 */
export async function takeTurn(work) {
  const folder = makeFolder()
  const own = join(folder, String(process.pid))
  const giveUpAt = performance.now() + PATIENCE_MS
  let isTold = false
  for (;;) {
    writeFileSync(own, '')
    const others = listLiving(folder)
    if (others.length === 0) break
    rmSync(own, { force: true })
    if (!isTold) console.error(`Waiting for process ${others[0]}, which prepares this checkout too`)
    isTold = true
    if (performance.now() > giveUpAt) {
      throw new Failure(
        `Process ${others[0]} still prepares this checkout: end it, or empty ${folder}.`,
      )
    }
    // Of unequal length, so that two who met do not meet again.
    await delay(50 + Math.random() * 150)
  }

  const leave = () => rmSync(own, { force: true })
  process.once('exit', leave)
  try {
    return await work()
  } finally {
    process.off('exit', leave)
    leave()
  }
}

/** Outside the checkout, for an installation empties node_modules; apart for each user. */
function makeFolder() {
  const user = process.getuid?.() ?? userInfo().username
  const name = createHash('sha256').update(`${root}\n${user}`).digest('hex')
  const folder = join(tmpdir(), `bureau-prepare-${name.slice(0, 16)}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

function listLiving(folder) {
  return readdirSync(folder).filter((name) => {
    if (name === String(process.pid)) return false
    if (isRunningNode(Number(name))) return true
    rmSync(join(folder, name), { force: true })
    return false
  })
}

/** A process id that was given to another program since must not hold us up. */
function isRunningNode(pid) {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('scripts')
  } catch {
    // Systems without /proc: that it lives has to do.
    return true
  }
}
