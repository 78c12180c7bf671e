import type { Module } from '../../http/module.ts'
import { caseEvents } from './events.ts'
import { jobs } from './jobs.ts'
import { listeners } from './listeners.ts'
import { routes } from './routes.ts'
import { caseSubject } from './usecases/case-subject.ts'

export { CaseOpened, CaseReplied, CaseResolved } from './events.ts'
export { addNote } from './usecases/add-note.ts'
export { changeCaseStatus, resolveCase } from './usecases/move-case.ts'
export { openCase } from './usecases/open-case.ts'
export { findCaseOfOrder } from './usecases/read-cases.ts'
export { updateCase } from './usecases/update-case.ts'

export const crmModule: Module = {
  name: 'crm',
  endpoints: routes,
  events: caseEvents,
  listeners,
  jobs,
  subjects: [caseSubject],
}
