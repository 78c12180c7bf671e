import { toInstant } from '../../../kernel/time.ts'
import type { Context } from '../../../platform/context.ts'
import { listUserNames } from '../../identity/index.ts'
import { transitionsOf } from '../rules.ts'
import type { AttachedDocument, Document } from '../schema.ts'
import type { DocumentRow } from '../sql.ts'

/** The documents as the actor may see them, with the names of who sent them in one statement. */
export async function renderDocuments(
  ctx: Context,
  rows: readonly DocumentRow[],
): Promise<Document[]> {
  const people = rows.flatMap(({ uploaderId }) => uploaderId ?? [])
  const names = await listUserNames(ctx.db, people)
  const isForStaff = ctx.actor.kind === 'staff' || ctx.actor.kind === 'system'
  return rows.map((row) => renderDocument(row, { names, isForStaff }))
}

export async function renderOne(ctx: Context, row: DocumentRow): Promise<Document> {
  const [document] = await renderDocuments(ctx, [row])
  if (!document) throw new Error('a row renders as a document')
  return document
}

export function renderAttached(row: DocumentRow): AttachedDocument {
  const { key, filename, contentType, size, status } = row
  return { key, filename, contentType, size, status }
}

interface Seen {
  readonly names: ReadonlyMap<string, string>
  readonly isForStaff: boolean
}

function renderDocument(row: DocumentRow, { names, isForStaff }: Seen): Document {
  const { key, filename, contentType, size, sha256, status, reason, label } = row
  const { visibility, orderId, caseId, uploaderId, uploaderKind, version } = row
  // Of a colleague the customer learns the name and no id.
  const isHidden = uploaderKind === 'staff' && !isForStaff
  return {
    key,
    filename,
    contentType,
    size,
    sha256,
    status,
    reason,
    label,
    visibility,
    orderId,
    caseId,
    uploadedBy: {
      id: isHidden ? null : uploaderId,
      name: uploaderId === null ? null : (names.get(uploaderId) ?? null),
      kind: uploaderKind,
    },
    allowedTransitions: isForStaff ? transitionsOf(row) : [],
    version,
    createdAt: toInstant(row.createdAt),
    updatedAt: toInstant(row.updatedAt),
  }
}
