import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { newKey } from '../kernel/id.ts'
import { openFileStore, type ByteRange, type FileStore } from './files.ts'

let directory: string
let files: FileStore

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'bureau-files-'))
  files = await openFileStore({ directory, reservedBytes: 0 })
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

const bounds = { maxBytes: 1_000_000 }

async function* chunks(...parts: readonly (string | Buffer)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part)
}

/** All files below the directory, by their paths from it. */
async function listAll(): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
}

async function keepText(text: string, name = newKey()): Promise<string> {
  await (await files.receive(chunks(text), bounds)).keep(name)
  return name
}

async function readAll(name: string, range?: ByteRange): Promise<string | undefined> {
  const stream = await files.open(name, range)
  if (!stream) return undefined
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}

describe('receive', () => {
  test('counts, hashes and lets the bytes be read at any place', async () => {
    const bytes = randomBytes(200_000)
    const received = await files.receive(chunks(bytes.subarray(0, 7), bytes.subarray(7)), bounds)
    expect(received.size).toBe(200_000)
    expect(received.sha256).toBe(createHash('sha256').update(bytes).digest('hex'))
    expect((await received.read(100_000, 50)).equals(bytes.subarray(100_000, 100_050))).toBe(true)
    expect(await received.read(199_990, 50)).toHaveLength(10)
    expect(await received.read(300_000, 50)).toHaveLength(0)
  })

  test('is found by nobody until it is kept', async () => {
    await files.receive(chunks('secret'), bounds)
    expect(await files.list(null, 10)).toEqual([])
    expect(await listAll()).toEqual([expect.stringMatching(/^incoming\//)])
  })

  test('413 at the first byte too many, without reading on, and leaves nothing', async () => {
    let taken = 0
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) {
        taken += 1000
        yield Buffer.alloc(1000)
      }
    }
    const receiving = files.receive(endless(), { maxBytes: 10_000 })
    await expect(receiving).rejects.toMatchObject({ status: 413, code: 'payload_too_large' })
    expect(taken).toBe(11_000)
    expect(await listAll()).toEqual([])
  })

  test('takes a file of exactly the largest size', async () => {
    expect((await files.receive(chunks('12345'), { maxBytes: 5 })).size).toBe(5)
  })

  test('leaves nothing where the sender breaks off', async () => {
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('half of it')
      throw new Error('hung up')
    }
    await expect(files.receive(broken(), bounds)).rejects.toThrow('hung up')
    expect(await listAll()).toEqual([])
  })

  test('507 below the room that is kept free, and again 201 when there is room', async () => {
    const full = await openFileStore({ directory, reservedBytes: Number.MAX_SAFE_INTEGER })
    await expect(full.check()).rejects.toMatchObject({ code: 'storage_full' })
    const receiving = full.receive(chunks('x'), bounds)
    await expect(receiving).rejects.toMatchObject({ status: 507, code: 'storage_full' })
    expect(await listAll()).toEqual([])
    expect((await files.receive(chunks('x'), bounds)).size).toBe(1)
  })

  test.each(['ENOSPC', 'EDQUOT'])('507 for %s in the middle', async (code) => {
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('some')
      throw Object.assign(new Error('no space'), { code })
    }
    await expect(files.receive(failing(), bounds)).rejects.toMatchObject({ status: 507 })
    expect(await listAll()).toEqual([])
  })
})

describe('keep and open', () => {
  test('the same bytes come back, whole and in part', async () => {
    const name = await keepText('0123456789')
    expect(await readAll(name)).toBe('0123456789')
    expect(await readAll(name, { start: 0, end: 0 })).toBe('0')
    expect(await readAll(name, { start: 3, end: 5 })).toBe('345')
  })

  test('discarding afterwards takes nothing away; before, everything', async () => {
    const kept = await files.receive(chunks('kept'), bounds)
    const name = newKey()
    await kept.keep(name)
    await kept.discard()
    expect(await readAll(name)).toBe('kept')
    const dropped = await files.receive(chunks('dropped'), bounds)
    await dropped.discard()
    await dropped.discard()
    expect(await listAll()).toEqual([expect.stringMatching(/^kept\//)])
  })

  test('undefined for a name that is not there; gone after removal, and again', async () => {
    const name = await keepText('bytes')
    expect(await files.has(name)).toBe(true)
    await files.remove(name)
    await files.remove(name)
    expect(await files.has(name)).toBe(false)
    expect(await files.open(name)).toBeUndefined()
  })

  test('a name that is not of our making is a bug, not a path', async () => {
    const foreign = ['../../etc/passwd', '', 'a'.repeat(31), `${'a'.repeat(31)}/`, 'A'.repeat(32)]
    for (const name of foreign) {
      await expect(files.open(name)).rejects.toThrow(/name of ours/)
      await expect(files.remove(name)).rejects.toThrow(/name of ours/)
    }
  })

  test('folders and files are for the eyes of their own user alone', async () => {
    const name = await keepText('private')
    const modes = await Promise.all(
      ['.', 'kept', 'incoming', `kept/${name.slice(0, 2)}`, `kept/${name.slice(0, 2)}/${name}`].map(
        async (place) => (await stat(path.join(directory, place))).mode & 0o777,
      ),
    )
    // The temporary folder of the test itself is 0700 by mkdtemp.
    expect(modes).toEqual([0o700, 0o700, 0o700, 0o700, 0o600])
  })
})

describe('list and removeAbandoned', () => {
  test('every kept file once, in the order of names, over any number of pages', async () => {
    const names: string[] = []
    for (let index = 0; index < 25; index += 1) names.push(await keepText(`file ${index}`))
    await writeFile(path.join(directory, 'kept', names[0]!.slice(0, 2), 'stray.txt'), 'x')
    await writeFile(path.join(directory, 'kept', '.stray'), 'x')
    const seen: string[] = []
    for (let after: string | null = null; ;) {
      const page = await files.list(after, 4)
      seen.push(...page.map(({ name }) => name))
      if (page.length < 4) break
      after = page.at(-1)!.name
    }
    expect(seen).toEqual(names.toSorted())
  })

  test('what was received before an instant goes, what is younger stays', async () => {
    await files.receive(chunks('young'), bounds)
    const old = path.join(directory, 'incoming', 'f'.repeat(32))
    await writeFile(old, 'old')
    const past = new Date(Date.now() - 7_200_000)
    await utimes(old, past, past)
    expect(await files.removeAbandoned(new Date(Date.now() - 3_600_000))).toBe(1)
    expect(await listAll()).toHaveLength(1)
  })
})

describe('check', () => {
  test('tells the room that is left and leaves nothing; throws where nothing can be written', async () => {
    expect((await files.check()).freeBytes).toBeGreaterThan(0)
    expect(await listAll()).toEqual([])
    await rm(directory, { recursive: true })
    await expect(files.check()).rejects.toThrow()
  })
})
