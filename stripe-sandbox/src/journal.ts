import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
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
  /** Rewrites the file as this snapshot when it has grown to several times its size. */
  compactWhenGrown(snapshot: () => Write[]): void
  close(): void
}

/** No rewriting below this size. */
const COMPACTION_FLOOR_BYTES = 32 * 1024 * 1024
const LINES_PER_CHUNK = 500

export function createMemoryJournal(): Journal {
  return { replay: () => [], append() {}, compactWhenGrown() {}, close() {} }
}

/** Opens or creates the journal file, readable by its owner alone. */
export function openJournal(path: string): Journal {
  mkdirSync(dirname(path), { recursive: true })
  let descriptor = openSync(path, existsSync(path) ? 'r+' : 'w+', 0o600)
  let position = 0
  let compactedBytes = 0

  function appendLine(line: string): void {
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
    position += bytes.length
  }

  return {
    *replay() {
      for (const { line, endsAt } of readLines(descriptor)) {
        yield* parseLine(line, path)
        position = endsAt
      }
      ftruncateSync(descriptor, position)
      compactedBytes = position
    },
    append: (writes) => appendLine(`${JSON.stringify(writes)}\n`),
    compactWhenGrown(snapshot) {
      if (position < COMPACTION_FLOOR_BYTES || position < 3 * compactedBytes) return
      const fresh = writeSnapshot(`${path}.compacting`, snapshot())
      renameSync(`${path}.compacting`, path)
      closeSync(descriptor)
      descriptor = fresh
      position = statSync(path).size
      compactedBytes = position
    },
    close: () => closeSync(descriptor),
  }
}

function writeSnapshot(path: string, writes: Write[]): number {
  const descriptor = openSync(path, 'w+', 0o600)
  for (let start = 0; start < writes.length; start += LINES_PER_CHUNK) {
    const chunk = writes.slice(start, start + LINES_PER_CHUNK)
    writeFileSync(descriptor, chunk.map((change) => `${JSON.stringify([change])}\n`).join(''))
  }
  return descriptor
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
