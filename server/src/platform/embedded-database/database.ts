import { Client, DatabaseError } from 'pg'
import type { Passwords } from './cluster.ts'
import { EmbeddedDatabaseError, hasErrorCode } from './error.ts'

/** Connection strings, one a role. */
export interface ClusterUrls {
  superuserUrl: string
  ownerUrl: string
  serverUrl: string
}

const CONNECT_TIMEOUT_MS = 10_000

export function buildUrls(
  passwords: Passwords,
  address: { host: string; port: number },
): ClusterUrls {
  const build = (role: string, password: string, database: string) => {
    const url = new URL(`postgresql://${role}:${password}@localhost:${address.port}/${database}`)
    // As a parameter, for a folder with a socket has no place before the path of a URL.
    url.searchParams.set('host', address.host)
    // Otherwise PGSSLMODE in somebody's environment would ask the socket for encryption.
    url.searchParams.set('sslmode', 'disable')
    return url.href
  }
  return {
    superuserUrl: build('postgres', passwords.superuser, 'postgres'),
    ownerUrl: build('bureau_owner', passwords.owner, 'bureau'),
    serverUrl: build('bureau_server', passwords.server, 'bureau'),
  }
}

/** Makes the roles and the database unless they stand; a crash half way is made good here. */
export async function provideDatabase(
  urls: ClusterUrls,
  passwords: Passwords,
  isNew: boolean,
): Promise<void> {
  if (!isNew && (await answersOwner(urls.ownerUrl))) return
  await withConnection(urls.superuserUrl, async (client) => {
    await provideRole(client, 'bureau_owner', passwords.owner)
    await provideRole(client, 'bureau_server', passwords.server)
    const { rowCount } = await client.query(`select from pg_database where datname = 'bureau'`)
    // Nobody can connect before the rights are right, so a connection proves that all is done.
    if (!rowCount) {
      await client.query('create database bureau owner bureau_owner allow_connections false')
    }
    await client.query('revoke all on database bureau from public')
    await client.query('grant connect on database bureau to bureau_server')
    await client.query('alter database bureau allow_connections true')
  })
  if (!(await answersOwner(urls.ownerUrl))) {
    throw new EmbeddedDatabaseError('The embedded database does not let its owner in.')
  }
}

/** Whether the connection failed or broke, and not what was asked over it. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof DatabaseError) return error.code?.startsWith('57P') ?? false
  if (hasErrorCode(error, 'ECONNRESET', 'ECONNREFUSED', 'ENOENT', 'EPIPE')) return true
  return error instanceof Error && error.message.startsWith('Connection terminated')
}

/** False where roles or the database are missing; any other failure is thrown. */
async function answersOwner(ownerUrl: string): Promise<boolean> {
  try {
    await withConnection(ownerUrl, (client) => client.query('select 1'))
    return true
  } catch (error) {
    const notYetMade = ['28P01', '3D000', '55000']
    if (error instanceof DatabaseError && notYetMade.includes(error.code ?? '')) return false
    throw error
  }
}

async function provideRole(client: Client, role: string, password: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
  const verb = rowCount ? 'alter' : 'create'
  // Statements on roles take no parameters; both values are ours, without a quote in them.
  await client.query(`${verb} role ${role} login password '${password}'`)
}

async function withConnection<Result>(
  connectionString: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
  // Without a listener, a connection that breaks while idle would end the process.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}
