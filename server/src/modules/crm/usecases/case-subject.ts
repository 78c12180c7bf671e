import { isId } from '../../../kernel/id.ts'
import type { Subject } from '../../../platform/subjects.ts'
import { findCaseOwner, findOwnCase } from '../sql/cases.ts'
import { ownerOf } from './actors.ts'

/** Documents are attached to a case by whoever may read it. */
export const caseSubject: Subject = {
  prefix: 'case',
  find: async (ctx, id) => {
    if (!isId('case', id)) return undefined
    const owner = ownerOf(ctx.actor)
    return owner ? await findOwnCase(ctx.db, id, owner) : await findCaseOwner(ctx.db, id)
  },
}
