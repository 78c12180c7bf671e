import { invalidInputAt, invalidTransition, type InputProblem } from '../../kernel/errors.ts'
import type { Transition } from '../../kernel/shapes.ts'
import { dayMs } from '../../kernel/time.ts'
import {
  caseClosed,
  priorities,
  useResolve,
  type CaseFilters,
  type CaseKind,
  type CaseOrigin,
  type CaseStatus,
  type OpenCaseInput,
  type Priority,
} from './schema.ts'

/** Which states follow each by a plain change; a resolution is a step of its own. */
const following: Readonly<Record<CaseStatus, readonly CaseStatus[]>> = {
  new: ['open', 'waiting_customer', 'waiting_third_party'],
  open: ['waiting_customer', 'waiting_third_party'],
  waiting_customer: ['open'],
  waiting_third_party: ['open'],
  resolved: ['open', 'closed'],
  closed: [],
}

/** Resolved cases close by themselves after this. */
export const closesAfterMs = 14 * dayMs

/** Whether somebody still has to do something. */
export function isUnfinished(status: CaseStatus): boolean {
  return status !== 'resolved' && status !== 'closed'
}

/** Where the case may go, and for a resolution that it has an address of its own. */
export function transitionsFrom(status: CaseStatus): Transition[] {
  const open = following[status].map((to) => ({ to, blockedBy: null }))
  return isUnfinished(status) ? [...open, { to: 'resolved', blockedBy: useResolve.code }] : open
}

/** Throws 409 unless a plain change of status may do this. */
export function requireTransition(from: CaseStatus, to: CaseStatus): void {
  if (following[from].includes(to)) return
  const members = { allowedTransitions: transitionsFrom(from) }
  if (to === 'resolved' && isUnfinished(from)) throw useResolve({ members })
  throw invalidTransition({ detail: `A case that is ${from} cannot become ${to}.`, members })
}

/** Throws 409 where the case is resolved or closed already. */
export function requireResolvable(from: CaseStatus): void {
  if (isUnfinished(from)) return
  throw invalidTransition({
    detail: `A case that is ${from} cannot be resolved.`,
    members: { allowedTransitions: transitionsFrom(from) },
  })
}

/** What a word from the customer does: it is never left unseen. Throws 409 on a closed case. */
export function statusAfterAnswer(status: CaseStatus): CaseStatus {
  if (status === 'closed') throw caseClosed()
  return status === 'resolved' || status === 'waiting_customer' ? 'open' : status
}

export function isOverdue(
  { dueAt, status }: { dueAt: Date | null; status: CaseStatus },
  now: Date,
): boolean {
  return dueAt !== null && dueAt < now && isUnfinished(status)
}

/** From 1, the least urgent: what a list sorts by. */
export function rankOf(priority: Priority): number {
  return priorities.indexOf(priority) + 1
}

/** How the actor stands to the case it opens. */
export type Opener = 'public' | 'customer' | 'staff'

const publicMembers = ['subject', 'description', 'contact']
const membersOf: Readonly<Record<Opener, ReadonlySet<string> | 'all'>> = {
  public: new Set(publicMembers),
  customer: new Set([...publicMembers, 'orderId']),
  staff: 'all',
}

/** Throws 400 with a pointer for each member that this actor may not send, and for one it must. */
export function checkOpening(opener: Opener, input: OpenCaseInput): void {
  const allowed = membersOf[opener]
  const refused = Object.keys(input).filter((name) => allowed !== 'all' && !allowed.has(name))
  const problems: InputProblem[] = refused.map((name) => ({
    pointer: `/${name}`,
    code: 'not_allowed',
    message: 'is not yours to set',
  }))
  const isKnown = input.customerId !== undefined || input.orderId !== undefined
  if (input.contact === undefined && opener !== 'customer' && !isKnown) {
    problems.push({ pointer: '/contact', code: 'required', message: 'is required' })
  }
  if (problems.length > 0) throw invalidInputAt(...problems)
}

/** What begins as a lead: whoever is not known yet, unless staff say otherwise. */
export function kindOf(input: OpenCaseInput, customerId: string | null): CaseKind {
  return input.kind ?? (customerId === null ? 'lead' : 'case')
}

export function originOf(opener: Opener): CaseOrigin {
  return opener === 'public' ? 'contact' : 'enquiry'
}

const staffFilters = ['priority', 'assigneeId'] as const

/** Throws 400 where a customer would learn by a filter or a sort what no reply tells. */
export function checkCustomerQuery(filters: CaseFilters, sortField: string): void {
  const refused: string[] = staffFilters.filter((name) => filters[name] !== undefined)
  if (sortField === 'priority') refused.push('sort')
  if (refused.length === 0) return
  throw invalidInputAt(
    ...refused.map((name): InputProblem => ({
      pointer: `/query/${name}`,
      code: 'not_allowed' as const,
      message: 'is for staff only',
    })),
  )
}

/** The instant; throws 400 for one that no calendar has or that lies out of all reason. */
export function readDueAt(text: string): Date {
  const instant = new Date(text)
  const year = instant.getUTCFullYear()
  if (year >= 2000 && year < 2200) return instant
  throw invalidInputAt({
    pointer: '/dueAt',
    code: 'range',
    message: 'must be an instant between the years 2000 and 2199',
  })
}

const maxSubjectLength = 200

/** What an order's case is called: the order's number and what was bought. */
export function subjectOfOrder(number: string, lineNames: readonly string[]): string {
  const letters = Array.from(`${number}: ${lineNames.join(', ')}`)
  return letters.length <= maxSubjectLength
    ? letters.join('')
    : `${letters.slice(0, maxSubjectLength - 1).join('')}…`
}
