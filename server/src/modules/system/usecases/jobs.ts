import { notFound } from '../../../kernel/errors.ts'
import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import { toInstant } from '../../../kernel/time.ts'
import type { AppContext } from '../../../platform/context.ts'
import { findJob, runJobAgain, type JobRow } from '../../../platform/job-queue.ts'
import { fetchPage } from '../../../platform/list.ts'
import { withoutSecrets } from '../../../platform/log.ts'
import { firstLineOf } from '../rules.ts'
import { jobRunning, type Job } from '../schema.ts'
import { jobs, type JobFilters } from '../sql.ts'

export async function listJobs(
  { db }: AppContext,
  filters: JobFilters,
  page: PageRequest,
): Promise<Page<Job>> {
  return mapPage(await fetchPage<JobRow, JobFilters>(db, jobs, { page, filters }), toJob)
}

/** Throws 404 for a job that is done or never was: what has ended well leaves the queue. */
export async function getJob({ db }: AppContext, id: string): Promise<Job> {
  const row = await findJob(db, Number(id))
  if (!row) throw notFound()
  return toJob(row)
}

/** Lets the job run now, with all its tries before it. Throws 404, or 409 while it runs. */
export async function retryJob(ctx: AppContext, id: string): Promise<Job> {
  const { db, now, log, actor } = ctx
  const before = await getJob(ctx, id)
  if (!(await runJobAgain(db, Number(id), now))) throw jobRunning({ facts: { id } })
  log.info(
    { jobId: id, actor: actor.kind === 'staff' ? actor.userId : actor.kind },
    'job run again',
  )
  // Not read again: it may have ended and left the queue by now.
  return { ...before, status: 'queued', attempts: 0, runAt: toInstant(now) }
}

function toJob({ id, lastError, runAt, createdAt, updatedAt, ...rest }: JobRow): Job {
  return {
    ...rest,
    id: String(id),
    lastError: lastError === null ? null : withoutSecrets(firstLineOf(lastError)),
    runAt: toInstant(runAt),
    createdAt: toInstant(createdAt),
    updatedAt: toInstant(updatedAt),
  }
}
