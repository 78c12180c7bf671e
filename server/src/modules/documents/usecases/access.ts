import { notFound, unauthorized } from '../../../kernel/errors.ts'
import type { Id } from '../../../kernel/id.ts'
import type { Actor, Context } from '../../../platform/context.ts'
import { documentInfected, documentQuarantined } from '../schema.ts'
import { findByKey, type DocumentRow, type Reader } from '../sql.ts'

type Uploader = Pick<DocumentRow, 'uploaderId' | 'uploaderKind'>

/** The document by its key. Throws 404 where there is none, or none that the actor may know of. */
export async function requireVisible(ctx: Context, key: string): Promise<DocumentRow> {
  const row = await findByKey(ctx.db, key)
  if (!row || !(await maySee(ctx, row))) throw noSuchDocument()
  return row
}

/**
 * What is linked is seen by whoever sees what it is linked to, customers only what is shared with
 * them. What is linked to nothing is its uploader's alone.
 */
export async function maySee(ctx: Context, row: DocumentRow): Promise<boolean> {
  const { actor } = ctx
  const subjectId = row.orderId ?? row.caseId
  switch (actor.kind) {
    case 'system':
      return true
    case 'anonymous':
      return false
    case 'staff':
      return subjectId !== null || isUploader(actor, row)
    case 'customer':
    case 'order': {
      if (row.visibility !== 'customer') return false
      if (subjectId === null) return isUploader(actor, row)
      return (await ctx.subjects.find(ctx, subjectId)) !== undefined
    }
    default:
      return actor satisfies never
  }
}

/** Under whose name the actor uploads. Throws 401 for nobody. */
export function uploaderOf(actor: Actor): Uploader {
  switch (actor.kind) {
    case 'staff':
    case 'customer':
      return { uploaderId: actor.userId, uploaderKind: actor.kind }
    case 'order':
      return { uploaderId: actor.customerId, uploaderKind: 'guest' }
    case 'system':
      return { uploaderId: null, uploaderKind: 'system' }
    case 'anonymous':
      throw unauthorized()
    default:
      return actor satisfies never
  }
}

export function isUploader(actor: Actor, row: Uploader): boolean {
  const { uploaderId, uploaderKind } = uploaderOf(actor)
  return uploaderId === row.uploaderId && uploaderKind === row.uploaderKind
}

/** Whose quota and whose list the actor's uploads belong to; null for staff and Bureau itself. */
export function customerOf(actor: Actor): Id<'cus'> | null {
  return actor.kind === 'customer' || actor.kind === 'order' ? actor.customerId : null
}

/** What a list is narrowed to; undefined for staff, who are narrowed otherwise. */
export function readerOf(actor: Actor): Reader | undefined {
  switch (actor.kind) {
    case 'customer':
      return { customerId: actor.customerId, userId: actor.userId }
    case 'order':
      return { orderId: actor.orderId }
    case 'staff':
    case 'system':
      return undefined
    case 'anonymous':
      throw unauthorized()
    default:
      return actor satisfies never
  }
}

/** Throws 409 where nobody may have the bytes. */
export function requireReadable({ status, hasBytes }: DocumentRow): void {
  if (status === 'quarantined') throw documentQuarantined()
  if (!hasBytes) throw documentInfected()
}

export function noSuchDocument(): Error {
  return notFound({ detail: 'There is no such document.' })
}
