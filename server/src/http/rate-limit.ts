import type { LimitVerdict } from '../platform/limits.ts'

/** `RateLimit-Policy` and `RateLimit` as draft-ietf-httpapi-ratelimit-headers-11 writes them. */
export function limitHeaders(name: string, verdict: LimitVerdict): Record<string, string> {
  return {
    'RateLimit-Policy': `"${name}";q=${verdict.limit};w=${verdict.windowSeconds}`,
    RateLimit: `"${name}";r=${verdict.remaining};t=${verdict.retryAfterSeconds}`,
  }
}
