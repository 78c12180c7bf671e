import type { Id } from '../../../kernel/id.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { sql } from '../../../platform/sql.ts'
import type { CustomerRecord } from '../schema.ts'

export interface NewCustomer {
  readonly id: Id<'cus'>
  readonly name: string
  readonly email: string
  readonly emailLower: string
  readonly phone: string | null
  readonly userId: Id<'usr'> | null
  readonly createdAt: Date
}

/** Its version is 1. */
export async function insertCustomer(tx: Tx, customer: NewCustomer): Promise<void> {
  const { id, name, email, emailLower, phone, userId, createdAt } = customer
  await tx.run(sql`
    insert into customers
      (id, name, email, email_lower, phone, user_id, version, created_at, updated_at)
    values (${id}, ${name}, ${email}, ${emailLower}, ${phone}, ${userId}, 1, ${createdAt},
      ${createdAt})`)
}

export async function selectCustomer(db: Db, id: Id<'cus'>): Promise<CustomerRecord | undefined> {
  return await db.maybeOne<CustomerRecord>(sql`
    select id, email, name, phone, version from customers where id = ${id}`)
}
