import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  comparePayment,
  compareReturn,
  deriveMoney,
  disputeSupersedes,
  isBegunAnew,
  isFinal,
  mismatchOf,
  refundableAmount,
  refundSupersedes,
  supersedes,
  type ExpectedPayment,
  type LedgerFacts,
  type Observation,
} from './rules.ts'
import { paymentStatuses, refundStatuses, type PaymentStatus, type RefundStatus } from './schema.ts'

const amount = fc.integer({ min: 1, max: 20_000 })
const paymentStatus = fc.constantFrom(...paymentStatuses)
const refundStatus = fc.constantFrom(...refundStatuses)
const disputeStatus = fc.constantFrom('needs_response', 'under_review', 'won', 'lost')
const ledger = fc.record({
  payments: fc.array(fc.record({ status: paymentStatus, amount }), { maxLength: 5 }),
  refunds: fc.array(fc.record({ status: refundStatus, amount }), { maxLength: 5 }),
  disputes: fc.array(fc.record({ status: disputeStatus, amount }), { maxLength: 3 }),
})

describe('what a ledger comes to', () => {
  test('is what the table of the contract says, for every ledger', () => {
    fc.assert(
      fc.property(fc.nat(40_000), ledger, (total, facts) => {
        expect(deriveMoney(total, facts)).toEqual(fromTheTable(total, facts))
      }),
      { numRuns: 2000 },
    )
  })

  test('does not depend on the order of the rows', () => {
    fc.assert(
      fc.property(fc.nat(40_000), ledger, (total, facts) => {
        const reversed = {
          payments: facts.payments.toReversed(),
          refunds: facts.refunds.toReversed(),
          disputes: facts.disputes.toReversed(),
        }
        expect(deriveMoney(total, reversed)).toEqual(deriveMoney(total, facts))
      }),
    )
  })

  test.each([
    ['nothing', {}, 'unpaid'],
    ['a declined card', { payments: [row('failed', 100)] }, 'failed'],
    ['a bank debit under way', { payments: [row('processing', 100)] }, 'processing'],
    ['a part', { payments: [row('succeeded', 40)] }, 'partially_paid'],
    ['all of it', { payments: [row('succeeded', 100)] }, 'paid'],
    [
      'all of it and a part back',
      { payments: [row('succeeded', 100)], refunds: [row('succeeded', 40)] },
      'partially_refunded',
    ],
    [
      'all of it and a refund that waits',
      { payments: [row('succeeded', 100)], refunds: [row('pending', 40)] },
      'paid',
    ],
    [
      'all of it and all back',
      { payments: [row('succeeded', 100)], refunds: [row('succeeded', 100)] },
      'refunded',
    ],
  ])('%s', (_name, facts, expected) => {
    const whole = { payments: [], refunds: [], disputes: [], ...facts } as LedgerFacts
    expect(deriveMoney(100, whole).paymentStatus).toBe(expected)
  })

  test('a total of nothing is paid', () => {
    const nothing = { payments: [], refunds: [], disputes: [] }
    expect(deriveMoney(0, nothing)).toEqual({ paid: 0, refunded: 0, paymentStatus: 'paid' })
  })

  function row<Status extends string>(status: Status, sum: number) {
    return { status, amount: sum }
  }
})

/** The contract's own words, one after the other, written down a second time. */
function fromTheTable(total: number, { payments, refunds, disputes }: LedgerFacts) {
  let paid = 0
  for (const one of payments) if (one.status === 'succeeded') paid += one.amount
  for (const one of disputes) if (one.status === 'lost') paid -= one.amount
  if (paid < 0) paid = 0
  let refunded = 0
  for (const one of refunds) if (one.status === 'succeeded') refunded += one.amount
  const table: [boolean, string][] = [
    [disputes.some(({ status }) => status !== 'won'), 'disputed'],
    [paid > 0 && refunded >= paid, 'refunded'],
    [refunded > 0, 'partially_refunded'],
    [paid >= total, 'paid'],
    [paid > 0, 'partially_paid'],
    [payments.some(({ status }) => status === 'processing'), 'processing'],
    [payments.some(({ status }) => status === 'failed'), 'failed'],
    [true, 'unpaid'],
  ]
  return { paid, refunded, paymentStatus: table.find(([holds]) => holds)?.[1] }
}

