import { afterEach, beforeEach, expect } from 'vitest'
import { modules } from '../../../src/modules/index.ts'
import { eventually } from '../../support/eventually.ts'
import {
  makeFreshDatabase,
  query,
  settingsOf,
  type FreshDatabase,
} from '../../support/fresh-database.ts'
import {
  cleanUp,
  makeFolder,
  startBureau,
  startTimeoutMs,
  type Running,
} from '../../support/process.ts'
import { readTicks, recordTicks, type Recorded } from '../../support/recorded-ticks.ts'
import { promise } from '../promise.ts'

let database: FreshDatabase

beforeEach(async () => {
  database = await makeFreshDatabase()
}, startTimeoutMs)
afterEach(async () => {
  await cleanUp()
  await database.drop()
}, startTimeoutMs)

async function start(): Promise<Running> {
  return await startBureau(settingsOf(database, await makeFolder()))
}

/** The schedules that are due each minute. */
const minutely = modules
  .flatMap(({ jobs = [] }) => jobs)
  .filter(({ schedule }) => schedule === '* * * * *')
  .map(({ name }) => name)

const ofTask = (recorded: readonly Recorded[], task: string, kind: Recorded['kind']): string[] =>
  recorded.filter((one) => one.task === task && one.kind === kind).map(({ tick }) => tick)

/** Until each of them has run for so many ticks. */
async function untilRun(ticks: number, withinMs: number): Promise<Recorded[]> {
  return await eventually(
    async () => {
      const recorded = await readTicks(database.superuserUrl)
      for (const task of minutely) {
        expect([task, new Set(ofTask(recorded, task, 'run')).size]).toEqual([
          task,
          expect.toSatisfy((count: number) => count >= ticks),
        ])
      }
      return recorded
    },
    { withinMs },
  )
}

promise(
  90,
  'each tick of a schedule is run once by two processes, and by the one that is left',
  async (proof) => {
    expect(minutely.length).toBeGreaterThan(2)
    const [first] = [await start(), await start()]
    await recordTicks(database.superuserUrl)
    const processes = await query(database.superuserUrl, 'select id from job_processes')
    expect(processes).toHaveLength(2)
    await untilRun(2, 130_000)
    first?.child.kill('SIGTERM')
    expect(await first?.ended).toBe(0)
    const recorded = await untilRun(3, 70_000)
    for (const task of minutely) {
      for (const kind of ['tick', 'run'] as const) {
        const ticks = ofTask(recorded, task, kind)
        expect([task, kind, ticks]).toEqual([task, kind, [...new Set(ticks)]])
      }
    }
    const ticks = recorded.filter(({ kind }) => kind === 'tick').length
    proof.measured(`${minutely.length} schedules, ${ticks} ticks over two processes, each once`)
    proof.measured('after one of them had stopped the other went on at the next minute')
  },
  { timeoutMs: 300_000 },
)
