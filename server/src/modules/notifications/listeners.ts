import { after, type Listener } from '../../platform/events.ts'
import { announce, announcements } from './usecases/announcements.ts'

/** Every mail about something that happened: after the commit, as a job with retries. */
export const listeners: readonly Listener[] = announcements.map((announcement) =>
  after(announcement.event, announcement.name, (ctx, event) => announce(ctx, announcement, event)),
)
