import type { InputCode } from '../../kernel/input-codes.ts'
import { maxAmount, sum } from '../../kernel/money.ts'
import type { Transition } from '../../kernel/shapes.ts'
import type { LineOption, OrderItem, OrderStatus } from './schema.ts'

/** What the machine needs to know of an order. */
export interface OrderState {
  readonly status: OrderStatus
  /** Whether it has ever been in progress. */
  readonly started: boolean
  readonly paid: number
  readonly total: number
}

const transitions: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  pending: ['confirmed', 'cancelled'],
  confirmed: ['in_progress', 'on_hold', 'cancelled'],
  in_progress: ['completed', 'on_hold', 'cancelled'],
  on_hold: ['confirmed', 'in_progress', 'cancelled'],
  completed: [],
  cancelled: [],
}

/** Where the order may go, and what stands in the way. */
export function allowedTransitions(order: OrderState): Transition[] {
  return transitions[order.status]
    .filter((to) => !(order.status === 'on_hold' && to === 'confirmed' && order.started))
    .map((to) => ({
      to,
      blockedBy: to === 'confirmed' && order.paid < order.total ? 'payment_required' : null,
    }))
}

/** Whether the machine lets the order move there now. */
export function canBecome(order: OrderState, to: OrderStatus): boolean {
  return allowedTransitions(order).some((one) => one.to === to && one.blockedBy === null)
}

/** A service as the catalogue offers it, as far as a line needs it. */
export interface OfferedService {
  readonly id: string
  readonly name: string
  readonly price: { readonly amount: number; readonly currency: string }
  readonly turnaroundDays: number | null
  readonly options: readonly OfferedOption[]
}

export interface OfferedOption {
  readonly key: string
  readonly name: string
  readonly required: boolean
  readonly choices: readonly {
    readonly key: string
    readonly name: string
    readonly priceDelta: number
    readonly turnaroundDays?: number | null
  }[]
}

/** A line with its prices worked out, in minor units. */
export interface PricedLine {
  readonly serviceId: string
  readonly name: string
  readonly options: readonly LineOption[]
  readonly quantity: number
  readonly unitPrice: number
  readonly total: number
  readonly turnaroundDays: number | null
  readonly answers: Readonly<Record<string, unknown>>
}

/** Why an item cannot be priced; `pointer` is relative to the item. */
export interface ItemProblem {
  readonly pointer: string
  readonly code: InputCode
  readonly message: string
}

/** The line of an item, or everything that is wrong with its choices. */
export function priceLine(
  item: OrderItem,
  service: OfferedService,
): { line: PricedLine } | { problems: ItemProblem[] } {
  const chosen = Object.entries(item.options ?? {})
  const problems = [...unknownChoices(chosen, service), ...missingChoices(item, service)]
  if (problems.length > 0) return { problems }
  const picks = chosen.flatMap(([key, choiceKey]) => {
    const option = service.options.find((one) => one.key === key)
    const choice = option?.choices.find((one) => one.key === choiceKey)
    return option && choice ? [{ option, choice }] : []
  })
  const deltas = sum(picks.map(({ choice }) => choice.priceDelta))
  // Options may make a service cheaper, but never make the business pay.
  const unitPrice = Math.max(0, service.price.amount + deltas)
  const days = picks.flatMap(({ choice }) => choice.turnaroundDays ?? [])
  return {
    line: {
      serviceId: service.id,
      name: service.name,
      options: picks.map(({ option, choice }) => ({
        key: option.key,
        name: option.name,
        choice: { key: choice.key, name: choice.name },
        priceDelta: choice.priceDelta,
      })),
      quantity: item.quantity,
      unitPrice,
      total: unitPrice * item.quantity,
      // A choice such as "express" replaces the service's own turnaround.
      turnaroundDays: days.length > 0 ? Math.min(...days) : service.turnaroundDays,
      answers: item.answers ?? {},
    },
  }
}

export interface Totals {
  readonly subtotal: number
  readonly discount: number
  readonly tax: number
  readonly total: number
}

/** Discount and tax are 0 in this release: prices are what the customer pays. */
export function totalsOf(lines: readonly Pick<PricedLine, 'total'>[]): Totals {
  const subtotal = sum(lines.map((line) => line.total))
  return { subtotal, discount: 0, tax: 0, total: subtotal }
}

/** Eight digits are what the provider takes. */
export function isPayable(total: number): boolean {
  return total <= maxAmount
}

/** The longest turnaround of the lines: the whole order is done when its slowest part is. */
export function turnaroundOf(
  lines: readonly { readonly turnaroundDays: number | null }[],
): number | null {
  const days = lines.flatMap((line) => line.turnaroundDays ?? [])
  return days.length > 0 ? Math.max(...days) : null
}

function unknownChoices(
  chosen: readonly (readonly [string, string])[],
  { options }: OfferedService,
): ItemProblem[] {
  return chosen.flatMap(([key, choiceKey]): ItemProblem[] => {
    const option = options.find((one) => one.key === key)
    const pointer = `/options/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (!option) return [{ pointer, code: 'unknown_option', message: 'is no option here' }]
    if (option.choices.some((choice) => choice.key === choiceKey)) return []
    const known = option.choices.map((choice) => choice.key).join(', ')
    return [{ pointer, code: 'unknown_choice', message: `must be one of ${known}` }]
  })
}

function missingChoices(item: OrderItem, { options }: OfferedService): ItemProblem[] {
  return options
    .filter((option) => option.required && item.options?.[option.key] === undefined)
    .map((option) => ({
      pointer: `/options/${option.key}`,
      code: 'required',
      message: `a choice of ${option.name} is required`,
    }))
}
