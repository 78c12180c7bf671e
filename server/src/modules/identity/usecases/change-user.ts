import type { TxContext } from '../../../platform/context.ts'
import type { Fact } from '../../../platform/events.ts'
import { announceChange } from '../../../platform/invalidation.ts'
import { emit } from '../../../platform/outbox.ts'
import { updateUser, type LoginChange, type UserRow } from '../sql/users.ts'

/**
 * Writes a change of a login whose row is locked, with the facts that it comes to: a version each.
 * The caller has its own cache forget the login after the commit.
 */
export async function changeUser(
  ctx: TxContext,
  { id, version }: UserRow,
  change: LoginChange,
  facts: readonly Fact[],
): Promise<UserRow> {
  const changed = await updateUser(ctx.db, id, { change, facts: facts.length, now: ctx.now })
  await emit(
    ctx,
    ...facts.map((fact, index) => ({ ...fact, rootId: id, rootVersion: version + 1 + index })),
  )
  await announceChange(ctx.db, 'user', id)
  return changed
}
