import {
  forbidden,
  idempotencyInProgress,
  invalidInputAt,
  type InputProblem,
} from '../../../kernel/errors.ts'
import { newId, type Id } from '../../../kernel/id.ts'
import { present } from '../../../kernel/assert.ts'
import { isSmallJson } from '../../../kernel/shapes.ts'
import { withoutLease, type Context } from '../../../platform/context.ts'
import { toStored } from '../../../platform/outbox.ts'
import { listServicesForSale } from '../../catalog/index.ts'
import { createCustomerRecord, findCustomer, getCustomer } from '../../identity/index.ts'
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
import type { LineRow, OrderRow } from '../sql.ts'
import { audienceOf, renderOrder } from './render-order.ts'

export interface OrderDraft {
  readonly source: 'checkout' | 'direct'
  readonly items: readonly OrderItem[]
  readonly customer: { readonly id: string; readonly email: string; readonly name: string }
  readonly note?: string | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

/** An order by its customer, or by staff for a customer known or new. */
export async function placeOrderFor(ctx: Context, input: PlaceOrder): Promise<Order> {
  const { items, note, metadata } = input
  const customer = await resolveCustomer(ctx, input)
  const placed = await placeOrder(ctx, { source: 'direct', items, customer, note, metadata })
  return renderPlaced(ctx, placed)
}

export interface PlacedOrder {
  readonly row: OrderRow
  readonly lines: readonly LineRow[]
}

/**
 * Writes an order with the catalogue's prices of this moment, in one statement. The snapshot never
 * changes afterwards, whatever becomes of the catalogue.
 */
export async function placeOrder(ctx: Context, draft: OrderDraft): Promise<PlacedOrder> {
  if (draft.metadata && !isSmallJson(draft.metadata)) {
    throw invalidInputAt({ pointer: '/metadata', code: 'maxBytes', message: 'is over 16 KiB' })
  }
  const { lines, currency } = await priceItems(ctx, draft.items)
  const totals = totalsOf(lines)
  if (!isPayable(totals.total)) throw amountTooLarge({ facts: { total: totals.total } })
  const id = newId('ord', ctx.now)
  const withIds = lines.map((line) => ({ ...line, id: newId('line', ctx.now) }))
  const nothingYet = { payments: [], refunds: [], disputes: [] }
  const event = OrderPlaced({
    rootId: id,
    rootVersion: 1,
    data: { source: draft.source, total: totals.total, currency, lineCount: lines.length },
  })
  const row = await sql.insertOrder(
    ctx,
    {
      ...totals,
      id,
      source: draft.source,
      customer: draft.customer,
      currency,
      paymentStatus: deriveMoney(totals.total, nothingYet).paymentStatus,
      note: draft.note ?? null,
      metadata: draft.metadata ?? {},
      lines: withIds,
    },
    toStored(ctx, event),
  )
  if (!row) throw await reasonOfRefusal(ctx, draft.customer.id)
  ctx.events.wake()
  return { row, lines: withIds.map(toLineRow) }
}

/** The reply of an order that has no history yet: nothing needs to be read again. */
export function renderPlaced(ctx: Context, { row, lines }: PlacedOrder): Order {
  return renderOrder(audienceOf(ctx), {
    row,
    lines,
    ledger: { payments: [], refunds: [], disputes: [] },
    timeline: [],
    names: new Map(),
  })
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
  { customerId, customer }: { customerId?: Id<'cus'>; customer?: CustomerInput },
) {
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
  if (customer) return await createCustomerRecord(withoutLease(ctx), customer)
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

function toLineRow(line: PricedLine & { id: Id<'line'> }): LineRow {
  return { ...line, serviceId: line.serviceId as Id<'svc'>, answers: { ...line.answers } }
}
