import { Type } from 'typebox'
import { answer, endpoint, type Answer, type Endpoint } from '../../../http/endpoint.ts'
import type { Id } from '../../../kernel/id.ts'
import {
  emailTaken,
  Invitation,
  invitationAccepted,
  lastAdmin,
  ownLogin,
  StaffFilters,
  StaffPatch,
  StaffUser,
  UserParams,
} from '../schema/index.ts'
import { inviteAgain, inviteStaff } from '../usecases/invite-staff.ts'
import { getStaff, listStaff, resetSecondFactor, updateStaff } from '../usecases/staff.ts'
import { staffExample } from './examples.ts'

const params = { id: staffExample.id }
const invitedExample: StaffUser = {
  ...staffExample,
  invitedAt: '2026-11-22T16:40:21.000Z',
}

export const staffRoutes: readonly Endpoint[] = [
  endpoint(
    'GET /api/users',
    {
      summary: 'List the staff',
      access: ['users:read'],
      query: StaffFilters,
      list: { sorts: ['createdAt', 'name'], defaultSort: '-createdAt' },
      reply: StaffUser,
      example: {
        query: { role: 'agent', active: 'true' },
        reply: { data: [staffExample], nextCursor: null },
      },
    },
    async (ctx, { page, query }) => await listStaff(ctx, { page, filters: query }),
  ),
  endpoint(
    'POST /api/users',
    {
      summary: 'Invite a colleague',
      description:
        'A mail brings the link with which they choose a password, for three days. Until then ' +
        'nobody can sign in.',
      access: ['users:write'],
      body: Invitation,
      reply: StaffUser,
      status: 201,
      errors: [emailTaken],
      idempotency: { resume: async (ctx, id) => invited(await getStaff(ctx, id as Id<'usr'>)) },
      example: {
        body: { email: 'sam@example.com', name: 'Sam Carter', role: 'agent' },
        reply: invitedExample,
      },
    },
    async (ctx, { body }) => invited(await inviteStaff(ctx, body)),
  ),
  endpoint(
    'GET /api/users/:id',
    {
      summary: 'Read a colleague',
      access: ['users:read'],
      params: UserParams,
      reply: StaffUser,
      example: { params, reply: staffExample },
    },
    async (ctx, { params }) => await getStaff(ctx, params.id),
  ),
  endpoint(
    'PATCH /api/users/:id',
    {
      summary: 'Change a colleague',
      description:
        'Another role or a shut login ends the sessions: from the next request on this node and ' +
        'within a second on every other. Nobody changes the own role, and one admin remains.',
      access: ['users:write'],
      params: UserParams,
      body: StaffPatch,
      reply: StaffUser,
      errors: [ownLogin, lastAdmin],
      idempotency: { resume: async (ctx, id) => await getStaff(ctx, id as Id<'usr'>) },
      example: { params, body: { role: 'manager' }, reply: { ...staffExample, role: 'manager' } },
    },
    async (ctx, { params, body, ifMatch }) =>
      await updateStaff(ctx, { userId: params.id, patch: body, ifMatch }),
  ),
  endpoint(
    'POST /api/users/:id/invitation',
    {
      summary: 'Invite a colleague again',
      description: 'Mails a new link; the one before works too. Five an hour for one colleague.',
      access: ['users:write'],
      params: UserParams,
      reply: StaffUser,
      status: 202,
      errors: [invitationAccepted],
      idempotency: { resume: async (ctx, id) => await getStaff(ctx, id as Id<'usr'>) },
      example: { params, reply: invitedExample },
    },
    async (ctx, { params }) => await inviteAgain(ctx, params.id),
  ),
  endpoint(
    'DELETE /api/users/:id/mfa',
    {
      summary: 'Reset the second factor of a colleague',
      description:
        'For a lost authenticator without recovery codes. Signs the colleague out; the password ' +
        'alone signs in again. 204 also where there was none.',
      access: ['users:write'],
      params: UserParams,
      reply: Type.Null(),
      status: 204,
      errors: [ownLogin],
      example: { params },
    },
    async (ctx, { params, ifMatch }) => {
      await resetSecondFactor(ctx, params.id, ifMatch)
      return null
    },
  ),
]

function invited(user: StaffUser): Answer<StaffUser> {
  return answer(user, { headers: { Location: `/api/users/${user.id}` } })
}
