import { copyFile, open, stat, truncate } from 'node:fs/promises'

const MAX_BYTES = 4 * 1024 * 1024
const LAST_WORDS_MAX_BYTES = 8 * 1024

/** Size of the log in bytes, 0 when there is none yet. */
export async function measureServerLog(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

/**
 * Keeps the log and one earlier part of it, each about 4 MiB at most. The server keeps its file
 * open and always appends, so the file is copied and emptied rather than renamed.
 */
export async function boundServerLog(path: string): Promise<void> {
  if ((await measureServerLog(path)) <= MAX_BYTES) return
  await copyFile(path, `${path}.1`)
  await truncate(path)
}

/** What was appended since the log had this size, at most the last 8 KiB of it. */
export async function readServerLog(path: string, sinceBytes: number): Promise<string> {
  const size = await measureServerLog(path)
  const start = Math.max(sinceBytes, size - LAST_WORDS_MAX_BYTES)
  if (size <= start) return ''
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(size - start),
      0,
      size - start,
      start,
    )
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}
