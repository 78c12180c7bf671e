import { later, toInstant } from '../../../kernel/time.ts'
import { inTx, type AppContext } from '../../../platform/context.ts'
import { MailError } from '../../../platform/mail.ts'
import { emit } from '../../../platform/outbox.ts'
import { issueMailToken } from '../../identity/index.ts'
import { NotificationFailed } from '../events.ts'
import { leaseMs, nextAttempt, tooOldBefore } from '../rules/backoff.ts'
import { isRepeatable, type Letter, type RenderedMail } from '../rules/letter.ts'
import { renderLetter } from '../rules/render.ts'
import { renderMasked, templates, tokenTemplates, writeLetter } from '../rules/templates.ts'
import {
  claimNotification,
  writeDeferred,
  writeEnded,
  writeSent,
  type EndingMail,
  type NotificationRow,
} from '../sql/notifications.ts'
import { findOrderSource } from '../sql/sources.ts'
import { isPaymentMissing } from './drafts.ts'
import { houseOf } from './queue-mail.ts'

/**
 * Hands one mail to the server, in three steps: it is taken (one statement), sent (no transaction),
 * and what came of it is written. Two who try at once send it once; whoever dies in between leaves
 * a lease that runs out, and then it is sent again under the same Message-ID.
 */
export async function deliverMail(ctx: AppContext, id: string): Promise<void> {
  const { mail, now } = ctx
  const isShown = !mail.isConfigured && mail.showLink !== undefined
  // Without a server nothing leaves the outbox, but a link that somebody waits for is shown.
  const endTurn = mail.isConfigured || isShown ? mail.takeTurn() : undefined
  if (!endTurn) return
  try {
    const row = await claimNotification(ctx.db, id, {
      now,
      leasedUntil: later(now, leaseMs),
      messageId: `<${id}@${mail.sender.address.split('@')[1] ?? 'localhost'}>`,
      templates: isShown ? tokenTemplates : null,
    })
    if (row) await deliver(ctx, row)
  } finally {
    endTurn()
  }
}

async function deliver(ctx: AppContext, row: NotificationRow): Promise<void> {
  const { waitingSince, data } = row
  if (data === null || (waitingSince !== null && waitingSince < tooOldBefore(ctx.now))) {
    return await giveUp(ctx, row, nobodyTookIt)
  }
  try {
    const content = await prepare(ctx, row)
    if (content === undefined) {
      return await end(ctx, row, {
        status: 'suppressed',
        reason: 'There was no reason left for it.',
      })
    }
    await handOver(ctx, row, content)
  } catch (error) {
    return await putOff(ctx, row, error)
  }
  await writeSent(ctx.db, row.id, ctx.now)
}

export const nobodyTookIt = 'It waited for three days, and nobody took it.'

interface Content extends RenderedMail {
  /** Where the address has changed since the mail was queued, a token goes to the new one alone. */
  readonly to: { readonly address: string; readonly name: string }
  /** The link that carries the token, where there is one. */
  readonly link: string | undefined
}

/** The text, with its token made now; undefined where the mail is no longer due. */
async function prepare(ctx: AppContext, row: NotificationRow): Promise<Content | undefined> {
  const { template, data, userId } = row
  const house = houseOf(ctx)
  const purpose = templates[template].token
  if (purpose === null || userId === null) {
    if (!(await isStillDue(ctx, row))) return undefined
    const to = { address: row.recipientEmail, name: row.recipientName ?? '' }
    return { ...renderMasked(template, data, house), to, link: undefined }
  }
  const issued = await issueMailToken(ctx, { userId, purpose })
  if (issued === null) return undefined
  const secret = { token: issued.token, expiresAt: toInstant(issued.expiresAt) }
  const letter = writeLetter(template, data, { house, secret })
  const to = { address: issued.email, name: issued.name }
  return { ...renderLetter(letter, house), to, link: firstLinkOf(letter) }
}

/** A mail with a token leads to the page that takes it. */
function firstLinkOf({ blocks }: Letter): string | undefined {
  for (const block of blocks) if (block.kind === 'button') return block.url
  return undefined
}

/** Paid or cancelled meanwhile, an order has no failed payment to tell of. */
async function isStillDue(
  ctx: AppContext,
  { template, aboutId }: NotificationRow,
): Promise<boolean> {
  if (template !== 'payment_failed' || aboutId === null) return true
  const order = await findOrderSource(ctx.db, aboutId)
  return order !== undefined && isPaymentMissing(order)
}

async function handOver(
  { mail, now }: AppContext,
  { messageId, template }: NotificationRow,
  { to, subject, text, html, link }: Content,
): Promise<void> {
  if (!mail.isConfigured && link !== undefined) {
    mail.showLink?.({ to: to.address, subject, url: link })
    return
  }
  await mail.send({
    messageId: messageId ?? '',
    to: isRepeatable(to.name) ? to : { ...to, name: '' },
    subject,
    text,
    html,
    at: now,
    isAutomatic: template !== 'message',
  })
}

/** What the server refuses for good has failed; anything else is tried again, ever less often. */
async function putOff(ctx: AppContext, row: NotificationRow, error: unknown): Promise<void> {
  if (!(error instanceof MailError)) {
    ctx.log.error({ err: error, notification: row.id }, 'mail not prepared')
  } else if (error.failure === 'refused') return await giveUp(ctx, row, error.message)
  const reason = error instanceof MailError ? error.message : 'Something went wrong on our side.'
  const nextAt = nextAttempt(row.waitingSince ?? ctx.now, ctx.now)
  if (nextAt === undefined) return await giveUp(ctx, row, reason)
  await writeDeferred(ctx.db, row, { reason, nextAt })
}

/** It has failed, for all to see. */
export async function giveUp(ctx: AppContext, row: EndingMail, reason: string): Promise<void> {
  ctx.log.warn({ notification: row.id, template: row.template }, 'mail given up')
  await end(ctx, row, { status: 'failed', reason })
}

async function end(
  ctx: AppContext,
  row: EndingMail,
  outcome: { status: 'failed' | 'suppressed'; reason: string },
): Promise<void> {
  await inTx(ctx, async (ctx) => {
    const ended = await writeEnded(ctx.db, row, outcome)
    if (!ended || outcome.status === 'suppressed') return
    const { id, template, attempts } = row
    const data = { template, attempts }
    await emit(ctx, NotificationFailed({ rootId: id, rootVersion: ended.version, data }))
  })
}
