import type { TxContext } from '../../../platform/context.ts'
import { factOf, type Fact } from '../../../platform/events.ts'
import { emit } from '../../../platform/outbox.ts'
import { deriveMoney, getLedgerFacts, PaymentFlagged } from '../../payments/index.ts'
import { OrderConfirmed } from '../events.ts'
import * as sql from '../sql.ts'
import type { MoneyChange, OrderRow } from '../sql.ts'

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
  const derived = deriveMoney(order.total, await getLedgerFacts(ctx.db, order.id))
  if (order.status !== 'pending' || derived.paid < order.total) {
    return await write(ctx, order, { ...derived, status: order.status, facts })
  }
  const all = [...facts, factOf(OrderConfirmed, {})]
  const confirmed = await write(ctx, order, { ...derived, status: 'confirmed', facts: all })
  // The listener that opens the case has written on the order: the row is read as it is now.
  return (await sql.findOrder(ctx.db, order.id)) ?? confirmed
}

/** The columns and the events, without a move of the order's own state. */
export async function writeLedger(
  ctx: TxContext,
  order: OrderRow,
  facts: readonly Fact[],
): Promise<OrderRow> {
  const derived = deriveMoney(order.total, await getLedgerFacts(ctx.db, order.id))
  return await write(ctx, order, { ...derived, status: order.status, facts })
}

type Outcome = Omit<MoneyChange, 'version' | 'flagged'> & { readonly facts: readonly Fact[] }

async function write(
  ctx: TxContext,
  order: OrderRow,
  { facts, ...money }: Outcome,
): Promise<OrderRow> {
  // What only changes a payment's reference is a change of the order's representation too.
  const version = order.version + Math.max(1, facts.length)
  const flagged = facts.some((fact) => fact.type.name === PaymentFlagged.name)
  const row = await sql.setMoney(ctx.db, order.id, { ...money, flagged, version }, ctx.now)
  const events = facts.map((fact, index) => ({
    ...fact,
    rootId: order.id,
    rootVersion: order.version + index + 1,
  }))
  if (events.length > 0) await emit(ctx, ...events)
  return row
}
