import { Type } from 'typebox'
import { staffRoles } from '../../kernel/permissions.ts'
import { idOf, oneOf } from '../../kernel/shapes.ts'
import { defineEvent } from '../../platform/events.ts'
import { audiences, userRoles } from './schema/index.ts'

const Nothing = Type.Object({})
const Fields = Type.Object({ fields: Type.Array(Type.String()) })

/** Root: the customer. A record without a login came to be. */
export const CustomerCreated = defineEvent('customer.created', { data: Nothing })

/** Root: the customer. A record came to be together with its login. */
export const CustomerRegistered = defineEvent('customer.registered', {
  data: Type.Object({ userId: idOf('usr') }),
})

/** Root: the customer. Names of the fields that changed. */
export const CustomerUpdated = defineEvent('customer.updated', { data: Fields })

/**
 * Root: the record that passed on. Its e-mail was proved by the login that owns the record
 * `ownerId`: whatever names this one is to name that one.
 */
export const CustomerClaimed = defineEvent('customer.claimed', {
  data: Type.Object({ ownerId: idOf('cus') }),
})

/** Root: the login. */
export const UserCreated = defineEvent('user.created', {
  data: Type.Object({ audience: oneOf(audiences), role: oneOf(userRoles) }),
})

/** Root: the login. Names of the fields that changed. */
export const UserUpdated = defineEvent('user.updated', { data: Fields })

/** Root: the login. */
export const UserRoleChanged = defineEvent('user.role_changed', {
  data: Type.Object({ from: oneOf(staffRoles), to: oneOf(staffRoles) }),
})

/** Root: the login. */
export const UserPasswordChanged = defineEvent('user.password_changed', { data: Nothing })

/** Root: the login. Its password was set with a mailed link. */
export const UserPasswordReset = defineEvent('user.password_reset', { data: Nothing })

/** Root: the login. */
export const UserDeactivated = defineEvent('user.deactivated', { data: Nothing })

/** Root: the login. */
export const UserReactivated = defineEvent('user.reactivated', { data: Nothing })

/** Root: the login. A mailed link proved that the e-mail is its own. */
export const UserEmailVerified = defineEvent('user.email_verified', { data: Nothing })

/** Root: the login. */
export const SecondFactorActivated = defineEvent('user.second_factor_activated', { data: Nothing })

/** Root: the login. By its owner, or by a colleague where the authenticator is lost. */
export const SecondFactorRemoved = defineEvent('user.second_factor_removed', {
  data: Type.Object({ by: oneOf(['owner', 'colleague']) }),
})

/** Root: the login. */
export const RecoveryCodeUsed = defineEvent('user.recovery_code_used', {
  data: Type.Object({ left: Type.Integer() }),
})

/** Root: the login, or the one that will be once its e-mail is proved. A mail is to go out. */
export const EmailVerificationRequested = defineEvent('user.email_verification_requested', {
  data: Nothing,
})

/** Root: the login. A mail is to go out. */
export const PasswordResetRequested = defineEvent('user.password_reset_requested', {
  data: Nothing,
})

/** Root: the colleague's login. A mail is to go out. */
export const StaffInvited = defineEvent('user.invited', { data: Nothing })

/**
 * Root: the login. Somebody has tried to register with its e-mail where nobody is told that it is
 * taken. A mail that says so is to go out.
 */
export const RegistrationRepeated = defineEvent('user.registration_repeated', { data: Nothing })

/** Root: the session; its first fact. Refreshing it is none, nor is its running out. */
export const SessionStarted = defineEvent('session.started', {
  data: Type.Object({ userId: idOf('usr'), audience: oneOf(audiences) }),
})

export const sessionEndReasons = [
  'signed_out',
  'ended_by_user',
  'password_changed',
  'password_reset',
  'role_changed',
  'second_factor_changed',
  'deactivated',
  'token_reused',
  'too_many',
] as const
export type SessionEndReason = (typeof sessionEndReasons)[number]

/** Root: the session; its second and last fact. */
export const SessionEnded = defineEvent('session.ended', {
  data: Type.Object({ userId: idOf('usr'), reason: oneOf(sessionEndReasons) }),
})

export const events = [
  CustomerCreated,
  CustomerRegistered,
  CustomerUpdated,
  CustomerClaimed,
  UserCreated,
  UserUpdated,
  UserRoleChanged,
  UserPasswordChanged,
  UserPasswordReset,
  UserDeactivated,
  UserReactivated,
  UserEmailVerified,
  SecondFactorActivated,
  SecondFactorRemoved,
  RecoveryCodeUsed,
  EmailVerificationRequested,
  PasswordResetRequested,
  StaffInvited,
  RegistrationRepeated,
  SessionStarted,
  SessionEnded,
]
