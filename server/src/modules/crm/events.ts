import { Type } from 'typebox'
import { idOf, nullable, oneOf } from '../../kernel/shapes.ts'
import { defineEvent } from '../../platform/events.ts'
import { caseKinds, caseOrigins, caseStatuses, outcomes } from './schema.ts'

/**
 * Facts about a case. Customers read the events that have a `customer` shape in their timeline, so
 * what only staff may know is an event of its own and not a member of a shared one.
 */

const origin = oneOf(caseOrigins)

export const CaseOpened = defineEvent('case.opened', {
  data: Type.Object({
    origin,
    kind: oneOf(caseKinds),
    orderId: nullable(idOf('ord')),
    customerId: nullable(idOf('cus')),
  }),
  staff: Type.Object({ origin, kind: oneOf(caseKinds), orderId: nullable(idOf('ord')) }),
  customer: Type.Object({ origin }),
})

const move = Type.Object({ from: oneOf(caseStatuses), to: oneOf(caseStatuses) })

/** Any move but the two that have an event of their own: `case.resolved` and `case.closed`. */
export const CaseStatusChanged = defineEvent('case.status_changed', {
  data: move,
  staff: move,
  customer: move,
})

const resolution = Type.Object({ from: oneOf(caseStatuses), outcome: oneOf(outcomes) })

/** The customer is to hear of it by mail. */
export const CaseResolved = defineEvent('case.resolved', {
  data: resolution,
  staff: resolution,
  customer: resolution,
})

const closing = Type.Object({ from: oneOf(caseStatuses) })

export const CaseClosed = defineEvent('case.closed', {
  data: closing,
  staff: closing,
  customer: closing,
})

const note = Type.Object({ noteId: idOf('note') })

/** An internal note: nothing that a customer may know of. */
export const CaseNoteAdded = defineEvent('case.note_added', { data: note, staff: note })

/** A public note by staff. The customer is to hear of it by mail. */
export const CaseReplied = defineEvent('case.replied', { data: note, staff: note, customer: note })

/** A note by the customer or the guest. */
export const CaseAnswered = defineEvent('case.answered', {
  data: note,
  staff: note,
  customer: note,
})

const assignment = Type.Object({
  assigneeId: nullable(idOf('usr')),
  previousAssigneeId: nullable(idOf('usr')),
})

export const CaseAssigned = defineEvent('case.assigned', { data: assignment, staff: assignment })

const fields = Type.Object({ fields: Type.Array(Type.String()) })

/** Names of the fields that changed, the assignee apart. */
export const CaseUpdated = defineEvent('case.updated', { data: fields, staff: fields })

const order = Type.Object({ orderId: idOf('ord') })

/** The order of the case was cancelled; the case stays open for what is left to do. */
export const CaseOrderCancelled = defineEvent('case.order_cancelled', {
  data: order,
  staff: order,
  customer: order,
})

export const caseEvents = [
  CaseOpened,
  CaseStatusChanged,
  CaseResolved,
  CaseClosed,
  CaseNoteAdded,
  CaseReplied,
  CaseAnswered,
  CaseAssigned,
  CaseUpdated,
  CaseOrderCancelled,
]
