import type { Db } from '../../../platform/database.ts'
import { sql } from '../../../platform/sql.ts'

/** Whether there is a key that tokens of now are verified with. */
export async function hasSigningKey(db: Db, now: Date): Promise<boolean> {
  const { found } = await db.one<{ found: boolean }>(sql`
    select exists (select 1 from signing_keys where not_after > ${now}) as found`)
  return found
}
