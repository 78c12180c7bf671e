import { isId, type Id, type IdPrefix } from '../kernel/id.ts'
import type { Context, TxContext } from './context.ts'

/** Whose a thing is: who may attach documents to it, and read what is shared with customers. */
export interface Ownership {
  readonly customerId: Id<'cus'> | null
  /** The order whose token opens it. */
  readonly orderId: Id<'ord'> | null
}

/** A kind of thing that documents can be attached to. The module that owns it registers this. */
export interface Subject {
  readonly prefix: IdPrefix
  /** Undefined where there is none, or none that is the actor's: nobody can tell which. */
  find(ctx: Context, id: string): Promise<Ownership | undefined>
  /** The same, and it stays so until the transaction ends: for things that can change hands. */
  lock?(ctx: TxContext, id: string): Promise<Ownership | undefined>
}

/** Each asks the module whose id it is. */
export interface Subjects {
  find(ctx: Context, id: string): Promise<Ownership | undefined>
  /** For whoever is about to write down whose it is. */
  lock(ctx: TxContext, id: string): Promise<Ownership | undefined>
}

/** All kinds together: made once, in `app.ts`. */
export function createSubjects(subjects: readonly Subject[]): Subjects {
  const byPrefix = new Map(subjects.map((subject) => [subject.prefix, subject]))
  if (byPrefix.size !== subjects.length) throw new Error('two subjects have the same prefix')
  const kindOf = (id: string): Subject | undefined => {
    for (const [prefix, subject] of byPrefix) if (isId(prefix, id)) return subject
    return undefined
  }
  return {
    find: async (ctx, id) => await kindOf(id)?.find(ctx, id),
    lock: async (ctx, id) => {
      const subject = kindOf(id)
      return subject?.lock ? await subject.lock(ctx, id) : await subject?.find(ctx, id)
    },
  }
}
