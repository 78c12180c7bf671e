import { access, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Replaces a file's content, for its owner's eyes only (0600). After a crash or a power cut the
 * file holds either all of the new content or all of the old.
 */
export async function writeDurably(path: string, content: string): Promise<void> {
  const unfinished = `${path}.unfinished`
  // A leftover of a crash may have another mode, which opening it would keep.
  await rm(unfinished, { force: true })
  const file = await open(unfinished, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await renameDurably(unfinished, path)
}

/** Renames within one folder, and returns when the folder itself is on disk. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to)
  // Windows cannot open a folder, and keeps its own journal of names.
  if (process.platform === 'win32') return
  const folder = await open(dirname(to), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
