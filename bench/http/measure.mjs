import { median } from '../report/numbers.mjs'
import { connectionOf, readLag } from './bureau.mjs'
import { startControl } from './controls.mjs'
import { aNumber, load } from './load.mjs'
import { traceStatements } from './trace.mjs'
import { cpuOf, cpuOfFamily } from './usage.mjs'

const CONNECTIONS = 32
/** What Bureau has, unless DATABASE_POOL says otherwise. */
const POOL_SIZE = 10

/**
 * Loads Bureau and the controls of a workload by turns, so that what else the machine does meets
 * all of them, and returns a row: the medians of each, and what Bureau sent to PostgreSQL for one
 * request.
 */
export async function measureWorkload(workload, { wrk, bureau, seconds, rounds }) {
  const { name, request, controls, connections = CONNECTIONS, bar } = workload
  const ask = () => askOnce(bureau.url, workload)
  const bytes = await ask()
  const statements = await traceStatements(bureau.dataDir, ask)
  const connection = connectionOf(bureau.dataDir, 'server')
  const options = { bytes, statements, connection, poolSize: POOL_SIZE }
  const servers = [{ kind: 'bureau', ...bureau }]
  try {
    for (const kind of controls) {
      servers.push({ kind, ...(await startControl({ ...options, kind })) })
    }
    const seen = Object.fromEntries(servers.map(({ kind }) => [kind, []]))
    for (let round = 0; round < rounds; round += 1) {
      for (const server of servers) {
        const isBureau = server.kind === 'bureau'
        if (isBureau) await readLag(bureau.url)
        const before = { own: cpuOf(server.pid), database: cpuOfFamily(bureau.postgresPid) }
        const run = server.run
          ? await server.run({ connections, seconds })
          : await load(wrk, { url: server.url, request, connections, seconds })
        const own = (cpuOf(server.pid) - before.own) / run.requests
        const database = (cpuOfFamily(bureau.postgresPid) - before.database) / run.requests
        const lagP99 = isBureau ? await readLag(bureau.url) : 0
        seen[server.kind].push({ ...run, own, database, lagP99 })
      }
    }
    const figures = Object.fromEntries(
      Object.entries(seen).map(([kind, runs]) => [kind, mediansOf(runs)]),
    )
    return { name, connections, controls, statements: statements.length, bar, figures }
  } finally {
    for (const { kind, stop } of servers) if (kind !== 'bureau') await stop()
  }
}

async function askOnce(url, { name, request: { method, path, headers, body } }) {
  const reply = await fetch(new URL(path.replaceAll('{n}', String(aNumber())), url), {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  })
  const bytes = await reply.text()
  if (!reply.ok) throw new Error(`${name}: ${reply.status} ${bytes}`)
  return bytes
}

function mediansOf(runs) {
  return Object.fromEntries(
    Object.keys(runs[0]).map((name) => [name, median(runs.map((run) => run[name]))]),
  )
}
