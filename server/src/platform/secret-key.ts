import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Refusal } from '../kernel/refusal.ts'

/**
 * The key that all others derive from, made once and kept in the data directory for its owner's
 * eyes only. Of two starters one writes it and both read the same.
 */
export async function keepSecretKey(
  dataDir: string,
  made = randomBytes(32).toString('base64url'),
): Promise<string> {
  const file = fileOf(dataDir)
  await mkdir(dataDir, { recursive: true })
  // Written aside and then given its name: the file is whole or not there.
  const draft = `${file}.${process.pid}`
  await writeFile(draft, made, { mode: 0o600, flush: true })
  await link(draft, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft)
  const key = await findSecretKey(dataDir)
  if (key === undefined) throw new Error(`${file} is gone again.`)
  return key
}

/** The key that was made; undefined where none was. */
export async function findSecretKey(dataDir: string): Promise<string | undefined> {
  const file = fileOf(dataDir)
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (text === undefined) return undefined
  const key = text.trim()
  if (key.length < 32) throw new Refusal(`${file} holds no key: restore it from a backup.`)
  return key
}

function fileOf(dataDir: string): string {
  return path.join(dataDir, 'secret.key')
}
