import { assert } from './assert.ts'

/** An amount in integer minor units (pence, yen, fils) of an ISO 4217 currency. */
export interface Money {
  readonly amount: number
  readonly currency: string
}

/** The largest amount on the wire: Stripe's limit of eight digits. */
export const maxAmount = 99_999_999

const currencies = new Set(Intl.supportedValuesOf('currency'))

/**
 * The currencies of ISO 4217 without two decimals. Written out: ICU answers how cash is rounded (it
 * gives forints and rupiahs none), which is a hundred times another amount.
 */
const decimalsOfOthers = new Map<string, number>([
  ...'BIF CLP DJF GNF JPY KMF KRW PYG RWF VND VUV XAF XOF XPF'.split(' ').map(withDecimals(0)),
  ...'BHD IQD JOD KWD LYD OMR TND'.split(' ').map(withDecimals(3)),
])

/**
 * Stripe charges ISK and UGX with two decimals and MGA with none, against ISO 4217; UYI is an
 * index, CLF and UYW have four. None of them could be charged as it is written.
 */
const unusable = new Set('CLF ISK MGA UGX UYI UYW'.split(' '))

/** Whether the code is one of ISO 4217's with 0, 2 or 3 decimals, charged as it is written. */
export function isCurrency(code: string): boolean {
  return currencies.has(code) && !unusable.has(code)
}

/** How many digits stand after the point: JPY 0, GBP 2, KWD 3. */
export function decimalsOf(currency: string): number {
  return decimalsOfOthers.get(currency) ?? 2
}

export function money(amount: number, currency: string): Money {
  assert(Number.isSafeInteger(amount), `an amount of money is an integer, not ${amount}`)
  return { amount, currency }
}

export function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => addSafely(total, amount), 0)
}

/** Splits `total` by integer weights so that the parts add up to it: the largest remainders win. */
export function allocate(total: number, weights: readonly number[]): number[] {
  const weightSum = sum(weights)
  assert(weightSum > 0 && weights.every((weight) => weight >= 0), 'weights must be positive')
  const shares = weights.map((weight, index) => {
    // BigInt, because total × weight may leave the safe integers.
    const product = BigInt(total) * BigInt(weight)
    const whole = product / BigInt(weightSum)
    return { index, amount: Number(whole), remainder: product - whole * BigInt(weightSum) }
  })
  const sign = total < 0 ? -1 : 1
  let left = Math.abs(total - sum(shares.map(({ amount }) => amount)))
  const byRemainder = shares.toSorted((a, b) => {
    const order = a.remainder === b.remainder ? 0 : a.remainder > b.remainder ? -sign : sign
    return order || a.index - b.index
  })
  for (const share of byRemainder) {
    if (left === 0) break
    share.amount += sign
    left -= 1
  }
  return shares.map(({ amount }) => amount)
}

function addSafely(a: number, b: number): number {
  const total = a + b
  assert(Number.isSafeInteger(total), `a sum of money left the safe integers: ${a} + ${b}`)
  return total
}

function withDecimals(decimals: number): (code: string) => readonly [string, number] {
  return (code) => [code, decimals]
}
