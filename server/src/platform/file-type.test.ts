import { describe, expect, test } from 'vitest'
import {
  heic,
  jpeg,
  office,
  pdf,
  png,
  text,
  webp,
  zip,
  type SampleFile,
} from '../../test/support/sample-files.ts'
import { contentTypeOf, fileKinds, identifyFile } from './file-type.ts'
import type { ReadableBytes } from './files.ts'

function readable(bytes: Buffer): ReadableBytes {
  return {
    size: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
  }
}

async function identify({ name, type, bytes }: SampleFile) {
  return await identifyFile(readable(bytes), { filename: name, declaredType: type })
}

const good: readonly [string, SampleFile][] = [
  ['pdf', pdf()],
  ['png', png()],
  ['jpeg', jpeg()],
  ['jpeg', jpeg('photo.JPEG')],
  ['webp', webp()],
  ['heic', heic()],
  ['txt', text()],
  ['csv', text('people.csv', 'name;age\nGrüße;7\n')],
  ['docx', office('docx')],
  ['xlsx', office('xlsx')],
  ['pptx', office('pptx')],
]

describe('each kind that is taken', () => {
  test.each(good)('is known: %s', async (kind, file) => {
    expect(await identify(file)).toBe(kind)
    expect(await identify({ ...file, type: 'application/octet-stream' })).toBe(kind)
  })

  test('is sent as a type of its own, texts as UTF-8', () => {
    const types = fileKinds.map(contentTypeOf)
    expect(new Set(types).size).toBe(fileKinds.length)
    expect(contentTypeOf('csv')).toBe('text/csv; charset=utf-8')
  })

  test.each(good)('is refused under the name or the type of another: %s', async (kind, file) => {
    for (const [otherKind, other] of good) {
      if (otherKind === kind || [kind, otherKind].every((one) => /txt|csv/.test(one))) continue
      expect([otherKind, await identify({ ...file, name: other.name })]).toEqual([
        otherKind,
        undefined,
      ])
      expect(await identify({ ...file, name: other.name, type: other.type })).toBeUndefined()
      expect(await identify({ ...file, type: other.type })).toBeUndefined()
    }
  })
})

const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

describe('what is refused', () => {
  test.each<[string, SampleFile]>([
    ['no extension', { ...pdf(), name: 'passport' }],
    ['an extension that is not taken', { ...text(), name: 'run.js', type: 'text/javascript' }],
    ['a second extension that counts', pdf('invoice.pdf.exe')],
    ['an SVG', { name: 'a.svg', type: 'image/svg+xml', bytes: Buffer.from(svg) }],
    ['an SVG as a text', text('a.txt', svg)],
    ['an SVG as a picture', { ...png(), bytes: Buffer.from(svg) }],
    ['a page as a text', text('a.txt', ' \r\n\t<!doctype html><p>Hello')],
    ['a page behind a byte order mark', text('a.txt', '\ufeff<html><body>')],
    ['a page after some words', text('a.txt', 'Hello\n<script src=x></script>')],
    ['XML', text('a.txt', '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>')],
    ['PHP', text('a.csv', 'a;b\n<?php system($_GET[0]);')],
    ['a shell script', text('a.txt', '#!/bin/sh\nrm -rf ~')],
    ['a picture that is a script', text('a.txt', 'GIF89a=1;alert(1)')],
    ['a PDF as a text', text('a.txt', '%PDF-1.7\nhello')],
    ['NUL in a text', text('a.txt', 'a\0b')],
    ['control characters in a text', text('a.txt', 'a\u001b[31mb')],
    ['a text that is no UTF-8', { ...text(), bytes: Buffer.from([0x47, 0x72, 0xfc, 0xdf, 0x65]) }],
    ['half a character at the end', { ...text(), bytes: Buffer.from([0x61, 0xc3]) }],
    ['UTF-16', { ...text(), bytes: Buffer.from('\ufeffHello', 'utf16le') }],
    ['a PDF behind other bytes', { ...pdf(), bytes: Buffer.from('\n\n%PDF-1.7\n%%EOF') }],
    ['an executable', { ...pdf(), bytes: Buffer.concat([Buffer.from('MZ'), pdf().bytes]) }],
    ['a GIF', { ...png(), bytes: Buffer.from('GIF89a\x01\x00\x01\x00') }],
    ['a few bytes', { ...png(), bytes: Buffer.from('\x89PNG') }],
  ])('%s', async (_what, file) => {
    expect(await identify(file)).toBeUndefined()
  })

  test('a text whose NUL stands far behind the beginning', async () => {
    const bytes = Buffer.concat([Buffer.alloc(200_000, 'a'), Buffer.from('\0')])
    expect(await identify({ ...text(), bytes })).toBeUndefined()
    expect(await identify({ ...text(), bytes: bytes.subarray(0, 200_000) })).toBe('txt')
  })

  test('a text that only spells what other kinds of file begin with', async () => {
    expect(await identify(text('guests.txt', 'Riffat and Mzia come at eight.'))).toBe('txt')
    expect(await identify(text('rows.csv', 'PK;name\n1;Ada\n'))).toBe('csv')
  })

  test('a text is read in pieces, and a character over two of them is whole', async () => {
    const bytes = Buffer.concat([Buffer.alloc(64 * 1024 - 1, 'a'), Buffer.from('ü')])
    expect(await identify({ ...text(), bytes })).toBe('txt')
  })

  test('a picture or PDF that is an archive too', async () => {
    const archive = zip([{ name: 'evil.js', bytes: Buffer.from('1') }])
    for (const file of [pdf(), png(), jpeg(), webp(), heic()]) {
      const bytes = Buffer.concat([file.bytes, archive])
      expect(await identify({ ...file, bytes })).toBeUndefined()
    }
  })
})

