import { Type } from 'typebox'
import { answer, endpoint, type Endpoint } from '../../../http/endpoint.ts'
import {
  alreadySetUp,
  Credentials,
  emailTaken,
  FirstAdmin,
  invalidCredentials,
  invalidRefreshToken,
  invalidSetupToken,
  mfaRequired,
  Registered,
  Registration,
  SignedIn,
  StaffCredentials,
} from '../schema/index.ts'
import { setUpFirstAdmin } from '../usecases/first-admin.ts'
import { register } from '../usecases/register.ts'
import { refreshSession, signOut } from '../usecases/sessions.ts'
import { signIn } from '../usecases/sign-in.ts'
import { cookies, deviceOf, refuseCrossSite, withCookie } from './browser.ts'
import { accessExample, colleagueExample, passwordExample, signedInExample } from './examples.ts'

export const signInRoutes: readonly Endpoint[] = [
  endpoint(
    'POST /api/auth/register',
    {
      summary: 'Register as a customer',
      description:
        'Signs in at once and sets the refresh cookie; a mail asks for proof of the e-mail. ' +
        'Where the business verifies e-mails first the answer is always 202 with an empty object ' +
        'and a mail follows, so that nobody can tell whether the e-mail was known; the password ' +
        'is then chosen with the link in it.',
      access: 'public',
      body: Registration,
      reply: Registered,
      status: 201,
      alsoStatus: [202],
      errors: [emailTaken],
      limit: 'registerByAddress',
      idempotency: 'none',
      example: {
        body: { email: 'ada@example.com', password: passwordExample, name: 'Ada Lovelace' },
        reply: signedInExample,
      },
    },
    async (ctx, { body, http }) => {
      const session = await register(ctx, body, deviceOf(http))
      return session ? withCookie(session) : answer<Registered>({}, { status: 202 })
    },
  ),
  endpoint(
    'POST /api/auth/login',
    {
      summary: 'Sign in as a customer',
      description:
        'A wrong password, an unknown e-mail and a login that is shut are answered alike. ' +
        'Failures are counted by address and by account: 429 once they are used up.',
      access: 'public',
      body: Credentials,
      reply: SignedIn,
      errors: [invalidCredentials],
      limit: 'auth',
      idempotency: 'none',
      example: {
        body: { email: 'ada@example.com', password: passwordExample },
        reply: signedInExample,
      },
    },
    async (ctx, { body, http }) =>
      withCookie(await signIn(ctx, { audience: 'customer', credentials: body, ...deviceOf(http) })),
  ),
  endpoint(
    'POST /api/auth/admin/login',
    {
      summary: 'Sign in as staff',
      description:
        'Knows staff only; the credentials of a customer never work here. Who has a second ' +
        'factor gets 401 `mfa_required` once the password is right, and asks again with the code.',
      access: 'public',
      body: StaffCredentials,
      reply: SignedIn,
      errors: [invalidCredentials, mfaRequired],
      limit: 'auth',
      idempotency: 'none',
      example: {
        body: { email: 'sam@example.com', password: passwordExample },
        reply: { user: colleagueExample, ...accessExample },
      },
    },
    async (ctx, { body: { email, password, totp: code }, http }) =>
      withCookie(
        await signIn(ctx, {
          audience: 'staff',
          credentials: { email, password },
          code,
          ...deviceOf(http),
        }),
      ),
  ),
  endpoint(
    'POST /api/auth/admin/setup',
    {
      summary: 'Become the first admin',
      description: 'With the one-use token of the link that a start without any staff prints.',
      access: 'public',
      body: FirstAdmin,
      reply: SignedIn,
      status: 201,
      errors: [invalidSetupToken, alreadySetUp],
      limit: 'auth',
      idempotency: 'none',
      example: {
        body: {
          token: 'lRr2zOqM0m1nqZ0b3v0c7k0m2k5H0m8s1dQ1kqkqT0E',
          email: 'sam@example.com',
          name: 'Sam Carter',
          password: passwordExample,
        },
        reply: { user: { ...colleagueExample, role: 'admin' }, ...accessExample },
      },
    },
    async (ctx, { body, http }) => withCookie(await setUpFirstAdmin(ctx, body, deviceOf(http))),
  ),
]

export const cookieRoutes: readonly Endpoint[] = (['customer', 'staff'] as const).flatMap(
  (audience) => {
    const { name, path } = cookies[audience]
    const whose = audience === 'customer' ? 'a customer' : 'staff'
    return [
      endpoint(
        `POST ${path}/refresh`,
        {
          summary: `Refresh the session of ${whose}`,
          description:
            `Takes the cookie \`${name}\`, answers with a new access token and sets the next one. ` +
            'The cookie just exchanged is good for ten seconds more and gets the same successor; ' +
            'later it ends the session. 403 when a page of another site sends it.',
          access: 'public',
          reply: SignedIn,
          errors: [invalidRefreshToken],
          limit: 'auth',
          idempotency: 'none',
          example: { reply: signedInExample },
        },
        async (ctx, { http }) => {
          refuseCrossSite(ctx.business, http)
          return withCookie(await refreshSession(ctx, { audience, cookie: http.cookies[name] }))
        },
      ),
      endpoint(
        `POST ${path}/logout`,
        {
          summary: `Sign out as ${whose}`,
          description:
            'Ends the session of the access token and that of the refresh cookie; one is enough. ' +
            'It holds from the next request on this node and within a second on every other.',
          access: 'public',
          reply: Type.Null(),
          status: 204,
          limit: 'auth',
          idempotency: 'none',
          example: {},
        },
        async (ctx, { http }) => {
          refuseCrossSite(ctx.business, http)
          await signOut(ctx, { audience, cookie: http.cookies[name] })
          return answer(null, { cookies: [{ name, path, value: '', maxAgeSeconds: 0 }] })
        },
      ),
    ]
  },
)
