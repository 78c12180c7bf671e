import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { hourMs, minuteMs } from '../../../src/kernel/time.ts'
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
  type Environment,
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

async function start(environment: Environment = {}): Promise<Running> {
  return await startBureau({ ...settingsOf(database, await makeFolder()), ...environment })
}

/** The schedules that are due each minute. */
const minutely = modules
  .flatMap(({ jobs }) => jobs)
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

promise(
  37,
  'schedules go on, and none is run more often, when the clock jumps an hour and back',
  async (proof) => {
    const file = path.join(await makeFolder(), 'offset')
    await writeFile(file, '0')
    const preload = path.resolve(import.meta.dirname, '../../support/shifted-clock.cjs')
    const bureau = await start({ CLOCK_FILE: file, NODE_OPTIONS: `--require=${preload}` })
    await recordTicks(database.superuserUrl)
    const storms: string[] = []
    let ticks = 0
    for (const offsetMs of [hourMs, 0, -hourMs]) {
      const known = (await readTicks(database.superuserUrl)).length
      await writeFile(file, String(offsetMs))
      bureau.child.kill('SIGUSR2')
      const jumpedAt = performance.now()
      const recorded = await untilTicked(known, offsetMs)
      const minutes = Math.ceil((performance.now() - jumpedAt) / minuteMs)
      for (const task of minutely) {
        for (const kind of ['tick', 'run'] as const) {
          const count = ofTask(recorded, task, kind).length
          if (count > minutes + 1) storms.push(`${offsetMs}: ${count} of ${kind} of ${task}`)
        }
      }
      ticks += recorded.filter(({ kind }) => kind === 'tick').length
    }
    expect(storms).toEqual([])
    expect(bureau.child.exitCode).toBe(null)
    proof.measured(
      `+ 1 h, back, - 1 h: ${minutely.length} schedules by the new minute, ${ticks} ticks`,
    )
  },
  { timeoutMs: 400_000 },
)

/** Until each was due by the clock as it is now, and run where the database agrees that it is. */
async function untilTicked(known: number, offsetMs: number): Promise<Recorded[]> {
  return await eventually(
    async () => {
      const recorded = (await readTicks(database.superuserUrl)).slice(known)
      const isOfNow = (tick: string): boolean =>
        Math.abs(Date.parse(tick) - (Date.now() + offsetMs)) < 2 * minuteMs
      const kind = offsetMs > 0 ? 'tick' : 'run'
      const missing = minutely.filter((task) => !ofTask(recorded, task, kind).some(isOfNow))
      expect([offsetMs, missing]).toEqual([offsetMs, []])
      return recorded
    },
    { withinMs: 80_000 },
  )
}
