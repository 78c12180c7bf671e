import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { setImmediate as immediate } from 'node:timers/promises'
import { KINDS, type Kind } from './records.ts'

/** One change of one record: put it, or remove it by its id. */
export interface Write {
  kind: Kind
  put?: { id: string }
  remove?: string
}

/**
 * An append-only file of transactions, one JSON line each. A line is written before the reply that
 * it stands for, by one write call: the operating system keeps it when the process is killed.
 */
export interface Journal {
  /** Every write so far, in order. A torn last line, the mark of a kill, is cut off. */
  replay(): Iterable<Write>
  append(writes: Write[]): void
  /**
   * Rewrites the file as this snapshot when it has grown to several times its size: a little at a
   * time, while more is appended. Rejects when the disk does not take it; the old file stays.
   */
  compactWhenGrown(snapshot: () => Write[]): Promise<void>
  close(): void
}

const COMPACTION_FLOOR_BYTES = 32 * 1024 * 1024
const WRITES_PER_CHUNK = 500

export function createMemoryJournal(): Journal {
  return { replay: () => [], append() {}, compactWhenGrown: () => Promise.resolve(), close() {} }
}

/**
 * Opens or creates the journal file, readable by its owner alone; it is never compacted below the
 * floor. One process at a time may have it open.
 */
export function openJournal(path: string, floorBytes = COMPACTION_FLOOR_BYTES): Journal {
  mkdirSync(dirname(path), { recursive: true })
  let descriptor = openSync(path, existsSync(path) ? 'r+' : 'w+', 0o600)
  let position = 0
  let compactedBytes = 0
  /** The lines that were appended since a compaction began; absent when none is under way. */
  let sinceSnapshot: string[] | undefined
  let closed = false
  const isOpen = () => !closed

  async function compact(writes: Write[]): Promise<void> {
    const fresh = openSync(`${path}.compacting`, 'w+', 0o600)
    try {
      for (let start = 0; start < writes.length && isOpen(); start += WRITES_PER_CHUNK) {
        writeFileSync(fresh, linesOf(writes.slice(start, start + WRITES_PER_CHUNK)))
        await immediate()
      }
      if (!isOpen()) return closeSync(fresh)
      writeFileSync(fresh, sinceSnapshot?.join('') ?? '')
      renameSync(`${path}.compacting`, path)
    } catch (error) {
      closeSync(fresh)
      throw error
    }
    closeSync(descriptor)
    descriptor = fresh
    position = fstatSync(fresh).size
  }

  return {
    *replay() {
      for (const { line, endsAt } of readLines(descriptor)) {
        yield* parseLine(line, path)
        position = endsAt
      }
      ftruncateSync(descriptor, position)
    },
    append(writes) {
      const line = `${JSON.stringify(writes)}\n`
      position += writeWhole(descriptor, line, position)
      sinceSnapshot?.push(line)
    },
    async compactWhenGrown(snapshot) {
      const small = position < floorBytes || position < 3 * compactedBytes
      if (small || sinceSnapshot !== undefined) return
      sinceSnapshot = []
      try {
        await compact(snapshot())
      } finally {
        sinceSnapshot = undefined
        // After a failure too: the next try waits until the file has grown again.
        compactedBytes = position
      }
    },
    close() {
      closed = true
      closeSync(descriptor)
    },
  }
}

/** Writes the line at the position, all of it or nothing, and returns its length in bytes. */
function writeWhole(descriptor: number, line: string, position: number): number {
  const bytes = Buffer.from(line)
  let written = 0
  try {
    while (written < bytes.length) {
      written += writeSync(descriptor, bytes, written, bytes.length - written, position + written)
    }
  } catch (error) {
    // A full disk leaves half a line; without the cut the next line would grow onto it.
    ftruncateSync(descriptor, position)
    throw error
  }
  return bytes.length
}

function linesOf(writes: Write[]): string {
  return writes.map((write) => `${JSON.stringify([write])}\n`).join('')
}

/** The complete lines of a file, each with the byte position behind it. */
function* readLines(descriptor: number): Iterable<{ line: string; endsAt: number }> {
  const chunk = Buffer.alloc(1024 * 1024)
  const decoder = new StringDecoder('utf8')
  let pending = ''
  let endsAt = 0
  let from = 0
  for (;;) {
    const length = readSync(descriptor, chunk, 0, chunk.length, from)
    if (length === 0) return
    from += length
    const lines = (pending + decoder.write(chunk.subarray(0, length))).split('\n')
    pending = lines.pop() ?? ''
    for (const line of lines) {
      endsAt += Buffer.byteLength(line) + 1
      yield { line, endsAt }
    }
  }
}

function parseLine(line: string, path: string): Write[] {
  let writes: unknown
  try {
    writes = JSON.parse(line)
  } catch (error) {
    throw new Error(`The state file ${path} is damaged: move it away to start anew.`, {
      cause: error,
    })
  }
  const known = new Set<string>(KINDS)
  if (Array.isArray(writes) && writes.every((write: Write) => known.has(write.kind))) return writes
  throw new Error(`The state file ${path} is not one of this sandbox: name another.`)
}
