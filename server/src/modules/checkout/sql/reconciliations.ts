import type { Id } from '../../../kernel/id.ts'
import type { Page } from '../../../kernel/page.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { enqueued } from '../../../platform/jobs.ts'
import { fetchPage, type ListDefinition, type ListQuery } from '../../../platform/list.ts'
import { json, sql } from '../../../platform/sql.ts'
import type {
  DifferenceFilters,
  DifferenceKind,
  DifferenceObject,
  DifferenceSide,
  ReconciliationCounts,
  ReconciliationScope,
  ReconciliationStatus,
} from '../schema.ts'
import { wideDays } from '../rules.ts'

export interface ReconciliationRow {
  readonly id: Id<'rec'>
  readonly scope: ReconciliationScope
  readonly status: ReconciliationStatus
  readonly windowFrom: Date
  readonly windowTo: Date
  readonly partial: boolean
  readonly counts: ReconciliationCounts
  readonly output: string | null
  readonly version: number
  readonly startedAt: Date
  readonly finishedAt: Date | null
}

/** What one run keeps at most of what it finds. */
export const maxKept = 1000

const reconciliationColumns = sql`id, scope, status, window_from, window_to, partial, counts,
  output, version, started_at, finished_at`

/** Who may compare, and where the look through the orders goes on. */
export interface TurnRow {
  readonly reconciliationId: string | null
  readonly heldUntil: Date | null
  readonly orderCursor: string | null
}

const ledgerTurn = 'ledger'

export const lockTurn = (tx: Tx): Promise<TurnRow> =>
  tx.one(sql`
    select reconciliation_id, held_until, order_cursor from reconciliation_turns
    where id = ${ledgerTurn} for update`)

export const findTurn = (db: Db): Promise<TurnRow> =>
  db.one(sql`
    select reconciliation_id, held_until, order_cursor from reconciliation_turns
    where id = ${ledgerTurn}`)

export const takeTurn = (tx: Tx, reconciliationId: string, until: Date): Promise<number> =>
  tx.run(sql`
    update reconciliation_turns set reconciliation_id = ${reconciliationId}, held_until = ${until}
    where id = ${ledgerTurn}`)

/** Nothing happens where another run has taken the turn over meanwhile. */
export const giveUpTurn = (
  tx: Tx,
  reconciliationId: string,
  orderCursor: string | null,
): Promise<number> =>
  tx.run(sql`
    update reconciliation_turns set held_until = null, order_cursor = ${orderCursor}::text
    where id = ${ledgerTurn} and reconciliation_id = ${reconciliationId}`)

export const insertReconciliation = (
  tx: Tx,
  row: Pick<ReconciliationRow, 'id' | 'scope' | 'windowFrom' | 'windowTo' | 'counts'>,
  now: Date,
): Promise<ReconciliationRow> =>
  tx.one(sql`
    insert into reconciliations
      (id, scope, status, window_from, window_to, counts, version, started_at)
    values (${row.id}, ${row.scope}, 'running', ${row.windowFrom}, ${row.windowTo},
      ${json(row.counts)}::jsonb, 1, ${now})
    returning ${reconciliationColumns}`)

/** The job of a run that somebody asked for. */
export const enqueueReconciliation = (tx: Tx, job: string, reconciliationId: string) =>
  tx.run(sql`select ${enqueued(job, { reconciliationId }, `${job}:${reconciliationId}`)}`)

export type ReconciliationEnd = Pick<ReconciliationRow, 'status' | 'partial' | 'counts' | 'output'>

/** No row where it has ended already. */
export const endReconciliation = (
  tx: Tx,
  id: string,
  end: ReconciliationEnd,
  now: Date,
): Promise<ReconciliationRow | undefined> =>
  tx.maybeOne(sql`
    update reconciliations set status = ${end.status}, partial = ${end.partial},
      counts = ${json(end.counts)}::jsonb, output = ${end.output}::text, version = version + 1,
      finished_at = ${now}
    where id = ${id} and status = 'running'
    returning ${reconciliationColumns}`)

export const findReconciliation = (db: Db, id: string): Promise<ReconciliationRow | undefined> =>
  db.maybeOne(sql`select ${reconciliationColumns} from reconciliations where id = ${id}`)

export const listReconciliations = (db: Db, limit: number): Promise<ReconciliationRow[]> =>
  db.many(sql`
    select ${reconciliationColumns} from reconciliations
    order by started_at desc, id desc limit ${limit}`)

const latest = sql`
  select ${reconciliationColumns} from reconciliations
  where status = 'completed' order by started_at desc, id desc limit 1`

