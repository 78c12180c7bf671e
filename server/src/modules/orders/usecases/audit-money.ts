import { inTx, type Context } from '../../../platform/context.ts'
import {
  deriveMoney,
  getLedgerFacts,
  getLedgerFactsOf,
  type MoneyState,
} from '../../payments/index.ts'
import * as sql from '../sql.ts'
import type { OrderMoneyRow } from '../sql.ts'

/** An order that shows something else than its ledger comes to. */
export interface MoneyDrift {
  readonly orderId: string
  readonly currency: string
  readonly shown: MoneyState
  readonly derived: MoneyState
}

export interface MoneyAudit {
  readonly checked: number
  readonly drifts: readonly MoneyDrift[]
  /** Where the next batch begins; null after the last order. */
  readonly next: string | null
}

/**
 * Compares what a batch of orders shows with what their ledgers come to. It repairs nothing: such a
 * difference is a bug, and its trace must not be wiped.
 */
export async function auditMoney(
  ctx: Context,
  { after, limit }: { after: string | null; limit: number },
): Promise<MoneyAudit> {
  const orders = await sql.listOrderMoney(ctx.db, after ?? '', limit)
  const ids = orders.map(({ id }) => id)
  const facts = await getLedgerFactsOf(ctx.db, ids)
  const drifts: MoneyDrift[] = []
  for (const order of orders) {
    const ledger = facts.get(order.id)
    if (!ledger || isSame(order, deriveMoney(order.total, ledger))) continue
    const drift = await findMoneyDrift(ctx, order.id)
    if (drift) drifts.push(drift)
  }
  const next = orders.length < limit ? null : (ids.at(-1) ?? null)
  return { checked: orders.length, drifts, next }
}

/** The same for one order, under its lock: two statements of two moments cannot be sure. */
export async function findMoneyDrift(
  ctx: Context,
  orderId: string,
): Promise<MoneyDrift | undefined> {
  return await inTx(ctx, async (ctx) => {
    const order = await sql.lockOrder(ctx.db, orderId)
    if (!order) return undefined
    const derived = deriveMoney(order.total, await getLedgerFacts(ctx.db, orderId))
    if (isSame(order, derived)) return undefined
    const { paid, refunded, paymentStatus, currency } = order
    return { orderId, currency, shown: { paid, refunded, paymentStatus }, derived }
  })
}

function isSame(
  order: Pick<OrderMoneyRow, keyof MoneyState>,
  { paid, refunded, paymentStatus }: MoneyState,
): boolean {
  return order.paid === paid && order.refunded === refunded && order.paymentStatus === paymentStatus
}
