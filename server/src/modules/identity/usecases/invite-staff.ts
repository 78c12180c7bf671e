import { randomBytes } from 'node:crypto'
import type { Id } from '../../../kernel/id.ts'
import { inTx, spend, type AppContext } from '../../../platform/context.ts'
import { factOf } from '../../../platform/events.ts'
import { StaffInvited } from '../events.ts'
import { emailKeyOf } from '../rules.ts'
import { emailTaken, invitationAccepted, type Invitation, type StaffUser } from '../schema/index.ts'
import { findUser } from '../sql/users.ts'
import { accountOf } from './account.ts'
import { changeUser } from './change-user.ts'
import { lockStaff, toStaffUser, writeStaffUser } from './staff.ts'

/**
 * A login for a colleague, who chooses its password with the link that is mailed. Throws 409 where
 * staff has that e-mail.
 */
export async function inviteStaff(ctx: AppContext, invitation: Invitation): Promise<StaffUser> {
  // Of something that nobody knows: until the link is followed no password signs in.
  const passwordHash = await ctx.passwords.hash(randomBytes(32).toString('base64url'))
  const user = await inTx(ctx, (ctx) =>
    writeStaffUser(ctx, { ...invitation, passwordHash, invitedAt: ctx.now }),
  )
  if (!user) throw emailTaken()
  return toStaffUser(user)
}

/**
 * Has a new link mailed. Throws 404, 409 where the invitation was taken up or the login is shut,
 * and 429 after five mails to the colleague in an hour.
 */
export async function inviteAgain(ctx: AppContext, userId: Id<'usr'>): Promise<StaffUser> {
  const known = await findUser(ctx.db, userId)
  if (known?.invitedAt) {
    await spend(ctx, 'mailByAccount', accountOf(known.audience, emailKeyOf(known.email)))
  }
  const user = await inTx(ctx, async (ctx) => {
    const user = await lockStaff(ctx, userId)
    if (user.invitedAt === null || !user.active) throw invitationAccepted()
    return await changeUser(ctx, user, { invitedAt: ctx.now }, [factOf(StaffInvited, {})])
  })
  ctx.invalidation.forget('user', userId)
  return toStaffUser(user)
}
