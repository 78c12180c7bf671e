import { promisify } from 'node:util'
import { inflateRaw } from 'node:zlib'
import type { ReadableBytes } from './files.ts'

/** Office Open XML (ECMA-376): a ZIP archive whose parts say what the whole is. */
export type OfficeKind = 'docx' | 'xlsx' | 'pptx'

interface OfficeForm {
  /** The part that every file of the kind has. */
  readonly mainPart: string
  /** The type of that part in the list of types: those with macros have another. */
  readonly mainType: string
}

const openXml = 'application/vnd.openxmlformats-officedocument'

const forms: Readonly<Record<OfficeKind, OfficeForm>> = {
  docx: {
    mainPart: 'word/document.xml',
    mainType: `${openXml}.wordprocessingml.document.main+xml`,
  },
  xlsx: { mainPart: 'xl/workbook.xml', mainType: `${openXml}.spreadsheetml.sheet.main+xml` },
  pptx: {
    mainPart: 'ppt/presentation.xml',
    mainType: `${openXml}.presentationml.presentation.main+xml`,
  },
}

const typesPart = '[Content_Types].xml'
/** What can run: macros in all their homes, and controls. */
const activePart = /vba|macro|activex|\.(exe|dll|js|vbs|hta|jar)$/i

/**
 * Which office file the bytes are, by the archive's own directory and its list of types; undefined
 * for any other archive, one with macros, one that is not exactly what its directory says, and one
 * that would unpack to more than anybody needs.
 */
export async function readOfficeKind(bytes: ReadableBytes): Promise<OfficeKind | undefined> {
  const entries = await readDirectory(bytes)
  if (!entries?.every(isHarmless) || doOverlap(entries)) return undefined
  const byName = new Map(entries.map((entry) => [entry.name, entry]))
  // Two parts of one name: which of them counts would depend on the reader.
  if (byName.size !== entries.length) return undefined
  if (entries.reduce((sum, entry) => sum + entry.unpackedBytes, 0) > maxUnpackedBytes) {
    return undefined
  }
  const list = byName.get(typesPart)
  const types = list && (await readPart(bytes, list))
  if (types === undefined || /macroEnabled|vbaProject|<!DOCTYPE|<!ENTITY/i.test(types)) {
    return undefined
  }
  const kinds = (Object.keys(forms) as OfficeKind[]).filter((kind) =>
    byName.has(forms[kind].mainPart),
  )
  const [kind] = kinds
  return kind !== undefined && kinds.length === 1 && types.includes(`"${forms[kind].mainType}"`)
    ? kind
    : undefined
}

/** Whether the bytes end as an archive does, whatever they begin as. */
export async function endsAsArchive(bytes: ReadableBytes): Promise<boolean> {
  return (await findEnd(bytes)) !== undefined
}

const maxEntries = 10_000
const maxDirectoryBytes = 4 * 1024 * 1024
const maxUnpackedBytes = 1024 * 1024 * 1024
const maxListBytes = 1024 * 1024

/** APPNOTE.TXT 6.3 of PKWARE: sizes of the fixed parts, without names and comments. */
const endBytes = 22
const maxCommentBytes = 0xffff
const entryBytes = 46
const localBytes = 30
const signatures = { local: 0x04034b50, entry: 0x02014b50, end: 0x06054b50 } as const

interface Entry {
  readonly name: string
  readonly isEncrypted: boolean
  /** 0 as it is, 8 deflated. */
  readonly method: number
  readonly packedBytes: number
  readonly unpackedBytes: number
  readonly localOffset: number
  /** What Unix would make of it; 0 where no Unix packed it. */
  readonly unixMode: number
}

interface ArchiveEnd {
  readonly entries: number
  readonly directoryBytes: number
  readonly directoryOffset: number
  /** Where the record itself stands. */
  readonly offset: number
}

