import { Type } from 'typebox'
import { endpoint, type Endpoint } from '../../../http/endpoint.ts'
import {
  mfaEnabledAlready,
  mfaNotSetUp,
  RecoveryCodes,
  SecondFactorActivation,
  SecondFactorRemoval,
  SecondFactorSetup,
  wrongCode,
  wrongPassword,
} from '../schema/index.ts'
import {
  activateSecondFactor,
  disableSecondFactor,
  setUpSecondFactor,
} from '../usecases/second-factor.ts'
import { passwordExample } from './examples.ts'

const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'

export const secondFactorRoutes: readonly Endpoint[] = [
  endpoint(
    'POST /api/auth/admin/mfa/setup',
    {
      summary: 'Begin with a second factor',
      description:
        'A new secret for an authenticator app. Nothing is asked for before it is activated; ' +
        'asking again replaces it.',
      access: ['staff'],
      reply: SecondFactorSetup,
      errors: [mfaEnabledAlready],
      limit: 'auth',
      idempotency: 'none',
      example: {
        reply: {
          secret,
          uri: `otpauth://totp/Bureau:sam%40example.com?issuer=Bureau&secret=${secret}`,
        },
      },
    },
    async (ctx) => await setUpSecondFactor(ctx),
  ),
  endpoint(
    'POST /api/auth/admin/mfa/activate',
    {
      summary: 'Activate the second factor',
      description:
        'With a code of the authenticator. Answers with ten recovery codes, which are shown this ' +
        'once, and signs the other devices out.',
      access: ['staff'],
      body: SecondFactorActivation,
      reply: RecoveryCodes,
      errors: [mfaEnabledAlready, mfaNotSetUp, wrongCode],
      limit: 'auth',
      idempotency: 'none',
      example: { body: { code: '492039' }, reply: { recoveryCodes: ['4k8vq-z0m2x'] } },
    },
    async (ctx, { body }) => await activateSecondFactor(ctx, body.code),
  ),
  endpoint(
    'POST /api/auth/admin/mfa/disable',
    {
      summary: 'Disable the second factor',
      description: 'With the password and a code or recovery code. Signs the other devices out.',
      access: ['staff'],
      body: SecondFactorRemoval,
      reply: Type.Null(),
      status: 204,
      errors: [mfaNotSetUp, wrongPassword, wrongCode],
      limit: 'auth',
      idempotency: 'none',
      example: { body: { password: passwordExample, code: '492039' } },
    },
    async (ctx, { body }) => {
      await disableSecondFactor(ctx, body)
      return null
    },
  ),
]
