import { readFileSync, writeFileSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'

/** The memory of a process as Linux counts it, in bytes. */
export interface ProcessMemory {
  /** What is resident now. */
  resident(): number
  /** The most that was resident since the peak was last forgotten. */
  peak(): number
  forgetPeak(): void
}

/** Throws where there is no `/proc`: only the kernel knows a peak that nobody looked at. */
export function watchMemory({ pid }: Pick<ChildProcess, 'pid'>): ProcessMemory {
  if (process.platform !== 'linux') {
    throw new Error('Memory is measured by /proc, which only Linux has: run this one there.')
  }
  const read = (name: 'VmRSS' | 'VmHWM'): number => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
  }
  return {
    resident: () => read('VmRSS'),
    peak: () => read('VmHWM'),
    // proc(5): 5 resets the peak to what is resident now.
    forgetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, '5'),
  }
}
