import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, vi } from 'vitest'

/** Bureau as an operator runs it: a process of its own, with nothing but the given variables. */
export interface Process {
  readonly child: ChildProcess
  output(): string
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
}

export interface Running extends Process {
  readonly url: string
  readonly tookMs: number
}

export type Environment = Readonly<Record<string, string>>

export const waiting = { timeout: 60_000, interval: 20 }
export const startTimeoutMs = 120_000

const program = path.resolve(import.meta.dirname, '../../dist/cli.js')
const processes: Process[] = []
const folders: string[] = []

/** Leaves no process and no database behind, whatever became of the test. */
export async function cleanUp(): Promise<void> {
  for (const { child, ended } of processes.splice(0)) {
    child.kill('SIGKILL')
    await ended
  }
  for (const folder of folders.splice(0)) {
    const pid = await readPostmasterPid(folder)
    if (isAlive(pid)) {
      process.kill(pid, 'SIGINT')
      await vi.waitFor(() => expect(isAlive(pid)).toBe(false), waiting)
    }
    await rm(folder, { recursive: true, force: true })
  }
}

/** A data directory that `cleanUp` removes. */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'bureau-start-'))
  folders.push(folder)
  return folder
}

export interface Surroundings {
  /** In bytes: to whoever writes more of one file it is a disk without room. */
  readonly largestFile?: number
  /** The program and its words that have to become the process, which is appended to them. */
  readonly within?: readonly string[]
}

export function run(
  verb: string,
  environment: Environment,
  words: readonly string[] = [],
  { largestFile, within = [] }: Surroundings = {},
): Process {
  const command = [...within, process.execPath, program, verb, ...words]
  const limited = ['-c', `ulimit -f ${(largestFile ?? 0) / 1024} && exec "$@"`, 'bash', ...command]
  const [first = '', ...rest] = largestFile === undefined ? command : ['bash', ...limited]
  const child = spawn(first, rest, {
    // No .env of the checkout shall speak here.
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'], PORT: '0', LOG_LEVEL: 'warn', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  }
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  const started = { child, output: () => output, ended }
  processes.push(started)
  return started
}

export async function runToEnd(
  verb: string,
  environment: Environment,
  words: readonly string[] = [],
): Promise<{ code: number | string; output: string }> {
  const started = run(verb, environment, words)
  const code = await started.ended
  return { code, output: started.output() }
}

/** Until the banner is there and the server answers. */
export async function startBureau(
  environment: Environment,
  surroundings: Surroundings = {},
): Promise<Running> {
  const startedAt = performance.now()
  const started = run('start', { RATE_LIMIT_SCALE: '1000', ...environment }, [], surroundings)
  const url = await vi.waitFor(() => {
    expect(started.child.exitCode, started.output()).toBe(null)
    const [, found] = /(?:API|serves)\s+(http:[^\s,]+?)(?:\/api|,)/.exec(started.output()) ?? []
    expect(found).toBeDefined()
    return found ?? ''
  }, waiting)
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
  return { ...started, url, tookMs: performance.now() - startedAt }
}

/** The process of the embedded PostgreSQL; NaN where there is none. */
export async function readPostmasterPid(dataDir: string): Promise<number> {
  const file = path.join(dataDir, 'postgres/data/postmaster.pid')
  return Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10)
}

export function isAlive(pid: number): boolean {
  try {
    return Number.isInteger(pid) && process.kill(pid, 0)
  } catch {
    return false
  }
}
