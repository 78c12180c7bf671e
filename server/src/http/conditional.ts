import { preconditionFailed } from '../kernel/errors.ts'
import type { Actor } from '../platform/context.ts'

/**
 * Entity tags are `"<version>-<view>"`: the aggregate's version, and which view of it was sent,
 * because staff see more of the same version than a customer does.
 */
export type View = 'public' | 'customer' | 'staff'

export function viewOf(actor: Actor): View {
  switch (actor.kind) {
    case 'staff':
    case 'system':
      return 'staff'
    case 'customer':
    case 'order':
      return 'customer'
    case 'anonymous':
      return 'public'
    default:
      return actor satisfies never
  }
}

/** The tag of a representation that has an integer `version`; undefined for any other. */
export function entityTagOf(body: unknown, actor: Actor): string | undefined {
  if (typeof body !== 'object' || body === null || !('version' in body)) return undefined
  return Number.isInteger(body.version) ? `"${String(body.version)}-${viewOf(actor)}"` : undefined
}

/** Whether `If-None-Match` names the tag; weak comparison, as RFC 9110 section 13.1.2 asks. */
export function matchesNoneMatch(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((one) => one.trim().replace(/^W\//, '') === tag)
}

/** The version that `If-Match` asks for; null without one or with `*`. 412 for a foreign tag. */
export function readIfMatch(header: string | undefined): number | null {
  if (header === undefined || header.trim() === '*') return null
  const found = /^"(\d{1,9})-(?:public|customer|staff)"$/.exec(header.trim())
  if (!found)
    throw preconditionFailed({ detail: 'If-Match takes one strong ETag of this resource.' })
  return Number(found[1])
}
