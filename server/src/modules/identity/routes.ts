import { Type } from 'typebox'
import {
  answer,
  endpoint,
  type Answer,
  type Endpoint,
  type HttpFacts,
} from '../../http/endpoint.ts'
import { forbidden } from '../../kernel/errors.ts'
import type { Business } from '../../platform/context.ts'
import { isCrossSite } from './rules.ts'
import {
  alreadySetUp,
  Credentials,
  emailTaken,
  FirstAdmin,
  invalidCredentials,
  invalidRefreshToken,
  invalidSetupToken,
  PasswordChange,
  Registered,
  Registration,
  Session,
  SessionParams,
  SignedIn,
  StaffCredentials,
  User,
  wrongPassword,
  type Audience,
} from './schema.ts'
import { getMe } from './usecases/authenticate.ts'
import { changePassword } from './usecases/change-password.ts'
import { setUpFirstAdmin } from './usecases/first-admin.ts'
import { register } from './usecases/register.ts'
import {
  endOtherSessions,
  endOwnSession,
  getSession,
  listSessions,
  refreshSession,
  signOut,
  type Device,
  type OpenedSession,
} from './usecases/sessions.ts'
import { signIn } from './usecases/sign-in.ts'

/** Each audience's cookie is sent to its own endpoints only. */
const cookies: Readonly<Record<Audience, { name: string; path: `/api/auth${string}` }>> = {
  customer: { name: 'bureau_refresh', path: '/api/auth' },
  staff: { name: 'bureau_admin_refresh', path: '/api/auth/admin' },
}

const userExample = {
  id: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za',
  email: 'ada@example.com',
  name: 'Ada Lovelace',
  role: 'customer',
  permissions: [],
  customerId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3zb',
  emailVerified: false,
  mfaEnabled: false,
  version: 1,
  createdAt: '2026-11-22T16:40:21.000Z',
}
const staffExample = { ...userExample, role: 'agent', permissions: ['crm:read'], customerId: null }
const accessExample = { accessToken: 'eyJhbGciOiJFUzI1NiIs…', expiresIn: 900 }
const signedInExample = { user: userExample, ...accessExample }
const passwordExample = 'violet teapot on the moor'
const sessionExample = {
  id: 'ses_01jd8q9yg8e5v9c0m4t7k2x3zc',
  current: true,
  userAgent: 'Mozilla/5.0',
  address: '203.0.113.7',
  createdAt: '2026-11-22T16:40:21.000Z',
  refreshedAt: '2026-11-22T16:40:21.000Z',
  expiresAt: '2026-12-22T16:40:21.000Z',
}

const signInRoutes: readonly Endpoint[] = [
  endpoint(
    'POST /api/auth/register',
    {
      summary: 'Register as a customer',
      description:
        'Signs in at once and sets the refresh cookie. Where the business verifies e-mails first ' +
        'the answer is always 202 with an empty object and a mail follows, so that nobody can ' +
        'tell whether the e-mail was known.',
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
      description: 'Knows staff only; the credentials of a customer never work here.',
      access: 'public',
      body: StaffCredentials,
      reply: SignedIn,
      errors: [invalidCredentials],
      limit: 'auth',
      idempotency: 'none',
      example: {
        body: { email: 'sam@example.com', password: passwordExample },
        reply: { user: staffExample, ...accessExample },
      },
    },
    async (ctx, { body: { email, password }, http }) =>
      withCookie(
        await signIn(ctx, {
          audience: 'staff',
          credentials: { email, password },
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
        reply: { user: { ...staffExample, role: 'admin' }, ...accessExample },
      },
    },
    async (ctx, { body, http }) => withCookie(await setUpFirstAdmin(ctx, body, deviceOf(http))),
  ),
]

const cookieRoutes: readonly Endpoint[] = (['customer', 'staff'] as const).flatMap((audience) => {
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
})

const ownRoutes: readonly Endpoint[] = [
  endpoint(
    'GET /api/auth/me',
    {
      summary: 'Read who is signed in',
      access: ['customer', 'staff'],
      reply: User,
      example: { reply: userExample },
    },
    async (ctx) => await getMe(ctx),
  ),
  endpoint(
    'POST /api/auth/password/change',
    {
      summary: 'Change the own password',
      description: 'Ends all sessions of the login and answers with a new one and its cookie.',
      access: ['customer', 'staff'],
      body: PasswordChange,
      reply: SignedIn,
      errors: [wrongPassword],
      limit: 'auth',
      idempotency: 'none',
      example: {
        body: { currentPassword: passwordExample, newPassword: 'eleven herons over a pond' },
        reply: signedInExample,
      },
    },
    async (ctx, { body, http }) => withCookie(await changePassword(ctx, body, deviceOf(http))),
  ),
  endpoint(
    'GET /api/auth/sessions',
    {
      summary: 'List the own sessions',
      description: 'Those that are alive, one a device.',
      access: ['customer', 'staff'],
      list: { sorts: ['createdAt'], defaultSort: '-createdAt' },
      reply: Session,
      example: { reply: { data: [sessionExample], nextCursor: null } },
    },
    async (ctx, { page }) => await listSessions(ctx, page),
  ),
  endpoint(
    'DELETE /api/auth/sessions',
    {
      summary: 'Sign out all other devices',
      access: ['customer', 'staff'],
      reply: Type.Null(),
      status: 204,
      example: {},
    },
    async (ctx) => {
      await endOtherSessions(ctx)
      return null
    },
  ),
  endpoint(
    'GET /api/auth/sessions/:id',
    {
      summary: 'Read an own session',
      access: ['customer', 'staff'],
      params: SessionParams,
      reply: Session,
      example: { params: { id: sessionExample.id }, reply: sessionExample },
    },
    async (ctx, { params }) => await getSession(ctx, params.id),
  ),
  endpoint(
    'DELETE /api/auth/sessions/:id',
    {
      summary: 'Sign out one device',
      access: ['customer', 'staff'],
      params: SessionParams,
      reply: Type.Null(),
      status: 204,
      example: { params: { id: sessionExample.id } },
    },
    async (ctx, { params }) => {
      await endOwnSession(ctx, params.id)
      return null
    },
  ),
]

export const routes: readonly Endpoint[] = [...signInRoutes, ...cookieRoutes, ...ownRoutes]

function withCookie({
  audience,
  reply,
  refreshToken,
  refreshSeconds,
}: OpenedSession): Answer<SignedIn> {
  const cookie = { ...cookies[audience], value: refreshToken, maxAgeSeconds: refreshSeconds }
  return answer(reply, { cookies: [cookie] })
}

function deviceOf({ headers }: HttpFacts): Device {
  return { userAgent: headerOf(headers, 'user-agent') }
}

/** The cookie is SameSite=Strict; this holds where old browsers or sibling hosts get past that. */
function refuseCrossSite({ publicUrl, allowedOrigins }: Business, { headers }: HttpFacts): void {
  const origin = headerOf(headers, 'origin')
  const site = headerOf(headers, 'sec-fetch-site')
  if (isCrossSite({ origin, site }, [publicUrl, ...allowedOrigins])) {
    throw forbidden({ detail: 'A page of another site sent this.' })
  }
}

function headerOf(headers: HttpFacts['headers'], name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}
