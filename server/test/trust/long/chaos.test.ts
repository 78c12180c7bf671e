import { expect } from 'vitest'
import { promise } from '../promise.ts'
import { runScenario } from '../scenario/run.ts'

const orders = 24

promise(
  9,
  'webhooks and answers go astray for two nodes: nobody pays twice, and everybody has paid',
  async (proof) => {
    const { broken, paid, requests, struck } = await runScenario('everything', {
      seed: proof.seed,
      orders,
    })
    expect(broken).toEqual([])
    const lost = (struck.requests.answer ?? 0) + (struck.requests.cut ?? 0)
    proof.measured(`${orders} orders, ${requests} requests, ${lost} answers struck`)
    proof.measured(`${paid} paid, 0 twice`)
  },
  { timeoutMs: 240_000 },
)
