import { forbidden, notFound, unauthorized } from '../../../kernel/errors.ts'
import { isId, type Id } from '../../../kernel/id.ts'
import type { Actor } from '../../../platform/context.ts'
import type { Db } from '../../../platform/database.ts'
import type { Opener } from '../rules.ts'
import type { AuthorKind } from '../schema.ts'
import { findCaseId, type Owner } from '../sql/cases.ts'

/** Whose cases the actor sees; null for staff and for Bureau itself, who see all. */
export function ownerOf(actor: Actor): Owner | null {
  switch (actor.kind) {
    case 'customer':
      return { customerId: actor.customerId }
    case 'order':
      return { orderId: actor.orderId }
    case 'staff':
    case 'system':
      return null
    case 'anonymous':
      throw unauthorized()
    default:
      return actor satisfies never
  }
}

/** How the actor may open a case. Throws 403 for staff who may only read. */
export function openerOf(actor: Actor): Opener {
  switch (actor.kind) {
    case 'anonymous':
      return 'public'
    case 'customer':
    case 'order':
      return 'customer'
    case 'staff':
      if (!actor.permissions.has('crm:write')) throw forbidden()
      return 'staff'
    case 'system':
      return 'staff'
    default:
      return actor satisfies never
  }
}

/** Under whose name the actor writes notes and resolutions. */
export function authorOf(actor: Actor): { authorId: string | null; authorKind: AuthorKind } {
  switch (actor.kind) {
    case 'staff':
    case 'customer':
      return { authorId: actor.userId, authorKind: actor.kind }
    case 'order':
      return { authorId: actor.customerId, authorKind: 'guest' }
    case 'system':
      return { authorId: null, authorKind: 'system' }
    case 'anonymous':
      throw unauthorized()
    default:
      return actor satisfies never
  }
}

/** The id behind an id or a number; 404 for a number that no case has. */
export async function readCaseKey(db: Db, key: string): Promise<Id<'case'>> {
  const id = isId('case', key) ? key : await findCaseId(db, key)
  if (!id) throw notFound()
  return id
}
