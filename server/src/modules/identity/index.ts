import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { jobs } from './jobs.ts'
import { routes } from './routes.ts'

export type { CustomerRecord } from './schema.ts'
export { createBearerAuthenticator } from './usecases/authenticate.ts'
export { createCustomerRecord, findCustomer, getCustomer } from './usecases/customers.ts'
export { registerCustomer } from './usecases/register.ts'
export { createSetupToken, ensureFirstAdmin } from './usecases/first-admin.ts'
export { changeRole, createStaffUser, deactivateUser } from './usecases/staff.ts'
export { findUserByEmail, listUserNames, lockStaffRoster } from './sql/users.ts'

export const identityModule: Module = {
  name: 'identity',
  endpoints: routes,
  events,
  listeners: [],
  jobs,
}
