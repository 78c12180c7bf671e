import { isId, type Id, type IdPrefix } from '../kernel/id.ts'
import type { Context } from './context.ts'

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
}

export interface Subjects {
  /** Asks the module whose id it is. */
  find(ctx: Context, id: string): Promise<Ownership | undefined>
}

/** All kinds together: made once, in `app.ts`. */
export function createSubjects(subjects: readonly Subject[]): Subjects {
  const byPrefix = new Map(subjects.map((subject) => [subject.prefix, subject]))
  if (byPrefix.size !== subjects.length) throw new Error('two subjects have the same prefix')
  return {
    find: async (ctx, id) => {
      for (const [prefix, subject] of byPrefix) {
        if (isId(prefix, id)) return await subject.find(ctx, id)
      }
      return undefined
    },
  }
}