describe('office files', () => {
  const macro = 'application/vnd.ms-word.document.macroEnabled.main+xml'

  test.each<[string, SampleFile]>([
    ['macros by their part', office('docx', { more: [{ name: 'word/vbaProject.bin' }] })],
    ['macros by their type', office('docx', { mainType: macro })],
    ['old macros', office('xlsx', { more: [{ name: 'xl/macrosheets/sheet1.xml' }] })],
    ['a control', office('docx', { more: [{ name: 'word/activeX/activeX1.xml' }] })],
    ['a program', office('docx', { more: [{ name: 'word/embeddings/run.exe' }] })],
    ['a name that leads out', office('docx', { more: [{ name: '../../etc/cron.d/x' }] })],
    ['a name from the root', office('docx', { more: [{ name: '/etc/passwd' }] })],
    ['a name of Windows', office('docx', { more: [{ name: 'C:\\x' }] })],
    ['a link', office('docx', { more: [{ name: 'word/x', unixMode: 0o120777 }] })],
    ['two parts of one name', office('docx', { more: [{ name: 'word/document.xml' }] })],
    ['two kinds at once', office('docx', { more: [{ name: 'xl/workbook.xml' }] })],
    [
      'what would unpack to more than anybody needs',
      office('docx', { more: [{ name: 'word/media/a.png', claimedSize: 0xfffffff0 }] }),
    ],
    [
      'many large parts',
      office('docx', {
        more: Array.from({ length: 20 }, (_, index) => ({
          name: `word/media/${index}.png`,
          claimedSize: 100_000_000,
        })),
      }),
    ],
    [
      'twenty thousand parts',
      office('docx', {
        more: Array.from({ length: 20_000 }, (_, index) => ({ name: `word/${index}` })),
      }),
    ],
    ['a plain archive', { ...office('docx'), bytes: zip([{ name: 'a.txt' }]) }],
    ['no archive at all', { ...office('docx'), bytes: Buffer.from('PK\x03\x04 but not') }],
    ['an archive with nothing in it', { ...office('docx'), bytes: zip([]) }],
    [
      'bytes before',
      { ...office('docx'), bytes: Buffer.concat([Buffer.from('x'), office('docx').bytes]) },
    ],
    [
      'bytes behind',
      { ...office('docx'), bytes: Buffer.concat([office('docx').bytes, Buffer.from('x')]) },
    ],
  ])('are refused with %s', async (_what, file) => {
    const startedAt = performance.now()
    expect(await identify(file)).toBeUndefined()
    expect(performance.now() - startedAt).toBeLessThan(2000)
  })

  test('are refused where any byte of the directory was altered, and nothing trips over it', async () => {
    const { bytes, ...rest } = office('docx')
    const from = bytes.indexOf(Buffer.from('504b0102', 'hex'))
    for (let at = from; at < bytes.length; at += 1) {
      const altered = Buffer.from(bytes)
      altered[at] = (altered[at] ?? 0) ^ 0xff
      const kind = await identify({ ...rest, bytes: altered })
      expect(['docx', undefined]).toContain(kind)
    }
    for (let length = 0; length < bytes.length; length += 7) {
      const cut = bytes.subarray(0, length)
      expect(await identify({ ...rest, bytes: cut })).toBeUndefined()
    }
  })

  test('are refused where their list of parts unpacks to more than it says', async () => {
    const { deflateRawSync } = await import('node:zlib')
    const bomb = deflateRawSync(Buffer.alloc(50_000_000, ' '))
    const { bytes, ...rest } = office('docx')
    const list = Buffer.from('[Content_Types].xml')
    // The first part of the archive is the list: its packed bytes are replaced by the bomb.
    const archive = zip([
      { name: list.toString(), bytes: bomb, claimedSize: 1000 },
      { name: 'word/document.xml', bytes: Buffer.from('<a/>') },
    ])
    archive.writeUInt16LE(8, 8)
    archive.writeUInt16LE(8, archive.indexOf(Buffer.from('504b0102', 'hex')) + 10)
    expect(bytes.length).toBeGreaterThan(0)
    expect(await identify({ ...rest, bytes: archive })).toBeUndefined()
  })
})
