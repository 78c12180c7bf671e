import { invalidInputAt } from '../../../kernel/errors.ts'
import type { Id } from '../../../kernel/id.ts'
import { withoutLease, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { DocumentLinked } from '../events.ts'
import { documentInternal } from '../schema.ts'
import { linkToCase, listByKeys, setCustomerOfCase, type DocumentRow } from '../sql.ts'
import { customerOf, isUploader } from './access.ts'

/** A case, as far as its documents need it. */
export interface CaseOfDocuments {
  readonly id: Id<'case'>
  readonly customerId: Id<'cus'> | null
  readonly orderId: Id<'ord'> | null
}

/**
 * What a note on the case may speak of: documents of the case or of its order, and the actor's own
 * that are linked to nothing, which become the case's. Throws 400 for any other, and 409
 * `document_internal` for what the reader of a public note could not see.
 */
export async function attachToCase(
  ctx: TxContext,
  subject: CaseOfDocuments,
  { keys, isPublic }: { keys: readonly string[]; isPublic: boolean },
): Promise<void> {
  if (keys.length === 0) return
  const rows = new Map((await listByKeys(ctx.db, keys)).map((row) => [row.key, row]))
  const chosen = keys.map((key, index) => {
    const row = rows.get(key)
    if (row && mayAttach(ctx, row, subject)) return row
    throw notOfCase(index)
  })
  const hidden = chosen.filter(({ visibility }) => visibility === 'internal')
  if (isPublic && hidden.length > 0) {
    throw documentInternal({ members: { documentKeys: hidden.map(({ key }) => key) } })
  }
  await linkUnlinked(ctx, subject, chosen.filter(isUnlinked))
}

/** A case that gets another customer takes its documents along. */
export async function moveDocumentsOfCase(
  { db }: TxContext,
  caseId: Id<'case'>,
  customerId: Id<'cus'> | null,
): Promise<void> {
  await setCustomerOfCase(db, caseId, customerId)
}

function mayAttach({ actor }: TxContext, row: DocumentRow, subject: CaseOfDocuments): boolean {
  const isShared = row.visibility === 'customer' || customerOf(actor) === null
  const isOfCase = row.caseId === subject.id
  const isOfOrder = row.orderId !== null && row.orderId === subject.orderId
  return isShared && (isOfCase || isOfOrder || (isUnlinked(row) && isUploader(actor, row)))
}

function isUnlinked({ orderId, caseId }: DocumentRow): boolean {
  return orderId === null && caseId === null
}

async function linkUnlinked(
  ctx: TxContext,
  { id: caseId, customerId, orderId }: CaseOfDocuments,
  rows: readonly DocumentRow[],
): Promise<void> {
  if (rows.length === 0) return
  const ids = rows.map(({ id }) => id)
  const linked = await linkToCase(ctx.db, ids, { caseId, customerId, orderId }, ctx.now)
  // Linked elsewhere, or swept, in the same moment.
  if (linked.length < ids.length) throw notOfCase(0)
  // The note is what the request stands for; that it took documents along is beside it.
  await emit(
    withoutLease(ctx),
    ...linked.map(({ id: rootId, eventVersion: rootVersion }) =>
      DocumentLinked({ rootId, rootVersion, data: { caseId } }),
    ),
  )
}

function notOfCase(index: number): Error {
  return invalidInputAt({
    pointer: `/documentKeys/${index}`,
    code: 'unknown',
    message: 'must be a document of the case or its order, or one of your own that is not linked',
  })
}
