import { rm } from 'node:fs/promises'
import path from 'node:path'
import { ConfigError, readConfig, type Config } from './config.ts'
import { printBanner } from './demo/banner.ts'
import { prepareBusiness } from './demo/prepare-business.ts'
import { describeApi } from './http/openapi.ts'
import {
  documentsDirectory,
  isPortTaken,
  productVersion,
  openProcess,
  readyDatabase,
  sandboxFile,
} from './main.ts'
import { modules } from './modules/index.ts'
import { sqlStateOf } from './platform/database.ts'
import { EmbeddedDatabaseError } from './platform/embedded-database/index.ts'
import { Refusal } from './platform/refusal.ts'
import { backUp, describeBackup } from './verbs/backup.ts'
import { examine } from './verbs/doctor.ts'
import { eraseDatabase } from './verbs/erase-database.ts'
import { restore } from './verbs/restore.ts'
import { seed } from './verbs/seed.ts'

/** The operator's verbs. The first word on the command line names one; `start` when absent. */
const verbs: Readonly<Record<string, Verb>> = {
  start: { says: 'start Bureau', run: start },
  migrate: { says: 'bring the database to the newest schema, and stop', run: migrateOnly },
  seed: { says: 'fill an empty business with the demo, and stop: seed --size s|m|l|xl', run: fill },
  doctor: { says: 'look at all that Bureau stands on, and say what to do', run: doctor },
  backup: { says: 'copy all of the business into a new folder within ./backups', run: backup },
  restore: { says: 'bring a backup into an empty business: restore <its folder>', run: bringBack },
  reset: { says: 'empty the business; reset --yes means it', run: reset },
  openapi: { says: "print the API's description", run: async () => printDescription() },
  version: { says: 'print the version', run: async () => console.log(productVersion) },
  help: { says: 'print this', run: async () => printHelp() },
}

interface Verb {
  readonly says: string
  readonly run: (config: Config, words: readonly string[]) => Promise<void>
}

/** Longer than any request; then what still runs is cut off. */
const stopWithinMs = 14_000

await main(process.argv[2] ?? 'start', process.argv.slice(3))

async function main(name: string, words: readonly string[]): Promise<void> {
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
  if (!verb) {
    console.error(`Bureau does not know the verb ${name}.`)
    printHelp()
    process.exitCode = 2
    return
  }
  try {
    loadEnvironmentFile()
    await verb.run(readConfig(), words)
  } catch (error) {
    console.error(reasonOf(error))
    process.exitCode = 1
  }
}

async function start(config: Config): Promise<void> {
  const startedAt = performance.now()
  outliveOutput()
  const opening = openProcess(config, tellProgress)
  const signal = stopOnSignals(async () => (await opening).stop())
  const opened = await opening
  if (signal.aborted) return
  try {
    // The port opens when all is there: nobody meets a business that is half set up.
    const prepared = await prepareBusiness(config, opened.systemContext('start'))
    const url = await opened.serve()
    const tookMs = performance.now() - startedAt
    printBanner({ config, running: { ...opened, url }, prepared, tookMs })
  } catch (error) {
    // What is stopped in the middle of its start has nothing to complain of.
    if (signal.aborted) return
    await opened.stop()
    throw error
  }
}

async function migrateOnly(config: Config): Promise<void> {
  const database = await readyDatabase(config, tellProgress)
  const { applied, rolesApart } = database.migrations
  console.log(applied.length === 0 ? 'Nothing to do.' : `Applied ${applied.join(', ')}.`)
  if (!rolesApart) {
    console.log('One role owns and serves: DATABASE_OWNER_URL would keep schema changes apart.')
  }
  await database.stop()
}

async function fill(config: Config, words: readonly string[]): Promise<void> {
  await seed(config, words, { line: tellProgress, share: createBar(process.stdout) })
}

async function reset(config: Config, words: readonly string[]): Promise<void> {
  if (config.production) throw new Refusal('A business in production is not emptied.')
  if (!words.includes('--yes')) {
    throw new Refusal(
      'This deletes every order, customer, case and document: reset --yes means it.',
    )
  }
  await eraseDatabase(config, tellProgress)
  await rm(path.join(config.dataDir, sandboxFile), { force: true })
  await rm(documentsDirectory(config), { recursive: true, force: true })
  const database = await readyDatabase(config, tellProgress)
  await database.stop()
  console.log('The business is empty.')
}

async function doctor(config: Config): Promise<void> {
  const isWell = await examine(config, (line) => console.log(line))
  // What still waits for somebody silent shall not hold the answer back.
  process.exit(isWell ? 0 : 1)
}

async function backup(config: Config, [place = 'backups']: readonly string[]): Promise<void> {
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stopping.abort())
  const { signal } = stopping
  const { folder, manifest } = await backUp(config, place, { progress: tellProgress, signal })
  for (const line of describeBackup(manifest)) console.log(line)
  console.log(folder)
}

async function bringBack(config: Config, [folder]: readonly string[]): Promise<void> {
  if (folder === undefined) throw new Refusal('Name the folder of a backup: restore <its folder>.')
  for (const line of describeBackup(await restore(config, folder, tellProgress))) console.log(line)
  console.log('The business is as it was then: start Bureau.')
}

function printDescription(): void {
  console.log(JSON.stringify(describeApi(modules, { version: productVersion }), null, 2))
}

/** A bar that grows on a terminal; a line for each tenth where nobody looks on. */
function createBar(stream: NodeJS.WriteStream): (what: string, share: number) => void {
  let told = -1
  return (what, share) => {
    const steps = stream.isTTY ? 40 : 10
    const step = Math.floor(share * steps)
    if (step === told) return
    told = step
    const percent = `${Math.floor(share * 100)} %`.padStart(5)
    if (!stream.isTTY) return tellProgress(`${percent} ${what}`)
    stream.write(`\r  ${'█'.repeat(step).padEnd(steps, '░')} ${percent} ${what.padEnd(24)}`)
    if (share === 1) stream.write('\n')
  }
}

function tellProgress(message: string): void {
  console.log(`  ${message}`)
}

/** Where what is said goes to a full disk or to nobody, Bureau serves on unheard. */
function outliveOutput(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
}

/** Also while the start still runs: it is then ended as soon as it is done. */
function stopOnSignals(stop: () => Promise<void>): AbortSignal {
  const stopping = new AbortController()
  const onSignal = (): void => {
    if (stopping.signal.aborted) return
    stopping.abort()
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
  return stopping.signal
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
  const isSaidAlready = [ConfigError, EmbeddedDatabaseError, Refusal].some(
    (kind) => error instanceof kind,
  )
  if (error instanceof Error && isSaidAlready) return error.message
  if (isPortTaken(error)) {
    return 'The port is taken: stop what listens there, or set PORT to another.'
  }
  if (error instanceof Error && 'syscall' in error && 'path' in error) {
    return `A file cannot be used: ${error.message}.`
  }
  if (error instanceof Error && isDatabaseOut(error)) {
    return `The database does not let us in (${error.message}): see DATABASE_URL.`
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** Nobody there, no such role or database, or the wrong password: PostgreSQL's class 28 and 3D. */
function isDatabaseOut(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : ''
  const states = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EHOSTUNREACH']
  return states.includes(code) || /^(28|3D)/.test(sqlStateOf(error) ?? '')
}

function printHelp(): void {
  console.log('Verbs:')
  for (const [name, { says }] of Object.entries(verbs)) console.log(`  ${name.padEnd(10)} ${says}`)
}
