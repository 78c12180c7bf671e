import { isId, newId } from '../../../kernel/id.ts'
import { later } from '../../../kernel/time.ts'
import { inTx, spend, type AppContext } from '../../../platform/context.ts'
import { factOf } from '../../../platform/events.ts'
import { inBatches } from '../../../platform/jobs.ts'
import { emit } from '../../../platform/outbox.ts'
import { EmailVerificationRequested, RegistrationRepeated } from '../events.ts'
import { emailKeyOf, keepRegistrationsMs } from '../rules.ts'
import type { Registration } from '../schema/index.ts'
import {
  deleteRegistration,
  deleteRegistrationsBefore,
  insertRegistration,
  lockRegistration,
  raiseRegistration,
} from '../sql/registrations.ts'
import { findUserByEmail, lockUser } from '../sql/users.ts'
import { accountOf } from './account.ts'
import { changeUser } from './change-user.ts'

/** The job that looks at a registration, apart from the request and so from its time. */
export const settleRegistrationJob = 'identity.settle_registration'

/**
 * Writes down that somebody wants to register, by the same statements whether the e-mail is known
 * or not. The password is not kept: whoever proves the e-mail chooses it then. Throws 429.
 */
export async function noteRegistration(
  ctx: AppContext,
  { email, name }: Pick<Registration, 'email' | 'name'>,
): Promise<void> {
  await spend(ctx, 'mailByAccount', accountOf('customer', emailKeyOf(email)))
  const id = newId('usr', ctx.now)
  await insertRegistration(ctx.db, { id, email, name, now: ctx.now, job: settleRegistrationJob })
}

/**
 * Has the mail go out that answers a registration: a link that proves the e-mail, or, where there
 * is a login with it, word that there is. Harmless when it runs again.
 */
export async function settleRegistration(ctx: AppContext, id: unknown): Promise<void> {
  if (typeof id !== 'string' || !isId('usr', id)) return
  const told = await inTx(ctx, async (ctx) => {
    const registration = await lockRegistration(ctx.db, id)
    if (!registration || registration.version > 0) return undefined
    const known = await findUserByEmail(ctx.db, 'customer', emailKeyOf(registration.email))
    if (!known) {
      const rootVersion = await raiseRegistration(ctx.db, id)
      await emit(ctx, EmailVerificationRequested({ rootId: id, rootVersion, data: {} }))
      return undefined
    }
    await deleteRegistration(ctx.db, id)
    const user = await lockUser(ctx.db, known.id)
    if (!user?.active) return undefined
    // One that was made while registration was open may still have to prove its e-mail.
    const answer = user.emailVerified ? RegistrationRepeated : EmailVerificationRequested
    return await changeUser(ctx, user, {}, [factOf(answer, {})])
  })
  if (told) ctx.invalidation.forget('user', told.id)
}

/** Forgets who has not proved an e-mail in a week. */
export async function pruneRegistrations(ctx: AppContext): Promise<void> {
  const instant = later(ctx.now, -keepRegistrationsMs)
  await inBatches(pruned, (limit) => deleteRegistrationsBefore(ctx.db, instant, limit))
}

const pruned = { size: 5000, maxBatches: 20 }
