import { inTx, type AppContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import type { Scanner } from '../../../platform/scanner.ts'
import { DocumentCleared, DocumentRejected } from '../events.ts'
import { malwareReason } from '../rules.ts'
import { findDocument, listDueForScan, postponeScan, settleScan, type DocumentRow } from '../sql.ts'
import { releaseRoom, removeBytes } from './delete-document.ts'

/** Right after an upload. Where the scanner is down, the next run of the job below tries again. */
export async function scanUploaded(ctx: AppContext, id: string): Promise<void> {
  if (ctx.scanner) await tryScan(ctx, ctx.scanner, id)
}

/** So many at a run; the rest waits for the next one. */
const maxScannedAtOnce = 100

/**
 * Scans what waits, and stops at the first sign that the scanner is down: nothing is let through
 * unscanned, however long that takes. Without a scanner, what is quarantined stays so.
 */
export async function scanQuarantined(ctx: AppContext): Promise<void> {
  const { scanner } = ctx
  if (!scanner) return
  for (const id of await listDueForScan(ctx.db, ctx.now, maxScannedAtOnce)) {
    if (!(await tryScan(ctx, scanner, id))) return
  }
}

/** False where the scanner is down. */
async function tryScan(ctx: AppContext, scanner: Scanner, id: string): Promise<boolean> {
  try {
    await scanDocument(ctx, scanner, id)
    return true
  } catch (error) {
    ctx.log.warn({ err: error, documentId: id }, 'document not scanned')
    await postponeScan(ctx.db, id, ctx.now)
    return false
  }
}

async function scanDocument(ctx: AppContext, scanner: Scanner, id: string): Promise<void> {
  const row = await findDocument(ctx.db, id)
  if (row?.status !== 'quarantined') return
  const bytes = await ctx.files.open(row.key)
  if (!bytes) {
    ctx.log.error({ documentId: id }, 'document without bytes cannot be scanned')
    await postponeScan(ctx.db, id, ctx.now)
    return
  }
  try {
    const verdict = await scanner.scan(bytes)
    if (verdict.outcome === 'clean') await clearDocument(ctx, row)
    else if (verdict.outcome === 'infected') {
      ctx.log.warn({ documentId: id, signature: verdict.signature }, 'malware found')
      await condemnDocument(ctx, row)
    } else {
      ctx.log.error({ documentId: id, reason: verdict.reason }, 'scanner refuses the document')
      await postponeScan(ctx.db, id, ctx.now)
    }
  } finally {
    bytes.destroy()
  }
}

async function clearDocument(ctx: AppContext, { id }: DocumentRow): Promise<void> {
  await inTx(ctx, async (ctx) => {
    const row = await settleScan(ctx.db, id, { reason: null, now: ctx.now })
    if (!row) return
    const { orderId, caseId, customerId, eventVersion: rootVersion } = row
    const data = { orderId, caseId, customerId }
    await emit(ctx, DocumentCleared({ rootId: id, rootVersion, data }))
  })
}

/**
 * The row first, then the bytes: what is left of them after a crash is the sweep's. Where another
 * node's scan has settled it already, the bytes go with that word or stay with it.
 */
async function condemnDocument(ctx: AppContext, { id }: DocumentRow): Promise<void> {
  const condemned = await inTx(ctx, async (ctx) => {
    const row = await settleScan(ctx.db, id, { reason: malwareReason, now: ctx.now })
    if (!row) return undefined
    await releaseRoom(ctx, row)
    const { orderId, caseId, customerId, visibility, eventVersion: rootVersion } = row
    const data = { orderId, caseId, customerId, visibility, cause: 'malware' as const }
    await emit(ctx, DocumentRejected({ rootId: id, rootVersion, data }))
    return row
  })
  if (condemned) await removeBytes(ctx, condemned.key)
}
