import type { Config } from '../config.ts'
import { documentsDirectory, migrationsDirectory, sandboxFile, type Progress } from '../main.ts'
import {
  inspectTarget,
  isKeyOf,
  isSealed,
  listFiles,
  loadRows,
  markUnfinished,
  openFile,
  putFile,
  readManifest,
  readText,
  verifyFiles,
  type Manifest,
} from '../platform/backup/index.ts'
import { openFileStore } from '../platform/files.ts'
import { checksumOfMigration, listMigrations, migrate } from '../platform/migrate.ts'
import { Refusal } from '../kernel/refusal.ts'
import { findSecretKey, keepSecretKey } from '../platform/secret-key.ts'
import { createSecrets } from '../platform/secrets.ts'
import { takeDatabase } from '../reach-database.ts'
import { backupFiles } from './backup.ts'
import { emptySchemasAt } from './erase-database.ts'

/**
 * Brings a backup into an empty business. Everything that can be judged is judged before anything
 * is touched; the documents come first and then all rows in one transaction, so that a crash leaves
 * a database that says so, and into which the same backup can be brought again.
 */
export async function restore(
  config: Config,
  folder: string,
  progress: Progress,
): Promise<Manifest> {
  const manifest = await readManifest(folder)
  const secretKey = await requireKey(config, folder, manifest)
  progress('comparing every file with its checksum')
  await verifyFiles(folder, manifest)
  await requireKnownMigrations(manifest)
  const database = await takeDatabase(config, progress)
  try {
    await requireEmpty(database.ownerUrl)
    await requireRoom(config, manifest)
    await emptySchemasAt(database.ownerUrl)
    await markUnfinished(database.ownerUrl)
    const { ownerUrl, serverUrl } = database
    const migrating = { ownerUrl, serverUrl, directory: migrationsDirectory }
    const restoring = manifest.migrations.map(({ name }) => name)
    await migrate({ ...migrating, restoring, progress: () => undefined })
    if (config.secretKey === undefined) await keepSecretKey(config.dataDir, secretKey)
    progress(`documents: ${manifest.documents.files}`)
    await putDocuments(config, folder)
    progress(`rows of ${manifest.tables.length} tables`)
    await loadRows(ownerUrl, manifest, {
      table: async (name) => await requireFile(folder, backupFiles.table(name)),
      jobs: async () => await requireFile(folder, backupFiles.jobs),
    })
    await migrate({ ...migrating, progress })
  } finally {
    await database.stop()
  }
  return manifest
}

/** Tokens, second factors and the marks on payments are worth nothing under another key. */
async function requireKey(config: Config, folder: string, manifest: Manifest): Promise<string> {
  const kept = config.secretKey ?? (await findSecretKey(config.dataDir))
  const key = kept ?? (await readText(folder, backupFiles.secretKey))
  if (key === undefined) {
    throw new Refusal(
      'This backup does not hold its key: set the SECRET_KEY that it was made under.',
    )
  }
  const secrets = createSecrets(key)
  if (!isKeyOf(manifest, secrets)) {
    const whose = config.secretKey === undefined ? 'secret.key in DATA_DIR' : 'SECRET_KEY'
    throw new Refusal(`The backup was made under another key than ${whose}: bring that one back.`)
  }
  if (!isSealed(manifest, secrets)) throw new Refusal('The backup is damaged: its manifest.')
  return key
}

async function requireKnownMigrations({ migrations }: Manifest): Promise<void> {
  const known = await listMigrations(migrationsDirectory)
  for (const { name, checksum } of migrations) {
    if (!known.includes(name)) {
      throw new Refusal(
        `The backup has the migration ${name}, which this version does not know: ` +
          'restore it with the version that made it, or a newer one.',
      )
    }
    if ((await checksumOfMigration(migrationsDirectory, name)) !== checksum) {
      throw new Refusal(`The migration ${name} of the backup is not the one of this version.`)
    }
  }
}

async function requireEmpty(ownerUrl: string): Promise<void> {
  const state = await inspectTarget(ownerUrl)
  if (state === 'in use') {
    throw new Refusal('The business is not empty: a backup goes into an empty one.')
  }
  if (state === 'foreign') {
    throw new Refusal('The database holds tables that are none of Bureau’s: name an empty one.')
  }
}

/** For the documents alone; the database finds out by itself, and then nothing is left of its rows. */
async function requireRoom(config: Config, { documents }: Manifest): Promise<void> {
  const store = await openFileStore({ directory: documentsDirectory(config) })
  const { freeBytes } = await store.check()
  if (freeBytes < documents.bytes) {
    throw new Refusal(`The documents need ${documents.bytes} bytes and ${freeBytes} are free.`)
  }
}

async function putDocuments(config: Config, folder: string): Promise<void> {
  const store = await openFileStore({ directory: documentsDirectory(config) })
  for await (const { name, sha256 } of listFiles(folder)) {
    if (!name.startsWith(backupFiles.documents)) continue
    const source = await requireFile(folder, name)
    const received = await store.receive(source, { maxBytes: Number.POSITIVE_INFINITY })
    if (received.sha256 !== sha256) throw new Refusal(`The backup is damaged: ${name} was changed.`)
    await received.keep(name.slice(name.lastIndexOf('/') + 1))
  }
  const sandbox = await openFile(folder, sandboxFile)
  if (sandbox) await putFile(config.dataDir, sandboxFile, sandbox)
}

async function requireFile(folder: string, name: string) {
  const file = await openFile(folder, name)
  if (!file) throw new Refusal(`The backup is damaged: ${name} cannot be read.`)
  return file
}
