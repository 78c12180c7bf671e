import type { Id } from '../../../kernel/id.ts'
import type { CustomerDetail, StaffUser, User } from '../schema/index.ts'

/** What the worked examples of the endpoints have in common. */

export const userExample: User = {
  id: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za' as Id<'usr'>,
  email: 'ada@example.com',
  name: 'Ada Lovelace',
  role: 'customer',
  permissions: [],
  customerId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3zb' as Id<'cus'>,
  emailVerified: false,
  mfaEnabled: false,
  version: 2,
  createdAt: '2026-11-22T16:40:21.000Z',
}

/** A colleague's login as its owner sees it. */
export const colleagueExample: User = {
  ...userExample,
  email: 'sam@example.com',
  name: 'Sam Carter',
  role: 'agent',
  permissions: ['crm:read'],
  customerId: null,
}

export const staffExample: StaffUser = { ...colleagueExample, active: true, invitedAt: null }

export const customerExample: CustomerDetail = {
  id: 'cus_01jd8q9yg8e5v9c0m4t7k2x3zb' as Id<'cus'>,
  email: 'ada@example.com',
  name: 'Ada Lovelace',
  phone: '+44 20 7946 0000',
  hasLogin: true,
  claimedBy: null,
  version: 3,
  createdAt: '2026-11-22T16:40:21.000Z',
  updatedAt: '2026-11-22T16:40:21.000Z',
  login: {
    userId: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za' as Id<'usr'>,
    email: 'ada@example.com',
    emailVerified: true,
    active: true,
    createdAt: '2026-11-22T16:40:21.000Z',
  },
}

export const passwordExample = 'violet teapot on the moor'
export const newPasswordExample = 'eleven herons over a pond'
export const mailedTokenExample =
  'usr_01jd8q9yg8e5v9c0m4t7k2x3za.lRr2zOqM0m1nqZ0b3v0c7k0m2k5H0m8s1dQ1kqkqT0E'

export const accessExample = { accessToken: 'eyJhbGciOiJFUzI1NiIs…', expiresIn: 900 }
export const signedInExample = { user: userExample, ...accessExample }
