import { Type } from 'typebox'
import { defineEvent } from '../../platform/events.ts'

/**
 * A colleague had a job run again. The root is this one retry: a job belongs to the queue, which
 * counts its tries but keeps no versions of it.
 */
export const JobRetried = defineEvent('job.retried', {
  data: Type.Object({ jobId: Type.String(), task: Type.String() }),
})

export const events = [JobRetried]
