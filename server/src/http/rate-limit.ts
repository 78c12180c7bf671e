import { rateLimited } from '../kernel/errors.ts'
import type { LimitPolicyName, Limits, LimitVerdict } from '../platform/limits.ts'

/** `RateLimit-Policy` and `RateLimit` as draft-ietf-httpapi-ratelimit-headers-11 writes them. */
export function limitHeaders(name: string, verdict: LimitVerdict): Record<string, string> {
  return {
    'RateLimit-Policy': `"${name}";q=${verdict.limit};w=${verdict.windowSeconds}`,
    RateLimit: `"${name}";r=${verdict.remaining};t=${verdict.retryAfterSeconds}`,
  }
}

/** Takes one point of the address; 429 with `Retry-After` when there was none. */
export async function limitByAddress(
  limits: Limits,
  name: LimitPolicyName,
  address: string,
): Promise<Record<string, string>> {
  const verdict = await limits.spend(name, address)
  const headers = limitHeaders(name, verdict)
  if (!verdict.allowed) {
    throw rateLimited({ retryAfterSeconds: verdict.retryAfterSeconds, facts: { headers } })
  }
  return headers
}
