import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { templateDatabase, withDatabase } from './global-setup.ts'

/** A database of one test file's own, with the whole schema and nothing in it. */
export interface TestDatabase {
  readonly ownerUrl: string
  readonly serverUrl: string
  drop(): Promise<void>
}

export async function cloneDatabase(): Promise<TestDatabase> {
  const cluster = inject('cluster')
  const name = `test_${randomBytes(6).toString('hex')}`
  await asSuperuser(cluster.superuser, [
    `create database ${name} template ${templateDatabase} owner bureau_owner`,
  ])
  return {
    ownerUrl: withDatabase(cluster.owner, name),
    serverUrl: withDatabase(cluster.server, name),
    drop: () => asSuperuser(cluster.superuser, [`drop database ${name} with (force)`]),
  }
}

async function asSuperuser(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: withDatabase(url, 'postgres') })
  await client.connect()
  try {
    for (const statement of statements) await runWhenTemplateIsFree(client, statement)
  } finally {
    await client.end()
  }
}

/** Two files cloning at once: PostgreSQL refuses while another session reads the template. */
async function runWhenTemplateIsFree(client: pg.Client, statement: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(statement)
      return
    } catch (error) {
      const isBusy = error instanceof pg.DatabaseError && error.code === '55006'
      if (!isBusy || attempt > 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
