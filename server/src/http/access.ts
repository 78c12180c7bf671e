import { forbidden, unauthorized } from '../kernel/errors.ts'
import type { Permission } from '../kernel/permissions.ts'
import type { Actor } from '../platform/context.ts'
import type { Access } from './endpoint.ts'

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
}

const anonymous: Actor = { kind: 'anonymous' }
/** Longer than any token of ours, far below what would cost something. */
const maxTokenLength = 4096

/** A token that is sent must be good, on public endpoints too: a silent downgrade hides faults. */
export function authenticate(
  authenticator: Authenticator,
  { authorization, orderToken }: Credentials,
): Actor | Promise<Actor> {
  if (authorization !== undefined) {
    const found = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization)
    const token = found?.[1]
    if (token === undefined || token.length > maxTokenLength) throw unauthorized()
    return authenticator.bearer(token)
  }
  if (orderToken !== undefined) {
    if (orderToken.length > maxTokenLength) throw unauthorized()
    return authenticator.orderToken(orderToken)
  }
  return anonymous
}

/** Deny by default: 401 for nobody, 403 for somebody who holds none of the grants. */
export function authorize(actor: Actor, access: Access): void {
  if (access === 'public') return
  if (actor.kind === 'anonymous') throw unauthorized()
  if (!access.some((grant) => holds(actor, grant))) throw forbidden()
}

function holds(actor: Actor, grant: Exclude<Access, 'public'>[number]): boolean {
  switch (actor.kind) {
    case 'customer':
      return grant === 'customer'
    case 'order':
      return grant === 'order-token'
    case 'staff':
      return grant === 'staff' || actor.permissions.has(grant as Permission)
    case 'anonymous':
    case 'system':
      return false
    default:
      return actor satisfies never
  }
}
