import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startClamd, type Clamd, type ClamdMood } from '../../test/support/clamd.ts'
import { openScanner } from './scanner.ts'

let clamd: Clamd

beforeEach(async () => {
  clamd = await startClamd()
})
afterEach(async () => {
  await clamd.close()
})

async function* chunks(...parts: readonly (string | Buffer)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part)
}

describe('scan', () => {
  test('clean for a clean file, and the scanner has seen every byte of it', async () => {
    const large = Buffer.alloc(300_000, 'a')
    const verdict = await openScanner({ url: clamd.url }).scan(chunks('begin', large, 'end'))
    expect(verdict).toEqual({ outcome: 'clean' })
    const seen = Buffer.concat([Buffer.from('begin'), large, Buffer.from('end')])
    expect(clamd.scanned[0]?.equals(seen)).toBe(true)
  })

  test('nothing piles up on a connection whose other end is slow', async () => {
    const slow = createServer((socket) => {
      socket.on('data', (chunk) => {
        socket.pause()
        setImmediate(() => socket.resume())
        if (chunk.subarray(-4).equals(Buffer.alloc(4))) socket.end('stream: OK\0')
      })
    })
    await once(slow.listen(0, '127.0.0.1'), 'listening')
    const { port } = slow.address() as AddressInfo
    const warnings: string[] = []
    const hear = ({ name }: Error): void => void warnings.push(name)
    process.on('warning', hear)
    const pieces = Array.from({ length: 500 }, () => Buffer.alloc(65_536, 'a'))
    const verdict = await openScanner({ url: `tcp://127.0.0.1:${port}` }).scan(chunks(...pieces))
    process.off('warning', hear)
    slow.close()
    expect([verdict, warnings]).toEqual([{ outcome: 'clean' }, []])
  })

  test('clean for an empty file', async () => {
    expect(await openScanner({ url: clamd.url }).scan(chunks())).toEqual({ outcome: 'clean' })
  })

  test('infected, with the name of what was found', async () => {
    const verdict = await openScanner({ url: clamd.url }).scan(chunks('some mal', 'ware'))
    expect(verdict).toEqual({ outcome: 'infected', signature: 'Test.Malware' })
  })

  test('refused where the scanner will not judge the file', async () => {
    clamd.mood = 'refuses'
    const verdict = await openScanner({ url: clamd.url }).scan(chunks('huge'))
    expect(verdict).toEqual({ outcome: 'refused', reason: 'INSTREAM size limit exceeded. ERROR' })
  })

  test.each<[ClamdMood, RegExp]>([
    ['mute', /does not answer/],
    ['hangs up', /.*/],
    ['babbles', /length|no answer/],
  ])('throws where the scanner %s', async (mood, message) => {
    clamd.mood = mood
    const scanner = openScanner({ url: clamd.url, idleMs: 200, totalMs: 1000 })
    await expect(scanner.scan(chunks('a file'))).rejects.toThrow(message)
  })

  test('throws where it takes too long in all', async () => {
    const scanner = openScanner({ url: clamd.url, idleMs: 5000, totalMs: 200 })
    const startedAt = performance.now()
    await expect(scanner.scan(neverEnding())).rejects.toThrow(/too long/)
    expect(performance.now() - startedAt).toBeLessThan(3000)
  })

  test('throws where nobody listens', async () => {
    const { url } = clamd
    await clamd.close()
    await expect(openScanner({ url }).scan(chunks('a file'))).rejects.toThrow(/ECONNREFUSED/)
  })

  test('throws what reading the file threw', async () => {
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('half')
      throw new Error('the disk is broken')
    }
    await expect(openScanner({ url: clamd.url }).scan(broken())).rejects.toThrow('the disk')
  })

  test('works over a socket of the file system', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'bureau-clamd-'))
    const local = await startClamd(path.join(folder, 'clamd.sock'))
    expect(local.url).toMatch(/^unix:/)
    const scanner = openScanner({ url: local.url })
    expect(await scanner.scan(chunks('malware'))).toMatchObject({ outcome: 'infected' })
    await local.close()
    await rm(folder, { recursive: true })
  })
})

describe('check', () => {
  test('passes for a scanner that answers, and throws for one that does not', async () => {
    await openScanner({ url: clamd.url }).check()
    clamd.mood = 'mute'
    await expect(openScanner({ url: clamd.url, idleMs: 100 }).check()).rejects.toThrow()
  })
})

/** A byte now and then: never idle, never done. */
async function* neverEnding(): AsyncGenerator<Uint8Array> {
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve))
    yield Buffer.from('x')
  }
}
