import { Type } from 'typebox'
import { staffRoles } from '../../kernel/permissions.ts'
import { idOf, oneOf } from '../../kernel/shapes.ts'
import { defineEvent } from '../../platform/events.ts'
import { audiences, userRoles } from './schema.ts'

/** Root: the customer. A record without a login came to be. */
export const customerCreated = defineEvent('customer.created', { data: Type.Object({}) })

/** Root: the customer. A record came to be together with its login. */
export const customerRegistered = defineEvent('customer.registered', {
  data: Type.Object({ userId: idOf('usr') }),
})

/** Root: the login. */
export const userCreated = defineEvent('user.created', {
  data: Type.Object({ audience: oneOf(audiences), role: oneOf(userRoles) }),
})

/** Root: the login. */
export const userRoleChanged = defineEvent('user.role_changed', {
  data: Type.Object({ from: oneOf(staffRoles), to: oneOf(staffRoles) }),
})

/** Root: the login. */
export const userPasswordChanged = defineEvent('user.password_changed', { data: Type.Object({}) })

/** Root: the login. */
export const userDeactivated = defineEvent('user.deactivated', { data: Type.Object({}) })

/** Root: the session; its first fact. Refreshing it is none, nor is its running out. */
export const sessionStarted = defineEvent('session.started', {
  data: Type.Object({ userId: idOf('usr'), audience: oneOf(audiences) }),
})

export const sessionEndReasons = [
  'signed_out',
  'ended_by_user',
  'password_changed',
  'deactivated',
  'token_reused',
  'too_many',
] as const
export type SessionEndReason = (typeof sessionEndReasons)[number]

/** Root: the session; its second and last fact. */
export const sessionEnded = defineEvent('session.ended', {
  data: Type.Object({ userId: idOf('usr'), reason: oneOf(sessionEndReasons) }),
})

export const events = [
  customerCreated,
  customerRegistered,
  userCreated,
  userRoleChanged,
  userPasswordChanged,
  userDeactivated,
  sessionStarted,
  sessionEnded,
]
