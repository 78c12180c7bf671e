import { money } from '../../../../kernel/money.ts'
import type { AppContext } from '../../../../platform/context.ts'
import type { Db } from '../../../../platform/database.ts'
import {
  ProviderError,
  type Listed,
  type ListedPage,
  type ListRequest,
} from '../../../../platform/stripe.ts'
import { findPayments, type MadePosition } from '../../../payments/index.ts'
import type { DifferenceKind, DifferenceSide } from '../../schema.ts'
import { installationOf } from '../installation.ts'
import { atThisMoment, isOver, patiently, report, type Run } from './run.ts'

/** An object of the provider, as far as every comparison needs it. */
interface SeenObject {
  readonly ref: string
  readonly status: string
  readonly amount: number
  readonly currency: string
}

/** A row of our ledger, as far as every comparison needs it. */
interface LedgerRow {
  readonly orderId: string
  readonly id: string
  readonly status: string
  readonly amount: number
  readonly currency: string
  readonly createdAt: Date
}

/** An object that says for which attempt of ours it was made. */
interface Owned<Seen> extends Listed<Seen> {
  readonly orderId: string
  readonly paymentId: string
}

/** What of an object is known before it is asked for again. */
export interface Subject {
  readonly orderId: string
  readonly paymentId: string
  readonly ref: string
}

/** How one kind of thing is listed, found and settled on either side. */
export interface Comparison<Seen extends SeenObject, Row extends LedgerRow> {
  readonly object: 'payment' | 'refund' | 'dispute'
  readonly counted: 'payments' | 'refunds' | 'disputes'
  list(ctx: AppContext, request: ListRequest): Promise<ListedPage<Seen>>
  listOurs(db: Db, page: { after: MadePosition; to: Date; limit: number }): Promise<readonly Row[]>
  /** Our rows for these objects, in any order. */
  find(db: Db, subjects: readonly Subject[]): Promise<readonly Row[]>
  isFor(row: Row, subject: Subject): boolean
  /** Our row as a subject; undefined where it has nothing at the provider to be compared with. */
  toSubject(row: Row): Subject | undefined
  /** Whether a row without a subject should be at the provider by now. */
  isOverdue(row: Row, now: Date): boolean
  /** Which object tells the truth about the row. */
  refToAsk(subject: Subject, row: Row | undefined): string
  ask(ctx: AppContext, ref: string): Promise<Seen>
  /** Null where both agree. */
  compare(row: Row | undefined, seen: Seen): DifferenceKind | null
  /** The one way in which such news goes into the books. */
  settle(ctx: AppContext, row: Row | undefined, seen: Seen): Promise<unknown>
}

/**
 * Compares both ways: each object that the provider lists with our row, then each of our rows that
 * was not listed with the object that it names.
 */
export async function compareBothWays<Seen extends SeenObject, Row extends LedgerRow>(
  ctx: AppContext,
  run: Run,
  comparison: Comparison<Seen, Row>,
): Promise<void> {
  const listed = new Set<string>()
  const since = await eachPage(ctx, run, comparison, async (objects) => {
    const owned = await selectOwn(ctx, objects)
    run.counts.foreign += objects.length - owned.length
    run.counts[comparison.counted] += owned.length
    const rows = owned.length > 0 ? await comparison.find(ctx.db, owned.map(subjectOf)) : []
    for (const object of owned) {
      const subject = subjectOf(object)
      listed.add(subject.ref)
      const row = rows.find((one) => comparison.isFor(one, subject))
      const hasDifference = comparison.compare(row, object.seen) !== null
      if (hasDifference) await lookClosely(ctx, run, { comparison, subject })
    }
  })
  await eachOfOurs(ctx, run, { comparison, since }, async (row) => {
    const subject = comparison.toSubject(row)
    if (!subject && comparison.isOverdue(row, ctx.now)) reportUnsent(run, comparison.object, row)
    if (subject && !listed.has(subject.ref)) await lookClosely(ctx, run, { comparison, subject })
  })
}

/**
 * What is for our books. What another installation made for its own names a payment that is not
 * here; one that is here is ours whatever its mark: `SECRET_KEY` may have been another then.
 */
async function selectOwn<Seen>(
  ctx: AppContext,
  objects: readonly Listed<Seen>[],
): Promise<Owned<Seen>[]> {
  const owned = objects.filter(isOwned)
  const ours = installationOf(ctx)
  const marked = owned.filter(({ installation: mark }) => mark !== null && mark !== ours)
  if (marked.length === 0) return owned
  const keys = marked.map(({ orderId, paymentId }) => ({ orderId, paymentId }))
  const rows = await findPayments(ctx.db, keys)
  const here = new Set(rows.map(({ orderId, id }) => `${orderId} ${id}`))
  const strange = new Set(
    marked.filter(({ orderId, paymentId }) => !here.has(`${orderId} ${paymentId}`)),
  )
  return owned.filter((object) => !strange.has(object))
}

