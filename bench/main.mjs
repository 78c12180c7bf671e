import { providePrograms } from '../scripts/steps/components/packages.mjs'
import { openBusiness } from './http/bureau.mjs'
import { measureWorkload } from './http/measure.mjs'
import { introduce } from './http/people.mjs'
import { memoryOf } from './http/usage.mjs'
import { listWorkloads } from './http/workloads.mjs'
import { countPackages } from './process/packages.mjs'
import { measureStarts } from './process/starts.mjs'

/**
 * Measures Bureau beside its controls: a row for each workload whose name holds `only`, then what
 * the process itself takes. `tell` hears each row as soon as it is there.
 */
export async function measure({ size, seconds, rounds, only = '', tell }) {
  const { wrk } = await providePrograms(['wrk'])
  const starts = only === '' ? await measureStarts(rounds) : undefined
  const business = await openBusiness(size)
  try {
    const bureau = await business.start()
    try {
      const idleMiB = memoryOf(bureau.pid)
      const workloads = listWorkloads(await introduce(bureau))
      const rows = []
      for (const workload of workloads.filter(({ name }) => name.includes(only))) {
        const row = await measureWorkload(workload, { wrk, bureau, seconds, rounds })
        tell(row)
        rows.push(row)
      }
      const memory = { idleMiB, afterMiB: memoryOf(bureau.pid) }
      return { rows, machine: { starts, memory, packages: countPackages() } }
    } finally {
      await bureau.stop()
    }
  } finally {
    business.remove()
  }
}
