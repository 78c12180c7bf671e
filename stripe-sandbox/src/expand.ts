import type { Context } from './context.ts'
import { ParameterError } from './errors.ts'
import { listPage } from './lists.ts'
import type { Kind } from './records.ts'

/** Stripe's limit: `a.b.c.d` and no deeper. */
const MAX_DEPTH = 4

/** Fields that hold an id and can be answered as the whole object. */
const EXPANDABLE: Readonly<Record<string, Kind>> = {
  balance_transaction: 'balance_transaction',
  charge: 'charge',
  customer: 'customer',
  failure_balance_transaction: 'balance_transaction',
  latest_charge: 'charge',
  payment_intent: 'payment_intent',
  payment_method: 'payment_method',
}

/** The object with the asked fields expanded; `data.` leads into the entries of a list. */
export function expandReply(context: Context, reply: object, paths: readonly string[]): object {
  return paths.reduce<object>((expanded, path) => {
    const steps = path.split('.')
    if (steps.length > MAX_DEPTH) {
      throw new ParameterError(`You cannot expand more than ${MAX_DEPTH} levels deep.`, {
        param: 'expand',
      })
    }
    return expandPath(context, expanded, { path, steps })
  }, reply)
}

interface ExpandStep {
  /** The whole path, for error messages. */
  path: string
  steps: string[]
}

function expandPath(context: Context, object: object, { path, steps }: ExpandStep): object {
  const [field = '', ...deeper] = steps
  const fields = object as Record<string, unknown>
  if (fields['object'] === 'list' && field === 'data') {
    const data = fields['data'] as object[]
    return {
      ...object,
      data: data.map((entry) => expandPath(context, entry, { path, steps: deeper })),
    }
  }
  const value = findExpansion(context, fields, field)
  if (value === undefined) {
    throw new ParameterError(`This property cannot be expanded (${path}).`, { param: 'expand' })
  }
  if (value === null || deeper.length === 0) return { ...object, [field]: value }
  return { ...object, [field]: expandPath(context, value, { path, steps: deeper }) }
}

function findExpansion(
  context: Context,
  fields: Record<string, unknown>,
  field: string,
): object | null | undefined {
  const included = findIncludedList(context, fields, field)
  if (included !== undefined) return included
  const kind = EXPANDABLE[field]
  const value = fields[field]
  if (kind === undefined) return undefined
  if (typeof value === 'object') return value
  if (typeof value !== 'string') return undefined
  return context.store.find(kind, value) ?? context.store.find('deleted_customer', value)
}

/** Lists that an object carries only when asked for. */
function findIncludedList(
  context: Context,
  fields: Record<string, unknown>,
  field: string,
): object | undefined {
  const id = String(fields['id'])
  if (fields['object'] === 'charge' && field === 'refunds') {
    const refunds = context.store.having('refund', 'charge', id).toReversed()
    return listPage(refunds, `/v1/charges/${id}/refunds`, {})
  }
  if (fields['object'] === 'checkout.session' && field === 'line_items') {
    const items = context.store.find('session_plan', id)?.lineItems ?? []
    return listPage(items, `/v1/checkout/sessions/${id}/line_items`, {})
  }
  return undefined
}
