import { newKey } from '../../../kernel/id.ts'
import { hourMs, later } from '../../../kernel/time.ts'
import { areBytesHeld } from '../../../platform/backup/bytes-hold.ts'
import type { AppContext } from '../../../platform/context.ts'
import { listExpected, listKeysWithBytes, markBytes } from '../sql.ts'

/** Longer than any upload takes from its first byte to its row. */
const graceMs = hourMs
const batchSize = 500

/**
 * Makes store and rows agree again after crashes: what was received and never kept goes, what was
 * kept and has no row goes, and rows whose bytes are not there are told of.
 */
export async function sweepStorage(ctx: AppContext): Promise<void> {
  const before = later(ctx.now, -graceMs)
  const abandoned = await ctx.files.removeAbandoned(before)
  const orphans = await removeOrphans(ctx, before)
  const missing = await lookForBytes(ctx)
  if (abandoned + orphans + missing > 0) {
    ctx.log.warn({ abandoned, orphans, missing }, 'document storage swept')
  }
}

/** So many strangers among so many files are no leavings of crashes. */
const suspiciousFiles = 50
const suspiciousShare = 0.5

/**
 * Removes files that no row has. Where most of what is there has none, the store and the database
 * do not belong together, and nothing is removed at all: somebody has to look.
 */
async function removeOrphans(ctx: AppContext, before: Date): Promise<number> {
  let removed = 0
  let after: string | null = null
  for (;;) {
    const files = await ctx.files.list(after, batchSize)
    const settled = files.filter(({ writtenAt }) => writtenAt < before).map(({ name }) => name)
    const known = await listKeysWithBytes(ctx.db, settled)
    const orphans = settled.filter((name) => !known.has(name))
    if (orphans.length > Math.max(suspiciousFiles, settled.length * suspiciousShare)) {
      ctx.log.error(
        { files: settled.length, withoutRow: orphans.length },
        'document storage and database do not belong together: nothing was removed',
      )
      return removed
    }
    // Asked after the rows: a backup that begins later knows as well that these have none.
    if (orphans.length > 0 && (await areBytesHeld(ctx.db))) return removed
    for (const name of orphans) await ctx.files.remove(name)
    removed += orphans.length
    after = files.at(-1)?.name ?? null
    if (files.length < batchSize || after === null) return removed
  }
}

/** A stretch of the rows at each run, from a place by chance: in time all are looked at. */
async function lookForBytes(ctx: AppContext): Promise<number> {
  let missing = 0
  for (const { id, key, bytesMissingSince } of await expectedBytes(ctx)) {
    const isThere = await ctx.files.has(key)
    if (!isThere) {
      missing += 1
      ctx.log.error({ documentId: id }, 'the bytes of a document are missing')
    }
    if (isThere !== (bytesMissingSince === null)) {
      await markBytes(ctx.db, id, isThere ? null : ctx.now)
    }
  }
  return missing
}

async function expectedBytes({ db }: AppContext) {
  const rows = await listExpected(db, newKey(), batchSize)
  // At the end of the keys it goes on from their beginning.
  if (rows.length === batchSize) return rows
  const first = await listExpected(db, '', batchSize - rows.length)
  const seen = new Set(rows.map(({ id }) => id))
  return [...rows, ...first.filter(({ id }) => !seen.has(id))]
}
