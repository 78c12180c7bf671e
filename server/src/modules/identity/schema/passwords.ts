import { Type, type Static } from 'typebox'
import { strictObject } from '../../../kernel/shapes.ts'

export const minPasswordLength = 12
export const maxPasswordLength = 128

/**
 * A password as it is typed to sign in. Lengths count code points after NFC, which may be fewer
 * than were sent: the bound on the wire only keeps huge ones out.
 */
export const GivenPassword = Type.String({ minLength: 1, maxLength: 4 * maxPasswordLength })

export const NewPassword = Type.String({
  minLength: minPasswordLength,
  maxLength: 4 * maxPasswordLength,
  description:
    `${minPasswordLength} to ${maxPasswordLength} characters of any kind; common passwords and ` +
    'your own e-mail or name are refused',
  examples: ['violet teapot on the moor'],
})

export const PasswordChange = strictObject({
  currentPassword: GivenPassword,
  newPassword: NewPassword,
})
export type PasswordChange = Static<typeof PasswordChange>
