import multipartPlugin, { type Multipart, type MultipartFile } from '@fastify/multipart'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { addAbortSignal, PassThrough, pipeline, type Readable } from 'node:stream'
import {
  invalidInputAt,
  malformedRequest,
  requestTimeout,
  unavailable,
  unsupportedMediaType,
} from '../kernel/errors.ts'
import type { InputCode } from '../kernel/input-codes.ts'
import { actorKeyOf, type AppContext } from '../platform/context.ts'
import { tooLarge, type Upload } from '../platform/files.ts'
import type { UploadContract } from './endpoint.ts'
import { isStorableText } from './json-body.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The file of a form, on disk already; its fields are the body. */
    upload?: Upload
  }
}

/** How slow a client may be: so many bytes in each window, and all of them in the end. */
export interface UploadPace {
  readonly windowMs: number
  readonly bytesPerWindow: number
  readonly totalMs: number
}

/** A phone on a poor line sends 25 MiB in ten minutes; who sends less than this holds us up. */
export const defaultPace: UploadPace = {
  windowMs: 20_000,
  bytesPerWindow: 64 * 1024,
  totalMs: 15 * 60_000,
}

/** The name of the one part that is a file. */
export const fileField = 'file'

/** The most that a form, or a file on its way out, may take from beginning to end. */
export const transferTimeoutMs = defaultPace.totalMs + 60_000

/** More at once in one process would only fill disk and sockets with what is not finished. */
const maxOpenForms = 64
/** One account that is slow with all of them must not take everybody's place. */
const maxOpenFormsOfOne = 16
const openForms: string[] = []

/** Boundaries, names and fields around the file. */
const maxFormOverhead = 64 * 1024

/** Lets the routes of this instance read forms, and nothing else. */
export async function readForms(forms: FastifyInstance): Promise<void> {
  forms.removeAllContentTypeParsers()
  await forms.register(multipartPlugin)
}

export interface FormOptions {
  readonly contract: UploadContract
  readonly pace?: UploadPace | undefined
}

/**
 * Reads a form as it comes: the file goes to the store at once and is never held in memory. Throws
 * 400 for what is no such form, 408 for a client that is too slow, 413 for a file that is too
 * large. Whoever lets it be read has to discard or keep its file.
 */
export async function receiveForm(
  request: FastifyRequest,
  ctx: AppContext,
  { contract, pace = defaultPace }: FormOptions,
): Promise<void> {
  if (!request.isMultipart()) throw unsupportedMediaType()
  await contract.admit(ctx)
  const { maxBytes } = ctx.business.uploads
  const length = Number(request.headers['content-length'] ?? 0)
  if (length > maxBytes + maxFormOverhead) throw tooLarge(maxBytes)
  const leavePlace = takePlace(actorKeyOf(ctx.actor))
  // A form has a pace of its own, and is at rest while its file goes to our disk.
  request.raw.socket.setTimeout(0)
  const watch = watchForm(request, { pace, maxBytes })
  try {
    const { fields, upload } = await readForm(request, { ctx, signal: watch.signal })
    request.body = fields
    request.upload = upload
  } catch (error) {
    throw watch.signal.aborted ? watch.signal.reason : error
  } finally {
    watch.stop()
    leavePlace()
  }
}

/** Throws 503 where there are too many forms on their way; gives the function that makes room. */
function takePlace(account: string): () => void {
  const ofOne = openForms.filter((one) => one === account).length
  if (openForms.length >= maxOpenForms || ofOne >= maxOpenFormsOfOne) {
    throw unavailable({ retryAfterSeconds: 5, facts: { reason: 'too many uploads at once' } })
  }
  openForms.push(account)
  return () => void openForms.splice(openForms.indexOf(account), 1)
}

/** A form with one file: its fields are still the client's word. */
interface ReceivedForm {
  readonly fields: Readonly<Record<string, unknown>>
  readonly upload: Upload
}

interface Reading {
  readonly ctx: AppContext
  readonly signal: AbortSignal
}

async function readForm(request: FastifyRequest, reading: Reading): Promise<ReceivedForm> {
  const { ctx, signal } = reading
  const { maxBytes } = ctx.business.uploads
  const parts = request.parts({ limits: { ...partLimits, fileSize: maxBytes + 1 } })
  const fields = new Map<string, unknown>()
  let upload: Upload | undefined
  try {
    for (;;) {
      const { value: part, done } = await orAborted(parts.next().catch(asBrokenForm), signal)
      if (done === true) break
      if (part.type === 'field') readField(fields, part)
      else upload = await receiveFile(part, upload, { ...reading, raw: request.raw })
    }
    if (upload) return { fields: Object.fromEntries(fields), upload }
    throw invalidInputAt({ pointer: `/${fileField}`, code: 'required', message: 'is required' })
  } catch (error) {
    await upload?.file.discard()
    throw error
  }
}

