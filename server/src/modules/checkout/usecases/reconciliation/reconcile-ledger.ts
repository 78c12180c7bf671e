import { newId } from '../../../../kernel/id.ts'
import { dayMs, later, minuteMs } from '../../../../kernel/time.ts'
import { inTx, type AppContext, type TxContext } from '../../../../platform/context.ts'
import { emit } from '../../../../platform/outbox.ts'
import { ProviderError } from '../../../../platform/stripe.ts'
import { ReconciliationFinished, ReconciliationStarted } from '../../events.ts'
import { wideDays } from '../../rules.ts'
import {
  reconciliationRunning,
  type Reconciliation,
  type ReconciliationScope,
  type RequestReconciliation,
} from '../../schema.ts'
import * as sql from '../../sql/reconciliations.ts'
import type { ReconciliationEnd, ReconciliationRow } from '../../sql/reconciliations.ts'
import { compareBooks, findWaitingEvents } from './compare-books.ts'
import { compareBothWays } from './compare.ts'
import { disputes, payments, refunds } from './kinds.ts'
import { renderReconciliation } from './read-report.ts'
import { atThisMoment, beginRun, type Run } from './run.ts'

export const requestedReconciliationJob = 'reconcile-as-requested'

/** How far back the runs of the clock look. */
const daysBack = { recent: 3, wide: wideDays } as const

/** A run by the clock; it gives way to one that is under way. */
export async function reconcileLedger(ctx: AppContext, scope: 'recent' | 'wide'): Promise<void> {
  const row = await inTx(ctx, (ctx) => open(ctx, scope, daysBack[scope]))
  if (row) await carryOut(ctx, row)
}

/** A run that somebody asks for: its job begins at once. 409 while another is under way. */
export async function requestReconciliation(
  ctx: AppContext,
  { days = daysBack.recent }: RequestReconciliation,
): Promise<Reconciliation> {
  return await inTx(ctx, async (ctx) => {
    const row = await open(ctx, 'requested', days)
    if (!row) throw reconciliationRunning({ retryAfterSeconds: 30 })
    await sql.enqueueReconciliation(ctx.db, requestedReconciliationJob, row.id)
    return renderReconciliation(row)
  })
}

/** The job of a run that was asked for; one that has ended is not begun again. */
export async function runRequested(ctx: AppContext, reconciliationId: string): Promise<void> {
  const row = await inTx(ctx, (ctx) => claimTurn(ctx, reconciliationId))
  if (row) await carryOut(ctx, row)
}

/** News younger than this may still be on its way by itself. */
const settlingMs = 5 * minuteMs
/** A run that has not ended in this time was left by a process that died. */
const turnMs = 15 * minuteMs

/** Takes the turn and writes the run; undefined while another holds it. */
async function open(
  ctx: TxContext,
  scope: ReconciliationScope,
  days: number,
): Promise<ReconciliationRow | undefined> {
  const turn = await sql.lockTurn(ctx.db)
  if (turn.heldUntil && turn.heldUntil > ctx.now) return undefined
  if (turn.reconciliationId !== null) await endLost(ctx, turn.reconciliationId)
  const windowTo = later(ctx.now, -settlingMs)
  const row = await sql.insertReconciliation(
    ctx.db,
    {
      id: newId('rec', ctx.now),
      scope,
      windowFrom: later(windowTo, -days * dayMs),
      windowTo,
      counts: nothingYet,
    },
    ctx.now,
  )
  await sql.takeTurn(ctx.db, row.id, later(ctx.now, turnMs))
  const fact = { rootId: row.id, rootVersion: row.version, data: { scope } }
  await emit(ctx, ReconciliationStarted(fact))
  return row
}

/** The run that was asked for, with the whole of its turn before it; undefined once it has ended. */
async function claimTurn(ctx: TxContext, id: string): Promise<ReconciliationRow | undefined> {
  await sql.lockTurn(ctx.db)
  const row = await sql.findReconciliation(ctx.db, id)
  // Whoever took the turn over has ended it.
  if (row?.status !== 'running') return undefined
  await sql.takeTurn(ctx.db, id, later(ctx.now, turnMs))
  return row
}

const nothingYet = {
  payments: 0,
  refunds: 0,
  disputes: 0,
  orders: 0,
  foreign: 0,
  differences: 0,
  healed: 0,
}

/** What the run before had found is lost with its process; what it has healed is not. */
async function endLost(ctx: TxContext, reconciliationId: string): Promise<void> {
  const output = 'Its process ended before the run did.'
  const end = { status: 'failed', partial: true, counts: nothingYet, output } as const
  const ended = await sql.endReconciliation(ctx.db, reconciliationId, end, ctx.now)
  if (ended) await announceEnd(ctx, ended)
}

async function carryOut(ctx: AppContext, row: ReconciliationRow): Promise<void> {
  const run = beginRun(row, ctx.now)
  const { orderCursor } = await sql.findTurn(ctx.db)
  try {
    const next = await compareAll(ctx, run, orderCursor)
    await close(ctx, run, { status: 'completed', output: outputOf(ctx, run), orderCursor: next })
  } catch (error) {
    const isOutOfReach = error instanceof ProviderError
    const output = isOutOfReach
      ? 'The payment provider did not answer.'
      : 'The run met an error, which the log has.'
    await close(ctx, run, { status: 'failed', output, orderCursor })
    if (!isOutOfReach) throw error
    ctx.log.warn({ err: error, reconciliationId: row.id }, 'the books could not be compared')
  }
}

async function compareAll(
  ctx: AppContext,
  run: Run,
  orderCursor: string | null,
): Promise<string | null> {
  if (ctx.stripe.enabled) {
    // Money must have come before it can go back.
    await compareBothWays(ctx, run, payments)
    await compareBothWays(ctx, run, refunds)
    await compareBothWays(ctx, run, disputes)
    await findWaitingEvents(ctx, run)
  }
  return run.row.scope === 'recent' ? orderCursor : await compareBooks(ctx, run, orderCursor)
}

function outputOf({ stripe }: AppContext, { partial }: Run): string | null {
  if (!stripe.enabled) return 'No card payments are taken here: only our own books were compared.'
  return partial ? 'There was more to compare than one run may: the rest is for another.' : null
}

type End = Pick<ReconciliationEnd, 'status' | 'output'> & { readonly orderCursor: string | null }

async function close(ctx: AppContext, run: Run, { orderCursor, ...end }: End): Promise<void> {
  const { row, counts, differences, partial } = run
  const open = counts.differences - counts.healed
  if (open > 0) {
    ctx.log.warn({ reconciliationId: row.id, open }, 'our books and the provider’s differ')
  }
  await inTx(atThisMoment(ctx, run), async (ctx) => {
    await sql.giveUpTurn(ctx.db, row.id, orderCursor)
    const ended = await sql.endReconciliation(ctx.db, row.id, { ...end, counts, partial }, ctx.now)
    if (!ended) return
    if (differences.length > 0) {
      await sql.insertDifferences(ctx.db, row.id, differences, ctx.now)
    }
    await announceEnd(ctx, ended)
  })
}

async function announceEnd(ctx: TxContext, row: ReconciliationRow): Promise<void> {
  const { scope, status, counts } = row
  const data = { scope, status, differences: counts.differences, healed: counts.healed }
  await emit(ctx, ReconciliationFinished({ rootId: row.id, rootVersion: row.version, data }))
}
