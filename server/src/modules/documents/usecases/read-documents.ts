import { unauthorized } from '../../../kernel/errors.ts'
import type { Page } from '../../../kernel/page.ts'
import { later, minuteMs } from '../../../kernel/time.ts'
import { inTx, type AppContext, type Context } from '../../../platform/context.ts'
import type { ServedFile } from '../../../platform/files.ts'
import type { ListQuery } from '../../../platform/list.ts'
import { emit } from '../../../platform/outbox.ts'
import { DocumentRead } from '../events.ts'
import type { AttachedDocument, Document, DocumentFilters, LinkQuery } from '../schema.ts'
import {
  findByKey,
  listByKeys,
  listDocuments as listRows,
  listSharedByKeys,
  raiseForReading,
  type DocumentRow,
} from '../sql.ts'
import { noSuchDocument, readerOf, requireReadable, requireVisible } from './access.ts'
import { renderAttached, renderDocuments } from './render-document.ts'
import { isGoodLink } from './share-document.ts'

/** A customer's own, or for staff all that is linked and what they have uploaded themselves. */
export async function listDocuments(
  ctx: Context,
  { filters, page }: ListQuery<DocumentFilters>,
): Promise<Page<Document>> {
  const { actor } = ctx
  const reader = readerOf(actor)
  const staffId = actor.kind === 'staff' ? actor.userId : undefined
  const rows = await listRows(ctx.db, { page, filters: { ...filters, reader, staffId } })
  return { ...rows, data: await renderDocuments(ctx, rows.data) }
}

/**
 * The file of a document, for whoever may see it or shows a signed link. Throws 401 for a link that
 * is no good, 404, and 409 for what is not scanned yet or was infected.
 */
export async function openDocument(
  ctx: AppContext,
  key: string,
  link: LinkQuery,
): Promise<ServedFile> {
  const isByLink = link.signature !== undefined
  const row = isByLink ? await requireLinked(ctx, key, link) : await requireVisible(ctx, key)
  requireReadable(row)
  const { filename, contentType, size, sha256 } = row
  return {
    filename,
    contentType,
    size,
    sha256,
    open: async (range) => {
      const bytes = await ctx.files.open(row.key, range)
      if (!bytes) throw await reasonOfAbsence(ctx, row)
      try {
        await recordReading(ctx, row, isByLink)
      } catch (error) {
        // What cannot be written down is not read.
        bytes.destroy()
        throw error
      }
      return bytes
    },
  }
}

/** The documents of notes, by key: for customers those alone that are shared with them. */
export async function listAttached(
  ctx: Context,
  keys: readonly string[],
): Promise<ReadonlyMap<string, AttachedDocument>> {
  if (keys.length === 0) return new Map()
  const isForStaff = ctx.actor.kind === 'staff' || ctx.actor.kind === 'system'
  const unique = [...new Set(keys)]
  const rows = isForStaff
    ? await listByKeys(ctx.db, unique)
    : await listSharedByKeys(ctx.db, unique)
  return new Map(rows.map((row) => [row.key, renderAttached(row)]))
}

/** Deleted since the row was read, which is nobody's fault; or lost, which is ours. */
async function reasonOfAbsence(ctx: Context, { id, key }: DocumentRow): Promise<Error> {
  const isThere = (await findByKey(ctx.db, key))?.hasBytes === true
  return isThere ? new Error(`the bytes of document ${id} are missing`) : noSuchDocument()
}

async function requireLinked(ctx: AppContext, key: string, link: LinkQuery): Promise<DocumentRow> {
  const row = await findByKey(ctx.db, key)
  if (!row) throw noSuchDocument()
  if (isGoodLink(ctx, row, link)) return row
  throw unauthorized({ detail: 'The link has expired or was altered.' })
}

/** A reader that shows a file asks for many parts of it: within a minute that is one reading. */
const oneReadingMs = minuteMs

async function recordReading(ctx: Context, row: DocumentRow, isByLink: boolean): Promise<void> {
  const via = isByLink ? 'signed_link' : wayOf(ctx)
  const { actor, now } = ctx
  const person = actor.kind === 'staff' || actor.kind === 'customer' ? actor.userId : null
  const reading = { reader: person ?? via, since: later(now, -oneReadingMs), now }
  await inTx(ctx, async (ctx) => {
    const raised = await raiseForReading(ctx.db, row.id, reading)
    if (!raised) return
    const { eventVersion: rootVersion } = raised
    await emit(ctx, DocumentRead({ rootId: row.id, rootVersion, data: { via } }))
  })
}

function wayOf({ actor }: Context): 'login' | 'order_token' | 'system' {
  if (actor.kind === 'order') return 'order_token'
  return actor.kind === 'system' ? 'system' : 'login'
}
