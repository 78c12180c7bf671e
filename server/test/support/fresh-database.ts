import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { withDatabase } from './global-setup.ts'
import type { Environment } from './process.ts'

/** A database as an operator hands it over: empty, one role owns it, another will serve. */
export interface FreshDatabase {
  readonly ownerUrl: string
  readonly serverUrl: string
  readonly superuserUrl: string
  /** The serving role's way through PgBouncer. */
  readonly pooledUrl: string
  drop(): Promise<void>
}

export async function makeFreshDatabase(): Promise<FreshDatabase> {
  const { owner, server, superuser } = inject('cluster')
  const name = `components_${randomBytes(6).toString('hex')}`
  await query(superuser, `create database ${name} owner bureau_owner`)
  return {
    ownerUrl: withDatabase(owner, name),
    serverUrl: withDatabase(server, name),
    superuserUrl: withDatabase(superuser, name),
    pooledUrl: withDatabase(process.env['BUREAU_TEST_POOLER'] ?? server, name),
    drop: async () => {
      await query(superuser, `drop database ${name} with (force)`)
    },
  }
}

export const admin = { email: 'owner@example.com', password: 'seven quiet otters' }

/** What every process needs to share the database with others. */
export function settingsOf(
  database: Pick<FreshDatabase, 'serverUrl' | 'ownerUrl'>,
  dataDir: string,
): Environment {
  return {
    DATABASE_URL: database.serverUrl,
    DATABASE_OWNER_URL: database.ownerUrl,
    DATA_DIR: dataDir,
    SECRET_KEY: 'a4b1d07c93f25e68a4b1d07c93f25e68a4b1d07c93f25e68',
    DEMO: 'false',
    ADMIN_EMAIL: admin.email,
    ADMIN_PASSWORD: admin.password,
  }
}

/** The rows of one statement; the error's SQLSTATE is thrown with it. */
export async function query<Row extends object = Record<string, unknown>>(
  url: string,
  text: string,
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}
