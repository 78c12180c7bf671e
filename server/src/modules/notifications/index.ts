import type { Module } from '../../http/module.ts'
import { events } from './events.ts'
import { jobs } from './jobs.ts'
import { listeners } from './listeners.ts'
import { routes } from './routes.ts'
import { mailCheck, mailFigures } from './usecases/keep-outbox.ts'

export { recordMailsAsSent } from './usecases/announcements.ts'
export { houseOf, queueMail, type MailDraft } from './usecases/queue-mail.ts'

export const notificationsModule: Module = {
  name: 'notifications',
  endpoints: routes,
  events,
  listeners,
  jobs,
  checks: [mailCheck],
  figures: [mailFigures],
}
