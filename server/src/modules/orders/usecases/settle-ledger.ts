import type { TxContext } from '../../../platform/context.ts'
import type { Fact } from '../../../platform/events.ts'
import { emit } from '../../../platform/outbox.ts'
import { deriveMoney, getLedger } from '../../payments/index.ts'
import { OrderConfirmed } from '../events.ts'
import * as sql from '../sql.ts'
import type { OrderRow } from '../sql.ts'

/**
 * Brings the order to what its ledger says, in the transaction that changed the ledger and under
 * the order's lock: nothing else writes `paymentStatus`, `paid` and `refunded`. The facts become
 * events in the order's history, and an order that is now paid confirms itself.
 */
export async function settleLedger(
  ctx: TxContext,
  order: OrderRow,
  facts: readonly Fact[],
): Promise<OrderRow> {
  const settled = await writeLedger(ctx, order, facts)
  if (settled.status !== 'pending' || settled.paid < settled.total) return settled
  const version = settled.version + 1
  const { paymentStatus, paid, refunded } = settled
  const confirmed = await sql.setMoney(
    ctx.db,
    order.id,
    { status: 'confirmed', paymentStatus, paid, refunded, version },
    ctx.now,
  )
  await emit(ctx, OrderConfirmed({ rootId: order.id, rootVersion: version, data: {} }))
  // The listener that opens the case has written on the order: the row is read as it is now.
  return (await sql.findOrder(ctx.db, order.id)) ?? confirmed
}

/** The columns and the events, without a move of the order's own state. */
export async function writeLedger(
  ctx: TxContext,
  order: OrderRow,
  facts: readonly Fact[],
): Promise<OrderRow> {
  const ledger = await getLedger(ctx.db, order.id)
  const derived = deriveMoney(order.total, ledger)
  // What only changes a payment's address or secret is a change of the order's representation too.
  const version = order.version + Math.max(1, facts.length)
  const row = await sql.setMoney(
    ctx.db,
    order.id,
    { ...derived, status: order.status, version },
    ctx.now,
  )
  if (facts.length > 0) {
    await emit(
      ctx,
      ...facts.map((fact, index) => ({
        ...fact,
        rootId: order.id,
        rootVersion: order.version + index + 1,
      })),
    )
  }
  return row
}
