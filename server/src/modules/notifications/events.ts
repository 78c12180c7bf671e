import { Type } from 'typebox'
import { idOf, nullable } from '../../kernel/shapes.ts'
import { defineEvent } from '../../platform/events.ts'

/**
 * The root is the mail. What the machine does is told by the mail's own row, except that it gave
 * up; what people do to mails is told here, for the audit trail.
 */

/** A colleague had it sent. */
export const NotificationRequested = defineEvent('notification.requested', {
  data: Type.Object({ template: Type.String(), customerId: nullable(idOf('cus')) }),
})

/** It will not arrive unless somebody tries again. */
export const NotificationFailed = defineEvent('notification.failed', {
  data: Type.Object({ template: Type.String(), attempts: Type.Integer() }),
})

/** A colleague had it tried again. */
export const NotificationRetried = defineEvent('notification.retried', { data: Type.Object({}) })

/** A colleague read what it says. */
export const NotificationRead = defineEvent('notification.read', { data: Type.Object({}) })

export const events = [
  NotificationRequested,
  NotificationFailed,
  NotificationRetried,
  NotificationRead,
]
