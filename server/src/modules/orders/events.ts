import { Type } from 'typebox'
import { defineEvent } from '../../platform/events.ts'

const Placed = Type.Object({
  source: Type.String(),
  total: Type.Integer(),
  currency: Type.String(),
  lineCount: Type.Integer(),
})
const Nothing = Type.Object({})
const Updated = Type.Object({ fields: Type.Array(Type.String()) })
const StatusChanged = Type.Object({ from: Type.String(), to: Type.String() })
const Cancelled = Type.Object({
  from: Type.String(),
  /** `staff` for a person's own words, which stay in the order's row. */
  reason: Type.String(),
  refund: Type.String(),
})

export const OrderPlaced = defineEvent('order.placed', {
  data: Placed,
  staff: Placed,
  customer: Type.Object({ total: Type.Integer(), currency: Type.String() }),
})
/** Paid in full, or staff said so: the work may begin. */
export const OrderConfirmed = defineEvent('order.confirmed', {
  data: Nothing,
  staff: Nothing,
  customer: Nothing,
})
export const OrderStatusChanged = defineEvent('order.status_changed', {
  data: StatusChanged,
  staff: StatusChanged,
  customer: StatusChanged,
})
export const OrderCancelled = defineEvent('order.cancelled', {
  data: Cancelled,
  staff: Cancelled,
  customer: Type.Object({ reason: Type.String() }),
})
export const OrderUpdated = defineEvent('order.updated', { data: Updated, staff: Updated })

export const events = [
  OrderPlaced,
  OrderConfirmed,
  OrderStatusChanged,
  OrderCancelled,
  OrderUpdated,
]
