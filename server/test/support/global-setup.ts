import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../src/platform/migrate.ts'
import {
  startEmbeddedDatabase,
  type EmbeddedDatabase,
} from '../../src/platform/embedded-database/index.ts'

declare module 'vitest' {
  interface ProvidedContext {
    readonly cluster: ClusterUrls
  }
}

/** Where the test cluster is; each file clones the template into a database of its own. */
export interface ClusterUrls {
  readonly owner: string
  readonly server: string
  readonly superuser: string
}

export const templateDatabase = 'bureau_template'

/** One real PostgreSQL for the whole run, with one migrated template in it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'bureau-test-'))
  const cluster = await startEmbeddedDatabase({ dataDir })
  const remove = async (): Promise<void> => {
    await cluster.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
  try {
    await makeTemplate(cluster)
  } catch (error) {
    await remove()
    throw error
  }
  const { ownerUrl: owner, serverUrl: server, superuserUrl: superuser } = cluster
  project.provide('cluster', { owner, server, superuser })
  return remove
}

/** The same server and role, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.toString()
}

/** The schema as the migrations make it, with the rights of the serving role in it. */
async function makeTemplate({
  superuserUrl,
  ownerUrl,
  serverUrl,
}: EmbeddedDatabase): Promise<void> {
  const client = new pg.Client({ connectionString: superuserUrl })
  await client.connect()
  await client.query(`create database ${templateDatabase} owner bureau_owner`)
  await client.end()
  await migrate({
    ownerUrl: withDatabase(ownerUrl, templateDatabase),
    serverUrl: withDatabase(serverUrl, templateDatabase),
    directory: path.resolve(import.meta.dirname, '../../migrations'),
    progress: () => undefined,
  })
}
