import { Type, type Static } from 'typebox'
import { staffRoles, type StaffRole } from '../../../kernel/permissions.ts'
import {
  Email,
  idOf,
  Instant,
  Name,
  nullable,
  oneOf,
  strictObject,
  searchedIn,
} from '../../../kernel/shapes.ts'
import { User } from './logins.ts'

/** What a new login for staff is made of. */
export interface StaffDetails {
  readonly email: string
  readonly name: string
  readonly password: string
  readonly role: StaffRole
}

/** A colleague's login as other colleagues see it. */
export const StaffUser = Type.Object(
  {
    ...User.properties,
    active: Type.Boolean({ description: 'whether it may sign in' }),
    invitedAt: nullable(Instant),
  },
  {
    title: 'StaffUser',
    description: 'A login of staff. `invitedAt` stands while its invitation is not taken up.',
  },
)
export type StaffUser = Static<typeof StaffUser>

export const UserParams = strictObject({ id: idOf('usr') })

export const Invitation = strictObject({ email: Email, name: Name, role: oneOf(staffRoles) })
export type Invitation = Static<typeof Invitation>

export const StaffPatch = strictObject({
  name: Type.Optional(Name),
  role: Type.Optional(oneOf(staffRoles)),
  active: Type.Optional(
    Type.Boolean({ description: 'false shuts the login and ends its sessions' }),
  ),
})
export type StaffPatch = Static<typeof StaffPatch>

export const StaffFilters = strictObject({
  role: Type.Optional(oneOf(staffRoles)),
  active: Type.Optional(Type.Boolean()),
  q: Type.Optional(searchedIn('the name or the e-mail')),
})
export type StaffFilters = Static<typeof StaffFilters>
