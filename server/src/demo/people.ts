import { newId, type Id } from '../kernel/id.ts'
import { permissionsOfRole, type StaffRole } from '../kernel/permissions.ts'
import {
  createCustomerRecord,
  createStaffUser,
  registerCustomer,
} from '../modules/identity/index.ts'
import type { Actor, AppContext } from '../platform/context.ts'

/** One colleague of each role. */
export const demoStaff = [
  { role: 'admin', email: 'admin@fairwater.example', name: 'Grace Holloway' },
  { role: 'manager', email: 'manager@fairwater.example', name: 'Daniel Okafor' },
  { role: 'agent', email: 'agent@fairwater.example', name: 'Priya Nair' },
  { role: 'finance', email: 'finance@fairwater.example', name: 'Tom Whitfield' },
  { role: 'viewer', email: 'viewer@fairwater.example', name: 'Ellen Marsh' },
] as const satisfies readonly { role: StaffRole; email: string; name: string }[]

/** Customers who have registered, and so order for themselves. */
export const demoCustomers = {
  amelia: { email: 'amelia.hart@example.com', name: 'Amelia Hart' },
  joseph: { email: 'joseph.bennett@example.com', name: 'Joseph Bennett' },
} as const

/** Customers whom the staff wrote down. */
export const demoGuests = {
  lucia: { email: 'lucia.romano@example.com', name: 'Lucia Romano', phone: '020 7946 0112' },
  noah: { email: 'noah.clarke@example.com', name: 'Noah Clarke', phone: '0161 496 0381' },
  hannah: { email: 'hannah.lindqvist@example.com', name: 'Hannah Lindqvist', phone: null },
  yusuf: { email: 'yusuf.demir@example.com', name: 'Yusuf Demir', phone: null },
} as const

export const demoLoginCount = demoStaff.length + Object.keys(demoCustomers).length

export type Colleague = (typeof demoStaff)[number]['role']
export type Customer = keyof typeof demoCustomers | keyof typeof demoGuests

/** Everybody of the demo, as those who act in its story. */
export interface People {
  readonly staff: (role: Colleague) => Actor & { readonly kind: 'staff' }
  readonly customer: (name: Customer) => DemoCustomer
}

export interface DemoCustomer {
  readonly customerId: Id<'cus'>
  /** Absent for those without a login. */
  readonly actor: Actor | undefined
}

/** Makes the logins, all with one password, and the records. */
export async function introducePeople(ctx: AppContext, password: string): Promise<People> {
  const staff = new Map<Colleague, Actor & { kind: 'staff' }>()
  for (const { role, ...person } of demoStaff) {
    const { id: userId } = await createStaffUser(ctx, { ...person, role, password })
    const permissions = new Set(permissionsOfRole[role])
    const sessionId = newId('ses', ctx.now)
    staff.set(role, { kind: 'staff', userId, sessionId, role, permissions })
  }
  const customers = new Map<Customer, DemoCustomer>()
  for (const [name, person] of entriesOf(demoCustomers)) {
    const { id: userId, customerId } = await registerCustomer(ctx, { ...person, password })
    const sessionId = newId('ses', ctx.now)
    customers.set(name, { customerId, actor: { kind: 'customer', userId, customerId, sessionId } })
  }
  for (const [name, person] of entriesOf(demoGuests)) {
    const { id: customerId } = await createCustomerRecord(ctx, person)
    customers.set(name, { customerId, actor: undefined })
  }
  return { staff: (role) => known(staff, role), customer: (name) => known(customers, name) }
}

function entriesOf<Key extends string, Value>(table: Readonly<Record<Key, Value>>) {
  return Object.entries(table) as [Key, Value][]
}

function known<Key extends string, Value>(map: ReadonlyMap<Key, Value>, key: Key): Value {
  const value = map.get(key)
  if (!value) throw new Error(`nobody is called ${key} in the demo`)
  return value
}
