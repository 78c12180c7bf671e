import type pg from 'pg'
import type { Db } from '../database.ts'
import { sql } from '../sql.ts'

/** Any number that no other program on this database uses; migrations have the one before it. */
const holdKey = 7_262_837_002

/**
 * Whether a backup still needs the bytes of rows that have gone since its snapshot. Ask after the
 * commit that took the row away: where nobody holds them then, every later snapshot knows of it.
 */
export async function areBytesHeld(db: Db): Promise<boolean> {
  const { isFree } = await db.one<{ isFree: boolean }>(sql`
    select pg_try_advisory_xact_lock_shared(${holdKey}::bigint) as is_free`)
  return !isFree
}

/**
 * Holds off the removal of bytes for as long as the client is connected, while no other backup
 * does. Take it before the snapshot.
 */
export async function holdBytes(client: pg.Client): Promise<void> {
  await client.query('select pg_advisory_lock($1)', [holdKey])
}

/** False where the hold was lost on the way, and with it perhaps bytes. */
export async function releaseBytes(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ held: boolean }>('select pg_advisory_unlock($1) as held', [
    holdKey,
  ])
  return rows[0]?.held === true
}
