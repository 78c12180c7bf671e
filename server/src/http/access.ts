import { createHash, timingSafeEqual } from 'node:crypto'
import { forbidden, unauthorized } from '../kernel/errors.ts'
import type { Actor } from '../platform/context.ts'
import type { Access, Grant } from './endpoint.ts'

/** How the modules that know tokens tell the web server who calls. Each throws 401. */
export interface Authenticator {
  /** The holder of an access token. A warm token costs no statement and no promise. */
  bearer(token: string): Actor | Promise<Actor>
  /** The holder of one order's token. */
  orderToken(token: string): Promise<Actor>
}

export interface Credentials {
  readonly authorization: string | undefined
  readonly orderToken: string | undefined
  /** The operator's token for figures, where the endpoint takes it. */
  readonly metricsToken?: string | undefined
}

/** Task of the actor that a scraper is: it may read the figures and nothing else. */
const scraperTask = 'scrape'
const scraper: Actor = { kind: 'system', task: scraperTask }
const anonymous: Actor = { kind: 'anonymous' }
/** Longer than any token of ours, far below what would cost something. */
const maxTokenLength = 4096

/** A token that is sent must be good, on public endpoints too: a silent downgrade hides faults. */
export function authenticate(
  authenticator: Authenticator,
  { authorization, orderToken, metricsToken }: Credentials,
): Actor | Promise<Actor> {
  if (authorization !== undefined) {
    const found = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization)
    const token = found?.[1]
    if (token === undefined || token.length > maxTokenLength) throw unauthorized()
    if (metricsToken !== undefined && isSameSecret(token, metricsToken)) return scraper
    return authenticator.bearer(token)
  }
  if (orderToken !== undefined) {
    if (orderToken.length > maxTokenLength) throw unauthorized()
    return authenticator.orderToken(orderToken)
  }
  return anonymous
}

/**
 * Deny by default: 401 for nobody, 403 for somebody who holds none of the grants. Where signed
 * links open, whoever shows one is let through: the use-case says whether it is good.
 */
export function authorize(actor: Actor, access: Access, showsLink = false): void {
  if (access === 'public') return
  if (showsLink && access.includes('signed-link')) return
  if (actor.kind === 'anonymous') throw unauthorized()
  if (!access.some((grant) => holds(actor, grant))) throw forbidden()
}

export function takesMetricsToken(access: Access): boolean {
  return access !== 'public' && access.includes('metrics-token')
}

/** In a time that tells nothing of how much of it was right, nor of its length. */
function isSameSecret(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

function holds(actor: Actor, grant: Grant): boolean {
  switch (actor.kind) {
    case 'customer':
      return grant === 'customer'
    case 'order':
      return grant === 'order-token'
    case 'staff':
      return grant === 'staff' || (actor.permissions as ReadonlySet<string>).has(grant)
    case 'system':
      return grant === 'metrics-token' && actor.task === scraperTask
    case 'anonymous':
      return false
    default:
      return actor satisfies never
  }
}
