import { Type, type Static } from 'typebox'
import { permissions, staffRoles } from '../../../kernel/permissions.ts'
import { Email, idOf, Instant, Name, nullable, oneOf } from '../../../kernel/shapes.ts'

export const audiences = ['customer', 'staff'] as const
/** Whom a login and its tokens are for; one person may have one login in each. */
export type Audience = (typeof audiences)[number]

export const userRoles = ['customer', ...staffRoles] as const
export type UserRole = (typeof userRoles)[number]

export const User = Type.Object(
  {
    id: idOf('usr'),
    email: Email,
    name: Name,
    role: oneOf(userRoles),
    permissions: Type.Array(oneOf(permissions), { description: 'of staff; empty for customers' }),
    customerId: nullable(idOf('cus')),
    emailVerified: Type.Boolean(),
    mfaEnabled: Type.Boolean(),
    version: Type.Integer(),
    createdAt: Instant,
  },
  { description: 'A login and what it may do.' },
)
export type User = Static<typeof User>
