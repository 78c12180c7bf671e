import type { Chaos, ChaosReport } from '@bureau/stripe-sandbox'
import { hourMs, minuteMs } from '../../../src/kernel/time.ts'
import { createRandom } from '../promise.ts'
import { findBroken, findUnpaidHere, type Broken } from './invariants.ts'
import { banksDecide, comeBack, live } from './people.ts'
import { writeStories, type Story } from './stories.ts'
import {
  advance,
  openWorld,
  tick,
  turnWebhooks,
  untilQuiet,
  workBeside,
  type World,
} from './world.ts'

/** What the network and the provider do to everybody, by name. */
export const scenarios = {
  calm: {},
  webhooks: {
    webhooks: { drop: 0.25, duplicate: 0.3, reorder: 0.3, delay: 0.3, maxDelayMs: 300 },
  },
  answers: { requests: { fail: 0.1, cut: 0.2, limit: 0.05, slow: 0.2, maxDelayMs: 100 } },
  everything: {
    webhooks: { drop: 0.25, duplicate: 0.3, reorder: 0.3, delay: 0.3, maxDelayMs: 300 },
    requests: { fail: 0.1, cut: 0.2, limit: 0.05, slow: 0.2, maxDelayMs: 100 },
  },
} as const satisfies Record<string, Omit<Chaos, 'seed'>>

export type ScenarioName = keyof typeof scenarios

export interface Run {
  readonly seed: number
  readonly orders: number
  /** So many people act at once. */
  readonly crowd?: number
}

export interface Outcome {
  readonly broken: readonly Broken[]
  readonly orders: number
  readonly paid: number
  readonly cancelled: number
  readonly requests: number
  readonly struck: ChaosReport['struck']
}

/**
 * Lives the stories of a seed in a troubled world of two nodes, lets it heal, waits until all is
 * quiet, and then looks for what should never be.
 */
export async function runScenario(
  name: ScenarioName,
  { seed, orders, crowd = 24 }: Run,
): Promise<Outcome> {
  const stories = writeStories(orders, createRandom(seed))
  const world = await openWorld()
  try {
    world.sandbox.setChaos({ seed, ...scenarios[name] })
    for (let wave = 0; wave * crowd < orders; wave += 1) {
      turnWebhooks(world, wave)
      const people = stories.slice(wave * crowd, (wave + 1) * crowd)
      await workBeside(world, Promise.all(people.map((story) => live(world, story))))
    }
    const { struck } = world.sandbox.chaos()
    world.sandbox.setChaos({ seed })
    const late = await heal(world)
    await endAll(world, stories)
    return {
      ...(await countUp(world)),
      broken: [...late, ...(await findBroken(world, stories))],
      struck,
    }
  } finally {
    await world.close()
  }
}

/** What the schedule has for each minute. */
const eachMinute = ['fetch-provider-events', 'reconcile-payments'] as const

/**
 * Five minutes of the schedule, in which nobody does anything: by then our books have what the
 * provider has, although many of its events were lost.
 */
async function heal(world: World): Promise<Broken[]> {
  for (let minute = 1; minute <= 5; minute += 1) {
    advance(world, minuteMs)
    await tick(world, ...eachMinute)
  }
  const late = await findUnpaidHere(world)
  await untilQuiet(world)
  return late
}

/** Who had no answer at all begins on the first visit, perhaps with a debit that bounces. */
const visits = 2

/** Banks decide, the payers come back, and a day later what nobody paid is cancelled. */
async function endAll(world: World, stories: readonly Story[]): Promise<void> {
  for (let visit = 1; visit <= visits; visit += 1) {
    await letBanksDecide(world)
    await workBeside(world, Promise.all(stories.map((story) => comeBack(world, story, visit))))
    await untilQuiet(world)
  }
  advance(world, 25 * hourMs)
  await tick(world, 'expire-orders', 'expire-orders')
  await untilQuiet(world)
  advance(world, 10 * minuteMs)
  await tick(world, ...eachMinute, 'reconcile-whole-ledger')
  await untilQuiet(world)
}

async function letBanksDecide(world: World): Promise<void> {
  while ((await banksDecide(world)) > 0) {
    await untilQuiet(world)
    advance(world, 4 * minuteMs)
    await tick(world, ...eachMinute)
  }
}

async function countUp({ nodes, told }: World): Promise<Omit<Outcome, 'broken' | 'struck'>> {
  const [row] = await nodes[0].sql(`
    select count(*)::int as orders,
      (count(*) filter (where status = 'cancelled'))::int as cancelled,
      (count(*) filter (where paid >= total))::int as paid
    from orders`)
  return {
    orders: Number(row?.['orders']),
    paid: Number(row?.['paid']),
    cancelled: Number(row?.['cancelled']),
    requests: [...told.statuses.values()].reduce((sum, count) => sum + count, 0),
  }
}
