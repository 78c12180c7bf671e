import { newId, type Id } from '../../../kernel/id.ts'
import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import type { DefinedEvent } from '../../../platform/events.ts'
import { emit } from '../../../platform/outbox.ts'
import {
  CustomerRegistered,
  EmailVerificationRequested,
  UserCreated,
  UserEmailVerified,
} from '../events.ts'
import { emailKeyOf } from '../rules.ts'
import { emailTaken, type Registration, type User } from '../schema/index.ts'
import { insertUser, type NewUser, type UserRow } from '../sql/users.ts'
import { writeCustomer } from './customers.ts'
import { hashNewPassword, refuseWeakPassword } from './new-password.ts'
import { noteRegistration } from './registrations.ts'
import { beginSession, openSession, toUser, type Device, type OpenedSession } from './sessions.ts'

/**
 * A customer's login with its record, signed in at once; a mail asks for proof of the e-mail.
 * Undefined where the business verifies e-mails first: then the login comes to be with the proof,
 * and nobody learns whether the e-mail was free. Throws 400 for a weak password, 409 where
 * registration is open and the e-mail is taken, and 429.
 */
export async function register(
  ctx: AppContext,
  registration: Registration,
  device: Device,
): Promise<OpenedSession | undefined> {
  if (ctx.business.registration === 'verify') {
    refuseWeakPassword(ctx, passwordOf(registration))
    await noteRegistration(ctx, registration)
    return undefined
  }
  const passwordHash = await hashNewPassword(ctx, passwordOf(registration))
  const begun = await inTx(ctx, async (ctx) => {
    const user = await writeLogin(ctx, { ...registration, passwordHash }, 'unproved')
    if (!user) throw emailTaken()
    return await beginSession(ctx, user, device)
  })
  return await openSession(ctx, begun)
}

/**
 * A customer's login with its record, without a session and without a mail: whoever calls this
 * vouches for the e-mail. Throws 400 and 409 like `register`.
 */
export async function registerCustomer(
  ctx: AppContext,
  registration: Registration,
): Promise<User & { customerId: Id<'cus'> }> {
  const passwordHash = await hashNewPassword(ctx, passwordOf(registration))
  const user = await inTx(ctx, (ctx) =>
    writeLogin(ctx, { ...registration, passwordHash }, 'vouched for'),
  )
  if (!user) throw emailTaken()
  return { ...toUser(user), customerId: user.customerId }
}

export interface NewLogin {
  /** Where it was given out before. */
  readonly id?: Id<'usr'>
  /** The version that it has by then. */
  readonly version?: number
  readonly email: string
  readonly name: string
  readonly passwordHash: string
}

/** How sure it is that the e-mail is the login's; a proof is an event that others act upon. */
type Assurance = 'unproved' | 'proved' | 'vouched for'

const assurances: Readonly<Record<Assurance, DefinedEvent<typeof UserEmailVerified.data> | null>> =
  {
    unproved: EmailVerificationRequested,
    proved: UserEmailVerified,
    'vouched for': null,
  }

/** Login and record name each other. Undefined, with nothing written, when the e-mail is taken. */
export async function writeLogin(
  ctx: TxContext,
  { id = newId('usr', ctx.now), version = 0, email, name, passwordHash }: NewLogin,
  assurance: Assurance,
): Promise<(UserRow & { customerId: Id<'cus'> }) | undefined> {
  const customerId = newId('cus', ctx.now)
  const following = assurances[assurance]
  const user = await writeUser(ctx, {
    id,
    email,
    name,
    passwordHash,
    customerId,
    audience: 'customer',
    role: 'customer',
    emailVerified: assurance !== 'unproved',
    invitedAt: null,
    version: version + (following ? 2 : 1),
  })
  if (!user) return undefined
  await writeCustomer(ctx, { id: customerId, email, name, userId: id })
  const rootId = id
  const data = { audience: 'customer', role: 'customer' } as const
  await emit(
    ctx,
    CustomerRegistered({ rootId: customerId, rootVersion: 1, data: { userId: id } }),
    UserCreated({ rootId, rootVersion: version + 1, data }),
    ...(following ? [following({ rootId, rootVersion: version + 2, data: {} })] : []),
  )
  return { ...user, customerId }
}

/** Inserts a login. Undefined when its audience knows the e-mail already. */
export async function writeUser(
  ctx: TxContext,
  login: Omit<NewUser, 'emailKey' | 'createdAt'>,
): Promise<UserRow | undefined> {
  const user: NewUser = { ...login, emailKey: emailKeyOf(login.email), createdAt: ctx.now }
  if (!(await insertUser(ctx.db, user))) return undefined
  const { passwordHash: _hash, emailKey: _key, ...known } = user
  return { ...known, mfaEnabled: false, active: true }
}

function passwordOf({ password, email, name }: Registration) {
  return { password, owner: { email, name }, pointer: '/password' }
}
