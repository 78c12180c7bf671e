import { Type, type Static } from 'typebox'
import { secret } from '../../../http/compile.ts'
import { Email, idOf, Instant, Name, nullable, strictObject } from '../../../kernel/shapes.ts'
import { User } from './logins.ts'
import { GivenPassword, NewPassword } from './passwords.ts'
import { SecondFactorCode } from './second-factor.ts'

export const Registration = strictObject({ email: Email, password: NewPassword, name: Name })
export type Registration = Static<typeof Registration>

export const Credentials = strictObject({ email: Email, password: GivenPassword })
export type Credentials = Static<typeof Credentials>

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
