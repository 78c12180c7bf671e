import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { Refusal } from '../../kernel/refusal.ts'
import { backupFormat, type Inventory, type Manifest } from './manifest.ts'

/**
 * A backup is a folder of files, with `SHA256SUMS` that names them all (`sha256sum -c` reads it
 * too) and `manifest.json`. It is written under another name and gets its own when all of it is on
 * disk: what has the name is whole.
 */
export interface BackupWriter {
  /** Writes a file as it comes. */
  write(name: string, source: Source): Promise<WrittenFile>
  /** Makes it a backup, with the manifest for these sums. */
  finish(describe: (sums: Inventory['sums']) => Manifest): Promise<WrittenBackup>
  /** Leaves nothing of it. */
  discard(): Promise<void>
}

export type Source = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export interface WrittenBackup {
  readonly folder: string
  readonly manifest: Manifest
}

export interface WrittenFile {
  readonly size: number
  readonly sha256: string
}

const sumsName = 'SHA256SUMS'
const manifestName = 'manifest.json'

export async function createBackup(place: string, name: string): Promise<BackupWriter> {
  const target = path.join(place, name)
  const draft = `${target}.unfinished-${randomBytes(4).toString('hex')}`
  await mkdir(draft, { recursive: true, mode: 0o700 })
  const folders = new Set([draft])
  const makeFolder = async (folder: string): Promise<void> => {
    if (folders.has(folder)) return
    await makeFolder(path.dirname(folder))
    await mkdir(folder, { mode: 0o700 })
    folders.add(folder)
  }
  const sums = await openSums(path.join(draft, sumsName))
  return {
    write: async (name, source) => {
      const file = path.join(draft, name)
      await makeFolder(path.dirname(file))
      const written = await writeDurably(file, source)
      await sums.add(`${written.sha256}  ${name}\n`)
      return written
    },
    finish: async (describe) => {
      const manifest = describe(await sums.end())
      const written = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)
      await writeDurably(path.join(draft, manifestName), [written])
      for (const folder of folders) await syncFolder(folder)
      await rename(draft, target)
      await syncFolder(place)
      return { folder: target, manifest }
    },
    discard: async () => {
      await sums.end().catch(() => undefined)
      await rm(draft, { recursive: true, force: true })
    },
  }
}

/** The manifest of what shall be a backup. Throws Refusal where it is none, or of a later format. */
export async function readManifest(folder: string): Promise<Manifest> {
  const written = await readFile(path.join(folder, manifestName), 'utf8').catch(() => undefined)
  if (written === undefined) {
    throw new Refusal(`${folder} is no whole backup: it has no ${manifestName}.`)
  }
  const manifest = parseManifest(written)
  if (manifest === undefined) throw new Refusal(`${manifestName} of ${folder} is damaged.`)
  if (manifest.format !== backupFormat) {
    throw new Refusal(`${folder} was made by a newer Bureau (${manifest.product}): restore by it.`)
  }
  return manifest
}

/**
 * Reads every byte of the backup and compares it with the sums that the manifest seals. Throws
 * Refusal with the first file that is missing or not as it was written.
 */
export async function verifyFiles(folder: string, { sums }: Manifest): Promise<void> {
  const whole = createHash('sha256')
  let files = 0
  for await (const { name, sha256 } of listFiles(folder)) {
    whole.update(`${sha256}  ${name}\n`)
    files += 1
    const found = await digestOf(path.join(folder, name)).catch(() => undefined)
    if (found === undefined) throw new Refusal(`The backup is damaged: ${name} cannot be read.`)
    if (found !== sha256) throw new Refusal(`The backup is damaged: ${name} was changed.`)
  }
  if (files !== sums.files || whole.digest('hex') !== sums.sha256) {
    throw new Refusal(`The backup is damaged: ${sumsName} was changed.`)
  }
}

export interface NamedSum {
  readonly name: string
  readonly sha256: string
}

/** The files of the backup in the order in which they were written. */
export async function* listFiles(folder: string): AsyncGenerator<NamedSum> {
  const file = await open(path.join(folder, sumsName), 'r').catch(() => {
    throw new Refusal(`The backup is damaged: ${sumsName} cannot be read.`)
  })
  for await (const line of file.readLines()) {
    const [, sha256, name] = sumLine.exec(line) ?? []
    if (sha256 === undefined || name === undefined) {
      throw new Refusal(`The backup is damaged: ${sumsName} was changed.`)
    }
    yield { name, sha256 }
  }
}

/** Names of ours: none of them leads out of the folder. */
const sumLine = /^([0-9a-f]{64}) {2}((?:[\w-]+\/)*\w[\w.-]*)$/

/** Undefined where there is none of that name. */
export async function openFile(folder: string, name: string): Promise<Readable | undefined> {
  const file = await open(path.join(folder, name), 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  return file?.createReadStream()
}

export async function readText(folder: string, name: string): Promise<string | undefined> {
  const file = await openFile(folder, name)
  return file && (await text(file))
}

/** Replaces a file outside of a backup. */
export async function putFile(folder: string, name: string, source: Source): Promise<void> {
  const place = path.join(folder, name)
  const draft = `${place}.unfinished-${randomBytes(4).toString('hex')}`
  await writeDurably(draft, source)
  await rename(draft, place)
}

function parseManifest(written: string): Manifest | undefined {
  try {
    // What it says is believed once its seal has been looked at, and not before.
    return JSON.parse(written) as Manifest
  } catch {
    return undefined
  }
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

async function writeDurably(place: string, source: Source): Promise<WrittenFile> {
  const file = await open(place, 'wx', 0o600)
  const hash = createHash('sha256')
  let size = 0
  try {
    for await (const chunk of source) {
      hash.update(chunk)
      size += chunk.length
      await file.writeFile(chunk)
    }
    await file.sync()
  } finally {
    await file.close()
  }
  return { size, sha256: hash.digest('hex') }
}

interface Sums {
  add(line: string): Promise<void>
  end(): Promise<Inventory['sums']>
}

async function openSums(place: string): Promise<Sums> {
  const file = await open(place, 'wx', 0o600)
  const hash = createHash('sha256')
  let files = 0
  return {
    add: async (line) => {
      hash.update(line)
      files += 1
      await file.writeFile(line)
    },
    end: async () => {
      await file.sync()
      await file.close()
      return { files, sha256: hash.digest('hex') }
    },
  }
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open a folder, and keeps its own journal of names.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
