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

/** How the books stand: what the latest comparisons found that is still open, and the runs. */
export async function getReport({ db }: Context): Promise<ReconciliationReport> {
  const latest = await sql.findLatest(db)
  const latestWide = await sql.findLatestWide(db)
  const runs = await sql.listReconciliations(db, shownRuns)
  const open = await sql.countOpenDifferences(db)
  const differences = open > 0 ? await sql.listOpenDifferences(db, shownDifferences) : []
  return {
    latest: latest ? renderReconciliation(latest) : null,
    latestWide: latestWide ? renderReconciliation(latestWide) : null,
    differences: differences.map(renderDifference),
    runs: runs.map(renderReconciliation),
    output: outputOf(latest, { newest: runs[0], open }),
  }
}

/** Differences of one run, healed ones too; of the latest that completed where none is named. */
export async function listDifferences(
  ctx: Context,
  { page, filters }: ListQuery<DifferenceFilters>,
): Promise<Page<Difference>> {
  const reconciliationId = filters.reconciliationId ?? (await sql.findLatest(ctx.db))?.id
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

const nothing = { data: [], next: null }

interface Standing {
  readonly newest: ReconciliationRow | undefined
  readonly open: number
}

function outputOf(latest: ReconciliationRow | undefined, { newest, open }: Standing): string {
  const hasFailed = newest?.status === 'failed'
  const failure = hasFailed ? `The last comparison failed. ${newest.output ?? ''}` : null
  const nothingYet = 'Nothing has been compared yet: that happens each hour, and on request.'
  const differing = open > 0 ? `${open} of the differences found are open.` : null
  const said = [failure, latest ? latest.output : nothingYet, differing].filter(Boolean)
  return said.join(' ') || 'Our books and the provider’s agree.'
}
