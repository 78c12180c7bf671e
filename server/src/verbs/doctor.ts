import type { Config } from '../config.ts'
import { documentsDirectory, migrationsDirectory, openMailbox, openProvider } from '../main.ts'
import { modules } from '../modules/index.ts'
import { systemClock } from '../platform/clock.ts'
import { openPool, type Pool } from '../platform/database.ts'
import { openFileStore } from '../platform/files.ts'
import { createHealth, type CheckReport, type HealthContext } from '../platform/health.ts'
import { createLogger } from '../platform/log.ts'
import { listMigrations } from '../platform/migrate.ts'
import { openScanner } from '../platform/scanner.ts'
import { shareRunningDatabase } from '../reach-database.ts'
import { examineConfiguration } from './doctor/configuration.ts'
import { examineDatabase } from './doctor/database.ts'
import { fail, isFailure, ok, warn, within, type Look } from './doctor/look.ts'
import { examineProvider } from './doctor/provider.ts'

const looksWithinMs = 15_000

/**
 * Looks at everything that Bureau stands on, and goes on after whatever it finds. It starts
 * nothing, changes nothing of the business and names no secret. True where nothing has failed.
 */
export async function examine(config: Config, tell: (line: string) => void): Promise<boolean> {
  const looks: Look[] = []
  const take = async (what: string, look: () => Promise<Look[]>): Promise<void> => {
    const found = await within(looksWithinMs, what, look)
    looks.push(...found)
    for (const { status, what: about, words } of found) {
      tell(`${status.padEnd(4)} · ${about} · ${words}`)
    }
  }
  const stops: (() => Promise<void>)[] = []
  let reached: Pool | undefined
  await take('configuration', async () => await examineConfiguration(config))
  try {
    await take('database', async () => {
      const urls = await shareRunningDatabase(config)
      if (!urls) {
        return [warn('database', 'the embedded one does not run: start Bureau, then ask again')]
      }
      const db = openPool({
        url: urls.serverUrl,
        size: 4,
        namedStatements: false,
        timeoutMs: 5000,
        onError: () => undefined,
      })
      stops.push(() => db.close())
      const found = await examineDatabase(db, config)
      reached = db
      return found
    })
    await take('parts', async () => await examineParts(config, reached))
    await take('payments', async () => await examineProvider(config, openProvider(config)))
  } finally {
    for (const stop of stops) await stop().catch(() => undefined)
  }
  const failed = looks.filter(isFailure).length
  const warned = looks.filter(({ status }) => status === 'warn').length
  tell(`${looks.length} looked at, ${failed} failed, ${warned} to think about`)
  return failed === 0
}

/** Answered at greater length by looks of the doctor's own. */
const askedElsewhere = new Set(['keys'])
const withoutDatabase = new Set(['storage', 'scanner', 'mail'])

/** The parts that a running Bureau watches, by the same checks. */
async function examineParts(config: Config, db: Pool | undefined): Promise<Look[]> {
  const mail = openMailbox(config, () => undefined)
  const context: Omit<HealthContext, 'now' | 'db'> = {
    files: {
      check: async () => {
        const store = await openFileStore({ directory: documentsDirectory(config) })
        return await store.check()
      },
    },
    log: createLogger('silent'),
    mail,
    scanner: config.clamdUrl === undefined ? null : openScanner({ url: config.clamdUrl }),
    stripe: openProvider(config),
    // A key is made by whoever serves, not by whoever looks.
    tokens: { rotate: async () => undefined },
    instruments: { migrations: await listMigrations(migrationsDirectory) },
  }
  const checks = modules
    .flatMap((module) => module.checks ?? [])
    .filter(({ name }) => !askedElsewhere.has(name) && (db || withoutDatabase.has(name)))
  const health = createHealth(checks, () => ({ ...context, now: systemClock(), db: db as Pool }))
  const outside = new Set(checks.filter((it) => it.reachesOutside).map(({ name }) => name))
  try {
    await health.lookOutside()
    const { checks: reports } = await health.report()
    return reports.map((report) => toLook(report, outside.has(report.name)))
  } finally {
    health.stop()
    await mail.close()
  }
}

/** Whoever serves can do without the outside for a while; whoever sets up wants to know. */
function toLook(report: CheckReport, isOutside: boolean): Look {
  const { name, status, output, observedValue, observedUnit } = report
  const measured = observedValue === undefined ? '' : `${observedValue} ${observedUnit ?? ''}`
  const words = [output, measured].filter(Boolean).join(' ') || 'well'
  if (status === 'pass') return ok(name, words)
  return status === 'fail' || isOutside ? fail(name, words) : warn(name, words)
}
