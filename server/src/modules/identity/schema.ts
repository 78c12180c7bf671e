import { Type, type Static } from 'typebox'
import { secret } from '../../http/compile.ts'
import { defineError } from '../../kernel/errors.ts'
import { permissions, staffRoles } from '../../kernel/permissions.ts'
import {
  Email,
  idOf,
  Instant,
  Name,
  nullable,
  oneOf,
  Phone,
  strictObject,
} from '../../kernel/shapes.ts'

export const audiences = ['customer', 'staff'] as const
/** Whom a login and its tokens are for; one person may have one login in each. */
export type Audience = (typeof audiences)[number]

export const userRoles = ['customer', ...staffRoles] as const
export type UserRole = (typeof userRoles)[number]

export const minPasswordLength = 12
export const maxPasswordLength = 128

/**
 * A password as it is typed to sign in. Lengths count code points after NFC, which may be fewer
 * than were sent: the bound on the wire only keeps huge ones out.
 */
const GivenPassword = Type.String({ minLength: 1, maxLength: 4 * maxPasswordLength })

const NewPassword = Type.String({
  minLength: minPasswordLength,
  maxLength: 4 * maxPasswordLength,
  description:
    `${minPasswordLength} to ${maxPasswordLength} characters of any kind; common passwords and ` +
    'your own e-mail or name are refused',
  examples: ['violet teapot on the moor'],
})

export const Registration = strictObject({ email: Email, password: NewPassword, name: Name })
export type Registration = Static<typeof Registration>

export const Credentials = strictObject({ email: Email, password: GivenPassword })
export type Credentials = Static<typeof Credentials>

export const StaffCredentials = strictObject({
  email: Email,
  password: GivenPassword,
  totp: Type.Optional(Type.String({ pattern: '^[0-9]{6}$', description: 'of the second factor' })),
})
export type StaffCredentials = Static<typeof StaffCredentials>

export const FirstAdmin = strictObject({
  token: Type.String({ minLength: 1, maxLength: 200, description: 'of the set-up link' }),
  email: Email,
  name: Name,
  password: NewPassword,
})
export type FirstAdmin = Static<typeof FirstAdmin>

export const PasswordChange = strictObject({
  currentPassword: GivenPassword,
  newPassword: NewPassword,
})
export type PasswordChange = Static<typeof PasswordChange>

/** What a new record of a customer is made of. */
export interface CustomerDetails {
  readonly email: string
  readonly name: string
  readonly phone?: string | null
}

/** What a new login for staff is made of. */
export interface StaffDetails {
  readonly email: string
  readonly name: string
  readonly password: string
  readonly role: (typeof staffRoles)[number]
}

/** A customer's record, with or without a login. */
export const CustomerRecord = Type.Object({
  id: idOf('cus'),
  email: Email,
  name: Name,
  phone: nullable(Phone),
  version: Type.Integer(),
})
export type CustomerRecord = Static<typeof CustomerRecord>

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

const signedIn = {
  user: User,
  accessToken: secret(Type.String({ description: 'sent as `Authorization: Bearer …`' })),
  expiresIn: Type.Integer({ description: 'seconds until the access token ends', examples: [900] }),
}

/** The reply to a sign-in; the refresh token travels beside it, in a cookie. */
export const SignedIn = Type.Object(signedIn)
export type SignedIn = Static<typeof SignedIn>

/** Empty where the e-mail has to be verified first. */
export const Registered = Type.Partial(SignedIn)
export type Registered = Static<typeof Registered>

export const SessionParams = strictObject({ id: idOf('ses') })

export const Session = Type.Object({
  id: idOf('ses'),
  current: Type.Boolean({ description: 'whether it is the one that asks' }),
  userAgent: nullable(Type.String()),
  address: nullable(Type.String()),
  createdAt: Instant,
  refreshedAt: Instant,
  expiresAt: Instant,
})
export type Session = Static<typeof Session>

export const emailTaken = defineError(409, 'email_taken', 'There is a login with this e-mail.')
export const invalidCredentials = defineError(
  401,
  'invalid_credentials',
  'The e-mail or the password is wrong.',
)
export const invalidRefreshToken = defineError(
  401,
  'invalid_refresh_token',
  'The session has ended. Sign in again.',
)
export const invalidSetupToken = defineError(
  401,
  'invalid_setup_token',
  'The set-up link is wrong or has expired; a restart prints a new one.',
)
export const alreadySetUp = defineError(409, 'already_set_up', 'There is staff already.')
export const wrongPassword = defineError(422, 'wrong_password', 'The current password is wrong.')
export const lastAdmin = defineError(409, 'last_admin', 'One active admin must remain.')