/** One more of each than any form has, so that what is too much is told by its name. */
const partLimits = {
  parts: 20,
  fields: 20,
  files: 2,
  fieldNameSize: 100,
  fieldSize: 8 * 1024,
  headerPairs: 50,
}

function readField(
  fields: Map<string, unknown>,
  { fieldname, value, valueTruncated }: Extract<Multipart, { type: 'field' }>,
): void {
  const refuse = (code: InputCode, message: string): never => {
    throw invalidInputAt({ pointer: `/${toPointer(fieldname)}`, code, message })
  }
  if (fieldname === fileField) refuse('type', 'must be a file with a name')
  if (fields.has(fieldname)) refuse('duplicate', 'stands there twice')
  if (valueTruncated) refuse('maxLength', 'is too long')
  // The parser writes U+FFFD for bytes that are no UTF-8: what cannot be kept exactly is refused.
  if (typeof value === 'string' && (!isStorableText(value) || value.includes('\ufffd'))) {
    refuse('text', 'holds a character that cannot be stored')
  }
  fields.set(fieldname, value)
}

async function receiveFile(
  part: MultipartFile,
  known: Upload | undefined,
  { ctx, signal, raw }: Reading & { readonly raw: Readable },
): Promise<Upload> {
  const { fieldname, filename, mimetype, file } = part
  const refuse = (code: InputCode, message: string): never => {
    // Unread, the part would hold up the rest of the form.
    file.destroy()
    throw invalidInputAt({ pointer: `/${toPointer(fieldname)}`, code, message })
  }
  if (fieldname !== fileField) refuse('additionalProperties', 'is not known here')
  if (known) refuse('maxItems', 'must be one file')
  if (!filename) refuse('required', 'must have a file name')
  addAbortSignal(signal, file)
  const received = await ctx.files.receive(fromClient(file, raw), ctx.business.uploads)
  if (received.size === 0) {
    await received.discard()
    refuse('minLength', 'must not be empty')
  }
  return { filename, declaredType: mimetype, file: received }
}

/**
 * The bytes of the part as they came, whose end before its time is the client's fault and not the
 * store's. Whoever asks for the next piece is done with the one before; whoever stops asking wants
 * nothing more of the form.
 */
async function* fromClient(file: Readable, raw: Readable): AsyncGenerator<Uint8Array> {
  // Iterating over the part itself would copy pieces together that came while the disk wrote.
  const pieces = new PassThrough({ objectMode: true, highWaterMark: 1 })
  pipeline(file, pieces, () => undefined)
  try {
    for await (const piece of pieces) {
      yield piece as Uint8Array
      release(piece as Uint8Array)
    }
  } catch (error) {
    asBrokenForm(error)
  } finally {
    if (!pieces.readableEnded) raw.unpipe()
  }
}

/**
 * Gives the memory of a piece back at once. The collector would let more of them stand than one
 * file has. A piece that shares its buffer is left to it: the rest may be a part still to be read.
 */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) {
    nowhere.postMessage(null, [buffer])
  }
}

/** What is handed over to a closed port is gone at once: the HTML standard has it so. */
const { port1: nowhere } = new MessageChannel()
nowhere.close()

function asBrokenForm(error: unknown): never {
  // What the framework says of a form has a code of its own; the parser has words alone.
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code.startsWith('FST_')) throw error
  throw malformedRequest({ detail: 'The form cannot be read, or breaks off.', cause: error })
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

interface Watch {
  readonly signal: AbortSignal
  stop(): void
}

/**
 * Aborts when a window brought too little, when the whole takes too long, or when what stands
 * around the file goes on and on, of which the parser has no bound.
 */
function watchForm(
  { raw }: FastifyRequest,
  { pace, maxBytes }: { pace: UploadPace; maxBytes: number },
): Watch {
  const abort = new AbortController()
  let taken = 0
  const count = (chunk: Buffer): void => {
    taken += chunk.length
    if (taken <= maxBytes + maxFormOverhead) return
    raw.unpipe()
    raw.pause()
    abort.abort(tooLarge(maxBytes))
  }
  raw.on('data', count)
  const { socket } = raw
  const giveUp = (): void => abort.abort(requestTimeout())
  let before = socket.bytesRead
  const windows = setInterval(() => {
    const isTooSlow = socket.bytesRead - before < pace.bytesPerWindow
    before = socket.bytesRead
    // What has arrived in full waits for our own disk alone.
    if (isTooSlow && !raw.complete) giveUp()
  }, pace.windowMs)
  const total = setTimeout(giveUp, pace.totalMs)
  return {
    signal: abort.signal,
    stop: () => {
      raw.off('data', count)
      clearInterval(windows)
      clearTimeout(total)
    },
  }
}

function toPointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1').slice(0, 100)
}
