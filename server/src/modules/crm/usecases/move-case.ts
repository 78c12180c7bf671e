import { present } from '../../../kernel/assert.ts'
import { notFound, preconditionFailed } from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { later } from '../../../kernel/time.ts'
import { inTx, type AppContext, type Context, type TxContext } from '../../../platform/context.ts'
import type { NewEvent } from '../../../platform/events.ts'
import { emit } from '../../../platform/outbox.ts'
import { lockOrder, setCaseStatus } from '../../orders/index.ts'
import { CaseClosed, CaseNoteAdded, CaseResolved, CaseStatusChanged } from '../events.ts'
import { closesAfterMs, requireResolvable, requireTransition } from '../rules.ts'
import type { CaseStatus, ChangeStatusInput, ResolveCaseInput, StaffCase } from '../schema.ts'
import {
  findOrderOfCase,
  listResolvedUntil,
  lockCase,
  reopenCase,
  writeResolution,
  writeStatus,
  type CaseState,
} from '../sql/cases.ts'
import { insertNote } from '../sql/notes.ts'
import { authorOf, readCaseKey } from './actors.ts'
import { getStaffCase } from './read-cases.ts'

/**
 * A plain change of status, and what staff say about it among themselves. Throws 404, 409 where the
 * machine refuses, 412 where `ifMatch` is not the case's version.
 */
export async function changeCaseStatus(
  ctx: Context,
  key: string,
  { status, comment }: ChangeStatusInput,
  ifMatch: number | null,
): Promise<StaffCase> {
  const id = await readCaseKey(ctx.db, key)
  await moveCase(ctx, id, {
    decide: (state) => {
      requireVersion(state, ifMatch)
      requireTransition(state.status, status)
      return status
    },
    write: async (ctx, state) => {
      const said = comment === undefined ? [] : [await writeComment(ctx, id, comment)]
      await emit(ctx, ...said, await writeMove(ctx, state, status))
    },
  })
  return await getStaffCase(ctx, id)
}

/** Ends the work on a case with an outcome and a word to the customer. Throws 404 and 409. */
export async function resolveCase(
  ctx: Context,
  key: string,
  { outcome, summary }: ResolveCaseInput,
): Promise<StaffCase> {
  const id = await readCaseKey(ctx.db, key)
  await moveCase(ctx, id, {
    decide: ({ status }) => {
      requireResolvable(status)
      return 'resolved'
    },
    write: async (ctx, { status: from }) => {
      const author = authorOf(ctx.actor)
      const resolution = { outcome, summary, at: ctx.now, ...author }
      const { version } = await writeResolution(ctx.db, id, resolution)
      const data = { from, outcome }
      await emit(ctx, CaseResolved({ rootId: id, rootVersion: version, data }))
    },
  })
  return await getStaffCase(ctx, id)
}

/** So many at a run; the rest waits for the next one. */
const maxClosedAtOnce = 1000

/** Closes the cases that have been resolved for fourteen days, each in its own transaction. */
export async function closeResolvedCases(ctx: AppContext): Promise<void> {
  const until = later(ctx.now, -closesAfterMs)
  const failures: unknown[] = []
  for (const id of await listResolvedUntil(ctx.db, until, maxClosedAtOnce)) {
    // One case that cannot be closed must not keep the others open.
    await closeWhenDue(ctx, id, until).catch((error: unknown) => failures.push(error))
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, `${failures.length} resolved cases could not be closed`)
  }
}

/** How a case is moved, under its lock: `decide` tells where to, or throws; `write` does it. */
export interface Move {
  readonly decide: (state: CaseState) => CaseStatus
  readonly write: (ctx: TxContext, state: CaseState, to: CaseStatus) => Promise<void>
}

/**
 * Moves a case and, where it is an order's, the copy that the order keeps. Rows are locked order
 * before case everywhere; which order is read without a lock, because it never changes.
 */
export async function moveCase(
  ctx: Context,
  id: Id<'case'>,
  { decide, write }: Move,
): Promise<void> {
  await inTx(ctx, async (ctx) => {
    const orderId = await findOrderOfCase(ctx.db, id)
    if (orderId !== undefined) await lockOrder(ctx.db, orderId)
    const state = await lockCase(ctx.db, id)
    if (!state) throw notFound()
    const to = decide(state)
    if (orderId !== undefined && to !== state.status) await setCaseStatus(ctx, orderId, to)
    await write(ctx, state, to)
  })
}

/** The row of a plain change with its event. */
export async function writeMove(
  { db, now }: TxContext,
  { id, status: from, resolvedAt }: CaseState,
  to: CaseStatus,
): Promise<NewEvent> {
  const { version } =
    from === 'resolved' && to === 'open'
      ? await reopenCase(db, id, { noteId: newId('note', resolvedAt ?? now), at: now })
      : await writeStatus(db, id, { status: to, at: now })
  const fact = { rootId: id, rootVersion: version }
  return to === 'closed'
    ? CaseClosed({ ...fact, data: { from } })
    : CaseStatusChanged({ ...fact, data: { from, to } })
}

/** Throws 412 where the client has seen another version. */
export function requireVersion({ version }: { version: number }, ifMatch: number | null): void {
  if (ifMatch !== null && ifMatch !== version) throw preconditionFailed()
}

async function writeComment(ctx: TxContext, id: Id<'case'>, body: string): Promise<NewEvent> {
  const noteId = newId('note', ctx.now)
  const note = { id: noteId, body, visibility: 'internal', createdAt: ctx.now } as const
  const noted = { ...note, ...authorOf(ctx.actor), documentKeys: [] }
  const raised = await insertNote(ctx.db, id, noted)
  const { version } = present(raised, 'a case that is locked')
  return CaseNoteAdded({ rootId: id, rootVersion: version, data: { noteId } })
}

async function closeWhenDue(ctx: Context, id: Id<'case'>, until: Date): Promise<void> {
  await moveCase(ctx, id, {
    // Reopened, or resolved anew, since the list was read: it stays what it is.
    decide: ({ status, resolvedAt }) =>
      status === 'resolved' && resolvedAt !== null && resolvedAt <= until ? 'closed' : status,
    write: async (ctx, state, to) => {
      if (to !== state.status) await emit(ctx, await writeMove(ctx, state, to))
    },
  })
}
