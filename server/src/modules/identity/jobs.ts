import { defineJob } from '../../platform/jobs.ts'
import { pruneMailTokens } from './usecases/mail-tokens.ts'
import {
  pruneRegistrations,
  settleRegistration,
  settleRegistrationJob,
} from './usecases/registrations.ts'
import { announcePasswordReset, announceResetJob } from './usecases/reset-password.ts'
import { pruneOldSessions } from './usecases/sessions.ts'

export const pruneSessions = defineJob('identity.prune_sessions', '17 3 * * *', pruneOldSessions)

/** What nobody has followed in time: registrations and mailed links. */
export const prunePending = defineJob('identity.prune_pending', '27 * * * *', async (ctx) => {
  await pruneRegistrations(ctx)
  await pruneMailTokens(ctx)
})

/** Makes the key of a new period before a request needs it, and forgets the dead ones. */
export const rotateSigningKeys = defineJob(
  'identity.rotate_signing_keys',
  '3 * * * *',
  async (ctx) => {
    await ctx.tokens.rotate(ctx.now)
  },
)

export const jobs = [
  pruneSessions,
  prunePending,
  rotateSigningKeys,
  defineJob(settleRegistrationJob, null, (ctx, { id }) => settleRegistration(ctx, id)),
  defineJob(announceResetJob, null, (ctx, { userId }) => announcePasswordReset(ctx, userId)),
]
