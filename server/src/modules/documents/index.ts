import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { jobs } from './jobs.ts'
import { listeners } from './listeners.ts'
import { routes } from './routes.ts'
import { checks, figures } from './usecases/watch-storage.ts'

export { DocumentRejected } from './events.ts'
export { AttachedDocument, documentInternal, DocumentKey } from './schema.ts'
export { namedBytes, recountUsage } from './sql.ts'
export {
  attachToCase,
  moveDocumentsOfCase,
  type CaseOfDocuments,
} from './usecases/attach-documents.ts'
export { findNotice, type DocumentNotice } from './usecases/notify.ts'
export { listAttached } from './usecases/read-documents.ts'
export { reviewDocument } from './usecases/review-document.ts'
export { storeDocument } from './usecases/upload-document.ts'

export const documentsModule: Module = {
  name: 'documents',
  endpoints: routes,
  events,
  listeners,
  jobs,
  checks,
  figures,
}
