import { inTx, type AppContext } from '../../../platform/context.ts'
import { deleteUnusedWords } from '../sql/service-writes.ts'

const wordsAtOnce = 5000

/** Forgets words that no service uses any more: searches skip them, but would read past them. */
export async function sweepWords(ctx: AppContext): Promise<void> {
  for (;;) {
    const swept = await inTx(ctx, (ctx) => deleteUnusedWords(ctx.db, wordsAtOnce))
    if (swept < wordsAtOnce) return
  }
}
