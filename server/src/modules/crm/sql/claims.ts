import type { Id } from '../../../kernel/id.ts'
import type { Db, Tx } from '../../../platform/database.ts'
import { sql } from '../../../platform/sql.ts'
import type { Raised } from './cases.ts'

/** The oldest first. */
export async function listCasesOfCustomer(
  db: Db,
  customerId: Id<'cus'>,
  limit: number,
): Promise<Id<'case'>[]> {
  const rows = await db.many<{ id: Id<'case'> }>(sql`
    select id from cases where customer_id = ${customerId} order by created_at, id limit ${limit}`)
  return rows.map(({ id }) => id)
}

/** Whose case it is from now on; the caller holds the row. */
export async function writeCaseCustomer(
  tx: Tx,
  id: Id<'case'>,
  customerId: Id<'cus'>,
  at: Date,
): Promise<Raised> {
  return await tx.one<Raised>(sql`
    update cases set customer_id = ${customerId}, version = version + 1,
      updated_at = greatest(updated_at, ${at})
    where id = ${id} returning version`)
}
