import { getAccount, getBalance } from './account.ts'
import { getCharge } from './charges.ts'
import {
  createSession,
  expireSession,
  getSession,
  listLineItems,
  listSessions,
  sessionListParameters,
  sessionParameters,
} from './checkout-sessions.ts'
import type { Context } from './context.ts'
import {
  createCustomer,
  customerListParameters,
  customerParameters,
  deleteCustomer,
  listCustomers,
  retrieveCustomer,
  updateCustomer,
} from './customers.ts'
import { closeDispute, disputeListParameters, getDispute, listDisputes } from './disputes.ts'
import { resourceMissing } from './errors.ts'
import { presentEvent } from './events.ts'
import { cancelPaymentIntent, capturePaymentIntent } from './intent-endings.ts'
import {
  cancelParameters,
  captureParameters,
  confirmParameters,
  createParameters,
  listParameters,
  updateParameters,
} from './intent-parameters.ts'
import { createdRange, listedFor, listPage, pageParameters } from './lists.ts'
import { flag, listOf, text, type Parameters, type Values } from './parameters.ts'
import {
  confirmPaymentIntent,
  createPaymentIntent,
  getPaymentIntent,
  listPaymentIntents,
  updatePaymentIntent,
} from './payment-intents.ts'
import { getPaymentMethod } from './payment-methods.ts'
import {
  cancelRefund,
  createRefund,
  getRefund,
  listRefunds,
  refundListParameters,
  refundParameters,
  refundUpdateParameters,
  updateRefund,
} from './refunds.ts'
import type { Charge, SandboxEvent } from './resources.ts'

/** One operation of the API. A path has at most one variable part, which `run` takes as the id. */
export interface Operation {
  readonly name: string
  readonly method: 'DELETE' | 'GET' | 'POST'
  readonly path: string
  readonly parameters: Parameters
  readonly run: (context: Context, values: never, id: string) => object
}

const NONE = {}

const chargeListParameters = {
  ...pageParameters,
  created: createdRange,
  customer: text,
  payment_intent: text,
}

const eventListParameters = {
  ...pageParameters,
  created: createdRange,
  delivery_success: flag,
  type: text,
  types: listOf(text, 20),
}

/** Everything that the sandbox speaks. */
export const OPERATIONS: readonly Operation[] = [
  operation('GET /v1/account', 'account.retrieve', NONE, () => getAccount()),
  operation('GET /v1/balance', 'balance.retrieve', NONE, (context) => getBalance(context)),

  operation('GET /v1/charges', 'charges.list', chargeListParameters, listCharges),
  operation('GET /v1/charges/:id', 'charges.retrieve', NONE, (context, _values, id) =>
    getCharge(context, id),
  ),

  operation(
    'GET /v1/checkout/sessions',
    'checkout.sessions.list',
    sessionListParameters,
    listSessions,
  ),
  operation(
    'POST /v1/checkout/sessions',
    'checkout.sessions.create',
    sessionParameters,
    createSession,
  ),
  operation(
    'GET /v1/checkout/sessions/:id',
    'checkout.sessions.retrieve',
    NONE,
    (context, _values, id) => getSession(context, id),
  ),
  operation(
    'POST /v1/checkout/sessions/:id/expire',
    'checkout.sessions.expire',
    NONE,
    (context, _values, id) => expireSession(context, id),
  ),
  operation(
    'GET /v1/checkout/sessions/:id/line_items',
    'checkout.sessions.line_items',
    pageParameters,
    listLineItems,
  ),

  operation('GET /v1/customers', 'customers.list', customerListParameters, listCustomers),
  operation('POST /v1/customers', 'customers.create', customerParameters, createCustomer),
  operation('GET /v1/customers/:id', 'customers.retrieve', NONE, (context, _values, id) =>
    retrieveCustomer(context, id),
  ),
  operation('POST /v1/customers/:id', 'customers.update', customerParameters, updateCustomer),
  operation('DELETE /v1/customers/:id', 'customers.delete', NONE, (context, _values, id) =>
    deleteCustomer(context, id),
  ),

  operation('GET /v1/disputes', 'disputes.list', disputeListParameters, listDisputes),
  operation('GET /v1/disputes/:id', 'disputes.retrieve', NONE, (context, _values, id) =>
    getDispute(context, id),
  ),
  operation('POST /v1/disputes/:id/close', 'disputes.close', NONE, (context, _values, id) =>
    closeDispute(context, id),
  ),

  operation('GET /v1/events', 'events.list', eventListParameters, listEvents),
  operation('GET /v1/events/:id', 'events.retrieve', NONE, getEvent),

  operation('GET /v1/payment_intents', 'payment_intents.list', listParameters, listPaymentIntents),
  operation(
    'POST /v1/payment_intents',
    'payment_intents.create',
    createParameters,
    createPaymentIntent,
  ),
  operation(
    'GET /v1/payment_intents/:id',
    'payment_intents.retrieve',
    { client_secret: text },
    (context, _values, id) => getPaymentIntent(context, id),
  ),
  operation(
    'POST /v1/payment_intents/:id',
    'payment_intents.update',
    updateParameters,
    updatePaymentIntent,
  ),
  operation(
    'POST /v1/payment_intents/:id/cancel',
    'payment_intents.cancel',
    cancelParameters,
    cancelPaymentIntent,
  ),
  operation(
    'POST /v1/payment_intents/:id/capture',
    'payment_intents.capture',
    captureParameters,
    capturePaymentIntent,
  ),
  operation(
    'POST /v1/payment_intents/:id/confirm',
    'payment_intents.confirm',
    confirmParameters,
    confirmPaymentIntent,
  ),

  operation(
    'GET /v1/payment_methods/:id',
    'payment_methods.retrieve',
    NONE,
    (context, _values, id) => getPaymentMethod(context, id),
  ),

  operation('GET /v1/refunds', 'refunds.list', refundListParameters, listRefunds),
  operation('POST /v1/refunds', 'refunds.create', refundParameters, (context, values) =>
    createRefund(context, values),
  ),
  operation('GET /v1/refunds/:id', 'refunds.retrieve', NONE, (context, _values, id) =>
    getRefund(context, id),
  ),
  operation('POST /v1/refunds/:id', 'refunds.update', refundUpdateParameters, updateRefund),
  operation('POST /v1/refunds/:id/cancel', 'refunds.cancel', NONE, (context, _values, id) =>
    cancelRefund(context, id),
  ),
]

