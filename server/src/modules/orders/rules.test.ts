import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  allowedTransitions,
  canBecome,
  isPayable,
  priceLine,
  totalsOf,
  turnaroundOf,
  type OfferedService,
  type OrderState,
} from './rules.ts'
import { orderStatuses, type OrderItem, type OrderStatus } from './schema.ts'

const start: OrderState = { status: 'pending', started: false, paid: 0, total: 14_900 }
const status = fc.constantFrom(...orderStatuses)

/** What may happen to an order: staff move it, or money comes. */
const deed = fc.oneof(
  status.map((to) => ({ kind: 'move' as const, to })),
  fc.constant({ kind: 'pay' as const }),
)

describe('the states of an order', () => {
  test('only allowed moves are taken, and nothing leaves a final state', () => {
    fc.assert(
      fc.property(fc.array(deed, { maxLength: 30 }), (deeds) => {
        let order = start
        let wasStarted = false
        for (const one of deeds) {
          const before = order
          order = one.kind === 'pay' ? { ...order, paid: order.total } : move(order, one.to)
          if (before.status === 'completed' || before.status === 'cancelled') {
            expect(order.status).toBe(before.status)
          }
          // Work begins on nothing that was not paid, and is never unbegun.
          if (order.status !== 'pending' && order.status !== 'cancelled') {
            expect(order.paid).toBe(order.total)
          }
          wasStarted ||= order.status === 'in_progress'
          if (wasStarted) expect(['pending', 'confirmed']).not.toContain(order.status)
        }
      }),
    )
  })

  test('what is listed without an obstacle is exactly what is taken', () => {
    const order = fc.record({
      status,
      started: fc.boolean(),
      paid: fc.nat(200),
      total: fc.nat(200),
    })
    fc.assert(
      fc.property(order, status, (state, to) => {
        const listed = allowedTransitions(state).find((one) => one.to === to)
        expect(canBecome(state, to)).toBe(listed?.blockedBy === null)
      }),
    )
  })

  test('an unpaid order says why it cannot be confirmed', () => {
    expect(allowedTransitions(start)).toEqual([
      { to: 'confirmed', blockedBy: 'payment_required' },
      { to: 'cancelled', blockedBy: null },
    ])
  })

  test('an order on hold goes back to confirmed only if it was never started', () => {
    const held: OrderState = { status: 'on_hold', started: false, paid: 1, total: 1 }
    expect(canBecome(held, 'confirmed')).toBe(true)
    expect(canBecome({ ...held, started: true }, 'confirmed')).toBe(false)
    expect(canBecome({ ...held, started: true }, 'in_progress')).toBe(true)
  })

  function move(order: OrderState, to: OrderStatus): OrderState {
    if (!canBecome(order, to)) return order
    return { ...order, status: to, started: order.started || to === 'in_progress' }
  }
})

const service: OfferedService = {
  id: 'svc_1',
  name: 'Company formation',
  price: { amount: 14_900, currency: 'GBP' },
  turnaroundDays: 5,
  options: [
    {
      key: 'speed',
      name: 'Speed',
      required: true,
      choices: [
        { key: 'standard', name: 'Standard', priceDelta: 0 },
        { key: 'express', name: 'Express', priceDelta: 5000, turnaroundDays: 1 },
      ],
    },
    {
      key: 'extras/more',
      name: 'Extras',
      required: false,
      choices: [{ key: 'less', name: 'Less', priceDelta: -20_000 }],
    },
  ],
}

function item(options: Record<string, string> | undefined, quantity = 1): OrderItem {
  const base = { serviceId: 'svc_1' as OrderItem['serviceId'], quantity }
  return options ? { ...base, options } : base
}

describe('the price of a line', () => {
  test('is the service with its choices, times the quantity', () => {
    const priced = priceLine(item({ speed: 'express' }, 3), service)
    expect(priced).toMatchObject({
      line: { unitPrice: 19_900, quantity: 3, total: 59_700, turnaroundDays: 1 },
    })
  })

  test('is never negative, whatever the choices take off', () => {
    const choice = { speed: 'standard', 'extras/more': 'less' }
    expect(priceLine(item(choice), service)).toMatchObject({ line: { unitPrice: 0, total: 0 } })
  })

  test('names everything that is wrong with the choices', () => {
    expect(priceLine(item({ 'a/b~c': 'x', 'extras/more': 'y' }), service)).toEqual({
      problems: [
        { pointer: '/options/a~1b~0c', code: 'unknown_option', message: expect.any(String) },
        { pointer: '/options/extras~1more', code: 'unknown_choice', message: expect.any(String) },
        { pointer: '/options/speed', code: 'required', message: expect.any(String) },
      ],
    })
  })

  test('takes no member of the prototype for an option or a choice', () => {
    for (const options of [{ constructor: 'standard' }, { speed: 'toString' }]) {
      expect(priceLine(item(options), service)).toHaveProperty('problems')
    }
  })

  test('adds up: integers in, integers out, the total is the sum of its lines', () => {
    const line = fc.record({
      price: fc.nat(99_999_999),
      delta: fc.integer({ min: -99_999_999, max: 99_999_999 }),
      quantity: fc.integer({ min: 1, max: 1000 }),
    })
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 50 }), (given) => {
        const lines = given.map(({ price, delta, quantity }) => {
          const choices = [{ key: 'c', name: 'C', priceDelta: delta }]
          const offered: OfferedService = {
            ...service,
            price: { amount: price, currency: 'GBP' },
            options: [{ key: 'o', name: 'O', required: true, choices }],
          }
          const priced = priceLine(item({ o: 'c' }, quantity), offered)
          if (!('line' in priced)) throw new Error('expected a line')
          expect(priced.line.total).toBe(Math.max(0, price + delta) * quantity)
          return priced.line
        })
        const { total, subtotal, discount, tax } = totalsOf(lines)
        expect(Number.isSafeInteger(total)).toBe(true)
        expect(total).toBe(subtotal - discount + tax)
        expect(BigInt(total)).toBe(lines.reduce((sum, one) => sum + BigInt(one.total), 0n))
        expect(isPayable(total)).toBe(total <= 99_999_999)
      }),
    )
  })
})

describe('the turnaround of an order', () => {
  test('is its slowest line, and null where no line has one', () => {
    const days = (...all: (number | null)[]) => all.map((turnaroundDays) => ({ turnaroundDays }))
    expect(turnaroundOf(days(2, null, 7))).toBe(7)
    expect(turnaroundOf(days(null))).toBeNull()
    expect(turnaroundOf([])).toBeNull()
  })
})
