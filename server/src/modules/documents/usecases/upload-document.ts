import { present } from '../../../kernel/assert.ts'
import { AppError, invalidInputAt, notFound, storageFull } from '../../../kernel/errors.ts'
import { newId, newKey, type Id } from '../../../kernel/id.ts'
import {
  actorKeyOf,
  inTx,
  spend,
  type AppContext,
  type Context,
  type TxContext,
} from '../../../platform/context.ts'
import { contentTypeOf, fileKinds, identifyFile } from '../../../platform/file-type.ts'
import type { Upload } from '../../../platform/files.ts'
import { emit } from '../../../platform/outbox.ts'
import type { Ownership } from '../../../platform/subjects.ts'
import { lockCustomerRecord } from '../../identity/index.ts'
import { DocumentUploaded } from '../events.ts'
import { cleanFilename } from '../rules.ts'
import {
  quotaExceeded,
  unsupportedFile,
  type Document,
  type DocumentVisibility,
  type UploadFields,
} from '../schema.ts'
import {
  findDocument,
  findUsage,
  insertDocument,
  takeRoom,
  usageOfAll,
  type DocumentRow,
  type NewDocument,
} from '../sql.ts'
import { customerOf, noSuchDocument, uploaderOf } from './access.ts'
import { renderOne } from './render-document.ts'

/** Before a byte is read. Throws 429, and 413 or 507 where there is no room for any file. */
export async function admitUpload(ctx: AppContext): Promise<void> {
  await spend(ctx, 'uploadByAccount', actorKeyOf(ctx.actor))
  const customerId = customerOf(ctx.actor)
  const { customerQuotaBytes, storageQuotaBytes = Infinity } = ctx.business.uploads
  const own = customerId === null ? undefined : await findUsage(ctx.db, customerId)
  if (own && own.bytes >= customerQuotaBytes) throw quotaExceeded()
  const all = await findUsage(ctx.db, usageOfAll)
  if (all && all.bytes >= storageQuotaBytes) throw storageFull()
}

/**
 * Keeps a received file as a document. Throws 400 for fields that are not the actor's, 404 for an
 * order or case that is not theirs, 413 and 507 without room, 415 for a file that is not what it
 * says or of no kind that is taken.
 */
export async function uploadDocument(
  ctx: AppContext,
  fields: UploadFields,
  upload: Upload,
): Promise<Document> {
  const place = await findPlace(ctx, fields)
  return await renderOne(ctx, await keepDocument(ctx, place, upload))
}

/** A file that is in memory already, by the same rules: for what Bureau itself brings along. */
export async function storeDocument(
  ctx: AppContext,
  { bytes, filename, contentType, ...fields }: HeldFile,
): Promise<Document> {
  const file = await ctx.files.receive(oneChunk(bytes), ctx.business.uploads)
  try {
    return await uploadDocument(ctx, fields, { filename, declaredType: contentType, file })
  } finally {
    await file.discard()
  }
}

