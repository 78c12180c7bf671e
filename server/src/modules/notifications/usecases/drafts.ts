import { money } from '../../../kernel/money.ts'
import { hourMs, later, toInstant, toInstantOrNull } from '../../../kernel/time.ts'
import type { Id } from '../../../kernel/id.ts'
import type { AppContext } from '../../../platform/context.ts'
import { findNotice, type DocumentNotice } from '../../documents/index.ts'
import { listUserNames } from '../../identity/index.ts'
import { isRepeatable } from '../rules/letter.ts'
import {
  findCaseSource,
  findCustomerSource,
  findLoginSource,
  findOrderSource,
  findPublicNote,
  findRegistrationSource,
  hasStaffReply,
  listLineSources,
  type CaseSource,
  type OrderSource,
} from '../sql/sources.ts'
import type { MailDraft } from './queue-mail.ts'

/**
 * What each event is told as, read when it is heard. Undefined where nobody is to hear of it: the
 * reason is gone already, or there is nobody whom Bureau may write to.
 */
type Draft = Promise<MailDraft | undefined>

export async function draftOrderReceived({ db }: AppContext, orderId: string): Draft {
  const order = await findOrderSource(db, orderId)
  if (!order || order.status === 'cancelled') return undefined
  const lines = await listLineSources(db, orderId)
  return {
    ...aboutOrder(order, orderId),
    template: 'order_received',
    data: {
      ...namesOf(order),
      lines: lines.map(({ name, quantity, total }) => ({
        name,
        quantity,
        total: money(total, order.currency),
      })),
      total: money(order.total, order.currency),
      outstanding: outstandingOf(order),
    },
  }
}

/** Money for a cancelled order is given back by itself: the refund's mail tells of it. */
export async function draftPaymentConfirmed(
  { db }: AppContext,
  orderId: string,
  paid: { amount: number; currency: string },
): Draft {
  const order = await findOrderSource(db, orderId)
  if (!order || order.status === 'cancelled') return undefined
  return {
    ...aboutOrder(order, orderId),
    template: 'payment_confirmed',
    data: {
      ...namesOf(order),
      amount: money(paid.amount, paid.currency),
      outstanding: outstandingOf(order),
    },
  }
}

export async function draftPaymentFailed({ db, business }: AppContext, orderId: string): Draft {
  const order = await findOrderSource(db, orderId)
  if (!order || !isPaymentMissing(order)) return undefined
  const expires = order.source === 'checkout' && order.paid === 0
  const keptUntil = expires
    ? toInstant(later(order.createdAt, business.unpaidOrderHours * hourMs))
    : null
  return {
    ...aboutOrder(order, orderId),
    template: 'payment_failed',
    data: { ...namesOf(order), outstanding: outstandingOf(order), keptUntil },
  }
}

/** Whether the order still waits for money, and none is on its way. */
export function isPaymentMissing({ status, paymentStatus, paid, total }: OrderSource): boolean {
  return status === 'pending' && paid < total && paymentStatus !== 'processing'
}

export async function draftRefund(
  { db }: AppContext,
  orderId: string,
  refunded: { amount: number; currency: string },
): Draft {
  const order = await findOrderSource(db, orderId)
  if (!order) return undefined
  return {
    ...aboutOrder(order, orderId),
    template: 'refund',
    data: { ...namesOf(order), amount: money(refunded.amount, refunded.currency) },
  }
}

/**
 * Of an order's case its customer hears that work begins, of a question that it arrived. What
 * staff write down is no word to anybody, and a typed address of the public form hears nothing
 * before a person has answered.
 */
export async function draftCaseOpened(ctx: AppContext, caseId: string, openedBy: string): Draft {
  const found = await findCaseSource(ctx.db, caseId)
  if (!found || found.origin === 'contact') return undefined
  if (found.origin === 'enquiry' && openedBy !== 'customer' && openedBy !== 'guest') {
    return undefined
  }
  const reader = await findReader(ctx, found)
  const { number, subject, dueAt, origin } = found
  return {
    ...aboutCase(found, caseId, reader),
    template: 'case_opened',
    data: {
      name: reader.name,
      caseNumber: number,
      subject,
      orderNumber: origin === 'order' ? reader.orderNumber : null,
      dueAt: toInstantOrNull(dueAt),
    },
  }
}

export async function draftStaffReplied(ctx: AppContext, caseId: string, noteId: string): Draft {
  const found = await findCaseSource(ctx.db, caseId)
  const note = await findPublicNote(ctx.db, caseId, noteId)
  if (!found || !note) return undefined
  const reader = await findReader(ctx, found)
  const { authorId, body } = note
  const names = authorId === null ? undefined : await listUserNames(ctx.db, [authorId])
  const author = (authorId !== null && names?.get(authorId)) || null
  return {
    ...aboutCase(found, caseId, reader),
    template: 'staff_replied',
    data: { name: reader.name, caseNumber: found.number, subject: found.subject, author, body },
  }
}

/**
 * Reopened since, it has no resolution to tell of. Somebody who belongs to no customer, and whom
 * nobody answered, may be an address that a stranger typed: for them only what was done counts.
 */
