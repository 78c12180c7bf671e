import type { ReadableBytes } from './files.ts'
import { endsAsArchive, readOfficeKind, type OfficeKind } from './office-file.ts'

/** The kinds of file that are taken; everything else is refused. */
export const fileKinds = [
  'pdf',
  'png',
  'jpeg',
  'webp',
  'heic',
  'txt',
  'csv',
  'docx',
  'xlsx',
  'pptx',
] as const
export type FileKind = (typeof fileKinds)[number]

interface KindOfFile {
  /** What it is sent as. */
  readonly contentType: string
  readonly extensions: readonly string[]
  /** What browsers call it, beside its own name. */
  readonly aliases?: readonly string[]
}

const office = 'application/vnd.openxmlformats-officedocument'

const kinds: Readonly<Record<FileKind, KindOfFile>> = {
  pdf: { contentType: 'application/pdf', extensions: ['pdf'] },
  png: { contentType: 'image/png', extensions: ['png'] },
  jpeg: { contentType: 'image/jpeg', extensions: ['jpg', 'jpeg'], aliases: ['image/jpg'] },
  webp: { contentType: 'image/webp', extensions: ['webp'] },
  heic: { contentType: 'image/heic', extensions: ['heic', 'heif'], aliases: ['image/heif'] },
  txt: { contentType: 'text/plain; charset=utf-8', extensions: ['txt'], aliases: ['text/plain'] },
  csv: {
    contentType: 'text/csv; charset=utf-8',
    extensions: ['csv'],
    // Where a spreadsheet is installed, Windows calls it one.
    aliases: ['text/csv', 'text/plain', 'application/csv', 'application/vnd.ms-excel'],
  },
  docx: { contentType: `${office}.wordprocessingml.document`, extensions: ['docx'] },
  xlsx: { contentType: `${office}.spreadsheetml.sheet`, extensions: ['xlsx'] },
  pptx: { contentType: `${office}.presentationml.presentation`, extensions: ['pptx'] },
}

/** The media type that a file of the kind is sent as. */
export function contentTypeOf(kind: FileKind): string {
  return kinds[kind].contentType
}

/**
 * The kind of a file on which its content, the extension of its name and the type that its sender
 * declared agree; undefined where they do not, or where it is of no kind that is taken. Nothing is
 * unpacked or decoded but a small part of an office file, with bounds.
 */
export async function identifyFile(
  bytes: ReadableBytes,
  { filename, declaredType }: { readonly filename: string; readonly declaredType: string },
): Promise<FileKind | undefined> {
  const extension = /\.([a-z0-9]+)$/i.exec(filename)?.[1]?.toLowerCase() ?? ''
  const kind = fileKinds.find((one) => kinds[one].extensions.includes(extension))
  if (kind === undefined || !isDeclaredAs(kind, declaredType)) return undefined
  return (await isOfKind(bytes, kind)) ? kind : undefined
}

/** Browsers that do not know a type say that it is some bytes: that contradicts nothing. */
const undeclared = 'application/octet-stream'

function isDeclaredAs(kind: FileKind, declaredType: string): boolean {
  const { contentType, aliases = [] } = kinds[kind]
  const type = declaredType.split(';')[0]?.trim().toLowerCase() ?? ''
  return type === undeclared || type === contentType || aliases.includes(type)
}

async function isOfKind(bytes: ReadableBytes, kind: FileKind): Promise<boolean> {
  if (kind === 'txt' || kind === 'csv') return await isText(bytes)
  if (isOffice(kind)) return (await readOfficeKind(bytes)) === kind
  const head = await bytes.read(0, headBytes)
  // Two readers that see two files in the same bytes are how one gets past the other.
  return (await kindOfHead(head)) === kind && !(await endsAsArchive(bytes))
}

function isOffice(kind: FileKind): kind is OfficeKind {
  return kind === 'docx' || kind === 'xlsx' || kind === 'pptx'
}

/** As much as the library looks at. */
const headBytes = 4100

const kindOfMime: Readonly<Record<string, FileKind>> = {
  'application/pdf': 'pdf',
  'image/png': 'png',
  'image/jpeg': 'jpeg',
  'image/webp': 'webp',
  'image/heic': 'heic',
  'image/heif': 'heic',
}

async function kindOfHead(head: Buffer): Promise<FileKind | undefined> {
  const kind = kindOfMime[(await mimeOf(head)) ?? '']
  // Readers find a PDF behind other bytes too, where it may be two things at once.
  return kind === 'pdf' && !head.subarray(0, 5).equals(pdfMark) ? undefined : kind
}

const pdfMark = Buffer.from('%PDF-')

/**
 * The library reads a few bytes in memory; what it trips over is nothing that it knows. It is
 * loaded by the first file, not by the start.
 */
async function mimeOf(head: Buffer): Promise<string | undefined> {
  const { fileTypeFromBuffer } = await import('file-type')
  try {
    return (await fileTypeFromBuffer(head))?.mime
  } catch {
    return undefined
  }
}

const textPieceBytes = 64 * 1024
/** As far as a browser looks that guesses at a type. */
const sniffedBytes = 2048

/** Valid UTF-8 without control characters, in which no browser would find a page or a script. */
async function isText(bytes: ReadableBytes): Promise<boolean> {
  const head = await bytes.read(0, headBytes)
  if ((await mimeOf(head)) !== undefined || looksLikeCode(head)) return false
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    for (let offset = 0; offset < bytes.size; offset += textPieceBytes) {
      const piece = await bytes.read(offset, textPieceBytes)
      if (controls.test(decoder.decode(piece, { stream: true }))) return false
    }
    decoder.decode()
    return true
  } catch {
    return false
  }
}

/** All but tab, line feed, form feed and carriage return. */
// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u0008\u000b\u000e-\u001f\u007f]/

function looksLikeCode(head: Buffer): boolean {
  const text = head
    .subarray(0, sniffedBytes)
    .toString('latin1')
    .replace(/^\u00ef\u00bb\u00bf/, '')
    .trimStart()
  return openings.test(text) || otherKinds.test(text) || markup.test(text)
}

/** A tag, or a script for a shell. */
const openings = /^(<[a-z!?/]|#!)/i
/** How other kinds of file begin, letter for letter: "Mzia" and "Riffat" are people. */
const otherKinds = /^(%PDF|%!PS|GIF8|MZ|RIFF)/
const markup = /<(script|html|head|body|svg|iframe|object|embed|\?php|\?xml|!doctype)\b/i
