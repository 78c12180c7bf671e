import { Type } from 'typebox'
import { endpoint, type Endpoint } from '../../../http/endpoint.ts'
import {
  PasswordChange,
  Session,
  SessionParams,
  SignedIn,
  User,
  wrongPassword,
} from '../schema/index.ts'
import { getMe } from '../usecases/authenticate.ts'
import { changePassword } from '../usecases/change-password.ts'
import { endOtherSessions, endOwnSession, getSession, listSessions } from '../usecases/sessions.ts'
import { deviceOf, withCookie } from './browser.ts'
import { newPasswordExample, passwordExample, signedInExample, userExample } from './examples.ts'

const sessionExample = {
  id: 'ses_01jd8q9yg8e5v9c0m4t7k2x3zc',
  current: true,
  userAgent: 'Mozilla/5.0',
  address: '203.0.113.7',
  createdAt: '2026-11-22T16:40:21.000Z',
  refreshedAt: '2026-11-22T16:40:21.000Z',
  expiresAt: '2026-12-22T16:40:21.000Z',
}

export const ownRoutes: readonly Endpoint[] = [
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
        body: { currentPassword: passwordExample, newPassword: newPasswordExample },
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
