import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, stat, statfs, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { assert } from '../kernel/assert.ts'
import { payloadTooLarge, storageFull } from '../kernel/errors.ts'
import { keyPattern } from '../kernel/id.ts'

/**
 * Where the bytes of documents are. They have names of ours and no paths: what is a folder here is
 * a bucket elsewhere. A file comes in two steps: it is received where nobody finds it, and kept
 * under its name once it is known to be wanted. A name is kept once and never written again.
 */
export interface FileStore {
  /**
   * Writes a stream as it comes, counted and hashed, and returns when all of it is on disk. Throws
   * 413 as soon as it is longer than `maxBytes` and 507 without room; nothing is left of it then.
   */
  receive(source: AsyncIterable<Uint8Array>, bounds: { maxBytes: number }): Promise<ReceivedFile>
  /** A stream of the file or of a part of it; undefined where there is none of that name. */
  open(name: string, range?: ByteRange): Promise<Readable | undefined>
  /** Gone already is as good. */
  remove(name: string): Promise<void>
  has(name: string): Promise<boolean>
  /** Kept files after the name `after`, in the order of their names. */
  list(after: string | null, limit: number): Promise<StoredFile[]>
  /** Removes what was received before that instant and never kept; returns how many that were. */
  removeAbandoned(before: Date): Promise<number>
  /** Throws where nothing can be written. */
  check(): Promise<StorageState>
}

/** Bytes that can be read at any place, a bounded piece at a time. */
export interface ReadableBytes {
  readonly size: number
  /** Up to `length` bytes from `offset`: fewer at the end. */
  read(offset: number, length: number): Promise<Buffer>
}

/** A file that has come in and is nobody's yet. */
export interface ReceivedFile extends ReadableBytes {
  /** In hex. */
  readonly sha256: string
  /** Gives it its name, for good: after a crash it has that name whole or not at all. */
  keep(name: string): Promise<void>
  /** Forgets it, unless it was kept. */
  discard(): Promise<void>
}

/** A file as a client sent it: what it is called and said to be is the client's word alone. */
export interface Upload {
  readonly filename: string
  /** A media type; `application/octet-stream` says nothing. */
  readonly declaredType: string
  readonly file: ReceivedFile
}

/** A file that is about to go out. */
export interface ServedFile {
  /** What it is called where it arrives. */
  readonly filename: string
  readonly contentType: string
  readonly size: number
  /** In hex: equal digests are equal bytes. */
  readonly sha256: string
  /** Called only when bytes are really sent. */
  open(range?: ByteRange): Promise<Readable>
}

/** Both ends belong to it. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export interface StoredFile {
  readonly name: string
  /** When its last byte was written. */
  readonly writtenAt: Date
}

export interface StorageState {
  readonly freeBytes: number
}

export interface DiskOptions {
  readonly directory: string
  /** Kept free for what else lives on the disk, the database above all. */
  readonly reservedBytes?: number
}

const mebibyte = 1024 * 1024
const defaultReservedBytes = 128 * mebibyte
/** Files lie in folders by the first two letters of their names, a thousand folders at most. */
const fanOut = 2
const folderMode = 0o700
const fileMode = 0o600

/** A store on this machine's disk, for the eyes of its own user only. */
export async function openFileStore(options: DiskOptions): Promise<FileStore> {
  const { directory, reservedBytes = defaultReservedBytes } = options
  const kept = path.join(directory, 'kept')
  const incoming = path.join(directory, 'incoming')
  for (const folder of [directory, kept, incoming]) await makeFolder(folder)

  const pathOf = (name: string): string => {
    assert(nameForm.test(name), 'a file has a name of ours')
    return path.join(kept, name.slice(0, fanOut), name)
  }
  return {
    receive: async (source, { maxBytes }) => {
      await requireRoom(directory, reservedBytes)
      const place = path.join(incoming, randomBytes(16).toString('hex'))
      const written = await receiveAt(place, source, maxBytes)
      return receivedFile(place, written, pathOf)
    },
    open: async (name, range) => {
      const file = await open(pathOf(name), 'r').catch(unlessMissing)
      return file?.createReadStream(range ? { start: range.start, end: range.end } : {})
    },
    remove: async (name) => {
      await unlink(pathOf(name)).catch(unlessMissing)
    },
    has: async (name) => (await stat(pathOf(name)).catch(unlessMissing)) !== undefined,
    list: (after, limit) => listKept(kept, after, limit),
    removeAbandoned: (before) => removeOlder(incoming, before),
    check: async () => {
      await requireRoom(directory, reservedBytes)
      const probe = path.join(incoming, `probe-${randomBytes(8).toString('hex')}`)
      await (await open(probe, 'wx', fileMode)).close()
      await unlink(probe)
      return { freeBytes: await freeBytesAt(directory) }
    },
  }
}

