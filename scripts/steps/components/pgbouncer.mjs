import { join } from 'node:path'
import {
  accountOf,
  findFreePort,
  makeFolderFor,
  startComponent,
  writeFileFor,
} from './component.mjs'

/**
 * Starts PgBouncer in transaction mode before the cluster: each transaction of a client may meet
 * another session, of which there are fewer than clients. `url` is the serving role's way through.
 */
export async function startPooler({ pgbouncer }, folder, cluster) {
  const account = accountOf('postgres')
  makeFolderFor(account, folder)
  const port = await findFreePort()
  const role = 'bureau_server'
  const secret = cluster.passwords[role]
  const users = writeFileFor(account, join(folder, 'users.txt'), `"${role}" "${secret}"\n`)
  const settings = `
[databases]
* = host=127.0.0.1 port=${cluster.port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
ignore_startup_parameters = statement_timeout, lock_timeout, idle_in_transaction_session_timeout
`
  const file = writeFileFor(account, join(folder, 'pgbouncer.ini'), settings)
  // SIGTERM is its immediate shutdown; the gentle one would wait for clients.
  const component = { program: pgbouncer, args: [file], account, port, signal: 'SIGTERM' }
  const { stop } = await startComponent(component)
  return { url: `postgresql://${role}:${secret}@127.0.0.1:${port}/postgres`, stop }
}
