import { defineError } from '../../../kernel/errors.ts'

/** What logins, people and their proofs can be refused with. */

export const emailTaken = defineError(
  409,
  'email_taken',
  'There is a login with this e-mail.',
  'Sign in instead, or ask for a new password; otherwise use another e-mail.',
)
export const invalidCredentials = defineError(
  401,
  'invalid_credentials',
  'The e-mail or the password is wrong.',
  'Check both, and that this is the right door: customers and staff have their own.',
)
export const invalidRefreshToken = defineError(
  401,
  'invalid_refresh_token',
  'The session has ended. Sign in again.',
  'Sign in again with e-mail and password.',
)
export const invalidSetupToken = defineError(
  401,
  'invalid_setup_token',
  'The set-up link is wrong or has expired; a restart prints a new one.',
  'Start Bureau again and open the newest link before it expires.',
)
export const alreadySetUp = defineError(
  409,
  'already_set_up',
  'There is staff already.',
  'Sign in as the admin, or let them invite you.',
)
export const wrongPassword = defineError(
  422,
  'wrong_password',
  'The current password is wrong.',
  'Type the current password again, or have it reset by mail.',
)
export const lastAdmin = defineError(
  409,
  'last_admin',
  'One active admin must remain.',
  'Make another login an admin first.',
)
export const invalidMailedToken = defineError(
  401,
  'invalid_mailed_token',
  'The link is wrong, was used before or has expired; ask for a new one.',
  'Ask for a new mail and open its link once, before it expires.',
)
export const mfaRequired = defineError(
  401,
  'mfa_required',
  'The login has a second factor: send a code of the authenticator, or a recovery code, as `totp`.',
  'Repeat the sign-in with `totp`.',
)
export const ownLogin = defineError(
  403,
  'own_login',
  'Nobody changes the own role, shuts the own login or resets the own second factor: a colleague ' +
    'does.',
  'Ask a colleague with `users:write`.',
)
export const emailVerifiedAlready = defineError(
  409,
  'email_verified_already',
  'The e-mail of the login is proved already.',
  'Read `GET /api/auth/me` again: there is nothing left to prove.',
)
export const invitationAccepted = defineError(
  409,
  'invitation_accepted',
  'No invitation is open: it was taken up, there never was one, or the login is shut.',
  'Open a shut login again first; have a forgotten password reset with ' +
    '`POST /api/auth/password/forgot`.',
)
export const mfaEnabledAlready = defineError(
  409,
  'mfa_enabled_already',
  'The login has a second factor already; disable it first.',
  'Disable the second factor with `POST /api/auth/admin/mfa/disable` first.',
)
export const mfaNotSetUp = defineError(
  409,
  'mfa_not_set_up',
  'There is no second factor to do this with; set one up first.',
  'Set one up with `POST /api/auth/admin/mfa/setup` first.',
)
export const emailOfLogin = defineError(
  409,
  'email_of_login',
  'The customer signs in with this e-mail, so nobody else changes it.',
  'Leave `email` out of the change.',
)
export const customerClaimed = defineError(
  409,
  'customer_claimed',
  'The record has passed to another one of the same person; change that one.',
  'Search the person again with `GET /api/customers`, and change the newest record.',
)
export const passwordRequired = defineError(
  422,
  'password_required',
  'The link alone proves the e-mail and not the login: sign in, or choose the password with it.',
  'Send the access token of the login with it, or a `password`.',
)
export const wrongCode = defineError(
  422,
  'wrong_code',
  'The code is wrong or was used before.',
  'Send the code that the authenticator shows now; each code works once.',
)
