import { Type, type Static } from 'typebox'
import { secret } from '../../../http/compile.ts'
import { strictObject } from '../../../kernel/shapes.ts'
import { GivenPassword } from './passwords.ts'

/** Six digits of the authenticator, or a recovery code as it was shown. */
export const SecondFactorCode = Type.String({
  pattern: '^([0-9]{6}|[0-9A-Za-z]{5}-[0-9A-Za-z]{5})$',
  maxLength: 11,
  description: 'six digits of the authenticator, or a recovery code',
  examples: ['492039'],
})

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
