/** Made once: the API sends data, so nothing of it may be run, framed or guessed. */
export const constantHeaders = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cache-Control': 'no-store',
}

/** Whoever has no token may share what they get, for a moment. */
export const sharedCacheControl = 'public, max-age=0, s-maxage=5, stale-while-revalidate=30'

/** What pages of other origins may send. */
export const corsRequestHeaders = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'X-Order-Token',
  'X-Request-Id',
  'traceparent',
]

/** What pages of other origins may read. */
export const corsReplyHeaders = [
  'ETag',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Idempotent-Replayed',
  'X-Request-Id',
]
