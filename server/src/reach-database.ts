import type { Config } from './config.ts'
import { joinEmbeddedDatabase, startEmbeddedDatabase } from './platform/embedded-database/index.ts'

/** The way to the database, without a look at what is in it. */
export interface ReachedDatabase {
  readonly serverUrl: string
  readonly ownerUrl: string
  readonly directUrl: string
  /** Ends it where it was started for this. */
  stop(): Promise<void>
}

/** The database that the configuration names; the embedded one is started and is then ours alone. */
export async function takeDatabase(
  config: Config,
  progress: (message: string) => void,
): Promise<ReachedDatabase> {
  const named = namedDatabase(config)
  if (named) return named
  const embedded = await startEmbeddedDatabase({ dataDir: config.dataDir, progress })
  return fromEmbedded(embedded, embedded.stop)
}

/** The same, beside a Bureau that has the embedded one. */
export async function shareDatabase(
  config: Config,
  progress: (message: string) => void,
): Promise<ReachedDatabase> {
  return (await shareRunningDatabase(config)) ?? (await takeDatabase(config, progress))
}

/** The same without starting anything: undefined where it does not run. */
export async function shareRunningDatabase(config: Config): Promise<ReachedDatabase | undefined> {
  const named = namedDatabase(config)
  if (named) return named
  const running = await joinEmbeddedDatabase(config.dataDir)
  return running && fromEmbedded(running, nothingToDo)
}

function namedDatabase(config: Config): ReachedDatabase | undefined {
  const { databaseUrl, databaseOwnerUrl, databaseDirectUrl } = config
  if (databaseUrl === undefined) return undefined
  return {
    serverUrl: databaseUrl,
    ownerUrl: databaseOwnerUrl ?? databaseUrl,
    directUrl: databaseDirectUrl ?? databaseUrl,
    stop: nothingToDo,
  }
}

function fromEmbedded(
  { serverUrl, ownerUrl }: { serverUrl: string; ownerUrl: string },
  stop: () => Promise<void>,
): ReachedDatabase {
  return { serverUrl, ownerUrl, directUrl: serverUrl, stop }
}

async function nothingToDo(): Promise<void> {
  // It goes on without us.
}
