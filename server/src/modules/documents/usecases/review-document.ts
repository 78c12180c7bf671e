import { notFound, preconditionFailed } from '../../../kernel/errors.ts'
import { inTx, type Context, type TxContext } from '../../../platform/context.ts'
import type { NewEvent } from '../../../platform/events.ts'
import { emit } from '../../../platform/outbox.ts'
import { DocumentAccepted, DocumentRejected, DocumentUpdated } from '../events.ts'
import { applyUpdate } from '../rules.ts'
import { visibilityFixed, type Document, type UpdateDocumentInput } from '../schema.ts'
import {
  findDocument,
  lockDocument,
  updateDocument,
  type DocumentChange,
  type DocumentRow,
} from '../sql.ts'
import { noSuchDocument, requireVisible } from './access.ts'
import { renderOne } from './render-document.ts'

/**
 * What staff say of a document: accepted or rejected, its label, who may see it. What is already so
 * is not written again. Throws 400, 404, 409 `invalid_transition` and `visibility_fixed`, 412.
 */
export async function reviewDocument(
  ctx: Context,
  key: string,
  { input, ifMatch }: { input: UpdateDocumentInput; ifMatch: number | null },
): Promise<Document> {
  const { id } = await requireVisible(ctx, key)
  const row = await inTx(ctx, async (ctx) => {
    const state = await lockDocument(ctx.db, id)
    if (!state) throw noSuchDocument()
    requireVersion(state, ifMatch)
    const change = applyUpdate(state, input)
    if (change.visibility !== state.visibility && isFromCustomer(state)) throw visibilityFixed()
    return await writeChange(ctx, state, change)
  })
  return await renderOne(ctx, row)
}

/** The reply to a review that comes again. */
export async function getReviewed(ctx: Context, id: string): Promise<Document> {
  const row = await findDocument(ctx.db, id)
  if (!row) throw notFound()
  return await renderOne(ctx, row)
}

/** Throws 412 where the client has seen another version. */
export function requireVersion({ version }: DocumentRow, ifMatch: number | null): void {
  if (ifMatch !== null && ifMatch !== version) throw preconditionFailed()
}

function isFromCustomer({ uploaderKind }: DocumentRow): boolean {
  return uploaderKind === 'customer' || uploaderKind === 'guest'
}

const plainFields = ['label', 'visibility'] as const

async function writeChange(
  ctx: TxContext,
  state: DocumentRow,
  change: DocumentChange,
): Promise<DocumentRow> {
  const isMoved = change.status !== state.status
  const fields: string[] = plainFields.filter((name) => change[name] !== state[name])
  // The reason of a new rejection is part of it; a better one for an old rejection is a field.
  if (!isMoved && change.reason !== state.reason) fields.push('reason')
  const events = (isMoved ? 1 : 0) + (fields.length > 0 ? 1 : 0)
  if (events === 0) return state
  const row = await updateDocument(ctx.db, state.id, change, { events, now: ctx.now })
  const news: NewEvent[] = isMoved ? [announceReview(row, row.eventVersion - events + 1)] : []
  if (fields.length > 0) {
    news.push(DocumentUpdated({ rootId: row.id, rootVersion: row.eventVersion, data: { fields } }))
  }
  await emit(ctx, ...news)
  return row
}

function announceReview(row: DocumentRow, rootVersion: number): NewEvent {
  const { id: rootId, orderId, caseId, customerId, visibility } = row
  const place = { orderId, caseId, customerId }
  return row.status === 'accepted'
    ? DocumentAccepted({ rootId, rootVersion, data: place })
    : DocumentRejected({ rootId, rootVersion, data: { ...place, visibility, cause: 'review' } })
}
