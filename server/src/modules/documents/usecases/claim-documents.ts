import type { Id } from '../../../kernel/id.ts'
import type { AppContext } from '../../../platform/context.ts'
import { claimSome } from '../sql.ts'

const batchSize = 500

/**
 * Gives the documents of a customer's record to the one that it has passed to, as orders and cases
 * do. Nothing that is shown changes, so there is no event. Run again it goes on where it stopped.
 */
export async function claimDocuments(
  { db }: AppContext,
  { fromId, toId }: { fromId: Id<'cus'>; toId: Id<'cus'> },
): Promise<void> {
  while ((await claimSome(db, { fromId, toId, limit: batchSize })) === batchSize) continue
}
