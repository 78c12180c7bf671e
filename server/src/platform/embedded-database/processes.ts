import { execFileSync, type StdioOptions } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { hasErrorCode } from './error.ts'

const ASK_TIMEOUT_MS = 5_000

export interface RunningProcess {
  /** Differs between two processes that were given the same id; opaque, fit for a file name. */
  startedAt: string
  /** Program and arguments, joined by spaces. On Windows the program's file name only. */
  command: string
}

/** The process with this id, unless it has ended; one that waits to be reaped has ended. */
export function findProcess(pid: number): RunningProcess | undefined {
  if (!isSignallable(pid)) return undefined
  if (process.platform === 'linux') return readLinuxProcess(pid)
  return process.platform === 'win32' ? askTasklist(pid) : askPs(pid)
}

function isSignallable(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return hasErrorCode(error, 'EPERM')
  }
}

/** Reads what every user may read, for root without CAP_SYS_PTRACE may not follow `exe` or `cwd`. */
function readLinuxProcess(pid: number): RunningProcess | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in brackets, and a name may hold brackets and spaces.
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ')
    const [state] = fields
    if (state === 'Z' || state === 'X') return undefined
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return { startedAt: fields[19] ?? '0', command }
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT', 'ESRCH')) return undefined
    throw error
  }
}

function askPs(pid: number): RunningProcess | undefined {
  const line = ask('ps', ['-ww', '-o', 'stat=,lstart=,command=', '-p', String(pid)])
  const found = /^(\S+)\s+(\S+ +\S+ +\d+ [\d:]+ \d+)\s+(.*)$/.exec(line)
  if (!found || found[1]?.startsWith('Z')) return undefined
  return { startedAt: (found[2] ?? '').replaceAll(/\W+/g, '_'), command: `${found[3]} ` }
}

function askTasklist(pid: number): RunningProcess | undefined {
  const line = ask('tasklist', ['/FI', `PID eq ${pid}`, '/FO', 'CSV', '/NH'])
  const found = /^"([^"]+)"/.exec(line)
  return found ? { startedAt: '0', command: found[1] ?? '' } : undefined
}

function ask(program: string, args: string[]): string {
  try {
    const stdio: StdioOptions = ['ignore', 'pipe', 'ignore']
    return execFileSync(program, args, { encoding: 'utf8', timeout: ASK_TIMEOUT_MS, stdio }).trim()
  } catch {
    return ''
  }
}
