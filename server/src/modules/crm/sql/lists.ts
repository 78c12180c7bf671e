import type { Id } from '../../../kernel/id.ts'
import { contains, type ListDefinition } from '../../../platform/list.ts'
import { sql, type Sql } from '../../../platform/sql.ts'
import { rankOf } from '../rules.ts'
import type { CaseKind, CaseOrigin, CaseStatus, Priority } from '../schema.ts'
import { customerColumns, foldText, staffColumns, type Owner } from './cases.ts'

export interface CustomerListFilters {
  /** Whose list it is; every list of a customer's has one. */
  readonly owner?: Owner
  readonly status?: CaseStatus
  readonly kind?: CaseKind
  readonly orderId?: Id<'ord'>
  readonly customerId?: Id<'cus'>
  readonly origin?: CaseOrigin
  readonly overdue?: { readonly is: boolean; readonly now: Date }
  readonly q?: string
}

export interface StaffListFilters extends Omit<CustomerListFilters, 'owner'> {
  readonly priority?: Priority
  readonly assigneeId?: Id<'usr'>
}

/** Written as the partial index on unfinished cases is, so that it serves. */
const unfinished = sql`status in ('new', 'open', 'waiting_customer', 'waiting_third_party')`
/** Written as the search index is. */
const searched = sql`(lower(number) || ' ' || searched_text)`

const sharedFilters = {
  status: (status: CaseStatus): Sql => sql`status = ${status}`,
  kind: (kind: CaseKind): Sql => sql`kind = ${kind}`,
  orderId: (orderId: Id<'ord'>): Sql => sql`order_id = ${orderId}`,
  customerId: (customerId: Id<'cus'>): Sql => sql`customer_id = ${customerId}`,
  origin: (origin: CaseOrigin): Sql => sql`origin = ${origin}`,
  overdue: ({ is, now }: { is: boolean; now: Date }): Sql =>
    is
      ? sql`(${unfinished} and due_at < ${now})`
      : sql`(due_at is null or due_at >= ${now} or not ${unfinished})`,
  q: (text: string): Sql => contains(searched, foldText(text)),
}

const sharedSorts = {
  createdAt: { column: sql`created_at`, type: sql`timestamptz` },
  dueAt: { column: sql`due_at`, type: sql`timestamptz`, nullable: true },
  updatedAt: { column: sql`updated_at`, type: sql`timestamptz` },
}

export const customerCases: ListDefinition<CustomerListFilters> = {
  columns: customerColumns,
  from: sql`cases`,
  id: sql`id`,
  sorts: sharedSorts,
  filters: {
    ...sharedFilters,
    owner: (owner) =>
      'orderId' in owner
        ? sql`order_id = ${owner.orderId}`
        : sql`customer_id = ${owner.customerId}`,
  },
}

export const staffCases: ListDefinition<StaffListFilters> = {
  columns: staffColumns,
  from: sql`cases`,
  id: sql`id`,
  sorts: {
    ...sharedSorts,
    priority: { column: sql`priority_rank`, type: sql`smallint` },
  },
  filters: {
    ...sharedFilters,
    priority: (priority) => sql`priority_rank = ${rankOf(priority)}`,
    assigneeId: (id) => sql`assignee_id = ${id}`,
  },
}
