import { Type, type Static } from 'typebox'
import {
  Email,
  idOf,
  Instant,
  Name,
  nullable,
  Phone,
  strictObject,
  searchedIn,
} from '../../../kernel/shapes.ts'

/** What a new record of a customer is made of. */
export interface CustomerDetails {
  readonly email: string
  readonly name: string
  readonly phone?: string | null
}

/** A customer's record, with or without a login. */
export const CustomerRecord = Type.Object({
  id: idOf('cus'),
  email: Email,
  name: Name,
  phone: nullable(Phone),
  version: Type.Integer(),
})
export type CustomerRecord = Static<typeof CustomerRecord>

/** A customer's record as staff see it in a list. */
export const Customer = Type.Object(
  {
    id: idOf('cus'),
    email: Email,
    name: Name,
    phone: nullable(Phone),
    hasLogin: Type.Boolean(),
    claimedBy: nullable(idOf('cus')),
    version: Type.Integer(),
    createdAt: Instant,
    updatedAt: Instant,
  },
  {
    title: 'Customer',
    description:
      'A person who buys. `claimedBy` names the record that this one has passed to, once its ' +
      'e-mail was proved by a login.',
  },
)
export type Customer = Static<typeof Customer>

const CustomerLogin = Type.Object(
  {
    userId: idOf('usr'),
    email: Email,
    emailVerified: Type.Boolean(),
    active: Type.Boolean(),
    createdAt: Instant,
  },
  { title: 'CustomerLogin', description: 'How the customer signs in.' },
)

export const CustomerDetail = Type.Object(
  { ...Customer.properties, login: nullable(CustomerLogin) },
  { title: 'CustomerDetail' },
)
export type CustomerDetail = Static<typeof CustomerDetail>

export const CustomerParams = strictObject({ id: idOf('cus') })

export const NewCustomer = strictObject({
  email: Email,
  name: Name,
  phone: Type.Optional(nullable(Phone)),
})
export type NewCustomer = Static<typeof NewCustomer>

export const CustomerPatch = strictObject({
  email: Type.Optional(Email),
  name: Type.Optional(Name),
  phone: Type.Optional(nullable(Phone)),
})
export type CustomerPatch = Static<typeof CustomerPatch>

export const CustomerFilters = strictObject({
  email: Type.Optional({ ...Email, description: 'the whole e-mail, in letters of any size' }),
  hasLogin: Type.Optional(Type.Boolean()),
  q: Type.Optional(searchedIn('the name, the e-mail or the phone number')),
})
export type CustomerFilters = Static<typeof CustomerFilters>
