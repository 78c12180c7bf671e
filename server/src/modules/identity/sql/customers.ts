import type { Id } from '../../../kernel/id.ts'
import type { Page, PageRequest } from '../../../kernel/page.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { contains, fetchPage, type ListDefinition } from '../../../platform/list.ts'
import { sql } from '../../../platform/sql.ts'
import { emailKeyOf, foldText, searchedTextOf } from '../rules.ts'
import type { CustomerFilters, CustomerRecord } from '../schema/index.ts'

export interface CustomerRow extends CustomerRecord {
  readonly userId: Id<'usr'> | null
  /** The record that this one has passed to. */
  readonly claimedBy: Id<'cus'> | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface NewCustomerRow {
  readonly id: Id<'cus'>
  readonly name: string
  readonly email: string
  readonly phone: string | null
  readonly userId: Id<'usr'> | null
  readonly createdAt: Date
}

/** Its version is 1. */
export async function insertCustomer(tx: Tx, customer: NewCustomerRow): Promise<void> {
  const { id, name, email, phone, userId, createdAt } = customer
  await tx.run(sql`
    insert into customers
      (id, name, email, email_lower, phone, searched_text, user_id, version, created_at, updated_at)
    values (${id}, ${name}, ${email}, ${emailKeyOf(email)}, ${phone}, ${searchedTextOf(customer)},
      ${userId}, 1, ${createdAt}, ${createdAt})`)
}

export async function selectCustomer(db: Db, id: Id<'cus'>): Promise<CustomerRow | undefined> {
  return await db.maybeOne<CustomerRow>(sql`
    select ${customerColumns} from customers where id = ${id}`)
}

export async function lockCustomer(tx: Tx, id: Id<'cus'>): Promise<CustomerRow | undefined> {
  return await tx.maybeOne<CustomerRow>(sql`
    select ${customerColumns} from customers where id = ${id} for update`)
}

/** What staff may change of a record; the caller holds the row. */
export async function updateCustomer(
  tx: Tx,
  id: Id<'cus'>,
  details: { name: string; email: string; phone: string | null },
  now: Date,
): Promise<CustomerRow> {
  const { name, email, phone } = details
  return await tx.one<CustomerRow>(sql`
    update customers set name = ${name}, email = ${email}, email_lower = ${emailKeyOf(email)},
      phone = ${phone}, searched_text = ${searchedTextOf(details)}, version = version + 1,
      updated_at = ${now}
    where id = ${id} returning ${customerColumns}`)
}

/** Records without a login that have this e-mail and were there by `until`, the oldest first. */
export async function listUnclaimed(
  db: Db,
  { emailKey, until, limit }: { emailKey: string; until: Date; limit: number },
): Promise<Id<'cus'>[]> {
  const rows = await db.many<{ id: Id<'cus'> }>(sql`
    select id from customers
    where email_lower = ${emailKey} and user_id is null and claimed_by is null
      and created_at <= ${until}
    order by created_at, id limit ${limit}`)
  return rows.map(({ id }) => id)
}

/** The version that passing on gave the record; undefined where it was not there to pass on. */
export async function claimCustomer(
  tx: Tx,
  { id, emailKey, ownerId }: { id: Id<'cus'>; emailKey: string; ownerId: Id<'cus'> },
  now: Date,
): Promise<{ readonly version: number } | undefined> {
  return await tx.maybeOne<{ version: number }>(sql`
    update customers set claimed_by = ${ownerId}, version = version + 1, updated_at = ${now}
    where id = ${id} and email_lower = ${emailKey} and user_id is null and claimed_by is null
    returning version`)
}

export async function listCustomerRows(
  db: Db,
  page: PageRequest,
  filters: CustomerFilters,
): Promise<Page<CustomerRow>> {
  return await fetchPage<CustomerRow, CustomerFilters>(db, customerList, { page, filters })
}

const customerColumns = sql`id, name, email, phone, user_id, claimed_by, version, created_at,
  updated_at`

export const customerList: ListDefinition<CustomerFilters> = {
  columns: customerColumns,
  from: sql`customers`,
  // A record that has passed to another would show one person twice.
  where: sql`claimed_by is null`,
  id: sql`id`,
  sorts: {
    createdAt: { column: sql`created_at`, type: sql`timestamptz` },
    name: { column: sql`lower(name) collate "C"`, type: sql`text` },
  },
  filters: {
    email: (email) => sql`email_lower = ${emailKeyOf(email)}`,
    hasLogin: (has) => (has ? sql`user_id is not null` : sql`user_id is null`),
    q: (text) => contains(sql`searched_text`, foldText(text)),
  },
}
