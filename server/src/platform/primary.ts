import pg from 'pg'
import { unavailable } from '../kernel/errors.ts'

/** SQLSTATE of a write where nothing can be written: on a standby, or on a primary that was one. */
export const readOnlyState = '25006'

/**
 * A pool whose connections lead to a server that can be written to. After a failover the way may
 * lead to the old primary for a while, which would answer with what was true before, and refuse
 * every write for as long as the connection is kept.
 */
export function openPrimaryPool(config: pg.PoolConfig, onError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    keepAlive: true,
    ...config,
    verify: (client, done) => void refuseReadOnly(client).then(() => done(), done),
  })
  const report = (error: Error): void => onError(withoutClient(error))
  // Without a listener an idle connection that breaks would end the process.
  pool.on('error', report)
  pool.on('connect', (client) => {
    client.on('error', report)
    leaveWhenReadOnly(client)
  })
  return pool
}

/** What libpq does for `target_session_attrs=read-write`; the driver does not know it. */
export async function refuseReadOnly(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ readOnly: string }>(
    `select current_setting('transaction_read_only') as "readOnly"`,
  )
  if (rows[0]?.readOnly !== 'off') {
    throw unavailable({ retryAfterSeconds: 1, facts: { reason: 'the database only reads' } })
  }
}

/** Whoever holds the connection gets the refusal; nobody else will get this connection. */
function leaveWhenReadOnly(client: pg.PoolClient): void {
  client.connection.on('errorMessage', ({ code }: pg.DatabaseError) => {
    if (code === readOnlyState) void client.end()
  })
}

/** The driver hangs its client on the error, with all that it is connected by. */
function withoutClient(error: Error): Error {
  if ('client' in error) delete error.client
  return error
}