export async function draftCaseResolved(ctx: AppContext, caseId: string): Draft {
  const found = await findCaseSource(ctx.db, caseId)
  if (!found || found.outcome === null || found.summary === null) return undefined
  const isStranger = found.customerId === null && found.orderId === null
  if (isStranger && found.outcome !== 'completed' && !(await hasStaffReply(ctx.db, caseId))) {
    return undefined
  }
  const reader = await findReader(ctx, found)
  const { number, subject, outcome, summary } = found
  return {
    ...aboutCase(found, caseId, reader),
    template: 'case_resolved',
    data: { name: reader.name, caseNumber: number, subject, outcome, summary },
  }
}

/**
 * Uploaded again or reviewed anew since, it is rejected no more. What a scan rejects no person has
 * looked at: then the name of the file is repeated only where it is plain.
 */
export async function draftDocumentRejected(
  ctx: AppContext,
  documentId: string,
  cause: 'review' | 'malware',
): Draft {
  const notice = await findNotice(ctx, documentId)
  if (!notice || notice.status !== 'rejected' || notice.visibility === 'internal') return undefined
  const place = await findPlace(ctx, notice)
  if (!place) return undefined
  const { reader, caseNumber } = place
  const { filename, reason, customerId, orderId, caseId } = notice
  return {
    to: { email: reader.email, name: reader.name },
    customerId,
    aboutId: orderId ?? caseId,
    template: 'document_rejected',
    data: {
      name: reader.name,
      filename: cause === 'review' || isRepeatable(stemOf(filename)) ? filename : null,
      reason: cause === 'malware' ? 'A scan found harmful software in it.' : reason,
      orderNumber: reader.orderNumber,
      caseNumber,
    },
  }
}

export async function draftWelcome({ db }: AppContext, customerId: Id<'cus'>): Draft {
  const customer = await findCustomerSource(db, customerId)
  if (!customer) return undefined
  return { template: 'welcome', to: customer, customerId, data: { name: customer.name } }
}

/** To a login, or to whoever will have one once the e-mail is proved. */
export async function draftVerification({ db }: AppContext, userId: Id<'usr'>): Draft {
  const to = (await findLoginSource(db, userId)) ?? (await findRegistrationSource(db, userId))
  return to && { template: 'verify_email', to, userId, data: { name: to.name } }
}

export async function draftPasswordReset({ db }: AppContext, userId: Id<'usr'>): Draft {
  const login = await findLoginSource(db, userId)
  if (!login) return undefined
  const { name, audience, customerId } = login
  return { template: 'password_reset', to: login, userId, customerId, data: { name, audience } }
}

export async function draftInvitation({ db }: AppContext, userId: Id<'usr'>): Draft {
  const login = await findLoginSource(db, userId)
  return login && { template: 'staff_invitation', to: login, userId, data: { name: login.name } }
}

export async function draftAccountExists({ db }: AppContext, userId: Id<'usr'>): Draft {
  const login = await findLoginSource(db, userId)
  if (!login) return undefined
  const { name, customerId } = login
  return { template: 'account_exists', to: login, customerId, data: { name } }
}

function aboutOrder(order: OrderSource, aboutId: string) {
  const to = { email: order.customerEmail, name: order.customerName }
  return { to, customerId: order.customerId, aboutId }
}

function namesOf({ customerName, number }: OrderSource): { name: string; orderNumber: string } {
  return { name: customerName, orderNumber: number }
}

function outstandingOf({ total, paid, currency }: OrderSource) {
  return money(Math.max(0, total - paid), currency)
}

interface Reader {
  readonly email: string
  readonly name: string
  readonly orderNumber: string | null
}

/**
 * Who hears of a case: the order's customer, or the customer whose it is, at the address that we
 * know them by. What somebody typed as a contact counts only where there is neither.
 */
async function findReader({ db }: AppContext, found: CaseSource): Promise<Reader> {
  const order = found.orderId === null ? undefined : await findOrderSource(db, found.orderId)
  if (order) return readerOf(order)
  const { customerId, contactEmail: email, contactName: name } = found
  const customer = customerId === null ? undefined : await findCustomerSource(db, customerId)
  return { ...(customer ?? { email, name }), orderNumber: null }
}

/** What the document belongs to, and who hears of it. */
async function findPlace(
  ctx: AppContext,
  { orderId, caseId, customerId }: DocumentNotice,
): Promise<{ reader: Reader; caseNumber: string | null } | undefined> {
  const found = caseId === null ? undefined : await findCaseSource(ctx.db, caseId)
  if (found) return { reader: await findReader(ctx, found), caseNumber: found.number }
  const order = orderId === null ? undefined : await findOrderSource(ctx.db, orderId)
  if (order) return { reader: readerOf(order), caseNumber: null }
  const owner = customerId === null ? undefined : await findCustomerSource(ctx.db, customerId)
  return owner && { reader: { ...owner, orderNumber: null }, caseNumber: null }
}

function stemOf(filename: string): string {
  return filename.replace(/\.[^.]*$/, '')
}

function readerOf({ customerEmail: email, customerName: name, number }: OrderSource): Reader {
  return { email, name, orderNumber: number }
}

function aboutCase({ customerId }: CaseSource, aboutId: string, { email, name }: Reader) {
  return { to: { email, name }, customerId, aboutId }
}
