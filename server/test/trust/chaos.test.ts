import { expect } from 'vitest'
import { promise } from './promise.ts'
import { runScenario } from './scenario/run.ts'

promise(
  9,
  'whatever happens to webhooks and answers, nobody pays twice and everybody has paid',
  async (proof) => {
    const outcome = await runScenario('everything', { seed: proof.seed, orders: 24 })
    expect(outcome.broken).toEqual([])
    proof.measured(JSON.stringify(outcome))
  },
)