/** The record that ends an archive exactly where the bytes end. */
async function findEnd(bytes: ReadableBytes): Promise<ArchiveEnd | undefined> {
  const length = Math.min(bytes.size, endBytes + maxCommentBytes)
  const start = bytes.size - length
  const tail = await bytes.read(start, length)
  for (let at = tail.length - endBytes; at >= 0; at -= 1) {
    if (tail.readUInt32LE(at) !== signatures.end) continue
    if (at + endBytes + tail.readUInt16LE(at + 20) !== tail.length) continue
    return {
      entries: tail.readUInt16LE(at + 10),
      directoryBytes: tail.readUInt32LE(at + 12),
      directoryOffset: tail.readUInt32LE(at + 16),
      offset: start + at,
    }
  }
  return undefined
}

/** Undefined where the directory is not there, too long, or not directly before the end. */
async function readDirectory(bytes: ReadableBytes): Promise<Entry[] | undefined> {
  const first = await bytes.read(0, 4)
  if (first.length < 4 || first.readUInt32LE(0) !== signatures.local) return undefined
  const end = await findEnd(bytes)
  if (!end || end.entries > maxEntries || end.directoryBytes > maxDirectoryBytes) return undefined
  if (end.directoryOffset + end.directoryBytes !== end.offset) return undefined
  const directory = await bytes.read(end.directoryOffset, end.directoryBytes)
  const entries: Entry[] = []
  let at = 0
  while (at + entryBytes <= directory.length && entries.length < end.entries) {
    if (directory.readUInt32LE(at) !== signatures.entry) return undefined
    const nameBytes = directory.readUInt16LE(at + 28)
    const restBytes = directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32)
    entries.push({
      name: directory.toString('utf8', at + entryBytes, at + entryBytes + nameBytes),
      isEncrypted: (directory.readUInt16LE(at + 8) & 1) === 1,
      method: directory.readUInt16LE(at + 10),
      packedBytes: directory.readUInt32LE(at + 20),
      unpackedBytes: directory.readUInt32LE(at + 24),
      localOffset: directory.readUInt32LE(at + 42),
      unixMode: directory.readUInt16LE(at + 40),
    })
    at += entryBytes + nameBytes + restBytes
  }
  return at === directory.length && entries.length === end.entries ? entries : undefined
}

const unixTypeMask = 0o170000
const unixLink = 0o120000

/** A name that stays inside, no link, no secret, nothing that runs. */
function isHarmless({ name, isEncrypted, unixMode }: Entry): boolean {
  const isInside = !/^\/|^[a-z]:|\\|\0/i.test(name) && !name.split('/').includes('..')
  const isLink = (unixMode & unixTypeMask) === unixLink
  return name !== '' && isInside && !isLink && !isEncrypted && !activePart.test(name)
}

/** Entries that share their bytes unpack to any size at all: no program packs like that. */
function doOverlap(entries: readonly Entry[]): boolean {
  let end = 0
  return entries
    .toSorted((one, other) => one.localOffset - other.localOffset)
    .some(({ localOffset, packedBytes }) => {
      const isInside = localOffset < end
      end = localOffset + localBytes + packedBytes
      return isInside
    })
}

const inflate = promisify(inflateRaw)

/** The text of a small part; undefined where it is larger than that, or broken. */
async function readPart(bytes: ReadableBytes, entry: Entry): Promise<string | undefined> {
  if (entry.packedBytes > maxListBytes || entry.unpackedBytes > maxListBytes) return undefined
  const local = await bytes.read(entry.localOffset, localBytes)
  if (local.length < localBytes || local.readUInt32LE(0) !== signatures.local) return undefined
  const skipped = localBytes + local.readUInt16LE(26) + local.readUInt16LE(28)
  const packed = await bytes.read(entry.localOffset + skipped, entry.packedBytes)
  if (entry.method === 0) return packed.toString('utf8')
  if (entry.method !== 8) return undefined
  try {
    // Whatever the directory says of its size, no more is ever unpacked.
    return (await inflate(packed, { maxOutputLength: maxListBytes })).toString('utf8')
  } catch {
    return undefined
  }
}
