import type { Id } from '../../../kernel/id.ts'
import { later } from '../../../kernel/time.ts'
import type { AppContext, Context } from '../../../platform/context.ts'
import type { House } from '../rules/letter.ts'
import { renderMasked } from '../rules/templates.ts'
import type { MailData, TemplateName } from '../schema.ts'
import { insertNotification } from '../sql/notifications.ts'

/** A mail that is to be: to whom, which kind, and what it is told. */
export type MailDraft = { [Name in TemplateName]: DraftOf<Name> }[TemplateName]

interface DraftOf<Name extends TemplateName> {
  readonly template: Name
  readonly to: { readonly email: string; readonly name: string | null }
  readonly data: MailData<Name>
  readonly customerId?: Id<'cus'> | null
  /** The login whose token it carries. */
  readonly userId?: Id<'usr'>
  /** The order or the case that it is about. */
  readonly aboutId?: string | null
}

export interface Queueing {
  readonly id: Id<'mail'>
  /** When what it tells of happened. */
  readonly at: Date
  /** So long after that it is sent. */
  readonly waitMs?: number
  /** It counts as sent: nobody is to receive it any more. */
  readonly isTold?: boolean
}

/** The job that hands one mail to the server. */
export const deliverJob = 'deliver-notification'

/** A subject is one line of a list; what a template makes of long words is cut. */
const maxSubjectLength = 300

/** Writes the mail, once for its id, and has it sent when it is due. */
export async function queueMail(
  ctx: Context,
  house: House,
  { draft, ...queueing }: Queueing & { draft: MailDraft },
): Promise<void> {
  const { id, at, waitMs = 0, isTold = false } = queueing
  const { template, to, data } = draft
  const { subject } = renderMasked(template, data, house)
  // What happened long ago is due now, not then: a mail waits from when it is written.
  const dueAt = isTold ? null : later(ctx.now, waitMs)
  await insertNotification(
    ctx.db,
    {
      id,
      template,
      to,
      recipientKey: recipientKeyOf(to.email),
      customerId: draft.customerId ?? null,
      userId: draft.userId ?? null,
      aboutId: draft.aboutId ?? null,
      subject: subject.slice(0, maxSubjectLength),
      data,
      createdAt: at,
      dueAt,
    },
    isTold || waitMs > 0 ? null : deliverJob,
  )
}

/** An address as the list finds it. */
export function recipientKeyOf(email: string): string {
  return email.normalize('NFC').toLowerCase()
}

/** Whose mails they are: the name in MAIL_FROM, else that of the host. */
export function houseOf({ mail, business }: Pick<AppContext, 'mail' | 'business'>): House {
  const { publicUrl, timeZone } = business
  return { name: mail.sender.name || new URL(publicUrl).host, publicUrl, timeZone }
}