const latestWide = sql`
  select ${reconciliationColumns} from reconciliations
  where status = 'completed' and scope <> 'recent'
    and window_to - window_from >= make_interval(days => ${wideDays})
  order by started_at desc, id desc limit 1`

export const findLatest = (db: Db): Promise<ReconciliationRow | undefined> =>
  db.maybeOne(sql`${latest}`)

/** The latest that has looked as far as the one of each night does, and at the orders. */
export const findLatestWide = (db: Db): Promise<ReconciliationRow | undefined> =>
  db.maybeOne(sql`${latestWide}`)

export interface DifferenceRow {
  readonly reconciliationId: Id<'rec'>
  readonly id: Id<'diff'>
  readonly kind: DifferenceKind
  readonly object: DifferenceObject
  readonly objectId: string | null
  readonly orderId: string | null
  readonly providerRef: string | null
  readonly ours: DifferenceSide | null
  readonly theirs: DifferenceSide | null
  readonly healed: boolean
  readonly createdAt: Date
}

export type NewDifference = Omit<DifferenceRow, 'reconciliationId' | 'createdAt'>

export const insertDifferences = (
  tx: Tx,
  reconciliationId: string,
  differences: readonly NewDifference[],
  now: Date,
): Promise<number> =>
  tx.run(sql`
    insert into reconciliation_differences (reconciliation_id, id, kind, object, object_id,
      order_id, provider_ref, ours, theirs, healed, created_at)
    select ${reconciliationId}, found.id, found.kind, found.object, found."objectId",
      found."orderId", found."providerRef", found.ours, found.theirs, found.healed,
      ${now}::timestamptz
    from jsonb_to_recordset(${json(differences)}::jsonb) as found (id text, kind text, object text,
      "objectId" text, "orderId" text, "providerRef" text, ours jsonb, theirs jsonb,
      healed boolean)`)

const differenceColumns = sql`reconciliation_id, id, kind, object, object_id, order_id,
  provider_ref, ours, theirs, healed, created_at`

export const differenceList: ListDefinition<DifferenceFilters> = {
  columns: differenceColumns,
  from: sql`reconciliation_differences`,
  id: sql`id`,
  sorts: { createdAt: { column: sql`created_at`, type: sql`timestamptz` } },
  filters: {
    reconciliationId: (id) => sql`reconciliation_id = ${id}`,
    kind: (kind) => sql`kind = ${kind}`,
    object: (object) => sql`object = ${object}`,
    healed: (isHealed) => (isHealed ? sql`healed` : sql`not healed`),
  },
}

export const listDifferences = (
  db: Db,
  query: ListQuery<DifferenceFilters>,
): Promise<Page<DifferenceRow>> => fetchPage(db, differenceList, query)

/**
 * What is open of the latest look and of the latest wide one, each thing once, as it was seen last:
 * the look of an hour must not hide what only that of the night can find.
 */
const openDifferences = sql`
  select distinct on (object, object_id, provider_ref) ${differenceColumns}
  from reconciliation_differences
  where not healed and reconciliation_id in (
    select id from (${latest}) as newest union select id from (${latestWide}) as widest)
  order by object, object_id, provider_ref, created_at desc`

export const listOpenDifferences = (db: Db, limit: number): Promise<DifferenceRow[]> =>
  db.many(sql`
    select ${differenceColumns} from (${openDifferences}) as open
    order by created_at, id limit ${limit}`)

export const countOpenDifferences = async (db: Db): Promise<number> => {
  const { open } = await db.one<{ open: number }>(
    sql`select count(*) as open from (${openDifferences}) as found`,
  )
  return open
}

/** Orders that were found to show something else than their ledger, by the latest wide look. */
export const listOpenDrifts = (db: Db): Promise<{ orderId: string }[]> =>
  db.many(sql`
    select order_id from reconciliation_differences
    where kind = 'ledger_differs'
      and reconciliation_id in (select id from (${latestWide}) as widest)
    order by order_id limit ${maxKept}`)

/** Runs that nobody asks for any more, oldest first. */
export const listOldReconciliations = (
  db: Db,
  before: Date,
  limit: number,
): Promise<{ id: Id<'rec'> }[]> =>
  db.many(sql`
    select id from reconciliations where started_at < ${before}
    order by started_at, id limit ${limit}`)

export const deleteDifferences = (tx: Tx, reconciliationId: string): Promise<number> =>
  tx.run(sql`
    delete from reconciliation_differences where reconciliation_id = ${reconciliationId}`)

export const deleteReconciliation = (tx: Tx, id: string): Promise<number> =>
  tx.run(sql`delete from reconciliations where id = ${id}`)
