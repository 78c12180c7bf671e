import { notFound } from '../../../kernel/errors.ts'
import { isId } from '../../../kernel/id.ts'
import { mapPage, type Page, type PageRequest } from '../../../kernel/page.ts'
import { toInstant, toInstantOrNull } from '../../../kernel/time.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { emit } from '../../../platform/outbox.ts'
import { NotificationRead } from '../events.ts'
import { renderMasked, templates } from '../rules/templates.ts'
import {
  mailData,
  templateNames,
  type Notification,
  type NotificationDetail,
  type NotificationFilters,
  type QueuedNotification,
  type TemplateName,
  type TemplateView,
} from '../schema.ts'
import {
  findNotification,
  listNotifications as selectPage,
  raiseVersion,
  type NotificationListRow,
  type NotificationRow,
} from '../sql/notifications.ts'
import { houseOf, recipientKeyOf } from './queue-mail.ts'

/** The outbox, without what the mails say. */
export async function listNotifications(
  ctx: AppContext,
  { page, filters }: { page: PageRequest; filters: NotificationFilters },
): Promise<Page<Notification>> {
  const { to, ...others } = filters
  const folded = to === undefined ? others : { ...others, to: recipientKeyOf(to) }
  return mapPage(await selectPage(ctx.db, { page, filters: folded }), toNotification)
}

/** A mail with what it says; that it was read is on record. Throws 404. */
export async function readNotification(ctx: AppContext, id: string): Promise<NotificationDetail> {
  const row = await inTx(ctx, async (ctx) => {
    const row = await raiseVersion(ctx.db, id)
    if (!row) throw notFound()
    await emit(ctx, NotificationRead({ rootId: id, rootVersion: row.version, data: {} }))
    return row
  })
  return toDetail(ctx, row)
}

/** As it stands, for whoever has just worked on it. Throws 404. */
export async function getNotification(ctx: AppContext, id: string): Promise<Notification> {
  return toNotification(await requireNotification(ctx, id))
}

export async function getQueued(ctx: AppContext, id: string): Promise<QueuedNotification> {
  const { id: mailId, status } = await requireNotification(ctx, id)
  return { id: mailId, status }
}

/** The kinds of mails, by name, each as it would look. */
export async function listTemplates(
  ctx: AppContext,
  { limit, sort, after, count }: PageRequest,
): Promise<Page<TemplateView>> {
  const sign = sort.direction === 'asc' ? 1 : -1
  const last = after?.[1]
  const all = templateNames
    .filter((name) => name !== 'message')
    .toSorted((a, b) => (a < b ? -sign : sign))
  const begin = last === undefined ? 0 : all.findIndex((name) => name === last) + 1
  const names = all.slice(begin, begin + limit)
  const lastName = names.at(-1)
  const hasMore = begin + limit < all.length && lastName !== undefined
  return {
    data: names.map((name) => toTemplateView(ctx, name)),
    next: hasMore ? [lastName, lastName] : null,
    ...(count ? { total: all.length } : {}),
  }
}

async function requireNotification(ctx: AppContext, id: string): Promise<NotificationRow> {
  const row = isId('mail', id) ? await findNotification(ctx.db, id) : undefined
  if (!row) throw notFound()
  return row
}

function toNotification(row: NotificationListRow): Notification {
  return {
    id: row.id,
    to: row.recipientEmail,
    template: row.template,
    subject: row.subject,
    status: row.status,
    attempts: row.attempts,
    lastError: row.lastError,
    customerId: row.customerId,
    aboutId: row.aboutId,
    nextAttemptAt: toInstantOrNull(row.nextAttemptAt),
    createdAt: toInstant(row.createdAt),
    sentAt: toInstantOrNull(row.sentAt),
  }
}

function toDetail(ctx: AppContext, row: NotificationRow): NotificationDetail {
  const { template, data, messageId } = row
  const content = data === null ? nothingLeft : renderMasked(template, data, houseOf(ctx))
  const { text, html } = content
  return { ...toNotification(row), messageId, text, html }
}

const nothingLeft = { text: null, html: null }

function toTemplateView(ctx: AppContext, name: TemplateName): TemplateView {
  const { description, byHand, sample } = templates[name]
  return {
    name,
    description,
    byHand,
    dataSchema: mailData[name] as unknown as Record<string, unknown>,
    preview: renderMasked(name, sample, houseOf(ctx)),
  }
}
