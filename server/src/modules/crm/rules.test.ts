import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../kernel/errors.ts'
import {
  checkCustomerQuery,
  checkOpening,
  isOverdue,
  isUnfinished,
  kindOf,
  readDueAt,
  requireResolvable,
  requireTransition,
  statusAfterAnswer,
  subjectOfOrder,
  transitionsFrom,
  type Opener,
} from './rules.ts'
import { caseStatuses, type CaseStatus, type OpenCaseInput } from './schema.ts'

const status = fc.constantFrom(...caseStatuses)

/** The AppError that `work` throws; undefined where it throws nothing. */
function failureOf(work: () => unknown): AppError | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
}

function pointersOf(work: () => unknown): string[] {
  const { errors } = (failureOf(work)?.members ?? {}) as { errors?: { pointer: string }[] }
  return (errors ?? []).map(({ pointer }) => pointer)
}

describe('the state machine', () => {
  test('is exactly the one of the contract', () => {
    const table = caseStatuses.map((from) => [
      from,
      transitionsFrom(from).map(({ to, blockedBy }) => (blockedBy ? `${to}: ${blockedBy}` : to)),
    ])
    expect(Object.fromEntries(table)).toEqual({
      new: ['open', 'waiting_customer', 'waiting_third_party', 'resolved: use_resolve'],
      open: ['waiting_customer', 'waiting_third_party', 'resolved: use_resolve'],
      waiting_customer: ['open', 'resolved: use_resolve'],
      waiting_third_party: ['open', 'resolved: use_resolve'],
      resolved: ['open', 'closed'],
      closed: [],
    })
  })

  test('allows a change exactly where it is listed and nothing blocks it', () => {
    fc.assert(
      fc.property(status, status, (from, to) => {
        const listed = transitionsFrom(from).find((one) => one.to === to)
        const failure = failureOf(() => requireTransition(from, to))
        if (!listed) expect(failure?.code).toBe('invalid_transition')
        else if (listed.blockedBy) expect(failure?.code).toBe(listed.blockedBy)
        else expect(failure).toBeUndefined()
        if (failure) expect(failure.members['allowedTransitions']).toEqual(transitionsFrom(from))
      }),
    )
  })

  type Step =
    | { readonly kind: 'change'; readonly to: CaseStatus }
    | { readonly kind: 'resolve' | 'answer' }
  const step: fc.Arbitrary<Step> = fc.oneof(
    status.map((to) => ({ kind: 'change', to }) as const),
    fc.constantFrom({ kind: 'resolve' } as const, { kind: 'answer' } as const),
  )

  function apply(from: CaseStatus, taken: Step): CaseStatus {
    const refused = failureOf(() => {
      if (taken.kind === 'change') requireTransition(from, taken.to)
      else if (taken.kind === 'resolve') requireResolvable(from)
      else statusAfterAnswer(from)
    })
    if (refused) return from
    if (taken.kind === 'change') return taken.to
    return taken.kind === 'resolve' ? 'resolved' : statusAfterAnswer(from)
  }

  test('whatever is tried: closed is final, resolved is reached by resolving, new is left once', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let now: CaseStatus = 'new'
        for (const taken of steps) {
          const next = apply(now, taken)
          if (now === 'closed') expect(next).toBe('closed')
          if (next === 'closed' && now !== 'closed') expect(now).toBe('resolved')
          if (next === 'resolved' && now !== 'resolved') expect(taken.kind).toBe('resolve')
          if (next === 'new') expect(now).toBe('new')
          if (taken.kind === 'answer') expect(['resolved', 'waiting_customer']).not.toContain(next)
          now = next
        }
      }),
    )
  })

  test('an answer wakes what waits for it and is refused on a closed case', () => {
    expect(statusAfterAnswer('resolved')).toBe('open')
    expect(statusAfterAnswer('waiting_customer')).toBe('open')
    expect(statusAfterAnswer('new')).toBe('new')
    expect(statusAfterAnswer('waiting_third_party')).toBe('waiting_third_party')
    expect(failureOf(() => statusAfterAnswer('closed'))?.code).toBe('case_closed')
  })

  test('what is unfinished may be resolved, nothing else', () => {
    for (const from of caseStatuses) {
      expect(failureOf(() => requireResolvable(from)) === undefined).toBe(isUnfinished(from))
    }
  })
})

