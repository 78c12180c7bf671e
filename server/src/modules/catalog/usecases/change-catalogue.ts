import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import { announceChange } from '../../../platform/invalidation.ts'

/**
 * One transaction that changes what the public sees. Every node hears of it with the commit, and
 * this one forgets what it keeps before it answers.
 */
export async function changeCatalogue<T>(
  ctx: AppContext,
  work: (ctx: TxContext) => Promise<T>,
): Promise<T> {
  const outcome = await inTx(ctx, async (ctx) => {
    const outcome = await work(ctx)
    await announceChange(ctx.db, 'catalog', everything)
    return outcome
  })
  ctx.invalidation.forget('catalog', everything)
  return outcome
}

/** Lists, counts and names of categories show up on many pages: no page is told apart. */
const everything = 'all'
