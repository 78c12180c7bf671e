import { readFileSync, readdirSync } from 'node:fs'

/** Of Linux: a tick of the clock that /proc counts in, for every architecture that Node runs on. */
const TICK_US = 10_000

/** Processor time in microseconds that a process has taken, and all of its threads. */
export function cpuOf(pid) {
  const fields = statOf(pid)
  return fields ? (Number(fields[11]) + Number(fields[12])) * TICK_US : 0
}

/** The same of a process with its children, those too that have ended. */
export function cpuOfFamily(pid) {
  const own = statOf(pid)
  if (!own) return 0
  const ended = (Number(own[13]) + Number(own[14])) * TICK_US
  const children = readdirSync('/proc').filter((name) => statOf(name)?.[1] === String(pid))
  return cpuOf(pid) + ended + children.reduce((sum, child) => sum + cpuOf(child), 0)
}

/** Resident memory in MiB. */
export function memoryOf(pid) {
  const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) / 1024
}

/** Fields from the third on, which follow the name; undefined where there is no such process. */
function statOf(pid) {
  if (!/^\d+$/.test(pid)) return undefined
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}
