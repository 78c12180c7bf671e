import { defineJob } from '../../platform/jobs.ts'
import { pruneOldSessions } from './usecases/sessions.ts'

export const pruneSessions = defineJob('identity.prune_sessions', '17 3 * * *', pruneOldSessions)

/** Makes the key of a new period before a request needs it, and forgets the dead ones. */
export const rotateSigningKeys = defineJob(
  'identity.rotate_signing_keys',
  '3 * * * *',
  async (ctx) => {
    await ctx.tokens.rotate(ctx.now)
  },
)

export const jobs = [pruneSessions, rotateSigningKeys]