/** Whether others than its owner may read a file or folder; undefined where there is none. */
export async function isOpenToOthers(place: string): Promise<boolean | undefined> {
  const state = await stat(place).catch(unlessMissing)
  // Windows knows no such bits.
  if (state === undefined || process.platform === 'win32') return undefined
  return (state.mode & 0o077) !== 0
}

const nameForm = new RegExp(keyPattern)

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: folderMode })
}

interface WrittenFile {
  readonly size: number
  readonly sha256: string
}

async function receiveAt(
  place: string,
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<WrittenFile> {
  const file = await open(place, 'wx', fileMode).catch(asStorageFull)
  const hash = createHash('sha256')
  let size = 0
  try {
    for await (const chunk of source) {
      size += chunk.length
      if (size > maxBytes) throw tooLarge(maxBytes)
      hash.update(chunk)
      await file.writeFile(chunk)
    }
    await file.sync()
    await file.close()
    return { size, sha256: hash.digest('hex') }
  } catch (error) {
    await file.close().catch(() => undefined)
    await unlink(place).catch(unlessMissing)
    return asStorageFull(error)
  }
}

/** 413 that says how large a file may be. */
export function tooLarge(maxBytes: number): Error {
  return payloadTooLarge({ detail: `A file may have ${maxBytes} bytes.`, members: { maxBytes } })
}

function receivedFile(
  place: string,
  written: WrittenFile,
  pathOf: (name: string) => string,
): ReceivedFile {
  let isKept = false
  return {
    ...written,
    read: async (offset, length) => {
      const file = await open(place, 'r')
      try {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
        return buffer.subarray(0, bytesRead)
      } finally {
        await file.close()
      }
    },
    keep: async (name) => {
      const target = pathOf(name)
      await renameDurably(place, target).catch(asStorageFull)
      isKept = true
    },
    discard: async () => {
      if (!isKept) await unlink(place).catch(unlessMissing)
    },
  }
}

/** Returns when the name is on disk, and the name of a new folder with it. */
async function renameDurably(from: string, to: string): Promise<void> {
  const folder = path.dirname(to)
  const made = await mkdir(folder, { recursive: true, mode: folderMode })
  if (made !== undefined) await syncFolder(path.dirname(folder))
  await rename(from, to)
  await syncFolder(folder)
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

async function listKept(kept: string, after: string | null, limit: number): Promise<StoredFile[]> {
  const found: StoredFile[] = []
  const first = after?.slice(0, fanOut) ?? ''
  for (const folder of (await readdir(kept)).toSorted()) {
    // What else somebody put there is not ours to look into.
    if (folder.length !== fanOut || folder < first) continue
    for (const name of (await readdir(path.join(kept, folder))).toSorted()) {
      if (!nameForm.test(name) || (after !== null && name <= after)) continue
      const state = await stat(path.join(kept, folder, name)).catch(unlessMissing)
      if (state) found.push({ name, writtenAt: state.mtime })
      if (found.length >= limit) return found
    }
  }
  return found
}

/** So many at a run: what is left is found by the next one. */
const maxRemovedAtOnce = 1000

async function removeOlder(folder: string, before: Date): Promise<number> {
  let removed = 0
  for (const name of await readdir(folder)) {
    const place = path.join(folder, name)
    const state = await stat(place).catch(unlessMissing)
    if (!state || state.mtime >= before) continue
    await unlink(place).catch(unlessMissing)
    removed += 1
    if (removed >= maxRemovedAtOnce) break
  }
  return removed
}

async function requireRoom(directory: string, reservedBytes: number): Promise<void> {
  const freeBytes = await freeBytesAt(directory)
  if (freeBytes < reservedBytes) throw storageFull({ facts: { freeBytes, reservedBytes } })
}

async function freeBytesAt(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}

/** The disk, or this user's share of it, is full. */
function asStorageFull(error: unknown): never {
  const code = codeOf(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') throw storageFull({ cause: error })
  throw error
}

function unlessMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error
  return undefined
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
