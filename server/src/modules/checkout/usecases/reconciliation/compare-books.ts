import { money } from '../../../../kernel/money.ts'
import { hourMs, later } from '../../../../kernel/time.ts'
import type { AppContext } from '../../../../platform/context.ts'
import { auditMoney, findMoneyDrift, type MoneyDrift } from '../../../orders/index.ts'
import type { DifferenceSide } from '../../schema.ts'
import { listWaitingEvents } from '../../sql/provider-events.ts'
import { listOpenDrifts } from '../../sql/reconciliations.ts'
import { isOver, report, type Run } from './run.ts'

const batchSize = 500
/** What one night looks at; the next one goes on from there. */
const maxBatches = 100

/**
 * What orders show against their own ledgers; answers where the next run goes on. What was found
 * before is looked at again each time, wherever the look through the orders is.
 */
export async function compareBooks(
  ctx: AppContext,
  run: Run,
  orderCursor: string | null,
): Promise<string | null> {
  const known = new Set<string>()
  for (const { orderId } of await listOpenDrifts(ctx.db)) {
    const drift = await findMoneyDrift(ctx, orderId)
    if (drift) reportDrift(run, drift)
    known.add(orderId)
  }
  let after = orderCursor
  for (let batch = 1; batch <= maxBatches && !isOver(run); batch += 1) {
    const { checked, drifts, next } = await auditMoney(ctx, { after, limit: batchSize })
    run.counts.orders += checked
    for (const drift of drifts) if (!known.has(drift.orderId)) reportDrift(run, drift)
    after = next
    if (next === null) break
  }
  return after
}

const maxWaiting = 100

/** Events whose job has failed for an hour: they stand among the failed jobs too. */
export async function findWaitingEvents(ctx: AppContext, run: Run): Promise<void> {
  const before = later(run.row.startedAt, -hourMs)
  for (const { id, objectId } of await listWaitingEvents(ctx.db, before, maxWaiting)) {
    report(run, {
      kind: 'not_processed',
      object: 'event',
      objectId: id,
      orderId: null,
      providerRef: objectId,
      ours: null,
      theirs: null,
      healed: false,
    })
  }
}

function reportDrift(run: Run, { orderId, currency, shown, derived }: MoneyDrift): void {
  const toSide = ({ paymentStatus, paid, refunded }: MoneyDrift['shown']): DifferenceSide => ({
    status: paymentStatus,
    amount: money(paid, currency),
    refunded: money(refunded, currency),
  })
  report(run, {
    kind: 'ledger_differs',
    object: 'order',
    objectId: orderId,
    orderId,
    providerRef: null,
    ours: toSide(shown),
    theirs: toSide(derived),
    healed: false,
  })
}