describe('what may still be given back', () => {
  test('never goes below zero by requests that are checked against it', () => {
    const wish = fc.record({ amount, ends: refundStatus })
    fc.assert(
      fc.property(amount, fc.array(wish, { maxLength: 50 }), (captured, wishes) => {
        const refunds: { status: RefundStatus; amount: number }[] = []
        for (const one of wishes) {
          if (one.amount > refundableAmount(captured, refunds)) continue
          refunds.push({ status: one.ends, amount: one.amount })
          expect(refundableAmount(captured, refunds)).toBeGreaterThanOrEqual(0)
        }
      }),
    )
  })
})

describe('what supersedes what', () => {
  test('no row of news moves a payment out of a final state, nor back to pending', () => {
    fc.assert(
      fc.property(fc.array(paymentStatus, { maxLength: 30 }), (news) => {
        let status: PaymentStatus = 'pending'
        for (const seen of news) {
          const before = status
          if (supersedes(status, seen)) status = seen
          if (isFinal(before)) expect(status).toBe(before)
          if (before !== 'pending') expect(status).not.toBe('pending')
        }
      }),
    )
  })

  test('only the arrival of a change of the amount begins an attempt anew', () => {
    const begins = (status: PaymentStatus, amount: number, seen: PaymentStatus) =>
      isBegunAnew({ status, nextAmount: 50 }, { status: seen, amount })
    const stopped: PaymentStatus[] = ['requires_action', 'failed']
    for (const status of paymentStatuses) {
      expect([status, begins(status, 50, 'pending')]).toEqual([status, stopped.includes(status)])
      // A look from before the change is old news.
      expect([status, begins(status, 100, 'pending')]).toEqual([status, false])
      expect([status, begins(status, 50, 'processing')]).toEqual([status, false])
    }
    expect(
      isBegunAnew({ status: 'failed', nextAmount: null }, { status: 'pending', amount: 100 }),
    ).toBe(false)
  })

  test('a refund that failed or was canceled stays so; one that went out never waits again', () => {
    fc.assert(
      fc.property(fc.array(refundStatus, { maxLength: 30 }), (news) => {
        let status: RefundStatus = 'pending'
        for (const seen of news) {
          const before = status
          if (refundSupersedes(status, seen)) status = seen
          if (before === 'failed' || before === 'canceled') expect(status).toBe(before)
          if (before === 'succeeded') expect(['pending', 'requires_action']).not.toContain(status)
        }
      }),
    )
  })

  test('a dispute is over once it is won or lost', () => {
    expect(['won', 'lost', 'under_review'].map(disputeSupersedes)).toEqual([false, false, true])
  })
})

