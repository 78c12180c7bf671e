import { isDeepStrictEqual } from 'node:util'
import { notFound } from '../../../kernel/errors.ts'
import { inTx, type Context, type TxContext } from '../../../platform/context.ts'
import type { NewEvent } from '../../../platform/events.ts'
import { emit } from '../../../platform/outbox.ts'
import { moveDocumentsOfCase } from '../../documents/index.ts'
import { CaseAssigned, CaseUpdated } from '../events.ts'
import { readDueAt } from '../rules.ts'
import { customerFixedByOrder, type StaffCase, type UpdateCaseInput } from '../schema.ts'
import { lockCase, writeMarks, type CaseMarks, type CaseState } from '../sql/cases.ts'
import { readCaseKey } from './actors.ts'
import { requireVersion } from './move-case.ts'
import { lockOwner, requireAssignable, requireCustomer } from './people.ts'
import { getStaffCase } from './read-cases.ts'

/**
 * Changes who works on a case and how it is marked, by JSON Merge Patch; what is already so is not
 * written again. Throws 400 for people who do not exist, 404, 409 `customer_fixed_by_order`, 412.
 */
export async function updateCase(
  ctx: Context,
  key: string,
  patch: UpdateCaseInput,
  ifMatch: number | null,
): Promise<StaffCase> {
  const id = await readCaseKey(ctx.db, key)
  if (patch.assigneeId) await requireAssignable(ctx, patch.assigneeId)
  if (patch.customerId) await requireCustomer(ctx, patch.customerId)
  await inTx(ctx, async (ctx) => {
    const state = await lockCase(ctx.db, id)
    if (!state) throw notFound()
    requireVersion(state, ifMatch)
    const owned = patch.customerId ? { customerId: await lockOwner(ctx, patch.customerId) } : {}
    await writePatched(ctx, state, applyPatch(state, { ...patch, ...owned }))
  })
  return await getStaffCase(ctx, id)
}

function applyPatch(state: CaseState, patch: UpdateCaseInput): CaseMarks {
  const { assigneeId, priority, dueAt, tags, customerId } = patch
  if (customerId !== undefined && state.orderId !== null && customerId !== state.customerId) {
    throw customerFixedByOrder()
  }
  return {
    assigneeId: assigneeId === undefined ? state.assigneeId : assigneeId,
    priority: priority ?? state.priority,
    dueAt: typeof dueAt === 'string' ? readDueAt(dueAt) : dueAt === null ? null : state.dueAt,
    tags: tags === undefined ? state.tags : (tags ?? []),
    customerId: customerId === undefined ? state.customerId : customerId,
    // Somebody who is known is no lead any more.
    kind: customerId ? 'case' : state.kind,
  }
}

async function writePatched(ctx: TxContext, state: CaseState, marks: CaseMarks): Promise<void> {
  const changed = (Object.keys(marks) as (keyof CaseMarks)[]).filter(
    (name) => !isDeepStrictEqual(marks[name], state[name]),
  )
  const fields = changed.filter((name) => name !== 'assigneeId')
  const isAssigned = changed.includes('assigneeId')
  const events = (isAssigned ? 1 : 0) + (fields.length > 0 ? 1 : 0)
  if (events === 0) return
  const { version } = await writeMarks(ctx.db, state.id, { marks, events, at: ctx.now })
  if (changed.includes('customerId')) {
    await moveDocumentsOfCase(ctx, state.id, marks.customerId)
  }
  const news: NewEvent[] = []
  if (isAssigned) {
    const data = { assigneeId: marks.assigneeId, previousAssigneeId: state.assigneeId }
    news.push(CaseAssigned({ rootId: state.id, rootVersion: version - events + 1, data }))
  }
  if (fields.length > 0) {
    news.push(CaseUpdated({ rootId: state.id, rootVersion: version, data: { fields } }))
  }
  await emit(ctx, ...news)
}
