import { ConfigError, type Config } from '../config.ts'
import { AppError, notFound } from '../kernel/errors.ts'
import { getService, type Service } from '../modules/catalog/index.ts'
import { createSetupToken, ensureFirstAdmin, findUserByEmail } from '../modules/identity/index.ts'
import type { AppContext } from '../platform/context.ts'
import { showcaseSlug } from './catalogue.ts'
import { demoPasswordOf } from './demo-password.ts'
import { demoCustomers, demoNewcomer, demoStaff } from './people.ts'
import { seedBusiness } from './seed-business.ts'

/** What a start found or made, for whoever tells the operator. */
export interface Prepared {
  /** Whether this start filled an empty business with the demo. */
  readonly seeded: boolean
  /** The logins of the demo, as long as their password is the one that they were made with. */
  readonly demo: DemoLogins | undefined
  /** The admin that the environment names, and whether this start made the login. */
  readonly namedAdmin: { readonly email: string; readonly isNew: boolean } | undefined
  /** With this somebody may become the first admin; undefined where there is staff. */
  readonly setupToken: string | undefined
  /** A service that can be bought at once. */
  readonly showcase: Service | undefined
}

export interface DemoLogins {
  readonly staff: readonly string[]
  readonly customers: readonly string[]
  readonly password: string
}

/**
 * What each start does before it tells that it is ready: the demo where it is wanted and nothing is
 * there yet, the admin whom the environment names, and a way in where there is no staff. Throws
 * ConfigError for an ADMIN_PASSWORD that no login may have.
 */
export async function prepareBusiness(config: Config, ctx: AppContext): Promise<Prepared> {
  const seeded = config.demo && (await seedBusiness(ctx))
  const namedAdmin = await provideNamedAdmin(config, ctx)
  return {
    seeded,
    demo: config.demo ? await findDemoLogins(ctx) : undefined,
    namedAdmin,
    setupToken: await createSetupToken(ctx),
    showcase: config.demo ? await findShowcase(ctx) : undefined,
  }
}

async function provideNamedAdmin(config: Config, ctx: AppContext): Promise<Prepared['namedAdmin']> {
  const { adminEmail: email, adminPassword: password } = config
  if (email === undefined || password === undefined) return undefined
  try {
    return { email, isNew: await ensureFirstAdmin(ctx, { email, password }) }
  } catch (error) {
    if (!(error instanceof AppError) || error.status !== 400) throw error
    throw new ConfigError([`ADMIN_PASSWORD ${error.message}.`])
  }
}

/** Nobody is told a password that was changed since. */
async function findDemoLogins(ctx: AppContext): Promise<DemoLogins | undefined> {
  const [admin] = demoStaff
  const login = await findUserByEmail(ctx.db, 'staff', admin.email)
  const password = demoPasswordOf(ctx.secrets)
  if (!login?.active || !(await ctx.passwords.verify(login.passwordHash, password))) {
    return undefined
  }
  return {
    staff: demoStaff.map(({ email }) => email),
    customers: [...Object.values(demoCustomers), demoNewcomer].map(({ email }) => email),
    password,
  }
}

/** The service as a stranger sees it; undefined once the business no longer sells it. */
async function findShowcase(ctx: AppContext): Promise<Service | undefined> {
  return await getService({ ...ctx, actor: { kind: 'anonymous' } }, showcaseSlug).catch(
    (error: unknown) => {
      if (error instanceof AppError && error.code === notFound.code) return undefined
      throw error
    },
  )
}