interface HeldFile extends UploadFields {
  readonly bytes: Uint8Array
  readonly filename: string
  readonly contentType: string
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** The reply of an upload that comes again. */
export async function getUploaded(ctx: Context, id: string): Promise<Document> {
  const row = await findDocument(ctx.db, id)
  if (!row) throw noSuchDocument()
  return await renderOne(ctx, row)
}

type Place = Pick<
  NewDocument,
  'orderId' | 'caseId' | 'customerId' | 'tokenOrderId' | 'label' | 'visibility'
>

/** What the document is to be linked to, and whose it is then. */
async function findPlace(ctx: Context, fields: UploadFields): Promise<Place> {
  const { caseId = null } = fields
  if (fields.orderId !== undefined && caseId !== null) {
    throw invalidInputAt({
      pointer: '/caseId',
      code: 'conflict',
      message: 'cannot stand beside orderId',
    })
  }
  // An order's token opens that order and no drawer of anybody's own.
  const ofToken = ctx.actor.kind === 'order' && caseId === null ? ctx.actor.orderId : null
  const orderId = fields.orderId ?? ofToken
  const shown = { label: fields.label ?? null, visibility: visibilityFor(ctx, fields.visibility) }
  const subjectId = orderId ?? caseId
  if (subjectId === null) {
    const customerId = customerOf(ctx.actor)
    return { orderId, caseId, customerId, tokenOrderId: null, ...shown }
  }
  const owner = requireOwner(await ctx.subjects.find(ctx, subjectId))
  return { orderId, caseId, customerId: owner.customerId, tokenOrderId: owner.orderId, ...shown }
}

function requireOwner(owner: Ownership | undefined): Ownership {
  if (!owner) throw notFound({ detail: 'There is no such order or case.' })
  return owner
}

function visibilityFor(
  { actor }: Context,
  asked: DocumentVisibility | undefined,
): DocumentVisibility {
  if (customerOf(actor) === null) return asked ?? 'internal'
  if (asked === undefined || asked === 'customer') return 'customer'
  throw invalidInputAt({
    pointer: '/visibility',
    code: 'not_allowed',
    message: 'must be customer',
  })
}

/**
 * First the file gets its name, then the row is committed: there is never a row without bytes. A
 * file whose row was refused is removed; where nobody can tell, the sweep will.
 */
async function keepDocument(
  ctx: AppContext,
  place: Place,
  { filename, declaredType, file }: Upload,
): Promise<DocumentRow> {
  const name = cleanFilename(filename)
  const kind = await identifyFile(file, { filename: name, declaredType })
  if (kind === undefined) throw unsupportedFile({ members: { allowed: fileKinds } })
  const draft: NewDocument = {
    ...place,
    ...uploaderOf(ctx.actor),
    id: newId('doc', ctx.now),
    key: newKey(),
    filename: name,
    contentType: contentTypeOf(kind),
    size: file.size,
    sha256: file.sha256,
    status: ctx.scanner ? 'quarantined' : 'uploaded',
    quotaCustomerId: customerOf(ctx.actor),
    createdAt: ctx.now,
  }
  await file.keep(draft.key)
  try {
    return await inTx(ctx, async (ctx) => await writeDocument(ctx, draft))
  } catch (error) {
    // After any other failure the row may stand all the same: its commit was only not heard of.
    if (error instanceof AppError && error.status !== 503) await ctx.files.remove(draft.key)
    throw error
  }
}

async function writeDocument(ctx: TxContext, draft: NewDocument): Promise<DocumentRow> {
  const ownerId = await lockOwner(ctx, draft)
  await requireRoom(ctx, draft)
  const row = await insertDocument(ctx.db, { ...draft, customerId: ownerId })
  const { orderId, caseId, customerId, status, visibility, contentType, size } = row
  const data = { orderId, caseId, customerId, status, visibility, contentType, size }
  await emit(ctx, DocumentUploaded({ rootId: row.id, rootVersion: row.eventVersion, data }))
  return row
}

/**
 * Whose the document is now, and still is when its row is there: since its first byte came, the
 * case may have got another customer, or the customer's record passed to another. Throws 404 for
 * what is not the actor's any more.
 */
async function lockOwner(
  ctx: TxContext,
  { orderId, caseId, customerId }: NewDocument,
): Promise<Id<'cus'> | null> {
  const subjectId = orderId ?? caseId
  const owner =
    subjectId === null ? { customerId } : requireOwner(await ctx.subjects.lock(ctx, subjectId))
  if (owner.customerId === null) return null
  return present(await lockCustomerRecord(ctx, owner.customerId), 'the customer of a document').id
}

/** The customer's row before that of all: everybody takes them in this order. */
async function requireRoom(
  { db, business }: TxContext,
  { quotaCustomerId, size }: NewDocument,
): Promise<void> {
  const { customerQuotaBytes, storageQuotaBytes = Number.MAX_SAFE_INTEGER } = business.uploads
  if (quotaCustomerId !== null) {
    const own = { id: quotaCustomerId, bytes: size, quota: customerQuotaBytes }
    if (!(await takeRoom(db, own))) throw quotaExceeded()
  }
  const all = { id: usageOfAll, bytes: size, quota: storageQuotaBytes }
  if (!(await takeRoom(db, all))) throw storageFull()
}
