import { notFound } from '../../../../kernel/errors.ts'
import { mapPage, type Page } from '../../../../kernel/page.ts'
import { dayMs, later, toInstant, toInstantOrNull } from '../../../../kernel/time.ts'
import { inTx, type Context } from '../../../../platform/context.ts'
import type { ListQuery } from '../../../../platform/list.ts'
import { suggestionFor } from '../../rules.ts'
import type {
  Difference,
  DifferenceFilters,
  Reconciliation,
  ReconciliationReport,
} from '../../schema.ts'
import * as sql from '../../sql/reconciliations.ts'
import type { DifferenceRow, ReconciliationRow } from '../../sql/reconciliations.ts'

const shownRuns = 10
const shownDifferences = 100

/** How the books stand: the latest comparison with what is open of it, and the runs before. */
export async function getReport(ctx: Context): Promise<ReconciliationReport> {
  const latest = await sql.findLatestCompleted(ctx.db)
  const runs = await sql.listReconciliations(ctx.db, shownRuns)
  const open = latest
    ? await sql.listDifferences(ctx.db, {
        page: { limit: shownDifferences, sort: byCreation, after: null, count: false },
        filters: { reconciliationId: latest.id, healed: false },
      })
    : nothing
  return {
    latest: latest ? renderReconciliation(latest) : null,
    differences: open.data.map(renderDifference),
    runs: runs.map(renderReconciliation),
    output: outputOf(latest),
  }
}

/** Differences of one run, healed ones too; of the latest that completed where none is named. */
export async function listDifferences(
  ctx: Context,
  { page, filters }: ListQuery<DifferenceFilters>,
): Promise<Page<Difference>> {
  const reconciliationId = filters.reconciliationId ?? (await sql.findLatestCompleted(ctx.db))?.id
  if (reconciliationId === undefined) return { ...nothing, ...(page.count ? { total: 0 } : {}) }
  const query = { page, filters: { ...filters, reconciliationId } }
  return mapPage(await sql.listDifferences(ctx.db, query), renderDifference)
}

export async function getReconciliation(ctx: Context, id: string): Promise<Reconciliation> {
  const row = await sql.findReconciliation(ctx.db, id)
  if (!row) throw notFound({ detail: 'There is no such comparison.' })
  return renderReconciliation(row)
}

const keptForMs = 90 * dayMs
const prunedAtOnce = 50

/** A job: runs of long ago go, a bounded number at a time, with what they found. */
export async function pruneReconciliations(ctx: Context): Promise<void> {
  const before = later(ctx.now, -keptForMs)
  for (const { id } of await sql.listOldReconciliations(ctx.db, before, prunedAtOnce)) {
    await inTx(ctx, async (ctx) => {
      await sql.deleteDifferences(ctx.db, id)
      await sql.deleteReconciliation(ctx.db, id)
    })
  }
}

export function renderReconciliation(row: ReconciliationRow): Reconciliation {
  const { id, scope, status, partial, counts, output, version } = row
  return {
    id,
    scope,
    status,
    window: { from: toInstant(row.windowFrom), to: toInstant(row.windowTo) },
    partial,
    counts,
    output,
    version,
    startedAt: toInstant(row.startedAt),
    finishedAt: toInstantOrNull(row.finishedAt),
  }
}

function renderDifference({ createdAt, ...row }: DifferenceRow): Difference {
  return { ...row, suggestion: suggestionFor(row), createdAt: toInstant(createdAt) }
}

const byCreation = { field: 'createdAt', direction: 'asc' } as const
const nothing = { data: [], next: null }

function outputOf(latest: ReconciliationRow | undefined): string {
  if (!latest) return 'Nothing has been compared yet: that happens each hour, and on request.'
  const open = latest.counts.differences - latest.counts.healed
  if (open > 0) return `${open} of the differences found are open.`
  return latest.output ?? 'Our books and the provider’s agree.'
}
