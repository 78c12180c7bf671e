import type { Static, TObject } from 'typebox'
import { derivedId, type Id } from '../../../kernel/id.ts'
import { toInstant } from '../../../kernel/time.ts'
import type { AppContext } from '../../../platform/context.ts'
import type { DefinedEvent, StoredEvent } from '../../../platform/events.ts'
import { CaseOpened, CaseReplied, CaseResolved } from '../../crm/index.ts'
import { DocumentRejected } from '../../documents/index.ts'
import {
  CustomerRegistered,
  EmailVerificationRequested,
  PasswordResetRequested,
  RegistrationRepeated,
  StaffInvited,
} from '../../identity/index.ts'
import { OrderPlaced } from '../../orders/index.ts'
import { PaymentFailed, PaymentSucceeded, RefundMovedOn } from '../../payments/index.ts'
import { paymentFailedWaitMs } from '../rules/backoff.ts'
import { listUnheard } from '../sql/notifications.ts'
import * as drafts from './drafts.ts'
import { houseOf, queueMail, type MailDraft } from './queue-mail.ts'

/** An event and the mail that it is told as. */
export interface Announcement {
  readonly event: DefinedEvent<TObject>
  readonly name: string
  /** Undefined where nobody is to hear of it. */
  draft(ctx: AppContext, event: StoredEvent): Promise<MailDraft | undefined>
  /** What it is told of once, where that is not the event itself; it begins with an id. */
  readonly onceFor?: (event: StoredEvent) => string
  readonly waitMs?: number
}

/** One mail at most of one event, so that its id makes one mail of however many tellings. */
export const announcements: readonly Announcement[] = [
  announcement(OrderPlaced, 'mail-order-received', {
    draft: (ctx, { rootId }) => drafts.draftOrderReceived(ctx, rootId),
  }),
  announcement(PaymentSucceeded, 'mail-payment-confirmed', {
    draft: (ctx, { rootId, data }) => drafts.draftPaymentConfirmed(ctx, rootId, data),
  }),
  announcement(PaymentFailed, 'mail-payment-failed', {
    draft: (ctx, { rootId }) => drafts.draftPaymentFailed(ctx, rootId),
    // However many cards are declined one after the other: the customer sees that as it happens.
    // A bank debit fails days later, when nobody looks.
    onceFor: ({ data, at }) => `${data.paymentId} ${dayOf(at)}`,
    waitMs: paymentFailedWaitMs,
  }),
  announcement(RefundMovedOn, 'mail-refund', {
    draft: async (ctx, { rootId, data }) =>
      data.status === 'succeeded' ? await drafts.draftRefund(ctx, rootId, data) : undefined,
  }),
  announcement(CaseOpened, 'mail-case-opened', {
    draft: (ctx, { rootId, actorKind }) => drafts.draftCaseOpened(ctx, rootId, actorKind),
  }),
  announcement(CaseReplied, 'mail-staff-replied', {
    draft: (ctx, { rootId, data }) => drafts.draftStaffReplied(ctx, rootId, data.noteId),
  }),
  announcement(CaseResolved, 'mail-case-resolved', {
    draft: (ctx, { rootId }) => drafts.draftCaseResolved(ctx, rootId),
  }),
  announcement(DocumentRejected, 'mail-document-rejected', {
    draft: (ctx, { rootId, data }) => drafts.draftDocumentRejected(ctx, rootId, data.cause),
  }),
  announcement(CustomerRegistered, 'mail-welcome', {
    draft: (ctx, { rootId }) => drafts.draftWelcome(ctx, rootId as Id<'cus'>),
  }),
  announcement(EmailVerificationRequested, 'mail-email-verification', {
    draft: (ctx, { rootId }) => drafts.draftVerification(ctx, rootId as Id<'usr'>),
  }),
  announcement(PasswordResetRequested, 'mail-password-reset', {
    draft: (ctx, { rootId }) => drafts.draftPasswordReset(ctx, rootId as Id<'usr'>),
  }),
  announcement(StaffInvited, 'mail-staff-invitation', {
    draft: (ctx, { rootId }) => drafts.draftInvitation(ctx, rootId as Id<'usr'>),
  }),
  announcement(RegistrationRepeated, 'mail-account-exists', {
    draft: (ctx, { rootId }) => drafts.draftAccountExists(ctx, rootId as Id<'usr'>),
  }),
]

/** Queues the mail of an event, once however often the event is heard. */
export async function announce(
  ctx: AppContext,
  { draft: write, onceFor, waitMs = 0 }: Announcement,
  event: StoredEvent,
): Promise<void> {
  const draft = await write(ctx, event)
  if (!draft) return
  const id = mailIdOf(onceFor?.(event) ?? event.id, draft)
  await queueMail(ctx, houseOf(ctx), { draft, id, at: ctx.now, waitMs })
}

/**
 * Writes the mails of all events that nobody has heard yet as if they had been sent: what a demo
 * tells of the past. The listeners, when they hear of the same events, find the mails there.
 */
export async function recordMailsAsSent(ctx: AppContext): Promise<void> {
  const byType = new Map(announcements.map((one) => [one.event.name, one]))
  let after = ''
  for (;;) {
    const events = await listUnheard(ctx.db, { types: [...byType.keys()], after, limit: pageSize })
    for (const event of events) await record(ctx, byType.get(event.type), event)
    if (events.length < pageSize) return
    after = events.at(-1)?.id ?? after
  }
}

const pageSize = 500

async function record(
  ctx: AppContext,
  announcement: Announcement | undefined,
  event: StoredEvent,
): Promise<void> {
  const draft = await announcement?.draft(ctx, event)
  if (!announcement || !draft) return
  const id = mailIdOf(announcement.onceFor?.(event) ?? event.id, draft)
  await queueMail(ctx, houseOf(ctx), { draft, id, at: event.at, isTold: true })
}

/** In UTC. */
function dayOf(at: Date): string {
  return toInstant(at).slice(0, 10)
}

function mailIdOf(source: string, { template }: MailDraft): Id<'mail'> {
  return derivedId('mail', source as Id<'evt' | 'pay'>, template)
}

/** The name of an event vouches for its data, as it does for listeners. */
function announcement<S extends TObject>(
  event: DefinedEvent<S>,
  name: string,
  told: {
    draft(ctx: AppContext, event: StoredEvent<Static<S>>): Promise<MailDraft | undefined>
    onceFor?: (event: StoredEvent<Static<S>>) => string
    waitMs?: number
  },
): Announcement {
  return { event, name, ...told } as unknown as Announcement
}
