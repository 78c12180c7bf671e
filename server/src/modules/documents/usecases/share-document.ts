import { later, secondMs, toInstant } from '../../../kernel/time.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { DocumentShared } from '../events.ts'
import type { DocumentLink, LinkQuery, MakeLinkInput } from '../schema.ts'
import { findByKey, findDocument, raiseEventVersion, type DocumentRow } from '../sql.ts'
import { noSuchDocument, requireReadable, requireVisible } from './access.ts'

/**
 * A link that opens the document to whoever has it, until it expires. Throws 404, and 409 for what
 * nobody may read.
 */
export async function shareDocument(
  ctx: AppContext,
  key: string,
  { expiresInSeconds }: MakeLinkInput,
): Promise<DocumentLink> {
  const row = await requireVisible(ctx, key)
  requireReadable(row)
  const link = signLink(ctx, row, later(ctx.now, expiresInSeconds * secondMs))
  await inTx(ctx, async (ctx) => {
    const raised = await raiseEventVersion(ctx.db, row.id)
    if (!raised) throw noSuchDocument()
    const data = { expiresAt: link.expiresAt }
    await emit(ctx, DocumentShared({ rootId: row.id, rootVersion: raised.eventVersion, data }))
  })
  return link
}

/** The reply to a request that comes again: the link runs from now on. */
export async function getLink(
  ctx: AppContext,
  id: string,
  { expiresInSeconds }: MakeLinkInput,
): Promise<DocumentLink> {
  const row = await findDocument(ctx.db, id)
  if (!row) throw noSuchDocument()
  return signLink(ctx, row, later(ctx.now, expiresInSeconds * secondMs))
}

/** A kept reply with its address put back, which is stored nowhere. */
export async function restoreLink(ctx: AppContext, kept: DocumentLink): Promise<DocumentLink> {
  const row = await findByKey(ctx.db, kept.key)
  if (!row) throw noSuchDocument()
  return signLink(ctx, row, new Date(kept.expiresAt))
}

/** Whether the signature is ours, for this document as it is now, and its time has not come. */
export function isGoodLink(
  { secrets, now }: AppContext,
  row: DocumentRow,
  { expires, signature }: LinkQuery,
): boolean {
  if (expires === undefined || signature === undefined) return false
  return (
    secrets.verify('signed-link', signedText(row, expires), signature) &&
    now.getTime() < expires * secondMs
  )
}

function signLink({ secrets, business }: AppContext, row: DocumentRow, expiry: Date): DocumentLink {
  const expires = Math.ceil(expiry.getTime() / secondMs)
  const signature = secrets.sign('signed-link', signedText(row, expires))
  const query = new URLSearchParams({ expires: String(expires), signature })
  return {
    key: row.key,
    url: `${business.publicUrl}/api/documents/${row.key}?${query.toString()}`,
    expiresAt: toInstant(new Date(expires * secondMs)),
  }
}

/** Its visibility too: what becomes internal is opened by no link from before. */
function signedText({ key, sha256, visibility }: DocumentRow, expires: number): string {
  return `${key}:${sha256}:${visibility}:${expires}`
}
