import type { Id } from '../../../kernel/id.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { moveDocumentsOfCase } from '../../documents/index.ts'
import { CaseUpdated } from '../events.ts'
import { lockCase } from '../sql/cases.ts'
import { listCasesOfCustomer, writeCaseCustomer } from '../sql/claims.ts'

const batchSize = 100

/**
 * Gives the cases of a customer's record to the one that it has passed to; the contact stays as it
 * was written. One case at a time, each with its event; run again it goes on where it stopped.
 */
export async function claimCases(
  ctx: AppContext,
  { fromId, toId }: { fromId: Id<'cus'>; toId: Id<'cus'> },
): Promise<void> {
  for (;;) {
    const ids = await listCasesOfCustomer(ctx.db, fromId, batchSize)
    for (const id of ids) {
      await inTx(ctx, async (ctx) => {
        const state = await lockCase(ctx.db, id)
        if (state?.customerId !== fromId) return
        const { version } = await writeCaseCustomer(ctx.db, id, toId, ctx.now)
        await moveDocumentsOfCase(ctx, id, toId)
        const data = { fields: ['customerId'] }
        await emit(ctx, CaseUpdated({ rootId: id, rootVersion: version, data }))
      })
    }
    if (ids.length < batchSize) return
  }
}
