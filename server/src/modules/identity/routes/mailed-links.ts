import { Type } from 'typebox'
import { endpoint, type Endpoint } from '../../../http/endpoint.ts'
import {
  EmailProof,
  emailTaken,
  emailVerifiedAlready,
  ForgottenPassword,
  invalidMailedToken,
  Nothing,
  passwordRequired,
  PasswordReset,
  User,
} from '../schema/index.ts'
import { requestPasswordReset, resetPassword } from '../usecases/reset-password.ts'
import { requestEmailVerification, verifyEmail } from '../usecases/verify-email.ts'
import { mailedTokenExample, newPasswordExample, userExample } from './examples.ts'

export const mailedLinkRoutes: readonly Endpoint[] = [
  endpoint(
    'POST /api/auth/email/verify',
    {
      summary: 'Prove an e-mail with a mailed link',
      description:
        'The link proves the mailbox, not whose login it is: send the access token of the login ' +
        'with it, or the password. That one is the password of the login from then on; where it ' +
        'was another, all sessions end. Orders and cases of records without a login that have ' +
        'the e-mail pass to the customer. Signs nobody in.',
      access: 'public',
      body: EmailProof,
      reply: User,
      errors: [invalidMailedToken, passwordRequired, emailTaken],
      limit: 'verifyByAddress',
      idempotency: 'none',
      example: {
        body: { token: mailedTokenExample, password: newPasswordExample },
        reply: { ...userExample, emailVerified: true, version: 3 },
      },
    },
    async (ctx, { body }) => await verifyEmail(ctx, body),
  ),
  endpoint(
    'POST /api/auth/email/verify/resend',
    {
      summary: 'Ask for another link that proves the own e-mail',
      description: 'The two newest links work, for a day each. Five an hour.',
      access: ['customer'],
      reply: Nothing,
      status: 202,
      errors: [emailVerifiedAlready],
      limit: 'auth',
      idempotency: 'none',
      example: { reply: {} },
    },
    async (ctx) => {
      await requestEmailVerification(ctx)
      return {}
    },
  ),
  endpoint(
    'POST /api/auth/password/forgot',
    {
      summary: 'Ask for a link that sets a forgotten password',
      description:
        'Answers alike, and in like time, whether there is such a login or not. The link works ' +
        'once, for an hour. Five an hour for one e-mail, known or not.',
      access: 'public',
      body: ForgottenPassword,
      reply: Nothing,
      status: 202,
      limit: 'forgotByAddress',
      idempotency: 'none',
      example: { body: { email: 'ada@example.com' }, reply: {} },
    },
    async (ctx, { body }) => {
      await requestPasswordReset(ctx, body)
      return {}
    },
  ),
  endpoint(
    'POST /api/auth/password/reset',
    {
      summary: 'Set a password with a mailed link',
      description:
        'With the link of a forgotten password, or of an invitation. It works once, ends all ' +
        'sessions and proves the e-mail. Signs nobody in. A password that is refused leaves the ' +
        'link good.',
      access: 'public',
      body: PasswordReset,
      reply: Type.Null(),
      status: 204,
      errors: [invalidMailedToken],
      limit: 'verifyByAddress',
      idempotency: 'none',
      example: { body: { token: mailedTokenExample, password: newPasswordExample } },
    },
    async (ctx, { body }) => {
      await resetPassword(ctx, body)
      return null
    },
  ),
]
