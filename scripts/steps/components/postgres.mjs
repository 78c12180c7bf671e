import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from '../failure.mjs'
import {
  accountOf,
  findFreePort,
  makeFolderFor,
  startComponent,
  writeFileFor,
} from './component.mjs'

/** What a cluster that lives for minutes may do without, and what many tests at once need. */
const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'fsync=off',
  'max_connections=300',
]

/**
 * Makes and starts a cluster with two roles for Bureau, one that owns and one that serves, neither
 * with a right that an operator would not give it. `roles` are URLs of the database `postgres`.
 */
export async function startCluster({ postgresql }, folder) {
  const account = accountOf('postgres')
  makeFolderFor(account, folder)
  const [data, port] = [join(folder, 'data'), await findFreePort()]
  const passwords = { postgres: password(), bureau_owner: password(), bureau_server: password() }
  const passwordFile = writeFileFor(account, join(folder, 'password'), passwords.postgres)
  const layout = ['--encoding', 'UTF8', '--locale', 'C.UTF-8', '--no-sync', '-D', data]
  const access = ['--auth', 'scram-sha-256', '--username', 'postgres', '--pwfile', passwordFile]
  await finish(join(postgresql, 'initdb'), [...layout, ...access], { account })

  const { stop } = await startComponent({
    program: join(postgresql, 'postgres'),
    args: ['-D', data, '-p', String(port), ...SETTINGS.flatMap((setting) => ['-c', setting])],
    account,
    port,
    // The fast shutdown: it does not wait for clients.
    signal: 'SIGINT',
  })
  const build = (role) => `postgresql://${role}:${passwords[role]}@127.0.0.1:${port}/postgres`
  const roles = {
    superuser: build('postgres'),
    owner: build('bureau_owner'),
    server: build('bureau_server'),
  }
  try {
    await makeRoles(join(postgresql, 'psql'), roles.superuser, passwords)
  } catch (error) {
    await stop()
    throw error
  }
  return { port, passwords, roles, stop }
}

const START_TIMEOUT_MS = 30_000
const POLL_MS = 50

async function makeRoles(psql, url, passwords) {
  const statements = ['bureau_owner', 'bureau_server'].map(
    (role) => `create role ${role} login password '${passwords[role]}';`,
  )
  const args = ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--dbname', url]
  const giveUpAt = performance.now() + START_TIMEOUT_MS
  for (;;) {
    try {
      return await finish(psql, args, { input: statements.join('\n') })
    } catch (error) {
      // Its port answers before it lets anybody in.
      const isStarting = /the database system is starting up/.test(error.message)
      if (!isStarting || performance.now() > giveUpAt) throw error
      await delay(POLL_MS)
    }
  }
}

/** Without a character that a URL, a list of users or SQL would have to quote. */
function password() {
  return randomBytes(16).toString('hex')
}

/** Runs a program to its end; a Failure with its words where that is a bad one. */
async function finish(program, args, { account = {}, input = '' }) {
  const child = spawn(program, args, { ...account, cwd: '/', stdio: 'pipe' })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => (output += chunk))
  }
  child.stdin.on('error', () => undefined).end(input)
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject).once('close', resolve)
  })
  if (code !== 0) throw new Failure(`${program} failed:\n${output.trim()}`)
}
