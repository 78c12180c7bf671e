import { secondsOf, type Context } from './context.ts'
import { resourceMissing } from './errors.ts'
import { emit } from './events.ts'
import { newId } from './ids.ts'
import { createdRange, listPage, pageParameters } from './lists.ts'
import {
  clearable,
  mergeMetadata,
  metadata,
  record,
  required,
  text,
  textUpTo,
  type Values,
} from './parameters.ts'
import {
  NO_ADDRESS,
  type Address,
  type Customer,
  type DeletedCustomer,
  type Shipping,
} from './resources.ts'
import { UNMODELLED_OF_CUSTOMER } from './unmodelled.ts'

const addressParameters = {
  city: clearable(text),
  country: clearable(text),
  line1: clearable(text),
  line2: clearable(text),
  postal_code: clearable(text),
  state: clearable(text),
}

const shippingParameters = {
  address: required(record(addressParameters)),
  name: required(text),
  phone: clearable(text),
}

export const shippingReader = record(shippingParameters)

export const customerParameters = {
  address: clearable(record(addressParameters)),
  description: clearable(text),
  email: clearable(textUpTo(512)),
  metadata: clearable(metadata),
  name: clearable(textUpTo(256)),
  phone: clearable(textUpTo(20)),
  shipping: clearable(shippingReader),
}

export const customerListParameters = {
  ...pageParameters,
  created: createdRange,
  email: textUpTo(512),
}

type CustomerValues = Values<typeof customerParameters>

/** Raises Stripe's 404 for an unknown or deleted customer. */
export function getCustomer(context: Context, id: string, param = 'customer'): Customer {
  const customer = context.store.find('customer', id)
  if (customer === undefined) throw resourceMissing('customer', id, param)
  return customer
}

/** A customer, or what is left of a deleted one. */
export function retrieveCustomer(context: Context, id: string): Customer | DeletedCustomer {
  return context.store.find('deleted_customer', id) ?? getCustomer(context, id, 'id')
}

export function createCustomer(context: Context, values: Partial<CustomerValues>): Customer {
  const customer: Customer = {
    ...UNMODELLED_OF_CUSTOMER,
    object: 'customer',
    id: newId('cus_', 14),
    address: readAddress(values.address),
    created: secondsOf(context.now),
    description: values.description ?? null,
    email: values.email ?? null,
    invoice_prefix: newId('', 8).toUpperCase(),
    metadata: mergeMetadata({}, values.metadata),
    name: values.name ?? null,
    phone: values.phone ?? null,
    shipping: readShipping(values.shipping),
  }
  context.store.put('customer', customer)
  emit(context, 'customer.created', customer)
  return customer
}

export function updateCustomer(context: Context, values: CustomerValues, id: string): Customer {
  const customer = getCustomer(context, id, 'id')
  const { address, description, email, name, phone, shipping } = values
  const updated: Customer = {
    ...customer,
    ...(address === undefined ? {} : { address: readAddress(address) }),
    ...(description === undefined ? {} : { description }),
    ...(email === undefined ? {} : { email }),
    ...(name === undefined ? {} : { name }),
    ...(phone === undefined ? {} : { phone }),
    ...(shipping === undefined ? {} : { shipping: readShipping(shipping) }),
    metadata: mergeMetadata(customer.metadata, values.metadata),
  }
  context.store.put('customer', updated)
  emit(context, 'customer.updated', updated)
  return updated
}

export function deleteCustomer(context: Context, id: string): DeletedCustomer {
  const customer = getCustomer(context, id, 'id')
  const deleted: DeletedCustomer = { object: 'customer', id, deleted: true }
  context.store.remove('customer', id)
  context.store.put('deleted_customer', deleted)
  emit(context, 'customer.deleted', customer)
  return deleted
}

export function listCustomers(
  context: Context,
  values: Values<typeof customerListParameters>,
): object {
  const matches = (customer: Customer) =>
    values.email === undefined || customer.email === values.email
  return listPage(context.store.newestFirst('customer'), '/v1/customers', values, matches)
}

/** A shipping block as the API answers it. */
export function readShipping(
  values: Values<typeof shippingParameters> | null | undefined,
): Shipping | null {
  if (values === null || values === undefined) return null
  const address = readAddress(values.address) ?? NO_ADDRESS
  return { address, name: values.name, phone: values.phone ?? null }
}

function readAddress(values: Values<typeof addressParameters> | null | undefined): Address | null {
  if (values === null || values === undefined) return null
  return {
    city: values.city ?? null,
    country: values.country ?? null,
    line1: values.line1 ?? null,
    line2: values.line2 ?? null,
    postal_code: values.postal_code ?? null,
    state: values.state ?? null,
  }
}
