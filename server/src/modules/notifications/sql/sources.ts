import type { Id } from '../../../kernel/id.ts'
import type { Db } from '../../../platform/database.ts'
import { sql } from '../../../platform/sql.ts'

/**
 * What mails tell of, read from the tables of the modules that own it. Each statement reads what
 * its recipient may know and no column more.
 */

export interface OrderSource {
  readonly number: string
  readonly status: string
  readonly paymentStatus: string
  readonly source: 'checkout' | 'direct'
  readonly customerId: Id<'cus'>
  readonly customerEmail: string
  readonly customerName: string
  readonly currency: string
  readonly total: number
  readonly paid: number
  readonly createdAt: Date
}

export const findOrderSource = (db: Db, orderId: string): Promise<OrderSource | undefined> =>
  db.maybeOne(sql`
    select number, status, payment_status, source, customer_id, customer_email, customer_name,
      currency, total, paid, created_at
    from orders where id = ${orderId}`)

export interface LineSource {
  readonly name: string
  readonly quantity: number
  readonly total: number
}

/** An order has at most 50 lines. */
const maxLines = 50

export const listLineSources = (db: Db, orderId: string): Promise<LineSource[]> =>
  db.many(sql`
    select name, quantity, total from order_lines where order_id = ${orderId}
    order by position limit ${maxLines}`)

export interface CaseSource {
  readonly number: string
  readonly origin: 'order' | 'enquiry' | 'contact'
  readonly subject: string
  readonly contactName: string
  readonly contactEmail: string
  readonly customerId: Id<'cus'> | null
  readonly orderId: Id<'ord'> | null
  readonly dueAt: Date | null
  readonly outcome: 'completed' | 'declined' | 'duplicate' | 'no_response' | null
  readonly summary: string | null
}

export const findCaseSource = (db: Db, caseId: string): Promise<CaseSource | undefined> =>
  db.maybeOne(sql`
    select number, origin, subject, contact_name, contact_email, customer_id, order_id, due_at,
      outcome, summary
    from cases where id = ${caseId}`)

export interface NoteSource {
  readonly body: string
  readonly authorId: string | null
}

/** An internal note is not found, whoever asks for it. */
export const findPublicNote = (
  db: Db,
  caseId: string,
  noteId: string,
): Promise<NoteSource | undefined> =>
  db.maybeOne(sql`
    select body, author_id from case_notes
    where case_id = ${caseId} and id = ${noteId} and visibility = 'public'`)

/** Whether a colleague has written to whoever the case is with. */
export const hasStaffReply = async (db: Db, caseId: string): Promise<boolean> => {
  const { found } = await db.one<{ found: boolean }>(sql`
    select exists (
      select 1 from case_notes
      where case_id = ${caseId} and visibility = 'public' and author_kind = 'staff') as found`)
  return found
}

export interface PersonSource {
  readonly email: string
  readonly name: string
}

export const findCustomerSource = (db: Db, customerId: string): Promise<PersonSource | undefined> =>
  db.maybeOne(sql`select email, name from customers where id = ${customerId}`)

export type LoginSource = PersonSource & {
  readonly audience: 'customer' | 'staff'
  readonly customerId: Id<'cus'> | null
}

export const findLoginSource = (db: Db, userId: string): Promise<LoginSource | undefined> =>
  db.maybeOne(sql`
    select email, name, audience, customer_id from users where id = ${userId}`)

/** Somebody who will have a login once the e-mail is proved. */
export const findRegistrationSource = (db: Db, userId: string): Promise<PersonSource | undefined> =>
  db.maybeOne(sql`select email, name from registrations where id = ${userId}`)
