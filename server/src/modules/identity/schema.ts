import { Type, type Static } from 'typebox'
import { secret } from '../../http/compile.ts'
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

export * from './schema/errors.ts'

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

/** Six digits of the authenticator, or a recovery code as it was shown. */
const SecondFactorCode = Type.String({
  pattern: '^([0-9]{6}|[0-9A-Za-z]{5}-[0-9A-Za-z]{5})$',
  maxLength: 11,
  description: 'six digits of the authenticator, or a recovery code',
  examples: ['492039'],
})

export const StaffCredentials = strictObject({
  email: Email,
  password: GivenPassword,
  totp: Type.Optional(SecondFactorCode),
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

/** As it stands in a mailed link. */
const MailedToken = Type.String({
  minLength: 1,
  maxLength: 200,
  description: 'of the mailed link',
  examples: ['usr_01jd8q9yg8e5v9c0m4t7k2x3za.lRr2zOqM0m1nqZ0b3v0c7k0m2k5H0m8s1dQ1kqkqT0E'],
})

export const EmailProof = strictObject({
  token: MailedToken,
  password: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 4 * maxPasswordLength,
      description:
        "the login's password from now on; needed unless the access token of the login is sent",
    }),
  ),
})
export type EmailProof = Static<typeof EmailProof>

export const ForgottenPassword = strictObject({
  email: Email,
  audience: Type.Optional(
    oneOf(audiences, { description: 'whose login it is; `customer` when absent' }),
  ),
})
export type ForgottenPassword = Static<typeof ForgottenPassword>

export const PasswordReset = strictObject({ token: MailedToken, password: NewPassword })
export type PasswordReset = Static<typeof PasswordReset>

/** What a mailed link is for. */
export const mailPurposes = ['verify_email', 'password_reset', 'staff_invitation'] as const
export type MailPurpose = (typeof mailPurposes)[number]

/** The answer where a mail follows, or does not: nobody is told which. */
export const Nothing = Type.Object({}, { description: 'always empty' })

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

/** A colleague's login as other colleagues see it. */
export const StaffUser = Type.Object(
  {
    ...User.properties,
    active: Type.Boolean({ description: 'whether it may sign in' }),
    invitedAt: nullable(Instant),
  },
  {
    title: 'StaffUser',
    description: 'A login of staff. `invitedAt` stands while its invitation is not taken up.',
  },
)
export type StaffUser = Static<typeof StaffUser>

export const UserParams = strictObject({ id: idOf('usr') })

export const Invitation = strictObject({ email: Email, name: Name, role: oneOf(staffRoles) })
export type Invitation = Static<typeof Invitation>

export const StaffPatch = strictObject({
  name: Type.Optional(Name),
  role: Type.Optional(oneOf(staffRoles)),
  active: Type.Optional(
    Type.Boolean({ description: 'false shuts the login and ends its sessions' }),
  ),
})
export type StaffPatch = Static<typeof StaffPatch>

const Search = Type.String({ minLength: 1, maxLength: 100 })

export const StaffFilters = strictObject({
  role: Type.Optional(oneOf(staffRoles)),
  active: Type.Optional(Type.Boolean()),
  q: Type.Optional({ ...Search, description: 'part of the name or the e-mail' }),
})
export type StaffFilters = Static<typeof StaffFilters>

/** A customer's record as staff see it in a list. */
export const Customer = Type.Object(
  {
    id: idOf('cus'),
    email: Email,
    name: Name,
    phone: nullable(Phone),
    hasLogin: Type.Boolean(),
    claimedBy: nullable(idOf('cus')),
    version: Type.Integer(),
    createdAt: Instant,
    updatedAt: Instant,
  },
  {
    title: 'Customer',
    description:
      'A person who buys. `claimedBy` names the record that this one has passed to, once its ' +
      'e-mail was proved by a login.',
  },
)
export type Customer = Static<typeof Customer>

const CustomerLogin = Type.Object(
  {
    userId: idOf('usr'),
    email: Email,
    emailVerified: Type.Boolean(),
    active: Type.Boolean(),
    createdAt: Instant,
  },
  { title: 'CustomerLogin', description: 'How the customer signs in.' },
)

export const CustomerDetail = Type.Object(
  { ...Customer.properties, login: nullable(CustomerLogin) },
  { title: 'CustomerDetail' },
)
export type CustomerDetail = Static<typeof CustomerDetail>

export const CustomerParams = strictObject({ id: idOf('cus') })

export const NewCustomer = strictObject({
  email: Email,
  name: Name,
  phone: Type.Optional(nullable(Phone)),
})
export type NewCustomer = Static<typeof NewCustomer>

export const CustomerPatch = strictObject({
  email: Type.Optional(Email),
  name: Type.Optional(Name),
  phone: Type.Optional(nullable(Phone)),
})
export type CustomerPatch = Static<typeof CustomerPatch>

export const CustomerFilters = strictObject({
  email: Type.Optional({ ...Email, description: 'the whole e-mail, in letters of any size' }),
  hasLogin: Type.Optional(Type.Boolean()),
  q: Type.Optional({ ...Search, description: 'part of the name, the e-mail or the phone number' }),
})
export type CustomerFilters = Static<typeof CustomerFilters>

export const SecondFactorSetup = Type.Object({
  secret: secret(Type.String({ description: 'in base 32, to type into an authenticator' })),
  uri: secret(Type.String({ description: 'the same as `otpauth:` address, to show as QR code' })),
})
export type SecondFactorSetup = Static<typeof SecondFactorSetup>

export const SecondFactorActivation = strictObject({
  code: Type.String({ pattern: '^[0-9]{6}$', description: 'six digits of the authenticator' }),
})
export type SecondFactorActivation = Static<typeof SecondFactorActivation>

export const RecoveryCodes = Type.Object({
  recoveryCodes: secret(
    Type.Array(Type.String(), { description: 'shown now and never again; each works once' }),
  ),
})
export type RecoveryCodes = Static<typeof RecoveryCodes>

export const SecondFactorRemoval = strictObject({
  password: GivenPassword,
  code: SecondFactorCode,
})
export type SecondFactorRemoval = Static<typeof SecondFactorRemoval>

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
