import {
  forbidden,
  idempotencyInProgress,
  invalidInputAt,
  type InputProblem,
} from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { present } from '../../../kernel/assert.ts'
import { isSmallJson } from '../../../kernel/shapes.ts'
import { inTx, type Context, type TxContext } from '../../../platform/context.ts'
import { toStored } from '../../../platform/outbox.ts'
import { listServicesForSale } from '../../catalog/index.ts'
import {
  createCustomerRecord,
  findCustomer,
  getCustomer,
  lockCustomerRecord,
  type CustomerRecord,
} from '../../identity/index.ts'
import { deriveMoney } from '../../payments/index.ts'
import { OrderPlaced } from '../events.ts'
import { isPayable, priceLine, totalsOf, type PricedLine } from '../rules.ts'
import {
  amountTooLarge,
  mixedCurrency,
  serviceUnavailable,
  tooManyOpenOrders,
  type CustomerInput,
  type Order,
  type OrderItem,
  type PlaceOrder,
} from '../schema.ts'
import * as sql from '../sql.ts'
import type { OrderRow } from '../sql.ts'
import { readWhole } from './read-orders.ts'

export interface OrderDraft {
  readonly source: 'checkout' | 'direct'
  readonly items: readonly OrderItem[]
  /** Known, or new: then a record is made once nothing else stands in the order's way. */
  readonly customer: CustomerInput | (CustomerInput & { readonly id: Id<'cus'> })
  readonly note?: string | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

/** An order by its customer, or by staff for a customer known or new. */
export async function placeOrderFor(ctx: Context, input: PlaceOrder): Promise<Order> {
  const { items, note, metadata } = input
  const customer = await resolveCustomer(ctx, input)
  const row = await placeOrder(ctx, { source: 'direct', items, customer, note, metadata })
  return (await readWhole(ctx, row)).order
}

/**
 * Writes an order with the catalogue's prices of this moment, together with the record of a new
 * customer. The snapshot never changes afterwards, whatever becomes of the catalogue.
 */
export async function placeOrder(ctx: Context, draft: OrderDraft): Promise<OrderRow> {
  if (draft.metadata && !isSmallJson(draft.metadata)) {
    throw invalidInputAt({ pointer: '/metadata', code: 'maxBytes', message: 'is over 16 KiB' })
  }
  const { lines, currency } = await priceItems(ctx, draft.items)
  const totals = totalsOf(lines)
  if (!isPayable(totals.total)) throw amountTooLarge({ facts: { total: totals.total } })
  const id = newId('ord', ctx.now)
  const nothingYet = { payments: [], refunds: [], disputes: [] }
  const event = OrderPlaced({
    rootId: id,
    rootVersion: 1,
    data: { source: draft.source, total: totals.total, currency, lineCount: lines.length },
  })
  const order = {
    ...totals,
    id,
    source: draft.source,
    currency,
    paymentStatus: deriveMoney(totals.total, nothingYet).paymentStatus,
    note: draft.note ?? null,
    metadata: draft.metadata ?? {},
    lines: lines.map((line) => ({ ...line, id: newId('line', ctx.now) })),
  }
  const placed = toStored(ctx, event)
  const row = await inTx(ctx, async (ctx) => {
    const customer = await takeCustomer(ctx, draft.customer)
    const row = await sql.insertOrder(ctx, { ...order, customer }, placed)
    if (!row) throw await reasonOfRefusal(ctx, customer.id)
    return row
  })
  ctx.events.wake()
  return row
}

/**
 * Locked, so that orders of one customer are placed one after the other and each sees how many
 * stand open before it. A record that has passed to another since it was read leads there. What a
 * new record is made for comes with it or not at all: nobody claims the one without the other.
 */
async function takeCustomer(
  ctx: TxContext,
  customer: OrderDraft['customer'],
): Promise<CustomerRecord> {
  if (!('id' in customer)) return await createCustomerRecord(ctx, customer)
  return present(await lockCustomerRecord(ctx, customer.id), 'the customer of an order')
}

async function priceItems(
  ctx: Context,
  items: readonly OrderItem[],
): Promise<{ lines: PricedLine[]; currency: string }> {
  const services = await listServicesForSale(ctx, [...new Set(items.map((item) => item.serviceId))])
  const lines: PricedLine[] = []
  const problems: InputProblem[] = []
  const currencies = new Set<string>()
  for (const [index, item] of items.entries()) {
    const service = services.get(item.serviceId)
    if (!service || service.status !== 'active') {
      throw serviceUnavailable({ members: { serviceId: item.serviceId } })
    }
    currencies.add(service.price.currency)
    if (!isSmallJson(item.answers ?? {})) {
      const pointer = `/items/${index}/answers`
      problems.push({ pointer, code: 'maxBytes', message: 'is over 16 KiB' })
    }
    const priced = priceLine(item, service)
    if ('line' in priced) lines.push(priced.line)
    else {
      problems.push(
        ...priced.problems.map((one) => ({ ...one, pointer: `/items/${index}${one.pointer}` })),
      )
    }
  }
  if (problems.length > 0) throw invalidInputAt(...problems)
  if (currencies.size > 1) throw mixedCurrency({ members: { currencies: [...currencies] } })
  return { lines, currency: present([...currencies][0], 'the currency of an order') }
}

/** Customers order for themselves; staff name a customer, or make a record for a new one. */
async function resolveCustomer(
  ctx: Context,
  { customerId, customer }: Pick<PlaceOrder, 'customerId' | 'customer'>,
): Promise<OrderDraft['customer']> {
  const { actor } = ctx
  if (actor.kind === 'customer') {
    if (customerId ?? customer) {
      throw invalidInputAt({
        pointer: customerId ? '/customerId' : '/customer',
        code: 'forbidden',
        message: 'a customer orders for themselves',
      })
    }
    return await getCustomer(ctx, actor.customerId)
  }
  if (actor.kind !== 'staff' && actor.kind !== 'system') throw forbidden()
  if ((customerId === undefined) === (customer === undefined)) {
    throw invalidInputAt({
      pointer: '/customerId',
      code: 'required',
      message: 'exactly one of customerId and customer is required',
    })
  }
  if (customer) return customer
  const known = await findCustomer(ctx, present(customerId, 'customerId'))
  if (known) return known
  throw invalidInputAt({ pointer: '/customerId', code: 'unknown', message: 'is no customer' })
}

/** Nothing was written: the customer has too many open orders, or the key went to another. */
async function reasonOfRefusal(ctx: Context, customerId: string): Promise<Error> {
  const isFull = await sql.hasTooManyOpen(ctx.db, customerId)
  return isFull
    ? tooManyOpenOrders({ retryAfterSeconds: 3600 })
    : idempotencyInProgress({ retryAfterSeconds: 1 })
}
