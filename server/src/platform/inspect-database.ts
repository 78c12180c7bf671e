import type { Db } from './database.ts'
import { sql } from './sql.ts'

/** How a PostgreSQL is set up, as far as it matters to what it is trusted with. */
export interface DatabaseFacts {
  readonly version: string
  readonly versionNumber: number
  readonly encoding: string
  readonly isStandby: boolean
  readonly fsync: boolean
  readonly fullPageWrites: boolean
  readonly synchronousCommit: boolean
  /** Those that are left for roles without privileges. */
  readonly connections: number
  readonly role: string
  /** Whether the role may change the schema, which the one that serves should not. */
  readonly ownsSchema: boolean
  readonly hasSchema: boolean
}

export async function inspectDatabase(db: Db): Promise<DatabaseFacts> {
  return await db.one<DatabaseFacts>(sql`
    select current_setting('server_version') as version,
      current_setting('server_version_num')::int as version_number,
      (select pg_encoding_to_char(encoding) from pg_database where datname = current_database())
        as encoding,
      pg_is_in_recovery() as is_standby,
      current_setting('fsync')::boolean as fsync,
      current_setting('full_page_writes')::boolean as full_page_writes,
      current_setting('synchronous_commit') <> 'off' as synchronous_commit,
      current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int as connections,
      current_user as role,
      has_schema_privilege(current_schema(), 'create') as owns_schema,
      to_regclass('schema_migrations') is not null as has_schema`)
}

/** What the newest signing key is kept as; undefined where there is none. */
export async function findSealedKey(db: Db): Promise<string | undefined> {
  const row = await db.maybeOne<{ privateKey: string }>(sql`
    select private_key from signing_keys order by period desc limit 1`)
  return row?.privateKey
}
