import type { Id } from '../../../kernel/id.ts'
import type { TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { getOrderForCase } from '../../orders/index.ts'
import { CaseOrderCancelled } from '../events.ts'
import { writeOrderCancellation } from '../sql/cases.ts'

/**
 * The cancelled order's case stays open, because something may be left to do; its timeline says
 * what happened, once. An order that was never confirmed has no case.
 */
export async function recordOrderCancellation(ctx: TxContext, orderId: Id<'ord'>): Promise<void> {
  const { caseId } = await getOrderForCase(ctx, orderId)
  if (caseId === null) return
  const raised = await writeOrderCancellation(ctx.db, caseId, ctx.now)
  if (!raised) return
  const data = { orderId }
  await emit(ctx, CaseOrderCancelled({ rootId: caseId, rootVersion: raised.version, data }))
}
