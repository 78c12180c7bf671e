import { expect } from 'vitest'
import { createRandom, promise, type Proof } from '../promise.ts'
import { runScenario, type Outcome } from '../scenario/run.ts'

const runs = 5
const orders = 500
/** Its people wait most of the time: three worlds at once take hardly longer than one. */
const worldsAtOnce = 3
/** A run takes minutes; all five of them are one proof, of which each promise is a part. */
const timeoutMs = 90 * 60_000

let outcomes: Promise<readonly Outcome[]> | undefined

function outcomesOf(proof: Proof): Promise<readonly Outcome[]> {
  return (outcomes ??= runAll(proof.seed))
}

async function runAll(seed: number): Promise<Outcome[]> {
  const next = createRandom(seed)
  const seeds = Array.from({ length: runs }, () => Math.floor(next() * 2 ** 32))
  const ended: Outcome[] = []
  const live = async (): Promise<void> => {
    for (let own = seeds.pop(); own !== undefined; own = seeds.pop()) {
      ended.push(await runScenario('everything', { seed: own, orders, crowd: 50 }))
    }
  }
  await Promise.all(Array.from({ length: worldsAtOnce }, live))
  return ended
}

/** Holds what all runs came to against the invariants of some promises. */
async function unbroken(proof: Proof, ...promises: readonly number[]): Promise<void> {
  const ended = await outcomesOf(proof)
  const broken = ended.flatMap((one) => one.broken)
  expect(broken.filter(({ promise: number }) => promises.includes(number))).toEqual([])
  expect(ended).toHaveLength(runs)
  const sum = (count: (outcome: Outcome) => number | undefined): number =>
    ended.reduce((total, outcome) => total + (count(outcome) ?? 0), 0)
  const answers =
    sum(({ struck }) => struck.requests.answer) + sum(({ struck }) => struck.requests.cut)
  const dropped = sum(({ struck }) => struck.webhooks.drop)
  proof.measured(`${runs} seeds × ${orders} orders: 0 invariants broken`)
  proof.measured(`${answers} answers struck, ${dropped} webhooks lost`)
  proof.measured(`${sum(({ paid }) => paid)} paid`)
}

promise(
  9,
  'in 2500 orders of all chaos at once nobody pays twice, nothing acknowledged is lost',
  (proof) => unbroken(proof, 7, 9, 13),
  { timeoutMs },
)

promise(
  10,
  'in 2500 orders of all chaos at once both ledgers agree, and nothing waits in a queue',
  (proof) => unbroken(proof, 10),
  { timeoutMs },
)

promise(
  11,
  'in 2500 orders of all chaos at once each fact has one mail, one case and no way back',
  (proof) => unbroken(proof, 11),
  { timeoutMs },
)

promise(
  12,
  'in 2500 orders of all chaos at once no money of a cancelled order is lost',
  (proof) => unbroken(proof, 12),
  { timeoutMs },
)