function subjectOf({ orderId, paymentId, seen }: Owned<SeenObject>): Subject {
  return { orderId, paymentId, ref: seen.ref }
}

function reportUnsent(run: Run, object: 'payment' | 'refund' | 'dispute', row: LedgerRow): void {
  report(run, {
    kind: 'missing_at_provider',
    object,
    objectId: row.id,
    orderId: row.orderId,
    providerRef: null,
    ours: toSide(row),
    theirs: null,
    healed: false,
  })
}

const maxPages = { recent: 50, wide: 300, requested: 300 } as const

/** The provider's pages, newest first; answers since when all of them were seen. */
async function eachPage<Seen extends SeenObject, Row extends LedgerRow>(
  ctx: AppContext,
  run: Run,
  { list }: Comparison<Seen, Row>,
  take: (objects: readonly Listed<Seen>[]) => Promise<void>,
): Promise<Date> {
  const { windowFrom: from, windowTo: to, scope } = run.row
  let after: string | null = null
  let since = to
  for (let page = 1; page <= maxPages[scope] && !isOver(run); page += 1) {
    const request: ListRequest = { from, to, after }
    const { objects, next } = await patiently(() => list(ctx, request))
    await take(objects)
    if (next === null) return from
    after = next
    since = objects.at(-1)?.createdAt ?? since
  }
  run.partial = true
  return since
}

const ourPageSize = 200

/** Our own rows of the time for which the provider's list is whole, oldest first. */
async function eachOfOurs<Seen extends SeenObject, Row extends LedgerRow>(
  ctx: AppContext,
  run: Run,
  { comparison, since }: { comparison: Comparison<Seen, Row>; since: Date },
  take: (row: Row) => Promise<void>,
): Promise<void> {
  let after: MadePosition = { createdAt: since, orderId: '', id: '' }
  while (!isOver(run)) {
    const page = { after, to: run.row.windowTo, limit: ourPageSize }
    const rows = await comparison.listOurs(ctx.db, page)
    for (const row of rows) await take(row)
    const last = rows.at(-1)
    if (!last || rows.length < ourPageSize) return
    after = last
  }
}

const maxLooks = 500
/** A provider that answers none of these looks will not answer the next ones either. */
const maxFailures = 5

interface Look<Seen extends SeenObject, Row extends LedgerRow> {
  readonly comparison: Comparison<Seen, Row>
  readonly subject: Subject
}

/**
 * What seemed to differ is asked for once more and settled the one way that all news of money goes.
 * What agrees by itself meanwhile was only on its way; what agrees after it is healed.
 */
async function lookClosely<Seen extends SeenObject, Row extends LedgerRow>(
  ctx: AppContext,
  run: Run,
  look: Look<Seen, Row>,
): Promise<void> {
  run.looks += 1
  if (run.looks > maxLooks || isOver(run)) {
    run.partial = true
    return
  }
  try {
    await askAndSettle(atThisMoment(ctx, run), run, look)
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    run.partial = true
    run.failures += 1
    if (run.failures > maxFailures) throw error
    ctx.log.warn({ err: error, ref: look.subject.ref }, 'a difference could not be looked at')
  }
}

async function askAndSettle<Seen extends SeenObject, Row extends LedgerRow>(
  ctx: AppContext,
  run: Run,
  { comparison, subject }: Look<Seen, Row>,
): Promise<void> {
  const { orderId } = subject
  const before = await findRow(ctx, { comparison, subject })
  const ref = comparison.refToAsk(subject, before)
  const ours = before ? toSide(before) : null
  const found = { object: comparison.object, objectId: before?.id ?? null, orderId, ours }
  const seen = await patiently(() => comparison.ask(ctx, ref)).catch(unlessMissing)
  if (!seen) {
    const kind = 'missing_at_provider'
    return report(run, { ...found, kind, providerRef: ref, theirs: null, healed: false })
  }
  const kind = comparison.compare(before, seen)
  if (kind === null) return
  await comparison.settle(ctx, before, seen)
  const after = await findRow(ctx, { comparison, subject })
  const healed = comparison.compare(after, seen) === null
  const objectId = after?.id ?? null
  report(run, { ...found, objectId, kind, providerRef: seen.ref, theirs: toSide(seen), healed })
}

async function findRow<Seen extends SeenObject, Row extends LedgerRow>(
  { db }: AppContext,
  { comparison, subject }: Look<Seen, Row>,
): Promise<Row | undefined> {
  const rows = await comparison.find(db, [subject])
  return rows.find((row) => comparison.isFor(row, subject))
}

function unlessMissing(error: unknown): undefined {
  if (error instanceof ProviderError && error.code === 'resource_missing') return undefined
  throw error
}

function toSide({ status, amount, currency }: SeenObject | LedgerRow): DifferenceSide {
  return { status, amount: money(amount, currency) }
}

function isOwned<Seen>(object: Listed<Seen>): object is Owned<Seen> {
  return object.orderId !== null && object.paymentId !== null
}
