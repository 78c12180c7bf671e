import { endpoint, type Endpoint } from '../../http/endpoint.ts'
import {
  exampleNotification,
  Notification,
  NotificationDetail,
  NotificationFilters,
  notificationNotFailed,
  NotificationParams,
  notificationPruned,
  QueuedNotification,
  SendMailInput,
  TemplateView,
} from './schema.ts'
import {
  getNotification,
  getQueued,
  listNotifications,
  listTemplates,
  readNotification,
} from './usecases/read-notifications.ts'
import { retryMail } from './usecases/retry-mail.ts'
import { sendMail } from './usecases/send-mail.ts'

const { id } = exampleNotification

export const routes: readonly Endpoint[] = [
  endpoint(
    'POST /api/notifications/email',
    {
      summary: 'Send a mail',
      description:
        'To one address or one customer. Either a `template` that may be sent by hand, with its ' +
        '`data`, or a `subject` and a `text` of your own, with `html` if you like. 60 an hour ' +
        'for each login.',
      access: ['notifications:write'],
      body: SendMailInput,
      reply: QueuedNotification,
      status: 202,
      idempotency: { resume: (ctx, mailId) => getQueued(ctx, mailId) },
      example: {
        body: {
          to: 'ada@example.com',
          subject: 'Your appointment on Thursday',
          text: 'We look forward to seeing you at ten.',
        },
        reply: { id, status: 'queued' },
      },
    },
    (ctx, { body }) => sendMail(ctx, body),
  ),
  endpoint(
    'GET /api/notifications',
    {
      summary: 'List mails',
      description: 'The outbox: what was sent, what waits and what has failed.',
      access: ['notifications:read'],
      query: NotificationFilters,
      list: { sorts: ['createdAt'], defaultSort: '-createdAt' },
      reply: Notification,
      example: { query: { status: 'sent' }, reply: exampleNotification },
    },
    (ctx, { query, page }) => listNotifications(ctx, { filters: query, page }),
  ),
  endpoint(
    'GET /api/notifications/templates',
    {
      summary: 'List the kinds of mails',
      description: 'Each with the schema of its data and as it would look.',
      access: ['notifications:read'],
      list: { sorts: ['name'], defaultSort: 'name' },
      reply: TemplateView,
      example: {
        reply: {
          name: 'welcome',
          description: 'A customer registered.',
          byHand: true,
          dataSchema: { type: 'object', required: ['name'] },
          preview: { subject: 'Welcome to Bureau', text: 'Hello Ada Lovelace,', html: '<p>' },
        },
      },
    },
    (ctx, { page }) => listTemplates(ctx, page),
  ),
  endpoint(
    'GET /api/notifications/:id',
    {
      summary: 'Read a mail',
      description:
        'With what it says. That it was read is on record. Tokens are masked; the text of mails ' +
        'older than 90 days is gone.',
      access: ['notifications:read'],
      params: NotificationParams,
      reply: NotificationDetail,
      example: {
        params: { id },
        reply: {
          ...exampleNotification,
          messageId: `<${id}@bureau.example>`,
          text: 'Hello Ada Lovelace,\n\nWe have received your payment for order B-1042.',
          html: '<p>Hello Ada Lovelace,</p>',
        },
      },
    },
    (ctx, { params }) => readNotification(ctx, params.id),
  ),
  endpoint(
    'POST /api/notifications/:id/retry',
    {
      summary: 'Try a failed mail again',
      access: ['notifications:write'],
      params: NotificationParams,
      reply: Notification,
      errors: [notificationNotFailed, notificationPruned],
      idempotency: { resume: (ctx, mailId) => getNotification(ctx, mailId) },
      example: {
        params: { id },
        reply: { ...exampleNotification, status: 'queued', sentAt: null },
      },
    },
    (ctx, { params }) => retryMail(ctx, params.id),
  ),
]
