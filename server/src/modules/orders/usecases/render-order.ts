import { money } from '../../../kernel/money.ts'
import type { TimelineEntry } from '../../../kernel/shapes.ts'
import { toInstant } from '../../../kernel/time.ts'
import type { Context } from '../../../platform/context.ts'
import type { Audience } from '../../../platform/events.ts'
import type { TimelineEvent } from '../../../platform/outbox.ts'
import { renderPayment, renderRefund, type Ledger } from '../../payments/index.ts'
import { allowedTransitions } from '../rules.ts'
import type { Order, OrderCase, OrderLine, OrderSummary } from '../schema.ts'
import type { LineRow, OrderListRow, OrderRow } from '../sql.ts'

/** Everything of one order, as it was read. */
export interface OrderParts {
  readonly row: OrderRow
  readonly lines: readonly LineRow[]
  readonly ledger: Ledger
  readonly timeline: readonly TimelineEvent[]
  /** Names of the people in the timeline, by their ids. */
  readonly names: ReadonlyMap<string, string>
}

/** The whole order for one audience; the timeline was read for the same one. */
export function renderOrder(audience: Audience, parts: OrderParts): Order {
  const { row, lines, ledger, timeline, names } = parts
  const amount = (value: number) => money(value, row.currency)
  return {
    ...renderSummary(audience, row),
    lines: lines.map((line) => renderLine(line, row.currency)),
    subtotal: amount(row.subtotal),
    discount: amount(row.discount),
    tax: amount(row.tax),
    payments: ledger.payments.map((payment) => renderPayment(payment, ledger)),
    refunds: ledger.refunds.map(renderRefund),
    timeline: timeline.map((event) => renderEntry(audience, event, names)),
    allowedTransitions: audience === 'staff' ? allowedTransitions(row) : [],
    note: row.note,
    metadata: row.metadata,
  }
}

/** Customers are not told that staff have to look at their money. */
export function renderSummary(audience: Audience, row: OrderListRow): OrderSummary {
  const amount = (value: number) => money(value, row.currency)
  return {
    id: row.id,
    number: row.number,
    status: row.status,
    paymentStatus: row.paymentStatus,
    customer: { id: row.customerId, email: row.customerEmail, name: row.customerName },
    total: amount(row.total),
    paid: amount(row.paid),
    refunded: amount(row.refunded),
    ...(audience === 'staff' ? { flagged: row.flagged } : {}),
    case: renderCase(row),
    version: row.version,
    createdAt: toInstant(row.createdAt),
    updatedAt: toInstant(row.updatedAt),
  }
}

/** The order's copy of its case: orders answers it without knowing crm. */
export function renderCase(
  row: Pick<OrderRow, 'caseId' | 'caseNumber' | 'caseStatus'>,
): OrderCase | null {
  const { caseId, caseNumber, caseStatus } = row
  if (caseId === null || caseNumber === null || caseStatus === null) return null
  return { id: caseId, number: caseNumber, status: caseStatus }
}

/** Which of the two views of an order this actor has. */
export function audienceOf({ actor }: Context): Audience {
  return actor.kind === 'staff' || actor.kind === 'system' ? 'staff' : 'customer'
}

function renderLine(line: LineRow, currency: string): OrderLine {
  return {
    id: line.id,
    serviceId: line.serviceId,
    name: line.name,
    options: [...line.options],
    quantity: line.quantity,
    unitPrice: money(line.unitPrice, currency),
    total: money(line.total, currency),
    answers: line.answers,
  }
}

/** Customers read what happened, not which member of the staff did it. */
function renderEntry(
  audience: Audience,
  event: TimelineEvent,
  names: ReadonlyMap<string, string>,
): TimelineEntry {
  const isHidden = audience === 'customer' && event.actorKind === 'staff'
  const actor =
    isHidden || event.actorKind === 'anonymous'
      ? null
      : {
          id: event.actorId,
          name: (event.actorId && names.get(event.actorId)) ?? null,
          kind: event.actorKind,
        }
  return {
    id: event.id as TimelineEntry['id'],
    type: event.type,
    at: toInstant(event.at),
    actor,
    data: event.data,
  }
}
