import { notFound } from '../../../kernel/errors.ts'
import { newId } from '../../../kernel/id.ts'
import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import { toInstant } from '../../../kernel/time.ts'
import { inTx, type AppContext, type Context } from '../../../platform/context.ts'
import { findJob, runJobAgain, type JobRow } from '../../../platform/job-queue.ts'
import { fetchPage } from '../../../platform/list.ts'
import { withoutSecrets } from '../../../platform/log.ts'
import { emit } from '../../../platform/outbox.ts'
import { JobRetried } from '../events.ts'
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
export async function getJob(ctx: Context, id: string): Promise<Job> {
  return toJob(await getRow(ctx, id))
}

/** Lets the job run now, with all its tries before it. Throws 404, or 409 while it runs. */
export async function retryJob(ctx: AppContext, id: string): Promise<Job> {
  return await inTx(ctx, async (ctx) => {
    const row = await getRow(ctx, id)
    const changed = await runJobAgain(ctx.db, row.id, ctx.now)
    if (!changed) {
      // It may have ended, and left the queue, since it was read.
      await getRow(ctx, id)
      throw jobRunning({ facts: { id } })
    }
    const data = { jobId: id, task: row.task }
    const retried = JobRetried({ rootId: newId('job', ctx.now), rootVersion: 1, data })
    await emit(ctx, { ...retried, resourceId: id })
    return toJob({ ...row, ...changed, status: 'queued' })
  })
}

async function getRow({ db }: Context, id: string): Promise<JobRow> {
  const row = await findJob(db, Number(id))
  if (!row) throw notFound()
  return row
}

function toJob({ id, lastError, runAt, createdAt, updatedAt, ...rest }: JobRow): Job {
  return {
    ...rest,
    id: String(id),
    lastError: lastError === null ? null : firstLineOf(withoutSecrets(lastError)),
    runAt: toInstant(runAt),
    createdAt: toInstant(createdAt),
    updatedAt: toInstant(updatedAt),
  }
}
