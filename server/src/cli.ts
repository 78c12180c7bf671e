import { ConfigError, readConfig, type Config } from './config.ts'
import { EmbeddedDatabaseError } from './platform/embedded-database/index.ts'
import { isPortTaken, productVersion, readyDatabase, startProcess } from './main.ts'
import { prepareBusiness } from './demo/prepare-business.ts'
import { printBanner } from './demo/banner.ts'

/** The operator's verbs. The first word on the command line names one; `start` when absent. */
const verbs: Readonly<Record<string, Verb>> = {
  start: { says: 'start Bureau', run: start },
  migrate: { says: 'bring the database to the newest schema, and stop', run: migrateOnly },
  version: { says: 'print the version', run: async () => console.log(productVersion) },
  help: { says: 'print this', run: async () => printHelp() },
}

interface Verb {
  readonly says: string
  readonly run: (config: Config) => Promise<void>
}

await main(process.argv[2] ?? 'start')

async function main(name: string): Promise<void> {
  const verb = verbs[name]
  if (!verb) {
    console.error(`Bureau does not know the verb ${name}.`)
    printHelp()
    process.exitCode = 2
    return
  }
  try {
    loadEnvironmentFile()
    await verb.run(readConfig())
  } catch (error) {
    console.error(reasonOf(error))
    process.exitCode = 1
  }
}

async function start(config: Config): Promise<void> {
  const startedAt = performance.now()
  const running = await startProcess(config, (message) => console.log(`  ${message}`))
  stopOnSignals(running.stop)
  const prepared = await prepareBusiness(config, running.systemContext('start'))
  const tookMs = performance.now() - startedAt
  await printBanner({ config, running, prepared, tookMs })
}

async function migrateOnly(config: Config): Promise<void> {
  const database = await readyDatabase(config, (message) => console.log(`  ${message}`))
  const { applied, rolesApart } = database.migrations
  console.log(applied.length === 0 ? 'Nothing to do.' : `Applied ${applied.join(', ')}.`)
  if (!rolesApart) {
    console.log('One role owns and serves: DATABASE_OWNER_URL would keep schema changes apart.')
  }
  await database.stop()
}

/** Longer than any request; then what still runs is cut off. */
const stopWithinMs = 14_000

function stopOnSignals(stop: () => Promise<void>): void {
  let isStopping = false
  const onSignal = (): void => {
    if (isStopping) return
    isStopping = true
    setTimeout(() => process.exit(1), stopWithinMs).unref()
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(reasonOf(error))
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

/** Variables of the environment win over those of the file. */
function loadEnvironmentFile(): void {
  try {
    process.loadEnvFile('.env')
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!isMissing) throw error
  }
}

/** A sentence for what the operator can mend, the whole error for what is our fault. */
function reasonOf(error: unknown): string {
  if (error instanceof ConfigError || error instanceof EmbeddedDatabaseError) return error.message
  if (isPortTaken(error)) {
    return 'The port is taken: stop what listens there, or set PORT to another.'
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function printHelp(): void {
  console.log('Verbs:')
  for (const [name, { says }] of Object.entries(verbs)) console.log(`  ${name.padEnd(10)} ${says}`)
}
