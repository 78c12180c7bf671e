import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { jobs } from './jobs.ts'
import { listeners } from './listeners.ts'
import { routes } from './routes/index.ts'
import { listUserNames } from './sql/users.ts'
import { signingKeysCheck } from './usecases/check-keys.ts'

export {
  CustomerClaimed,
  CustomerRegistered,
  EmailVerificationRequested,
  PasswordResetRequested,
  RegistrationRepeated,
  StaffInvited,
} from './events.ts'
export { emailKeyOf } from './rules.ts'
export type { CustomerRecord, MailPurpose } from './schema/index.ts'
export { createBearerAuthenticator } from './usecases/authenticate.ts'
export {
  createCustomerRecord,
  findCustomer,
  getCustomer,
  lockCustomerRecord,
} from './usecases/customers.ts'
export { createSetupToken, ensureFirstAdmin } from './usecases/first-admin.ts'
export { inviteStaff } from './usecases/invite-staff.ts'
export { issueMailToken } from './usecases/mail-tokens.ts'
export { register, registerCustomer } from './usecases/register.ts'
export { announcePasswordReset } from './usecases/reset-password.ts'
export { createStaffUser, updateStaff } from './usecases/staff.ts'
export { verifyEmail } from './usecases/verify-email.ts'
export { findUserByEmail, hasStaff, listUserNames, lockStaffRoster, namesOf } from './sql/users.ts'

export const identityModule: Module = {
  name: 'identity',
  endpoints: routes,
  events,
  listeners,
  jobs,
  checks: [signingKeysCheck],
  actorNames: listUserNames,
}
