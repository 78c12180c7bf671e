import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

/**
 * The key that all others derive from, made once and kept in the data directory for its owner's
 * eyes only. Of two starters one writes it and both read the same.
 */
export async function keepSecretKey(dataDir: string): Promise<string> {
  const file = path.join(dataDir, 'secret.key')
  await mkdir(dataDir, { recursive: true })
  const made = randomBytes(32).toString('base64url')
  // Written aside and then given its name: the file is whole or not there.
  const draft = `${file}.${process.pid}`
  await writeFile(draft, made, { mode: 0o600, flush: true })
  await link(draft, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft)
  const key = (await readFile(file, 'utf8')).trim()
  if (key.length < 32) throw new Error(`${file} holds no key: restore it from a backup.`)
  return key
}
