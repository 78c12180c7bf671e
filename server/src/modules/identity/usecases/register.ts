import { newId, type Id } from '../../../kernel/id.ts'
import { inTx, type AppContext, type TxContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { customerRegistered, userCreated } from '../events.ts'
import { emailKeyOf } from '../rules.ts'
import { emailTaken, type Registration, type User } from '../schema.ts'
import { insertUser, type NewUser, type UserRow } from '../sql/users.ts'
import { writeCustomer } from './customers.ts'
import { hashNewPassword } from './new-password.ts'
import { beginSession, openSession, toUser, type Device, type OpenedSession } from './sessions.ts'

/**
 * A customer's login with its record, signed in at once. Undefined where the business verifies
 * e-mails first: then nobody learns whether the e-mail was free. Throws 400 for a weak password and
 * 409 where registration is open and the e-mail is taken.
 */
export async function register(
  ctx: AppContext,
  registration: Registration,
  device: Device,
): Promise<OpenedSession | undefined> {
  const passwordHash = await hashFor(ctx, registration)
  if (ctx.business.registration === 'verify') {
    await inTx(ctx, (ctx) => writeLogin(ctx, registration, passwordHash))
    return undefined
  }
  const begun = await inTx(ctx, async (ctx) => {
    const user = await writeLogin(ctx, registration, passwordHash)
    if (!user) throw emailTaken()
    return await beginSession(ctx, user, device)
  })
  return await openSession(ctx, begun)
}

/** A customer's login with its record, without a session. Throws 400 and 409 like `register`. */
export async function registerCustomer(
  ctx: AppContext,
  registration: Registration,
): Promise<User & { customerId: Id<'cus'> }> {
  const passwordHash = await hashFor(ctx, registration)
  const user = await inTx(ctx, (ctx) => writeLogin(ctx, registration, passwordHash))
  if (!user) throw emailTaken()
  return { ...toUser(user), customerId: user.customerId }
}

async function hashFor(ctx: AppContext, { password, ...owner }: Registration): Promise<string> {
  return await hashNewPassword(ctx, { password, owner, pointer: '/password' })
}

/** Login and record name each other. Undefined, with nothing written, when the e-mail is taken. */
async function writeLogin(
  ctx: TxContext,
  { email, name }: Registration,
  passwordHash: string,
): Promise<(UserRow & { customerId: Id<'cus'> }) | undefined> {
  const { now } = ctx
  const userId = newId('usr', now)
  const customerId = newId('cus', now)
  const login = { id: userId, email, name, passwordHash, customerId }
  const user = await writeUser(ctx, { ...login, audience: 'customer', role: 'customer' })
  if (!user) return undefined
  await writeCustomer(ctx, { id: customerId, email, name, userId })
  await emit(
    ctx,
    customerRegistered({ rootId: customerId, rootVersion: 1, data: { userId } }),
    userCreated({
      rootId: userId,
      rootVersion: 1,
      data: { audience: 'customer', role: 'customer' },
    }),
  )
  return { ...user, customerId }
}

/** Inserts a login at version 1. Undefined when its audience knows the e-mail already. */
export async function writeUser(
  ctx: TxContext,
  login: Omit<NewUser, 'emailKey' | 'createdAt'>,
): Promise<UserRow | undefined> {
  const user: NewUser = { ...login, emailKey: emailKeyOf(login.email), createdAt: ctx.now }
  if (!(await insertUser(ctx.db, user))) return undefined
  const { passwordHash: _hash, emailKey: _key, ...known } = user
  return { ...known, emailVerified: false, mfaEnabled: false, active: true, version: 1 }
}
