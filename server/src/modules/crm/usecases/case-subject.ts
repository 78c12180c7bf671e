import { isId } from '../../../kernel/id.ts'
import type { Context } from '../../../platform/context.ts'
import type { Ownership, Subject } from '../../../platform/subjects.ts'
import { findCaseOwner, findOwnCase, lockCase } from '../sql/cases.ts'
import { ownerOf } from './actors.ts'

/** Documents are attached to a case by whoever may read it. */
export const caseSubject: Subject = {
  prefix: 'case',
  find: findOwnership,
  // Staff may give a case to another customer at any time.
  lock: async (ctx, id) => {
    if (isId('case', id)) await lockCase(ctx.db, id)
    return await findOwnership(ctx, id)
  },
}

async function findOwnership(ctx: Context, id: string): Promise<Ownership | undefined> {
  if (!isId('case', id)) return undefined
  const owner = ownerOf(ctx.actor)
  return owner ? await findOwnCase(ctx.db, id, owner) : await findCaseOwner(ctx.db, id)
}
