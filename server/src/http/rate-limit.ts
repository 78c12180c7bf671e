import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError, unauthorized } from '../kernel/errors.ts'
import { actorKeyOf, type Actor } from '../platform/context.ts'
import {
  isLocal,
  limitExceeded,
  type LimitPolicyName,
  type Limits,
  type LimitVerdict,
} from '../platform/limits.ts'
import { hasToken } from './request-headers.ts'

/** What the limits need to know of a route: it stands in the route's `config`. */
export interface LimitedRoute {
  /** The policy by address; the default one when absent. */
  readonly limit?: LimitPolicyName | undefined
  /** Whether the route finds out who calls: the default policy goes by account then. */
  readonly identifies?: boolean
}

interface Exchange {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/**
 * Counts preflights by address. It must be called before CORS is registered, which answers them
 * itself and lets no later hook see them.
 */
export function limitPreflights(app: FastifyInstance, limits: Limits): void {
  const limit = limitBy(limits, 'default')
  app.addHook('onRequest', (request, reply, done) =>
    request.method === 'OPTIONS' ? limit(request, reply, done) : done(),
  )
}

/**
 * Counts every request for a route that is added from now on, and every one for what is not there,
 * by its address and before anything is done for it. `identify` counts those that go by account.
 */
export function limitRequests(app: FastifyInstance, limits: Limits): void {
  const limit = limitBy(limits, 'default')
  app.addHook('onRequest', (request, reply, done) =>
    request.is404 ? limit(request, reply, done) : done(),
  )
  app.addHook('onRoute', (route) => {
    route.onRequest = [limitRoute(limits, route.config), ...[route.onRequest ?? []].flat()]
  })
}

/** Counts what is refused before any route could count it; gives the 429 where it is too many. */
export function limitRefused(limits: Limits, { request, reply }: Exchange): AppError | undefined {
  return refusalOf('default', limits.here.spend('default', request.ip), reply)
}

/**
 * Tells who calls, and counts the call by account: an office of thirty behind one address does not
 * share what is there for one. Bad tokens are counted by address, and 429 instead of 401 once they
 * are too many; whoever is signed in is not locked out by them. Throws 401 and 429.
 */
export async function identify(
  limits: Limits,
  { request, reply, route }: Exchange & { readonly route: LimitedRoute },
  authenticate: () => Actor | Promise<Actor>,
): Promise<Actor> {
  if (!hasToken(request.headers)) return await authenticate()
  // Anybody can write down an order's token, and looking at it costs a statement.
  if (request.headers['x-order-token'] !== undefined) refuseSpentAddress(limits, { request, reply })
  try {
    const actor = await authenticate()
    if (goesByAccount(route)) {
      settle('default', limits.here.spend('default', actorKeyOf(actor)), reply)
    }
    return actor
  } catch (error) {
    if (error instanceof AppError && error.code === unauthorized.code) {
      settle('failedToken', limits.here.spend('failedToken', request.ip), reply)
    }
    throw error
  }
}

/** `RateLimit-Policy` and `RateLimit` as draft-ietf-httpapi-ratelimit-headers-11 writes them. */
export function limitHeaders(name: string, verdict: LimitVerdict): Record<string, string> {
  const [policy, left] = limitHeaderValues(name, verdict)
  return { 'RateLimit-Policy': policy, RateLimit: left }
}

export function limitHeaderValues(name: string, verdict: LimitVerdict): [string, string] {
  const { limit, windowSeconds, remaining, retryAfterSeconds } = verdict
  return [
    `"${name}";q=${limit};w=${windowSeconds}`,
    `"${name}";r=${remaining};t=${retryAfterSeconds}`,
  ]
}

/** The headers of the policy that a use-case found used up; undefined for any other failure. */
export function refusalHeaders({ facts }: AppError): Record<string, string> | undefined {
  const { policy, verdict } = facts
  return policy === undefined || verdict === undefined
    ? undefined
    : limitHeaders(policy as LimitPolicyName, verdict as LimitVerdict)
}

/** A hook without a promise: what is answered from memory goes through it too. */
type Limit = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

function limitRoute(limits: Limits, route: LimitedRoute = {}): Limit {
  const limit = limitBy(limits, route.limit ?? 'default')
  if (!goesByAccount(route)) return limit
  return (request, reply, done) =>
    hasToken(request.headers) ? done() : limit(request, reply, done)
}

function limitBy(limits: Limits, name: LimitPolicyName): Limit {
  if (isLocal(name)) {
    return (request, reply, done) => {
      done(refusalOf(name, limits.here.spend(name, request.ip), reply))
    }
  }
  return (request, reply, done) => {
    limits
      .spend(name, request.ip)
      .then((verdict) => done(refusalOf(name, verdict, reply)))
      .catch(done)
  }
}

/** Throws 429 where too many tokens from there were no good. */
function refuseSpentAddress(limits: Limits, { request, reply }: Exchange): void {
  const failed = limits.here.look('failedToken', request.ip)
  if (failed.remaining === 0) settle('failedToken', { ...failed, allowed: false }, reply)
}

/** Throws 429 with `Retry-After` where there was no point left. */
function settle(name: LimitPolicyName, verdict: LimitVerdict, reply: FastifyReply): void {
  const refusal = refusalOf(name, verdict, reply)
  if (refusal) throw refusal
}

/** Says what is left in the headers, and gives the 429 where it was nothing. */
function refusalOf(
  name: LimitPolicyName,
  verdict: LimitVerdict,
  reply: FastifyReply,
): AppError | undefined {
  reply.headers(limitHeaders(name, verdict))
  return verdict.allowed ? undefined : limitExceeded(name, verdict)
}

function goesByAccount({ limit, identifies }: LimitedRoute): boolean {
  return identifies === true && limit === undefined
}
