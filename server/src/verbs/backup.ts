import type { Config } from '../config.ts'
import { Refusal } from '../kernel/refusal.ts'
import { documentsDirectory, sandboxFile, type Progress } from '../main.ts'
import { namedBytes } from '../modules/documents/index.ts'
import {
  createBackup,
  openFile,
  readSnapshot,
  sealManifest,
  type BackupWriter,
  type Inventory,
  type Manifest,
  type Snapshot,
  type WrittenBackup,
} from '../platform/backup/index.ts'
import { systemClock } from '../platform/clock.ts'
import { openFileStore } from '../platform/files.ts'
import { findSecretKey } from '../platform/secret-key.ts'
import { createSecrets } from '../platform/secrets.ts'
import { shareDatabase } from '../reach-database.ts'
import { productVersion } from '../version.ts'

/** Names within a backup; a restore reads them. */
export const backupFiles = {
  table: (name: string) => `tables/${name}`,
  jobs: 'jobs',
  documents: 'documents/',
  document: (key: string) => `documents/${key.slice(0, 2)}/${key}`,
  secretKey: 'secret.key',
} as const

export interface BackupOptions {
  readonly progress: Progress
  /** Ends it early. */
  readonly signal: AbortSignal
}

/**
 * Writes all of the business, as it was at one instant, into a new folder within `place`, beside a
 * Bureau that serves or without one. Whatever ends it early leaves nothing with a backup's name.
 */
export async function backUp(
  config: Config,
  place: string,
  { progress, signal }: BackupOptions,
): Promise<WrittenBackup> {
  const secretKey = config.secretKey ?? (await findSecretKey(config.dataDir))
  if (secretKey === undefined) {
    throw new Refusal(`DATA_DIR (${config.dataDir}) has no key: no Bureau was started with it.`)
  }
  const createdAt = systemClock().toISOString()
  const database = await shareDatabase(config, progress)
  try {
    return await readSnapshot(database.ownerUrl, namedBytes, async (snapshot) => {
      const begun = await createBackup(place, nameOf(createdAt)).catch(refuseUnwritable)
      const writer = stoppable(begun, signal)
      try {
        const copied = await copyBusiness(snapshot, writer, config)
        // A key that the operator keeps elsewhere shall not lie beside what it opens.
        const hasSecretKey = config.secretKey === undefined
        if (hasSecretKey) await writer.write(backupFiles.secretKey, [Buffer.from(secretKey)])
        const described = { product: productVersion, createdAt, ...copied, hasSecretKey }
        return await writer.finish((sums) =>
          sealManifest({ ...described, sums }, createSecrets(secretKey)),
        )
      } catch (error) {
        await writer.discard()
        return refuseUnwritable(error)
      }
    })
  } finally {
    await database.stop()
  }
}

/** A full disk, a missing right and the like, which name the file. */
function refuseUnwritable(error: unknown): never {
  const isOfFiles = error instanceof Error && 'syscall' in error && 'path' in error
  throw isOfFiles || isNoRoom(error)
    ? new Refusal(`The backup cannot be written: ${(error as Error).message}`)
    : error
}

function isNoRoom(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)
}

/** What is in it, and what an operator has to know of it. */
export function describeBackup(manifest: Manifest): string[] {
  const { tables, documents, createdAt, hasSecretKey } = manifest
  const rows = tables.reduce((sum, table) => sum + table.rows, 0)
  const { files, bytes, damaged } = documents
  return [
    `${createdAt}: ${rows} rows, ${manifest.jobs.count} jobs, ${files} documents of ${bytes} bytes`,
    hasSecretKey
      ? 'It holds the secret key: whoever reads it can read all that is encrypted under it.'
      : 'It does not hold SECRET_KEY, and is half of its worth without: keep that, elsewhere.',
    ...(damaged.length === 0
      ? []
      : [`The store had lost or changed the bytes of ${damaged.length}: ${damaged.join(', ')}`]),
  ]
}

/** Such as `bureau-20261128T092402Z`: names sort by time. */
function nameOf(instant: string): string {
  return `bureau-${instant.replaceAll(/[-:]|\.\d+/g, '')}`
}

function stoppable(writer: BackupWriter, signal: AbortSignal): BackupWriter {
  return {
    ...writer,
    write: async (name, source) => await writer.write(name, untilAborted(source, signal)),
  }
}

async function* untilAborted<T>(
  source: AsyncIterable<T> | Iterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  for await (const chunk of source) {
    if (signal.aborted) throw new Refusal('The backup was stopped, and nothing is left of it.')
    yield chunk
  }
}

type Copied = Omit<Inventory, 'product' | 'createdAt' | 'hasSecretKey' | 'sums'>

/** Rows first, so that the snapshot is held no longer than they take. */
async function copyBusiness(
  snapshot: Snapshot,
  writer: BackupWriter,
  config: Config,
): Promise<Copied> {
  const tables: Inventory['tables'][number][] = []
  for (const table of snapshot.tables) {
    const copy = snapshot.copyTable(table)
    await writer.write(backupFiles.table(table.name), copy.rows)
    tables.push({ ...table, rows: copy.count() })
  }
  const jobs = snapshot.copyJobs()
  await writer.write(backupFiles.jobs, jobs.rows)
  const { postgresql, migrations } = snapshot
  return {
    postgresql,
    migrations,
    tables,
    sequences: await snapshot.readSequences(),
    jobs: { count: jobs.count(), lastId: await snapshot.readLastJobId() },
    documents: await copyDocuments(snapshot, writer, config),
  }
}

async function copyDocuments(
  snapshot: Snapshot,
  writer: BackupWriter,
  config: Config,
): Promise<Inventory['documents']> {
  const store = await openFileStore({ directory: documentsDirectory(config) })
  const damaged: string[] = []
  let files = 0
  let bytes = 0
  for await (const { id, key, sha256 } of snapshot.releaseRows()) {
    const source = await store.open(key)
    const written = source && (await writer.write(backupFiles.document(key), source))
    if (written?.sha256 !== sha256) damaged.push(id)
    if (!written) continue
    files += 1
    bytes += written.size
  }
  const sandbox = await openFile(config.dataDir, sandboxFile)
  if (sandbox) await writer.write(sandboxFile, sandbox)
  return { files, bytes, damaged }
}