describe('what does not pay our row', () => {
  const payment: ExpectedPayment = {
    id: 'pay_1',
    orderId: 'ord_1',
    mode: 'intent',
    status: 'pending',
    amount: 100,
    nextAmount: null,
    currency: 'GBP',
    providerRef: 'pi_1',
  }
  const seen: Observation = {
    ref: 'pi_1',
    status: 'succeeded',
    amount: 100,
    currency: 'GBP',
    livemode: false,
    orderId: 'ord_1',
    paymentId: 'pay_1',
  }

  test('the very object does', () => {
    expect(mismatchOf(payment, seen, false)).toBeNull()
    expect(mismatchOf({ ...payment, providerRef: null }, seen, false)).toBeNull()
  })

  test.each([
    ['other_livemode', {}, { livemode: true }],
    ['other_object', {}, { ref: 'pi_2' }],
    ['other_object', { providerRef: null, mode: 'hosted' }, {}],
    ['other_object', { providerRef: null, mode: 'manual' }, {}],
    ['other_payment', {}, { paymentId: 'pay_2' }],
    ['other_payment', {}, { orderId: null }],
    ['other_currency', {}, { currency: 'EUR' }],
    ['other_amount', {}, { amount: 99 }],
    ['other_amount', { nextAmount: 50 }, { amount: 51 }],
  ] as const)('%s', (reason, ours, theirs) => {
    expect(mismatchOf({ ...payment, ...ours }, { ...seen, ...theirs }, false)).toBe(reason)
  })

  test('only money is wrong money: a look may be older than a change of the amount', () => {
    const look = (status: PaymentStatus) =>
      mismatchOf(payment, { ...seen, status, amount: 99 }, false)
    expect([look('pending'), look('requires_action'), look('failed')]).toEqual([null, null, null])
    expect([look('processing'), look('succeeded')]).toEqual(['other_amount', 'other_amount'])
  })

  test('while the amount changes, either is right; of what ended none matters', () => {
    expect(mismatchOf({ ...payment, nextAmount: 50 }, { ...seen, amount: 50 }, false)).toBeNull()
    expect(mismatchOf(payment, { ...seen, status: 'canceled', amount: 7 }, false)).toBeNull()
  })
})

describe('how our row and the provider’s object differ', () => {
  const row = {
    status: 'pending' as PaymentStatus,
    amount: 100,
    currency: 'GBP',
    nextAmount: null as number | null,
    providerRef: 'pi_1' as string | null,
  }
  const seen = { status: 'pending' as PaymentStatus, amount: 100, currency: 'GBP' }

  test.each([
    [null, {}, {}],
    ['currency_differs', {}, { currency: 'EUR' }],
    ['status_differs', {}, { status: 'succeeded' }],
    ['status_differs', { status: 'succeeded' }, {}],
    ['status_differs', { status: 'succeeded' }, { status: 'canceled' }],
    ['status_differs', { status: 'canceled' }, { status: 'succeeded' }],
    ['status_differs', { status: 'canceled' }, {}],
    [null, { status: 'canceled' }, { status: 'canceled', amount: 7 }],
    [null, { status: 'canceled', providerRef: null }, {}],
    [null, { status: 'succeeded' }, { status: 'succeeded' }],
    ['amount_differs', { status: 'succeeded' }, { status: 'succeeded', amount: 99 }],
    [
      'amount_differs',
      { status: 'succeeded', nextAmount: 99 },
      { status: 'succeeded', amount: 98 },
    ],
    ['amount_differs', {}, { amount: 99 }],
    [null, { nextAmount: 99 }, { amount: 99 }],
    ['status_differs', {}, { status: 'failed' }],
    [null, { status: 'failed' }, {}],
  ] as const)('%s for %j here and %j there', (kind, ours, theirs) => {
    expect(comparePayment({ ...row, ...ours }, { ...seen, ...theirs })).toBe(kind)
  })

  test('never is there silence about money that only one side has', () => {
    fc.assert(
      fc.property(paymentStatus, paymentStatus, amount, amount, (here, there, ours, theirs) => {
        const kind = comparePayment(
          { ...row, status: here, amount: ours },
          { ...seen, status: there, amount: theirs },
        )
        const [paidHere, paidThere] = [here, there].map((one) => one === 'succeeded')
        const isOff = paidHere !== paidThere || (paidHere && ours !== theirs)
        if (isOff) expect(kind).not.toBeNull()
      }),
    )
  })

  test('of a refund and a dispute each state counts', () => {
    const back = { status: 'succeeded', amount: 100, currency: 'GBP' }
    expect(compareReturn(back, back)).toBeNull()
    expect(compareReturn(back, { ...back, status: 'failed' })).toBe('status_differs')
    expect(compareReturn(back, { ...back, amount: 99 })).toBe('amount_differs')
    expect(compareReturn(back, { ...back, currency: 'EUR' })).toBe('currency_differs')
  })
})
