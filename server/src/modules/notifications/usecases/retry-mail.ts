import { notFound } from '../../../kernel/errors.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { NotificationRetried } from '../events.ts'
import { notificationNotFailed, notificationPruned, type Notification } from '../schema.ts'
import { enqueueDelivery, findNotification, writeRetried } from '../sql/notifications.ts'
import { deliverJob } from './queue-mail.ts'
import { getNotification } from './read-notifications.ts'

/**
 * Tries a mail again that has failed, for another three days, under the Message-ID that it had.
 * Throws 404, and 409 for one that has not failed or has no text any more.
 */
export async function retryMail(ctx: AppContext, id: string): Promise<Notification> {
  await inTx(ctx, async (ctx) => {
    const retried = await writeRetried(ctx.db, id, ctx.now)
    if (!retried) {
      const row = await findNotification(ctx.db, id)
      if (!row) throw notFound()
      throw row.status === 'failed' ? notificationPruned() : notificationNotFailed()
    }
    await emit(ctx, NotificationRetried({ rootId: id, rootVersion: retried.version, data: {} }))
    await enqueueDelivery(ctx.db, id, deliverJob)
  })
  return await getNotification(ctx, id)
}
