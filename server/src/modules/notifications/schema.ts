import { Type, type Static } from 'typebox'
import { defineError } from '../../kernel/errors.ts'
import {
  Email,
  idOf,
  Instant,
  MoneyInput,
  Name,
  nullable,
  oneOf,
  strictObject,
} from '../../kernel/shapes.ts'

/**
 * `suppressed`: when its time came there was no reason for it any more, such as a failed payment of
 * an order that is paid.
 */
export const notificationStatuses = ['queued', 'sent', 'failed', 'suppressed'] as const
export type NotificationStatus = (typeof notificationStatuses)[number]

/** Free words on one line: never more than a header or a table's cell may hold. */
const Line = Name
/** Free words with line breaks. */
const Words = Type.String({ minLength: 1, maxLength: 20_000, pattern: '\\S' })

const name = Line
const orderNumber = Type.String({ pattern: '^[A-Za-z0-9-]{1,40}$', examples: ['B-1042'] })
const caseNumber = Type.String({ pattern: '^[A-Za-z0-9-]{1,40}$', examples: ['C-1042'] })

/** What each kind of mail is told. Addresses of pages are never among it: mails make their own. */
export const mailData = {
  order_received: strictObject({
    name,
    orderNumber,
    lines: Type.Array(
      strictObject({
        name: Line,
        quantity: Type.Integer({ minimum: 1, maximum: 1000 }),
        total: MoneyInput,
      }),
      { minItems: 1, maxItems: 50 },
    ),
    total: MoneyInput,
    outstanding: MoneyInput,
  }),
  payment_confirmed: strictObject({
    name,
    orderNumber,
    amount: MoneyInput,
    outstanding: MoneyInput,
  }),
  payment_failed: strictObject({
    name,
    orderNumber,
    outstanding: MoneyInput,
    keptUntil: nullable(Instant),
  }),
  refund: strictObject({ name, orderNumber, amount: MoneyInput }),
  case_opened: strictObject({
    name,
    caseNumber,
    subject: Line,
    orderNumber: nullable(orderNumber),
    dueAt: nullable(Instant),
  }),
  staff_replied: strictObject({
    name,
    caseNumber,
    subject: Line,
    author: nullable(Line),
    body: Words,
  }),
  case_resolved: strictObject({
    name,
    caseNumber,
    subject: Line,
    outcome: oneOf(['completed', 'declined', 'duplicate', 'no_response']),
    summary: Words,
  }),
  document_rejected: strictObject({
    name,
    filename: nullable(Line),
    reason: nullable(Words),
    orderNumber: nullable(orderNumber),
    caseNumber: nullable(caseNumber),
  }),
  welcome: strictObject({ name }),
  account_exists: strictObject({ name }),
  verify_email: strictObject({ name }),
  password_reset: strictObject({ name, audience: oneOf(['customer', 'staff']) }),
  staff_invitation: strictObject({ name }),
  /** Written by a colleague for one occasion. */
  message: strictObject({ subject: Line, text: Words, html: nullable(Type.String()) }),
} as const
export type TemplateName = keyof typeof mailData
export type MailData<Name extends TemplateName> = Static<(typeof mailData)[Name]>

export const templateNames = Object.keys(mailData) as TemplateName[]

const notificationMembers = {
  id: idOf('mail'),
  to: Type.String(),
  template: oneOf(templateNames),
  subject: Type.String(),
  status: oneOf(notificationStatuses),
  attempts: Type.Integer({ description: 'how often it was tried' }),
  lastError: nullable(Type.String({ description: 'why it was not sent, in a sentence' })),
  customerId: nullable(idOf('cus')),
  aboutId: nullable(Type.String({ description: 'the order or the case that it is about' })),
  nextAttemptAt: nullable(Instant),
  createdAt: Instant,
  sentAt: nullable(Instant),
}

/** A mail of the outbox as a list shows it. */
export const Notification = Type.Object(notificationMembers)
export type Notification = Static<typeof Notification>

/** With what it says; that is null once it was pruned. Tokens are masked. */
export const NotificationDetail = Type.Object({
  ...notificationMembers,
  messageId: nullable(Type.String({ description: 'the same at every attempt' })),
  text: nullable(Type.String()),
  html: nullable(Type.String()),
})
export type NotificationDetail = Static<typeof NotificationDetail>

export const NotificationParams = strictObject({ id: idOf('mail') })

export const NotificationFilters = strictObject({
  status: Type.Optional(oneOf(notificationStatuses)),
  template: Type.Optional(oneOf(templateNames)),
  to: Type.Optional(
    Type.String({ minLength: 1, maxLength: 254, description: 'the whole e-mail address' }),
  ),
  customerId: Type.Optional(idOf('cus')),
  aboutId: Type.Optional(
    Type.String({ minLength: 1, maxLength: 40, description: 'the id of an order or a case' }),
  ),
})
export type NotificationFilters = Static<typeof NotificationFilters>

/** Either a template with its data, or words of one's own. */
export const SendMailInput = strictObject({
  to: Type.Optional(Email),
  customerId: Type.Optional(idOf('cus')),
  template: Type.Optional(oneOf(templateNames.filter((template) => template !== 'message'))),
  data: Type.Optional(
    Type.Unsafe<Record<string, unknown>>({
      type: 'object',
      additionalProperties: true,
      description: 'as `GET /api/notifications/templates` describes it for the template',
    }),
  ),
  subject: Type.Optional(Line),
  text: Type.Optional(Words),
  html: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 100_000,
      description:
        'sanitised: scripts, styles, forms and images are left out, and of a link to a foreign ' +
        'site its address takes the place of its words',
    }),
  ),
})
export type SendMailInput = Static<typeof SendMailInput>

export const QueuedNotification = Type.Object({
  id: idOf('mail'),
  status: oneOf(notificationStatuses),
})
export type QueuedNotification = Static<typeof QueuedNotification>

export const TemplateView = Type.Object({
  name: oneOf(templateNames),
  description: Type.String(),
  byHand: Type.Boolean({ description: 'whether staff may send it with data of their own' }),
  dataSchema: Type.Unsafe<Record<string, unknown>>({
    type: 'object',
    additionalProperties: true,
    description: 'JSON Schema of `data`',
  }),
  preview: Type.Object({ subject: Type.String(), text: Type.String(), html: Type.String() }),
})
export type TemplateView = Static<typeof TemplateView>

export const notificationNotFailed = defineError(
  409,
  'notification_not_failed',
  'Only a mail that has failed can be tried again.',
  'Read the mail: one that is queued is tried by itself, one that was sent has gone out.',
)
export const notificationPruned = defineError(
  409,
  'notification_pruned',
  'The text of this mail was pruned because it is old.',
  'Write it anew with `POST /api/notifications/email`.',
)

const mailId = 'mail_01jd8q9yg8e5v9c0m4t7k2x3za'

export const exampleNotification = {
  id: mailId,
  to: 'ada@example.com',
  template: 'payment_confirmed',
  subject: 'Payment received for order B-1042',
  status: 'sent',
  attempts: 1,
  lastError: null,
  customerId: 'cus_01jd8q9yg8e5v9c0m4t7k2x3zd',
  aboutId: 'ord_01jd8q9yg8e5v9c0m4t7k2x3za',
  nextAttemptAt: null,
  createdAt: '2026-11-22T16:40:21.000Z',
  sentAt: '2026-11-22T16:40:22.000Z',
}
