import { minuteMs, secondMs } from '../../../kernel/time.ts'
import type { Finding, HealthCheck, HealthContext } from '../../../platform/health.ts'
import { countJobs } from '../../../platform/job-queue.ts'
import * as sql from '../sql.ts'

/** What the platform itself needs; the modules add what they know of. */
export const checks: readonly HealthCheck[] = [
  { name: 'database', critical: true, neededToServe: true, run: checkDatabase },
  { name: 'migrations', critical: false, neededToServe: true, run: checkMigrations },
  { name: 'storage', critical: true, run: checkStorage },
  { name: 'clock', critical: false, run: checkClock },
  { name: 'jobs', critical: false, run: checkJobs },
]

const mebibyte = 1024 * 1024

/** Slower than this, one trip to the database is felt in every reply. */
const slowTripMs = 250

async function checkDatabase(ctx: HealthContext): Promise<Finding> {
  const startedAt = performance.now()
  const { onlyReads } = await sql.readDatabaseState(ctx.db, [])
  if (onlyReads) return { status: 'fail', output: 'The database refuses every write.' }
  const tookMs = Math.round((performance.now() - startedAt) * 10) / 10
  const measured = { observedValue: tookMs, observedUnit: 'ms' }
  if (tookMs <= slowTripMs) return { status: 'pass', ...measured }
  return { status: 'warn', output: 'The database answers slowly.', ...measured }
}

/** A newer schema is fine, for two versions run side by side while one follows the other. */
async function checkMigrations({ db, instruments }: HealthContext): Promise<Finding> {
  const { migrations } = instruments
  const { applied } = await sql.readDatabaseState(db, migrations)
  const missing = migrations.length - applied
  if (missing === 0) return { status: 'pass', observedValue: applied, observedUnit: 'migrations' }
  return {
    status: 'fail',
    output: 'The schema is older than this version: run the migrations.',
    observedValue: missing,
    observedUnit: 'migrations missing',
  }
}

/** Below this, documents and the database's own files may soon find no room. */
const scarceBytes = 1024 * mebibyte

async function checkStorage({ files }: HealthContext): Promise<Finding> {
  const { freeBytes } = await files.check()
  const measured = { observedValue: freeBytes, observedUnit: 'bytes free' }
  if (freeBytes >= scarceBytes) return { status: 'pass', ...measured }
  return { status: 'warn', output: 'The disk of the documents is nearly full.', ...measured }
}

/** Tokens bear a minute between nodes; long before that somebody should set a clock right. */
const maxSkewMs = 5 * secondMs

async function checkClock({ db, now }: HealthContext): Promise<Finding> {
  const startedAt = performance.now()
  const { clockMs } = await sql.readDatabaseState(db, [])
  // The database looked at its clock about half way through the trip.
  const askedAtMs = now.getTime() + (performance.now() - startedAt) / 2
  const skewMs = Math.round(Math.abs(clockMs - askedAtMs))
  const measured = { observedValue: skewMs, observedUnit: 'ms' }
  if (skewMs <= maxSkewMs) return { status: 'pass', ...measured }
  return {
    status: 'warn',
    output: 'The clocks of this machine and of the database differ: see to their time service.',
    ...measured,
  }
}

/** A job that is due should begin within seconds. */
const maxJobAgeMs = 5 * minuteMs

async function checkJobs({ db, now }: HealthContext): Promise<Finding> {
  const { failed, oldestDueAt } = await countJobs(db, now)
  const ageMs = oldestDueAt ? now.getTime() - oldestDueAt.getTime() : 0
  if (ageMs > maxJobAgeMs) {
    return {
      status: 'warn',
      output: 'Jobs wait too long: no process works on them, or they come faster than they end.',
      observedValue: Math.round(ageMs / secondMs),
      observedUnit: 's',
    }
  }
  const measured = { observedValue: failed, observedUnit: 'failed jobs' }
  if (failed === 0) return { status: 'pass', ...measured }
  return {
    status: 'warn',
    output: 'Jobs have failed for good: see GET /api/system/jobs?status=failed.',
    ...measured,
  }
}