/** The operation of a request and the id in its path. */
export function findOperation(
  method: string,
  path: string,
): { operation: Operation; id: string } | undefined {
  const parts = path.split('/')
  for (const operation of OPERATIONS) {
    if (operation.method !== method) continue
    const id = matchPath(operation.path.split('/'), parts)
    if (id !== undefined) return { operation, id }
  }
  return undefined
}

function operation<P extends Parameters>(
  route: `${Operation['method']} ${string}`,
  name: string,
  parameters: P,
  run: (context: Context, values: Values<P>, id: string) => object,
): Operation {
  const [method, path] = route.split(' ') as [Operation['method'], string]
  return { name, method, path, parameters, run }
}

/** The variable part of the path (empty when it has none), or undefined when it does not match. */
function matchPath(pattern: string[], parts: string[]): string | undefined {
  if (pattern.length !== parts.length) return undefined
  let id = ''
  for (const [position, expected] of pattern.entries()) {
    const part = parts[position] ?? ''
    if (expected === ':id' && part !== '') id = part
    else if (expected !== part) return undefined
  }
  return id
}

function listCharges(context: Context, values: Values<typeof chargeListParameters>): object {
  const charges = listedFor(context, 'charge', values.payment_intent)
  const matches = (charge: Charge) =>
    values.customer === undefined || charge.customer === values.customer
  return listPage(charges, '/v1/charges', values, matches)
}

function getEvent(context: Context, _values: object, id: string): SandboxEvent {
  const event = context.store.find('event', id)
  if (event === undefined) throw resourceMissing('event', id, 'id')
  return presentEvent(context, event)
}

function listEvents(context: Context, values: Values<typeof eventListParameters>): object {
  const { delivery_success: delivered, type, types } = values
  const matches = (event: SandboxEvent) =>
    (type === undefined || matchesType(event, type)) &&
    (types === undefined || types.includes(event.type)) &&
    (delivered === undefined || isDelivered(context, event) === delivered)
  const page = listPage(context.store.newestFirst('event'), '/v1/events', values, matches)
  return { ...page, data: page.data.map((event) => presentEvent(context, event)) }
}

/** A type may end in an asterisk: `charge.*`. */
function matchesType(event: SandboxEvent, type: string): boolean {
  return type.endsWith('*') ? event.type.startsWith(type.slice(0, -1)) : event.type === type
}

function isDelivered(context: Context, event: SandboxEvent): boolean {
  return context.store.find('delivery', event.id)?.state === 'delivered'
}
