import { attackEverything } from '../hostile/siege.ts'
import { promise } from '../promise.ts'

promise(
  60,
  'thousands of hostile requests leave no 5xx, no stack, no SQL and no unexpected error',
  async (proof) => await attackEverything(proof, { perOperation: 60 }),
  { timeoutMs: 900_000 },
)
