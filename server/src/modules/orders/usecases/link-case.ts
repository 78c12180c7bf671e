import type { TxContext } from '../../../platform/context.ts'
import * as sql from '../sql.ts'

/** Writes the order's copy of its case, in crm's own transaction. */
export async function linkCase(
  ctx: TxContext,
  orderId: string,
  link: { caseId: string; caseNumber: string; caseStatus: string },
): Promise<void> {
  await sql.setCase(ctx.db, orderId, link, ctx.now)
}

/** Takes the order's lock before the case's own row is touched: order stands before case. */
export async function setCaseStatus(
  ctx: TxContext,
  orderId: string,
  status: string,
): Promise<void> {
  await sql.setCaseStatus(ctx.db, orderId, status, ctx.now)
}
