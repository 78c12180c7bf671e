import { AppError } from '../kernel/errors.ts'
import { newKey } from '../kernel/id.ts'
import type { PageRequest } from '../kernel/page.ts'
import { listCategories, listServices } from '../modules/catalog/index.ts'
import { lockStaffRoster } from '../modules/identity/index.ts'
import { listOrders } from '../modules/orders/index.ts'
import type { AppContext } from '../platform/context.ts'
import type { Tx } from '../platform/database.ts'
import { publishCatalogue } from './catalogue.ts'
import { demoPasswordOf } from './demo-password.ts'
import { demoLoginCount, introducePeople, scene } from './people.ts'
import { tellStory } from './story.ts'

/** Another starter seeds meanwhile: so often is it waited for, three seconds each time. */
const maxWaits = 20

/**
 * Fills an empty business with the demo and says whether it did. The whole demo is one transaction
 * that holds the staff's one row: a crash in the middle leaves the business empty for the next
 * start, and of two starters the second waits and then finds nothing to do. Where a login has the
 * e-mail of one of its people already, there is no demo.
 */
export async function seedBusiness(ctx: AppContext): Promise<boolean> {
  if (!(await isEmpty(ctx))) return false
  // Hashing takes its time, which no transaction should.
  const passwords = await hashPasswords(ctx)
  for (let wait = 1; ; wait += 1) {
    try {
      return await seedOnce(ctx, passwords)
    } catch (error) {
      if (isTaken(error)) return false
      if (!isBusy(error) || wait >= maxWaits) throw error
    }
  }
}

/** Nothing to sell and nothing sold; staff may be there already. */
export async function isEmpty(ctx: AppContext): Promise<boolean> {
  const services = await listServices(ctx, { page: firstBy('position'), query: {} })
  const categories = await listCategories(ctx, firstBy('position'))
  const orders = await listOrders(ctx, { page: firstBy('createdAt'), filters: {} })
  return [services, categories, orders].every(({ data }) => data.length === 0)
}

interface Passwords {
  readonly password: string
  /** Of the password, one for each login. */
  readonly hashes: readonly string[]
  /** Of something that nobody knows, for a login that has no password yet. */
  readonly nobodys: string
}

async function hashPasswords(ctx: AppContext): Promise<Passwords> {
  const password = demoPasswordOf(ctx.secrets)
  const hash = (text: string): Promise<string> => ctx.passwords.hash(text)
  const [hashes, nobodys] = await Promise.all([
    Promise.all(Array.from({ length: demoLoginCount }, () => hash(password))),
    hash(newKey()),
  ])
  return { password, hashes, nobodys }
}

async function seedOnce(ctx: AppContext, passwords: Passwords): Promise<boolean> {
  const seeded = await ctx.db.transaction(async (tx) => {
    await lockStaffRoster(tx)
    const inside = contextWithin(ctx, tx, passwords)
    if (!(await isEmpty(inside))) return false
    const people = await introducePeople(inside, passwords.password)
    const services = await publishCatalogue(scene(inside, publishedDaysAgo))
    await tellStory(inside, { services, people })
    return true
  })
  ctx.events.wake()
  return seeded
}

const publishedDaysAgo = 70

/**
 * The context in which use-cases run as parts of one transaction, which they join as if it were
 * their own. The hashes that they need were made before, and what an operator has set up for the
 * public does not stand in the way: who registers, how much is uploaded, that it is scanned.
 */
function contextWithin(ctx: AppContext, tx: Tx, { password, ...made }: Passwords): AppContext {
  const hashes = [...made.hashes]
  const hash = async (text: string): Promise<string> =>
    text === password ? takeFrom(hashes) : made.nobodys
  return {
    ...ctx,
    db: { ...ctx.db, ...tx, kind: 'pool', transaction: (work) => work(tx) },
    business: { ...ctx.business, registration: 'open', uploads: unbounded },
    passwords: { ...ctx.passwords, hash },
    // Whoever signed in did so long ago: nobody is handed a token, and no key is read for one.
    tokens: { ...ctx.tokens, sign: async () => '' },
    limits: { ...ctx.limits, spend: async () => unlimited },
    scanner: null,
  }
}

const unbounded = {
  maxBytes: Number.MAX_SAFE_INTEGER,
  customerQuotaBytes: Number.MAX_SAFE_INTEGER,
  storageQuotaBytes: undefined,
}

/** The story's own visitors are no strangers who have to be held back. */
const unlimited = {
  allowed: true,
  limit: 1,
  remaining: 1,
  windowSeconds: 1,
  retryAfterSeconds: 1,
}

function takeFrom(hashes: string[]): string {
  const hash = hashes.pop()
  if (hash === undefined) throw new Error('the demo has more logins than it counts')
  return hash
}

function firstBy(field: string): PageRequest {
  return { limit: 1, sort: { field, direction: 'asc' }, after: null, count: false }
}

/** The row is held by another starter for longer than a statement waits. */
function isBusy(error: unknown): boolean {
  return error instanceof AppError && error.facts['state'] === '55P03'
}

/** A login of the business has the e-mail of somebody in the demo. */
function isTaken(error: unknown): boolean {
  return error instanceof AppError && error.code === 'email_taken'
}
