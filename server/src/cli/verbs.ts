import { rm } from 'node:fs/promises'
import path from 'node:path'
import type { Config } from '../config.ts'
import { printBanner } from '../demo/banner.ts'
import { prepareBusiness } from '../demo/prepare-business.ts'
import { describeApi } from '../http/openapi.ts'
import { Refusal } from '../kernel/refusal.ts'
import { documentsDirectory, openProcess, openWorker, readyDatabase, sandboxFile } from '../main.ts'
import { modules } from '../modules/index.ts'
import { backUp, describeBackup } from '../verbs/backup.ts'
import { examine } from '../verbs/doctor.ts'
import { eraseDatabase } from '../verbs/erase-database.ts'
import { restore } from '../verbs/restore.ts'
import { seed } from '../verbs/seed.ts'
import { productVersion } from '../version.ts'
import { isWorker, meetParent } from '../workers.ts'
import { reasonOf } from './reason.ts'

export type Verb = (config: Config, words: readonly string[]) => void | Promise<void>
export type VerbName =
  | 'start'
  | 'migrate'
  | 'seed'
  | 'doctor'
  | 'backup'
  | 'restore'
  | 'reset'
  | 'openapi'

/** What the operator's verbs do; cli.ts says it in words. */
export const verbs: Readonly<Record<VerbName, Verb>> = {
  start,
  migrate: migrateOnly,
  seed: fill,
  doctor,
  backup,
  restore: bringBack,
  reset,
  openapi: printDescription,
}

/** Longer than any request; then what still runs is cut off. */
const stopWithinMs = 14_000

async function start(config: Config): Promise<void> {
  if (isWorker()) return await work(config)
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

/** One of WORKERS, begun by a parent that runs the same command. */
async function work(config: Config): Promise<void> {
  outliveOutput()
  const { handed, gone, say } = await meetParent()
  const wake = (): void => say({ kind: 'committed' })
  const opening = openWorker(config, handed, { progress: tellProgress, wake })
  const signal = stopOnSignals(async () => (await opening).stop(), gone)
  try {
    const url = await (await opening).serve()
    say({ kind: 'serves', url })
  } catch (error) {
    if (signal.aborted) return
    say({ kind: 'refuses', reason: reasonOf(error) })
    process.exitCode = 1
    process.disconnect()
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
function stopOnSignals(stop: () => Promise<void>, gone?: AbortSignal): AbortSignal {
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
  gone?.addEventListener('abort', onSignal)
  return stopping.signal
}
