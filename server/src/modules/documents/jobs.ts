import { defineJob } from '../../platform/jobs.ts'
import { sweepUnlinked } from './usecases/delete-document.ts'
import { scanQuarantined } from './usecases/scan-documents.ts'
import { sweepStorage } from './usecases/sweep-storage.ts'

export const jobs = [
  defineJob('scan-quarantined-documents', '* * * * *', scanQuarantined),
  defineJob('sweep-unlinked-documents', '23 * * * *', sweepUnlinked),
  defineJob('sweep-document-storage', '43 * * * *', sweepStorage),
]
