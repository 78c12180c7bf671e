import { secondsOf, type Context } from './context.ts'
import { readCurrency } from './currencies.ts'
import { invalidRequest, ParameterError, resourceMissing } from './errors.ts'
import { newId, randomText } from './ids.ts'
import {
  address,
  integerBetween,
  listOf,
  metadata,
  record,
  required,
  text,
  type Values,
} from './parameters.ts'
import type { LineItem } from './resources.ts'

const priceData = record({
  currency: required(text),
  product_data: required(
    record({
      description: text,
      images: listOf(address, 8),
      metadata,
      name: required(text),
    }),
  ),
  unit_amount: required(integerBetween(0, 99_999_999)),
})

const lineItemParameters = {
  metadata,
  price: text,
  price_data: priceData,
  quantity: integerBetween(1, 999_999),
}

export const lineItemReader = record(lineItemParameters)

type LineItemValues = Values<typeof lineItemParameters>

/** The items as a session keeps them: all in one currency, priced where they stand. */
export function readLineItems(context: Context, asked: readonly LineItemValues[]): LineItem[] {
  const items = asked.map((item, index): LineItem => {
    const param = `line_items[${index}]`
    if (item.price !== undefined) throw resourceMissing('price', item.price, `${param}[price]`)
    if (item.price_data === undefined || item.quantity === undefined) {
      const missing = item.price_data === undefined ? 'price_data' : 'quantity'
      throw new ParameterError(`Missing required param: ${param}[${missing}].`, {
        code: 'parameter_missing',
        param: `${param}[${missing}]`,
      })
    }
    const currency = readCurrency(item.price_data.currency, `${param}[price_data][currency]`)
    const total = item.price_data.unit_amount * item.quantity
    return {
      object: 'item',
      id: newId('li_'),
      adjustable_quantity: null,
      amount_discount: 0,
      amount_subtotal: total,
      amount_tax: 0,
      amount_total: total,
      currency,
      description: item.price_data.product_data.name,
      metadata: item.metadata ?? {},
      price: describePrice(context, currency, item.price_data.unit_amount),
      quantity: item.quantity,
    }
  })
  if (items.length === 0 || items.some((item) => item.currency !== items[0]?.currency)) {
    throw invalidRequest('A session needs line items, all in one currency.', {
      param: 'line_items',
    })
  }
  return items
}

function describePrice(context: Context, currency: string, unitAmount: number): object {
  return {
    id: newId('price_'),
    object: 'price',
    active: false,
    billing_scheme: 'per_unit',
    created: secondsOf(context.now),
    currency,
    custom_unit_amount: null,
    livemode: false,
    lookup_key: null,
    metadata: {},
    nickname: null,
    product: `prod_${randomText(14)}`,
    recurring: null,
    tax_behavior: 'unspecified',
    tiers_mode: null,
    transform_quantity: null,
    type: 'one_time',
    unit_amount: unitAmount,
    unit_amount_decimal: String(unitAmount),
  }
}
