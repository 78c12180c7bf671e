import { execFile } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { readPostmasterPid } from './process.ts'

/** Ends a process like a power cut, in the middle of whatever it does. */
export function kill(pid: number | undefined): void {
  // 0 and what is below it stand for whole groups of processes.
  if (pid === undefined || !Number.isInteger(pid) || pid <= 1)
    throw new Error('there is nothing to kill')
  process.kill(pid, 'SIGKILL')
}

/** An instant that nothing decides but chance, at most so far away. */
export async function anInstant(random: () => number, withinMs: number): Promise<void> {
  await wait(random() * withinMs)
}

/** The processes that a cluster's server has started: sessions, and those that keep its disk. */
export async function findBackends(dataDir: string): Promise<number[]> {
  const postmaster = await readPostmasterPid(dataDir)
  const { stdout } = await promisify(execFile)('pgrep', ['-P', String(postmaster)])
  return stdout.trim().split('\n').map(Number)
}
