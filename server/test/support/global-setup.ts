import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../src/platform/migrate.ts'
import { startEmbeddedDatabase } from '../../src/platform/embedded-database/index.ts'

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
  const { urls, stop } = await provideCluster()
  try {
    await makeTemplate(urls)
  } catch (error) {
    await stop()
    throw error
  }
  project.provide('cluster', urls)
  return stop
}

/** The embedded PostgreSQL, or a cluster of another kind that was started for these tests alone. */
async function provideCluster(): Promise<{ urls: ClusterUrls; stop: () => Promise<void> }> {
  const given = process.env['BUREAU_TEST_CLUSTER']
  if (given !== undefined) {
    return { urls: JSON.parse(given) as ClusterUrls, stop: async () => undefined }
  }
  const dataDir = await mkdtemp(path.join(tmpdir(), 'bureau-test-'))
  const cluster = await startEmbeddedDatabase({ dataDir })
  const { ownerUrl: owner, serverUrl: server, superuserUrl: superuser } = cluster
  return {
    urls: { owner, server, superuser },
    stop: async () => {
      await cluster.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** The same server and role, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.toString()
}

/** The schema as the migrations make it, with the rights of the serving role in it. */
async function makeTemplate({ superuser, owner, server }: ClusterUrls): Promise<void> {
  const client = new pg.Client({ connectionString: superuser })
  await client.connect()
  await client.query(`create database ${templateDatabase} owner bureau_owner`)
  await client.end()
  await migrate({
    ownerUrl: withDatabase(owner, templateDatabase),
    serverUrl: withDatabase(server, templateDatabase),
    directory: path.resolve(import.meta.dirname, '../../migrations'),
    progress: () => undefined,
  })
}
