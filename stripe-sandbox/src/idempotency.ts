import { createHash } from 'node:crypto'
import { ApiError } from './errors.ts'
import type { Form, FormValue } from './form.ts'
import type { KeptAnswer } from './records.ts'
import type { Store } from './store.ts'

/** Stripe prunes keys after at least a day. */
const KEY_LIFE_MS = 24 * 60 * 60 * 1000
export const MAX_KEY_LENGTH = 255
/** More answers than this are not kept, the oldest go first. */
const MAX_KEPT_ANSWERS = 50_000

/** A request as its idempotency key sees it. */
export interface KeyedRequest {
  key: string
  /** Method and path: a key belongs to one endpoint. */
  endpoint: string
  /** A hash of the parameters. */
  fingerprint: string
  now: Date
}

export interface Idempotency {
  /** The answer kept for this request; raises when the key is used otherwise or just now. */
  find(request: KeyedRequest): KeptAnswer | undefined
  /** Marks the key as in use until the returned function is called. */
  occupy(key: string): () => void
  /** Keeps the final answer; called within the transaction of the operation. */
  keep(request: KeyedRequest, answer: { status: number; body: string; requestId: string }): void
  /** Forgets the keys that are older than a day, or too many. */
  prune(now: Date): void
}

export function createIdempotency(store: Store): Idempotency {
  const inUse = new Set<string>()
  return {
    find(request) {
      if (inUse.has(request.key)) throw keyInUse(request.key)
      const kept = store.find('kept_answer', request.key)
      if (kept === undefined || isStale(kept, request.now)) return undefined
      if (kept.endpoint !== request.endpoint) throw otherEndpoint(request, kept)
      if (kept.fingerprint !== request.fingerprint) throw otherParameters(request)
      return kept
    },
    occupy(key) {
      inUse.add(key)
      return () => void inUse.delete(key)
    },
    keep(request, answer) {
      const { endpoint, fingerprint, key, now } = request
      store.remove('kept_answer', key)
      store.put('kept_answer', {
        ...answer,
        id: key,
        endpoint,
        fingerprint,
        keptAtMs: now.getTime(),
      })
    },
    prune(now) {
      // Answers are kept in order of age, so the first young one ends the search.
      let surplus = store.count('kept_answer') - MAX_KEPT_ANSWERS
      for (const kept of store.values('kept_answer')) {
        if (!isStale(kept, now) && surplus <= 0) return
        store.remove('kept_answer', kept.id)
        surplus -= 1
      }
    },
  }
}

/** A hash of the parameters that does not depend on their order. */
export function fingerprintOfForm(form: Form): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(form)))
    .digest('base64url')
}

function sorted(value: FormValue): unknown {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map(sorted)
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return { record: entries.map(([name, entry]) => [name, sorted(entry)]) }
}

function isStale(kept: KeptAnswer, now: Date): boolean {
  return now.getTime() - kept.keptAtMs >= KEY_LIFE_MS
}

function keyInUse(key: string): ApiError {
  return new ApiError(
    409,
    'invalid_request_error',
    'There is currently another in-progress request using this Idempotent Key (that probably ' +
      `means you submitted twice, and the other request is still going through): ${key}. ` +
      'Try again later.',
    { code: 'idempotency_key_in_use' },
  )
}

function otherEndpoint(request: KeyedRequest, kept: KeptAnswer): ApiError {
  return new ApiError(
    400,
    'idempotency_error',
    'Keys for idempotent requests can only be used for the same endpoint they were first used ' +
      `for ('${request.endpoint}' vs '${kept.endpoint}'). Try using a key other than ` +
      `'${request.key}' if you meant to execute a different request.`,
  )
}

function otherParameters(request: KeyedRequest): ApiError {
  return new ApiError(
    400,
    'idempotency_error',
    'Keys for idempotent requests can only be used with the same parameters they were first ' +
      `used with. Try using a key other than '${request.key}' if you meant to execute a ` +
      'different request.',
  )
}
