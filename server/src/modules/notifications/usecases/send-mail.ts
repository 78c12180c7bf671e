import { Value } from 'typebox/value'
import { present } from '../../../kernel/assert.ts'
import { invalidInputAt, type InputProblem } from '../../../kernel/errors.ts'
import { newId } from '../../../kernel/id.ts'
import type { InputCode } from '../../../kernel/input-codes.ts'
import { inTx, spend, type AppContext } from '../../../platform/context.ts'
import { isMailable } from '../../../platform/mail.ts'
import { cleanMarkup } from '../../../platform/mail-markup.ts'
import { emit } from '../../../platform/outbox.ts'
import { findCustomer } from '../../identity/index.ts'
import { NotificationRequested } from '../events.ts'
import { problemsOfMail } from '../rules/send-mail.ts'
import { mailData, type QueuedNotification, type SendMailInput } from '../schema.ts'
import { houseOf, queueMail, type MailDraft } from './queue-mail.ts'

/**
 * Has a mail sent that a colleague wrote, or chose. Throws 400 for what does not go together, for a
 * customer who does not exist and for data that is not the template's, and 429.
 */
export async function sendMail(ctx: AppContext, input: SendMailInput): Promise<QueuedNotification> {
  const problems = problemsOfMail(input)
  if (problems.length > 0) throw invalidInputAt(...problems)
  const draft = await draftMail(ctx, input)
  await spend(
    ctx,
    'composedMailByAccount',
    ctx.actor.kind === 'staff' ? ctx.actor.userId : 'system',
  )
  const id = newId('mail', ctx.now)
  const house = houseOf(ctx)
  await inTx(ctx, async (ctx) => {
    await queueMail(ctx, house, { draft, id, at: ctx.now })
    const data = { template: draft.template, customerId: draft.customerId ?? null }
    await emit(ctx, NotificationRequested({ rootId: id, rootVersion: 1, data }))
  })
  return { id, status: 'queued' }
}

async function draftMail(ctx: AppContext, input: SendMailInput): Promise<MailDraft> {
  const { template, data, customerId } = input
  const recipient = { to: await findRecipient(ctx, input), customerId: customerId ?? null }
  if (template !== undefined) {
    const faults = faultsOfData(template, data)
    if (faults.length > 0) throw invalidInputAt(...faults)
    // Judged against the very schema that the draft's type is made of.
    return { ...recipient, template, data } as unknown as MailDraft
  }
  const subject = present(input.subject, 'a subject')
  const text = present(input.text, 'a text')
  const html = await cleanHtml(ctx, input)
  return { ...recipient, template: 'message', data: { subject, text, html } }
}

/** Null where nothing is left to read: the HTML is then made of the text. */
async function cleanHtml(
  { business }: AppContext,
  { html }: SendMailInput,
): Promise<string | null> {
  if (html === undefined) return null
  const cleaned = await cleanMarkup(html, [business.publicUrl, ...business.allowedOrigins])
  return /\S/.test(cleaned.replaceAll(/<[^>]*>/g, '')) ? cleaned : null
}

async function findRecipient(
  ctx: AppContext,
  { to, customerId }: SendMailInput,
): Promise<MailDraft['to']> {
  if (customerId === undefined) {
    const email = present(to, 'an address')
    if (isMailable(email)) return { email, name: null }
    throw invalidInputAt({ pointer: '/to', code: 'pattern', message: 'is not one address' })
  }
  const customer = await findCustomer(ctx, customerId)
  if (customer) return { email: customer.email, name: customer.name }
  throw invalidInputAt({ pointer: '/customerId', code: 'unknown', message: 'is no customer' })
}

/** What does not fit the template's schema, as the web server tells it of a body. */
function faultsOfData(template: keyof typeof mailData, data: unknown): InputProblem[] {
  const schema = mailData[template]
  return Value.Errors(schema, data).flatMap((error): InputProblem[] => {
    const { keyword, instancePath, message } = error
    // A member that is not known is told once, by its object.
    if (keyword === 'boolean') return []
    const pointer = `/data${instancePath}`
    if (keyword === 'required') {
      return error.params.requiredProperties.map((name) => ({
        pointer: `${pointer}/${name}`,
        code: keyword,
        message: 'is required',
      }))
    }
    if (keyword === 'additionalProperties') {
      return error.params.additionalProperties.map((name) => ({
        pointer: `${pointer}/${escapePointer(name)}`,
        code: keyword,
        message: 'is not known here',
      }))
    }
    // A test holds that each keyword of the templates' data is among them.
    return [{ pointer, code: keyword as InputCode, message }]
  })
}

function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1').slice(0, 100)
}
