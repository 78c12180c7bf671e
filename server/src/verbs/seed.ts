import { parseArgs } from 'node:util'
import type { Config } from '../config.ts'
import { enlargeDemo, sizes, type Size } from '../demo/enlarge/index.ts'
import { seedBusiness } from '../demo/seed-business.ts'
import { openProcess, type Progress } from '../main.ts'
import { Refusal } from '../kernel/refusal.ts'
import { shareDatabase } from '../reach-database.ts'

/** What the verb says of its work: lines that stay, and a share of all that changes. */
export interface SeedReport {
  readonly line: Progress
  readonly share: (what: string, share: number) => void
}

/** Fills an empty business with the demo and, where a size is named, with copies of it. */
export async function seed(
  config: Config,
  words: readonly string[],
  report: SeedReport,
): Promise<void> {
  const size = readSize(words)
  if (takesRealMoney(config)) {
    throw new Refusal('The demo does not go beside a live STRIPE_SECRET_KEY.')
  }
  const opened = await openProcess({ ...config, payments: 'off' }, report.line)
  try {
    const ctx = opened.systemContext('seed')
    if (!(await seedBusiness(ctx))) {
      throw new Refusal('The business is not empty: the demo goes into an empty one.')
    }
    if (size) {
      const { ownerUrl } = await shareDatabase(config, report.line)
      await enlargeDemo({ ctx, ownerUrl, size, progress: report.share })
      report.line(
        `${size.services} services and ${size.orders} orders more, each with its customer`,
      )
    }
    report.line('The demo business is there. The next start with DEMO=true tells its logins.')
  } finally {
    await opened.stop()
  }
}

function readSize(words: readonly string[]): Size | undefined {
  const usage = `Usage: seed [--size ${Object.keys(sizes).join('|')}]`
  try {
    const { values } = parseArgs({ args: [...words], options: { size: { type: 'string' } } })
    if (values.size === undefined) return undefined
    const size = Object.hasOwn(sizes, values.size) ? sizes[values.size] : undefined
    if (size) return size
  } catch {
    // What is no option of the verb is told as well.
  }
  throw new Refusal(usage)
}

function takesRealMoney({ stripeSecretKey = '' }: Config): boolean {
  return /^(sk|rk)_live_/.test(stripeSecretKey)
}
