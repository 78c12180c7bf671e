import type { Id } from '../../../kernel/id.ts'
import type { StaffRole } from '../../../kernel/permissions.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { sql } from '../../../platform/sql.ts'
import type { AuthorKind, CaseKind, CaseOrigin, CaseStatus, Outcome, Priority } from '../schema.ts'

/** What a customer's reply is made of: nothing that only staff may know is ever read for it. */
export interface CaseRow {
  readonly id: Id<'case'>
  readonly number: string
  readonly kind: CaseKind
  readonly origin: CaseOrigin
  readonly subject: string
  readonly status: CaseStatus
  readonly contactName: string
  readonly contactEmail: string
  readonly contactPhone: string | null
  readonly customerId: Id<'cus'> | null
  readonly orderId: Id<'ord'> | null
  readonly dueAt: Date | null
  readonly outcome: Outcome | null
  readonly summary: string | null
  readonly resolvedAt: Date | null
  readonly version: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface StaffCaseRow extends CaseRow {
  readonly priority: Priority
  readonly assigneeId: Id<'usr'> | null
  /** As it is now, not as it was when the case was given to them. */
  readonly assigneeName: string | null
  readonly tags: readonly string[]
}

export interface WithDescription {
  readonly description: string
}

/** Whose case it has to be: the customer's, or that of the order whose token was shown. */
export type Owner = { readonly customerId: Id<'cus'> } | { readonly orderId: Id<'ord'> }

export const customerColumns = sql`id, number, kind, origin, subject, status, contact_name,
  contact_email, contact_phone, customer_id, order_id, due_at, outcome, summary, resolved_at,
  version, created_at, updated_at`
export const staffColumns = sql`${customerColumns}, priority, assignee_id, tags,
  (select users.name from users where users.id = cases.assignee_id) as assignee_name`

/** The case with this number; undefined where there is none. */
export async function findCaseId(db: Db, number: string): Promise<Id<'case'> | undefined> {
  const row = await db.maybeOne<{ id: Id<'case'> }>(sql`
    select id from cases where number = ${number}`)
  return row?.id
}

export async function findCaseNumber(db: Db, id: Id<'case'>): Promise<string | undefined> {
  const row = await db.maybeOne<{ number: string }>(sql`
    select number from cases where id = ${id}`)
  return row?.number
}

export async function findStaffCase(
  db: Db,
  id: Id<'case'>,
): Promise<(StaffCaseRow & WithDescription) | undefined> {
  return await db.maybeOne(sql`
    select ${staffColumns}, description from cases where id = ${id}`)
}

export async function findOwnCase(
  db: Db,
  id: Id<'case'>,
  owner: Owner,
): Promise<(CaseRow & WithDescription) | undefined> {
  return await db.maybeOne(sql`
    select ${customerColumns}, description from cases
    where id = ${id} and ${
      'orderId' in owner ? sql`order_id = ${owner.orderId}` : sql`customer_id = ${owner.customerId}`
    }`)
}

/** Whose the case is and which order it speaks of. */
export async function findCaseOwner(
  db: Db,
  id: Id<'case'>,
): Promise<Pick<CaseRow, 'id' | 'customerId' | 'orderId'> | undefined> {
  return await db.maybeOne(sql`
    select id, customer_id, order_id from cases where id = ${id}`)
}

/** The case that the order's confirmation opened. */
export async function findOrderCase(
  db: Db,
  orderId: Id<'ord'>,
): Promise<Pick<CaseRow, 'id' | 'number' | 'status'> | undefined> {
  return await db.maybeOne(sql`
    select id, number, status from cases where order_id = ${orderId} and origin = 'order'`)
}

/** What decides about a change, read under the row's lock. */
export interface CaseState {
  readonly id: Id<'case'>
  readonly origin: CaseOrigin
  readonly kind: CaseKind
  readonly status: CaseStatus
  readonly customerId: Id<'cus'> | null
  readonly orderId: Id<'ord'> | null
  readonly priority: Priority
  readonly assigneeId: Id<'usr'> | null
  readonly dueAt: Date | null
  readonly tags: readonly string[]
  readonly resolvedAt: Date | null
  readonly version: number
}

const stateColumns = sql`id, origin, kind, status, customer_id, order_id, priority, assignee_id,
  due_at, tags, resolved_at, version`

/** The order whose case this is; undefined where the case only speaks of one, or of none. */
export async function findOrderOfCase(db: Db, id: Id<'case'>): Promise<Id<'ord'> | undefined> {
  const row = await db.maybeOne<{ orderId: Id<'ord'> }>(sql`
    select order_id from cases where id = ${id} and origin = 'order'`)
  return row?.orderId
}

/** Takes the row. Where the case is an order's, that order's row must have been taken before. */
export async function lockCase(db: Tx, id: Id<'case'>): Promise<CaseState | undefined> {
  return await db.maybeOne(sql`
    select ${stateColumns} from cases where id = ${id} for no key update`)
}

export interface NewCase {
  readonly id: Id<'case'>
  readonly kind: CaseKind
  readonly origin: CaseOrigin
  readonly subject: string
  readonly description: string
  readonly priority: Priority
  readonly contact: { readonly name: string; readonly email: string; readonly phone: string | null }
  readonly customerId: Id<'cus'> | null
  readonly orderId: Id<'ord'> | null
  readonly assigneeId: Id<'usr'> | null
  readonly tags: readonly string[]
  /** An instant, or the end of the day so many days from the opening, where the business is. */
  readonly due: Date | null | { readonly inDays: number; readonly timeZone: string }
  readonly at: Date
}

/** Writes the case at version 1 and gives it its number. */
export async function insertCase(db: Tx, draft: NewCase): Promise<{ number: string }> {
  const { contact, due, at } = draft
  return await db.one(sql`
    insert into cases (id, number, kind, origin, subject, description, status, priority,
      contact_name, contact_email, contact_phone, searched_text, customer_id, order_id,
      assignee_id, tags, due_at, version, created_at, updated_at)
    values (${draft.id}, 'C-' || nextval('case_numbers'), ${draft.kind}, ${draft.origin},
      ${draft.subject}, ${draft.description}, 'new', ${draft.priority}, ${contact.name},
      ${contact.email}, ${contact.phone}, ${searchedTextOf(draft)}, ${draft.customerId},
      ${draft.orderId}, ${draft.assigneeId}, ${draft.tags}::text[],
      ${
        due !== null && 'inDays' in due
          ? sql`(date_trunc('day', ${at}::timestamptz at time zone ${due.timeZone})
              + make_interval(days => ${due.inDays}::int + 1)) at time zone ${due.timeZone}
              - interval '1 millisecond'`
          : sql`${due}::timestamptz`
      },
      1, ${at}, ${at})
    returning number`)
}

/** What a search compares: one form of each letter, all of them small. */
export function foldText(text: string): string {
  return text.normalize('NFC').toLowerCase()
}

function searchedTextOf({ subject, contact }: NewCase): string {
  return foldText(`${subject} ${contact.email} ${contact.name}`)
}

/** The version that a write gave the case: one more for each event that announces it. */
export interface Raised {
  readonly version: number
}

/** A change of status that neither makes a resolution nor takes one off. */
export async function writeStatus(
  db: Tx,
  id: Id<'case'>,
  { status, at }: { status: CaseStatus; at: Date },
): Promise<Raised> {
  return await db.one(sql`
    update cases set status = ${status}, version = version + 1,
      updated_at = greatest(updated_at, ${at})
    where id = ${id} returning version`)
}

/** Open again: the resolution is taken off, what it said stays as the public note that it was. */
export async function reopenCase(
  db: Tx,
  id: Id<'case'>,
  { noteId, at }: { noteId: Id<'note'>; at: Date },
): Promise<Raised> {
  await db.run(sql`
    insert into case_notes (case_id, id, body, visibility, author_id, author_kind, created_at)
    select id, ${noteId}, summary, 'public', resolved_by_id, resolved_by_kind, resolved_at
    from cases where id = ${id}`)
  return await db.one(sql`
    update cases set status = 'open', outcome = null, summary = null, resolved_at = null,
      resolved_by_id = null, resolved_by_kind = null, version = version + 1,
      updated_at = greatest(updated_at, ${at})
    where id = ${id} returning version`)
}

export async function writeResolution(
  db: Tx,
  id: Id<'case'>,
  resolution: {
    outcome: Outcome
    summary: string
    at: Date
    authorId: string | null
    authorKind: AuthorKind
  },
): Promise<Raised> {
  const { outcome, summary, at, authorId, authorKind } = resolution
  return await db.one(sql`
    update cases set status = 'resolved', outcome = ${outcome}, summary = ${summary},
      resolved_at = ${at}, resolved_by_id = ${authorId}, resolved_by_kind = ${authorKind},
      version = version + 1, updated_at = greatest(updated_at, ${at})
    where id = ${id} returning version`)
}

/** What `PATCH` may change. */
export interface CaseMarks {
  readonly assigneeId: Id<'usr'> | null
  readonly priority: Priority
  readonly dueAt: Date | null
  readonly tags: readonly string[]
  readonly customerId: Id<'cus'> | null
  readonly kind: CaseKind
}

/** `events` is how many will announce it. */
export async function writeMarks(
  db: Tx,
  id: Id<'case'>,
  { marks, events, at }: { marks: CaseMarks; events: number; at: Date },
): Promise<Raised> {
  return await db.one(sql`
    update cases set assignee_id = ${marks.assigneeId}, priority = ${marks.priority},
      due_at = ${marks.dueAt}, tags = ${marks.tags}::text[], customer_id = ${marks.customerId},
      kind = ${marks.kind}, version = version + ${events}::int,
      updated_at = greatest(updated_at, ${at})
    where id = ${id} returning version`)
}

/** Undefined where this was noted before. */
export async function writeOrderCancellation(
  db: Tx,
  id: Id<'case'>,
  at: Date,
): Promise<Raised | undefined> {
  return await db.maybeOne(sql`
    update cases set order_cancelled_at = ${at}, version = version + 1,
      updated_at = greatest(updated_at, ${at})
    where id = ${id} and order_cancelled_at is null returning version`)
}

/** Cases that were resolved by `until`, the longest resolved first. */
export async function listResolvedUntil(db: Db, until: Date, limit: number): Promise<Id<'case'>[]> {
  const rows = await db.many<{ id: Id<'case'> }>(sql`
    select id from cases where status = 'resolved' and resolved_at <= ${until}
    order by resolved_at, id limit ${limit}`)
  return rows.map(({ id }) => id)
}

/** The role of a staff login that is in use; undefined for anybody else. */
export async function findStaffRole(db: Db, userId: Id<'usr'>): Promise<StaffRole | undefined> {
  const row = await db.maybeOne<{ role: StaffRole }>(sql`
    select role from users where id = ${userId} and audience = 'staff' and active`)
  return row?.role
}
