import type { Db } from '../../platform/database.ts'
import { sql } from '../../platform/sql.ts'

/** The shortest way to the database and back. */
export const ping = (db: Db): Promise<{ answer: number }> => db.one(sql`select 1 as answer`)
