import { forbidden } from '../../../kernel/errors.ts'
import { dayMs, later } from '../../../kernel/time.ts'
import { areBytesHeld } from '../../../platform/backup/bytes-hold.ts'
import { inTx, type AppContext, type Context, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { DocumentDeleted } from '../events.ts'
import { documentReviewed } from '../schema.ts'
import {
  deleteDocument as deleteRow,
  giveRoom,
  listUnlinked,
  lockDocument,
  usageOfAll,
  type DocumentRow,
} from '../sql.ts'
import { customerOf, isUploader, noSuchDocument, requireVisible } from './access.ts'
import { requireVersion } from './review-document.ts'

/**
 * Deletes a document with its bytes, for good. Customers may take back what they sent until it has
 * been reviewed. Throws 403 for what somebody else sent, 404, 409 `document_reviewed`, 412.
 */
export async function deleteDocument(
  ctx: AppContext,
  key: string,
  ifMatch: number | null,
): Promise<void> {
  const { id } = await requireVisible(ctx, key)
  await removeDocument(ctx, id, {
    cause: 'request',
    check: (row) => {
      requireDeletable(ctx, row)
      requireVersion(row, ifMatch)
    },
  })
}

const keptUnlinkedMs = 7 * dayMs
/** So many at a run; the rest waits for the next one. */
const maxSweptAtOnce = 500

/** Deletes what has been linked to nothing for a week. */
export async function sweepUnlinked(ctx: AppContext): Promise<void> {
  const before = later(ctx.now, -keptUnlinkedMs)
  const failures: unknown[] = []
  for (const id of await listUnlinked(ctx.db, before, maxSweptAtOnce)) {
    // One that cannot be deleted must not keep the others.
    await removeDocument(ctx, id, {
      cause: 'unlinked',
      // Linked, or gone, since the list was read: it is not ours to sweep.
      check: (row) => row.orderId === null && row.caseId === null,
    }).catch((error: unknown) => failures.push(error))
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, `${failures.length} documents could not be swept`)
  }
}

/** What the document took of the quotas is there again. */
export async function releaseRoom(
  { db }: TxContext,
  { quotaCustomerId, size: bytes }: DocumentRow,
): Promise<void> {
  if (quotaCustomerId !== null) await giveRoom(db, { id: quotaCustomerId, bytes })
  await giveRoom(db, { id: usageOfAll, bytes })
}

interface Removal {
  readonly cause: 'request' | 'unlinked'
  /** Looks at the locked row: throws, or says false, where it shall stay. */
  readonly check: (row: DocumentRow) => boolean | void
}

/** The row goes first: whatever happens then, nobody finds the bytes, and the sweep does. */
async function removeDocument(
  ctx: AppContext,
  id: string,
  { cause, check }: Removal,
): Promise<void> {
  const removed = await inTx(ctx, async (ctx) => {
    const row = await lockDocument(ctx.db, id)
    if (!row && cause === 'request') throw noSuchDocument()
    if (!row || check(row) === false) return undefined
    await deleteRow(ctx.db, id)
    if (row.hasBytes) await releaseRoom(ctx, row)
    const { orderId, caseId, customerId } = row
    const data = { orderId, caseId, customerId, cause }
    await emit(ctx, DocumentDeleted({ rootId: id, rootVersion: row.eventVersion + 1, data }))
    return row
  })
  if (removed) await removeBytes(ctx, removed.key)
}

/**
 * Of a row that has let them go, after its commit. What a backup may need is left to the sweep, as
 * it is where the database cannot tell.
 */
export async function removeBytes({ db, files }: AppContext, key: string): Promise<void> {
  if (!(await areBytesHeld(db).catch(() => true))) await files.remove(key)
}

function requireDeletable({ actor }: Context, row: DocumentRow): void {
  if (customerOf(actor) === null) return
  if (!isUploader(actor, row)) throw forbidden({ detail: 'It was sent by somebody else.' })
  if (row.status === 'accepted' || row.status === 'rejected') throw documentReviewed()
}
