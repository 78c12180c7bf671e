import type { Db } from '../../../platform/database.ts'
import { fetchTogether } from '../../../platform/together.ts'
import type { LedgerFacts } from '../rules.ts'
import * as sql from '../sql/index.ts'
import type { DisputeRow, PaymentRow, RefundRow } from '../sql/index.ts'

/** Everything that moved, or tried to, for one order. */
export interface Ledger {
  readonly payments: readonly PaymentRow[]
  readonly refunds: readonly RefundRow[]
  readonly disputes: readonly DisputeRow[]
}

/** The ledger's queries, for whoever reads more of the order by the same statement. */
export function ledgerOf(orderId: string) {
  return {
    payments: sql.paymentsOf(orderId),
    refunds: sql.refundsOf(orderId),
    disputes: sql.disputesOf(orderId),
  }
}

export async function getLedger(db: Db, orderId: string): Promise<Ledger> {
  return await fetchTogether(db, ledgerOf(orderId))
}

/** As much of the ledger as decides what an order's money comes to: one row a state. */
export async function getLedgerFacts(db: Db, orderId: string): Promise<LedgerFacts> {
  return toFacts(await sql.listSums(db, orderId))
}

/** The same for many orders at once, by their ids; for the look through the books. */
export async function getLedgerFactsOf(
  db: Db,
  orderIds: readonly string[],
): Promise<ReadonlyMap<string, LedgerFacts>> {
  const sums = new Map<string, sql.LedgerSum[]>(orderIds.map((id) => [id, []]))
  for (const row of await sql.listSumsOf(db, orderIds)) sums.get(row.orderId)?.push(row)
  return new Map([...sums].map(([id, rows]) => [id, toFacts(rows)]))
}

function toFacts(rows: readonly sql.LedgerSum[]): LedgerFacts {
  const of = (kind: keyof LedgerFacts) => rows.filter((row) => row.kind === kind)
  return {
    // The columns' own checks hold these to their words.
    payments: of('payments') as LedgerFacts['payments'][number][],
    refunds: of('refunds') as LedgerFacts['refunds'][number][],
    disputes: of('disputes'),
  }
}
