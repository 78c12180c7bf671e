import type { FastifyReply, FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import parseRange from 'range-parser'
import { Type } from 'typebox'
import { rangeNotSatisfiable } from '../kernel/errors.ts'
import type { ByteRange, ServedFile } from '../platform/files.ts'
import { matchesNoneMatch } from './conditional.ts'
import type { AnyContract } from './endpoint.ts'

/** The reply of an endpoint that sends a file: bytes on the wire, not JSON. */
export const FileBytes = Type.Unsafe<ServedFile>({ type: 'string', format: 'binary' })

export function sendsFile({ reply }: Pick<AnyContract, 'reply'>): boolean {
  return reply === FileBytes
}

/** A file is for keeping, not for showing: no browser shall run or guess at what people upload. */
const fileHeaders = {
  'Content-Security-Policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Accept-Ranges': 'bytes',
}

/** Sends the file, a part of it, or for HEAD and 304 nothing of it. Throws 416. */
export async function sendFile(
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  file: ServedFile,
): Promise<unknown> {
  const tag = `"${file.sha256}"`
  if (matchesNoneMatch(request.headers['if-none-match'], tag)) {
    return await reply
      .code(304)
      .headers({ ...fileHeaders, ETag: tag })
      .send()
  }
  const range = readRange(request, tag, file.size)
  if (range === 'unsatisfiable') {
    reply.header('Content-Range', `bytes */${file.size}`)
    throw rangeNotSatisfiable()
  }
  const { start, end } = range ?? { start: 0, end: file.size - 1 }
  // Opened before a header of success is set: what fails here is still a proper failure.
  const bytes = request.method === 'HEAD' ? Readable.from([]) : await file.open(range)
  reply.code(range ? 206 : 200).headers({
    ...fileHeaders,
    ETag: tag,
    'Content-Type': file.contentType,
    'Content-Length': end - start + 1,
    'Content-Disposition': attachmentNamed(file.filename),
    ...(range ? { 'Content-Range': `bytes ${start}-${end}/${file.size}` } : {}),
  })
  return await reply.send(bytes)
}

/**
 * RFC 6266: the name in ASCII for old clients, and where that is not all of it, in UTF-8 as RFC
 * 8187 writes it. The name has no path and no control characters.
 */
export function attachmentNamed(filename: string): string {
  const plain = filename.replaceAll(/[^\x20-\x7e]|["%\\]/gu, '_')
  const exact = encodeURIComponent(filename).replaceAll(/['()*]/g, toPercent)
  const extended = plain === filename ? '' : `; filename*=UTF-8''${exact}`
  return `attachment; filename="${plain}"${extended}`
}

function toPercent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}

/** One range; several at once, or none that can be read, is a request for the whole (RFC 9110). */
function readRange(
  { headers }: FastifyRequest,
  tag: string,
  size: number,
): ByteRange | 'unsatisfiable' | undefined {
  const header = headers.range
  const condition = headers['if-range']
  // A part of other bytes than the client has would not fit to them.
  if (header === undefined || (condition !== undefined && condition !== tag)) return undefined
  const ranges = parseRange(size, withinSize(header, size))
  if (ranges === -1) return 'unsatisfiable'
  if (ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1) return undefined
  return ranges[0]
}

/** The last bytes of a file that has fewer are all of them; the parser would find none. */
function withinSize(header: string, size: number): string {
  const suffix = /^bytes=\s*-(\d+)$/.exec(header.trim())?.[1]
  return suffix !== undefined && Number(suffix) > size ? 'bytes=0-' : header
}
