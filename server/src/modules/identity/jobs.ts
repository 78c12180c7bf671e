import { dayMs, later } from '../../kernel/time.ts'
import { defineJob } from '../../platform/jobs.ts'
import { deleteSessionsEndedBefore } from './sql/sessions.ts'

const batchSize = 5000
const maxBatches = 20

/** Sessions stay a month beyond their end, for whoever asks when a device was signed out. */
export const pruneSessions = defineJob('identity.prune_sessions', '17 3 * * *', async (ctx) => {
  const instant = later(ctx.now, -30 * dayMs)
  for (let batch = 0; batch < maxBatches; batch += 1) {
    if ((await deleteSessionsEndedBefore(ctx.db, instant, batchSize)) < batchSize) return
  }
})

/** Makes the next signing key before a request needs it, and forgets the dead ones. */
export const rotateSigningKeys = defineJob(
  'identity.rotate_signing_keys',
  '3 * * * *',
  async (ctx) => {
    await ctx.tokens.rotate(ctx.now)
  },
)

export const jobs = [pruneSessions, rotateSigningKeys]
