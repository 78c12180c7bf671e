import type { Config } from '../config.ts'
import { openPool, type Pool } from '../platform/database.ts'
import { Refusal } from '../kernel/refusal.ts'
import { takeDatabase } from '../reach-database.ts'

/**
 * Takes everything out of Bureau's schema and the job queue's, as their owner; the next migration
 * makes both anew. Throws Refusal while another process works on the database.
 */
export async function eraseDatabase(
  config: Config,
  progress: (message: string) => void,
): Promise<void> {
  const database = await takeDatabase(config, progress)
  try {
    await emptySchemasAt(database.ownerUrl)
  } finally {
    await database.stop()
  }
}

const eraseTimeoutMs = 60_000

/** The same at an address. */
export async function emptySchemasAt(ownerUrl: string): Promise<void> {
  const owner = openPool({
    url: ownerUrl,
    size: 1,
    namedStatements: false,
    timeoutMs: eraseTimeoutMs,
    onError: () => undefined,
  })
  try {
    if (!(await isOurs(owner))) return
    await refuseWhileOthersWork(owner)
    // One message is one transaction: a crash leaves all of it or nothing.
    await owner.driver.query(emptySchemas)
  } finally {
    await owner.close()
  }
}

/** A new schema is closed to everybody but its owner; PostgreSQL's own lets all look into it. */
const emptySchemas = `
  drop schema if exists graphile_worker cascade;
  do $$
  declare ours text := current_schema();
  begin
    execute format('drop schema %I cascade', ours);
    execute format('create schema %I', ours);
    execute format('grant usage on schema %I to public', ours);
  end $$`

/** A database that Bureau never migrated may hold anything, and none of it is ours to delete. */
async function isOurs(owner: Pool): Promise<boolean> {
  const { rows } = await owner.driver.query<{ ours: boolean }>(
    `select to_regclass('schema_migrations') is not null and to_regclass('events') is not null
       as ours`,
  )
  return rows[0]?.ours === true
}

async function refuseWhileOthersWork(owner: Pool): Promise<void> {
  const { rows } = await owner.driver.query<{ others: number }>(
    `select count(*)::int as others from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid()
       and application_name like 'bureau%'`,
  )
  if ((rows[0]?.others ?? 0) > 0) {
    throw new Refusal('A Bureau is working on this database: stop it first.')
  }
}
