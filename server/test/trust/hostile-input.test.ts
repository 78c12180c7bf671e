import { promise } from './promise.ts'
import { attackEverything } from './hostile/siege.ts'

promise(
  60,
  'every operation, by everybody who may call it, answers hostile input without a 5xx',
  async (proof) => await attackEverything(proof, { perOperation: 5 }),
  { timeoutMs: 120_000 },
)