describe('being overdue', () => {
  const now = new Date('2026-11-22T12:00:00.000Z')
  const passed = new Date('2026-11-22T11:59:59.999Z')

  test('needs a due date that has passed and work that is left', () => {
    expect(isOverdue({ dueAt: passed, status: 'open' }, now)).toBe(true)
    expect(isOverdue({ dueAt: now, status: 'open' }, now)).toBe(false)
    expect(isOverdue({ dueAt: null, status: 'open' }, now)).toBe(false)
    expect(isOverdue({ dueAt: passed, status: 'resolved' }, now)).toBe(false)
    expect(isOverdue({ dueAt: passed, status: 'closed' }, now)).toBe(false)
  })
})

describe('who may send what', () => {
  const whole: OpenCaseInput = {
    subject: 'A question',
    description: 'About tax.',
    contact: { name: 'Ada', email: 'ada@example.com' },
    orderId: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za' as NonNullable<OpenCaseInput['orderId']>,
    kind: 'lead',
    priority: 'urgent',
    customerId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3za' as NonNullable<OpenCaseInput['customerId']>,
    assigneeId: 'usr_01jd8q9yg8e5v9c0m4t7k2x3za' as NonNullable<OpenCaseInput['assigneeId']>,
    dueAt: '2026-12-01T17:00:00.000Z',
    tags: ['vat'],
  }
  const staffOnly = ['/kind', '/priority', '/customerId', '/assigneeId', '/dueAt', '/tags']

  test.each<[Opener, string[]]>([
    ['public', ['/orderId', ...staffOnly]],
    ['customer', staffOnly],
    ['staff', []],
  ])('%s', (opener, refused) => {
    expect(pointersOf(() => checkOpening(opener, whole)).toSorted()).toEqual(refused.toSorted())
  })

  test('a contact is needed exactly where nobody else says who asks', () => {
    const unknown = { subject: 'A', description: 'B' }
    const { customerId, orderId } = whole
    expect(pointersOf(() => checkOpening('public', unknown))).toEqual(['/contact'])
    expect(pointersOf(() => checkOpening('staff', unknown))).toEqual(['/contact'])
    expect(pointersOf(() => checkOpening('customer', unknown))).toEqual([])
    expect(
      pointersOf(() => checkOpening('staff', { ...unknown, customerId: customerId! })),
    ).toEqual([])
    expect(pointersOf(() => checkOpening('staff', { ...unknown, orderId: orderId! }))).toEqual([])
  })

  test('what staff do not name is a lead until a customer is known', () => {
    const { kind: _kind, ...unnamed } = whole
    expect(kindOf(unnamed, null)).toBe('lead')
    expect(kindOf(unnamed, 'cus_1')).toBe('case')
    expect(kindOf(whole, 'cus_1')).toBe('lead')
  })

  test('customers do not learn by filters what they are not shown', () => {
    const query = { priority: 'urgent', assigneeId: whole.assigneeId!, status: 'open' } as const
    expect(pointersOf(() => checkCustomerQuery(query, 'priority'))).toEqual([
      '/query/priority',
      '/query/assigneeId',
      '/query/sort',
    ])
    expect(pointersOf(() => checkCustomerQuery({ status: 'open' }, 'dueAt'))).toEqual([])
  })
})

describe('a due date', () => {
  test('is read in any offset', () => {
    expect(readDueAt('2026-12-01T17:00:00+02:00')).toEqual(new Date('2026-12-01T15:00:00.000Z'))
  })

  test.each([
    '1999-12-31T23:59:59Z',
    '2200-01-01T00:00:00Z',
    '0000-01-01T00:00:00Z',
    '2026-12-31T23:59:60Z',
  ])('is refused as %s', (text) => expect(pointersOf(() => readDueAt(text))).toEqual(['/dueAt']))
})

describe('the subject of an order’s case', () => {
  test('names the order and what was bought', () => {
    expect(subjectOfOrder('B-1042', ['Company formation', 'Registered office'])).toBe(
      'B-1042: Company formation, Registered office',
    )
  })

  test('fits 200 characters and breaks none of them in two', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 80 }), { maxLength: 50 }),
        (names) => {
          const subject = subjectOfOrder('B-1042', names)
          expect(Array.from(subject).length).toBeLessThanOrEqual(200)
          expect(subject.isWellFormed()).toBe(true)
        },
      ),
    )
  })
})
