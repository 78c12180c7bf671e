import type { Finding, HealthCheck, HealthContext } from '../../../platform/health.ts'
import { hasSigningKey } from '../sql/keys.ts'

/** Without a key that all nodes find, no token is good on any node but the one that made it. */
export const signingKeysCheck: HealthCheck = {
  name: 'keys',
  critical: false,
  neededToServe: true,
  run: checkSigningKeys,
}

async function checkSigningKeys({ db, tokens, now }: HealthContext): Promise<Finding> {
  if (await hasSigningKey(db, now)) return { status: 'pass' }
  // Before the first login there is none: it is made here, rather than waited for by somebody.
  await tokens.rotate(now)
  if (await hasSigningKey(db, now)) return { status: 'pass' }
  return { status: 'fail', output: 'There is no key to sign tokens with: restart the process.' }
}
