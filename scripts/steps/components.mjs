import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configureScanner } from './components/clamd.mjs'
import { providePrograms } from './components/packages.mjs'
import { startPooler } from './components/pgbouncer.mjs'
import { startCluster } from './components/postgres.mjs'
import { explainFailure } from './failure.mjs'
import { prepare } from './prepare.mjs'
import { runTests } from './test.mjs'

const CONFIG = ['--root', 'server', '--config', 'test/components/vitest.config.ts']

/**
 * Runs the tests that need more than Node: on Debian's PostgreSQL with two roles, through its
 * PgBouncer, with its clamd. What is missing is installed, what is started is stopped, whatever
 * becomes of the tests; the last line counts them. Arguments choose tests, as in `npm test`.
 */
export async function command(args) {
  if (!(await prepare())) return
  const outcome = await explainFailure(() => runAgainstComponents(args))
  console.log(outcome?.line ?? '0 passed, 1 failed')
  process.exitCode = outcome?.code ?? 1
}

async function runAgainstComponents(args) {
  const programs = await providePrograms(['postgresql', 'pgbouncer', 'clamav-daemon'])
  // What has been begun hears that we exit and ends with us; of a signal it would not hear.
  const interrupt = () => process.exit(130)
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, interrupt)
  const folder = mkdtempSync(join(tmpdir(), 'bureau-components-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  // Its parts belong to other accounts, which have to pass through.
  chmodSync(folder, 0o711)
  const stops = []
  try {
    const cluster = await startCluster(programs, join(folder, 'postgres'))
    stops.push(cluster.stop)
    const pooler = await startPooler(programs, join(folder, 'pgbouncer'), cluster)
    stops.push(pooler.stop)
    const scanner = await configureScanner(programs, join(folder, 'clamd'))
    const { roles } = cluster
    const env = {
      BUREAU_TEST_CLUSTER: JSON.stringify(roles),
      BUREAU_TEST_POOLER: pooler.url,
      BUREAU_TEST_SCANNER: JSON.stringify(scanner),
    }
    // The tests are told of signals, and come to their own end.
    for (const signal of signals) process.off(signal, interrupt)
    return await runTests([...CONFIG, ...args], { env, group: true })
  } finally {
    for (const stop of stops.toReversed()) await stop()
    remove()
  }
}
