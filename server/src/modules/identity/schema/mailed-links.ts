import { Type, type Static } from 'typebox'
import { Email, oneOf, strictObject } from '../../../kernel/shapes.ts'
import { audiences } from './logins.ts'
import { maxPasswordLength, NewPassword } from './passwords.ts'

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
