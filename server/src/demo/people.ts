import { present } from '../kernel/assert.ts'
import { newId, type Id } from '../kernel/id.ts'
import { permissionsOfRole, type StaffRole } from '../kernel/permissions.ts'
import { dayMs, later, minuteMs } from '../kernel/time.ts'
import {
  createCustomerRecord,
  createStaffUser,
  inviteStaff,
  issueMailToken,
  register,
  registerCustomer,
  verifyEmail,
} from '../modules/identity/index.ts'
import type { Actor, AppContext, StaffActor } from '../platform/context.ts'

/** One colleague of each role. */
export const demoStaff = [
  { role: 'admin', email: 'admin@fairwater.example', name: 'Grace Holloway' },
  { role: 'manager', email: 'manager@fairwater.example', name: 'Daniel Okafor' },
  { role: 'agent', email: 'agent@fairwater.example', name: 'Priya Nair' },
  { role: 'finance', email: 'finance@fairwater.example', name: 'Tom Whitfield' },
  { role: 'viewer', email: 'viewer@fairwater.example', name: 'Ellen Marsh' },
] as const satisfies readonly { role: StaffRole; email: string; name: string }[]

/** Whose work others took over, and whose login the story shuts. */
export const formerColleague = {
  role: 'agent',
  email: 'rowan@fairwater.example',
  name: 'Rowan Pike',
} as const

/** Who has not followed the invitation yet. */
export const invitedColleague = {
  role: 'agent',
  email: 'iris@fairwater.example',
  name: 'Iris Calder',
} as const

/** Customers who have registered, and so order for themselves. */
export const demoCustomers = {
  amelia: { email: 'amelia.hart@example.com', name: 'Amelia Hart', daysAgo: 41 },
  joseph: { email: 'joseph.bennett@example.com', name: 'Joseph Bennett', daysAgo: 27 },
} as const

/** Customers whom the staff wrote down. */
export const demoGuests = {
  noah: {
    email: 'noah.clarke@example.com',
    name: 'Noah Clarke',
    phone: '0161 496 0381',
    daysAgo: 33,
  },
  lucia: {
    email: 'lucia.romano@example.com',
    name: 'Lucia Romano',
    phone: '020 7946 0112',
    daysAgo: 21,
  },
  hannah: {
    email: 'hannah.lindqvist@example.com',
    name: 'Hannah Lindqvist',
    phone: null,
    daysAgo: 8,
  },
  yusuf: { email: 'yusuf.demir@example.com', name: 'Yusuf Demir', phone: null, daysAgo: 4.5 },
} as const

/** A guest who registers later and proves the e-mail, by which the guest's record becomes hers. */
export const demoNewcomer = {
  email: demoGuests.hannah.email,
  name: demoGuests.hannah.name,
  daysAgo: 2,
} as const

/** Those who may sign in, or once could. */
export const demoLoginCount = demoStaff.length + 1 + Object.keys(demoCustomers).length + 1

export type Colleague = (typeof demoStaff)[number]['role'] | 'former'
export type Customer = keyof typeof demoCustomers | keyof typeof demoGuests

/** Everybody of the demo, as those who act in its story. */
export interface People {
  readonly staff: (who: Colleague) => StaffActor
  readonly customer: (name: Customer) => DemoCustomer
}

export interface DemoCustomer {
  readonly customerId: Id<'cus'>
  /** Absent for those without a login. */
  readonly actor: Actor | undefined
}

/** The same context on another day, with somebody else acting. */
export function scene(ctx: AppContext, daysAgo: number, actor: Actor = ctx.actor): AppContext {
  return { ...ctx, now: later(ctx.now, -daysAgo * dayMs - delayMs(daysAgo)), actor }
}

/**
 * Up to twenty minutes, the same for the same day: nobody does everything at the full hour. Acts
 * whose order counts are further apart than that.
 */
function delayMs(daysAgo: number): number {
  const share = Math.abs(daysAgo) * 61.8
  return Math.floor((share - Math.floor(share)) * 20 * minuteMs)
}

const openedDaysAgo = 75

/** Makes all logins, with one password, and the records: whose e-mail is taken is known then. */
export async function introducePeople(ctx: AppContext, password: string): Promise<People> {
  const opening = scene(ctx, openedDaysAgo)
  const staff = new Map<Colleague, StaffActor>()
  for (const person of demoStaff) staff.set(person.role, await employ(opening, person, password))
  staff.set('former', await employ(opening, formerColleague, password))
  await inviteStaff(scene(ctx, 2, known(staff, 'admin')), invitedColleague)

  const customers = new Map<Customer, DemoCustomer>()
  for (const [name, { daysAgo, ...person }] of entriesOf(demoCustomers)) {
    const at = scene(ctx, daysAgo)
    const { id: userId, customerId } = await registerCustomer(at, { ...person, password })
    const sessionId = newId('ses', at.now)
    customers.set(name, { customerId, actor: { kind: 'customer', userId, customerId, sessionId } })
  }
  for (const [name, { daysAgo, ...person }] of entriesOf(demoGuests)) {
    const at = scene(ctx, daysAgo, known(staff, 'manager'))
    const { id: customerId } = await createCustomerRecord(at, person)
    customers.set(name, { customerId, actor: undefined })
  }
  await registerNewcomer(ctx, password)
  return { staff: (who) => known(staff, who), customer: (name) => known(customers, name) }
}

async function employ(
  ctx: AppContext,
  { role, email, name }: { role: StaffRole; email: string; name: string },
  password: string,
): Promise<StaffActor> {
  const { id: userId } = await createStaffUser(ctx, { email, name, role, password })
  const permissions = new Set(permissionsOfRole[role])
  return { kind: 'staff', userId, sessionId: newId('ses', ctx.now), role, permissions }
}

/** From her own browser, and with the link that was mailed to her. */
async function registerNewcomer(ctx: AppContext, password: string): Promise<void> {
  const { daysAgo, ...person } = demoNewcomer
  const device = { userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0' }
  const at = scene(ctx, daysAgo, { kind: 'anonymous' })
  const opened = await register(at, { ...person, password }, device)
  const { id: userId, customerId } = present(opened, 'a session where anybody may register').reply
    .user
  const issued = await issueMailToken(at, { userId, purpose: 'verify_email' })
  const { token } = present(issued, 'a link for an e-mail that nobody has proved')
  const actor: Actor = {
    kind: 'customer',
    userId,
    customerId: present(customerId, 'the record of a customer’s login'),
    sessionId: newId('ses', at.now),
  }
  await verifyEmail(scene(ctx, daysAgo - 0.1, actor), { token })
}

function entriesOf<Key extends string, Value>(table: Readonly<Record<Key, Value>>) {
  return Object.entries(table) as [Key, Value][]
}

function known<Key extends string, Value>(map: ReadonlyMap<Key, Value>, key: Key): Value {
  const value = map.get(key)
  if (!value) throw new Error(`nobody is called ${key} in the demo`)
  return value
}
