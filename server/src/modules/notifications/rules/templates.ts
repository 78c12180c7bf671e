import type { MailData, TemplateName } from '../schema.ts'
import { caseMails } from './case-mails.ts'
import type { House, Letter, RenderedMail } from './letter.ts'
import { loginMails } from './login-mails.ts'
import { orderMails } from './order-mails.ts'
import { renderLetter } from './render.ts'
import type { MailToken, Occasion, Template } from './template.ts'

export const templates: { readonly [Name in TemplateName]: Template<Name> } = {
  ...orderMails,
  ...caseMails,
  ...loginMails,
  message: {
    description: 'Written by a colleague for one occasion.',
    byHand: false,
    token: null,
    sample: {
      subject: 'Your appointment on Thursday',
      text: 'We look forward to seeing you at ten.\n\nPlease bring your passport.',
      html: null,
    },
    write: ({ subject, text, html }) => ({
      subject,
      preheader: text.slice(0, 100),
      blocks:
        html === null
          ? text.split(/\n{2,}/).map((part) => ({ kind: 'paragraph', text: part }))
          : [{ kind: 'markup', text, html }],
    }),
  },
}

/** Stands where a token would be, wherever a mail is only looked at. */
const maskedToken: MailToken = { token: '********', expiresAt: null }

/** The data fits its template: it was checked, or made by us, when the mail was queued. */
export function writeLetter(name: TemplateName, data: unknown, occasion: Occasion): Letter {
  const template = templates[name] as Template<TemplateName>
  return template.write(data as MailData<TemplateName>, occasion)
}

/** The mail in both forms, its token masked: as it is listed, and as it is read in the outbox. */
export function renderMasked(name: TemplateName, data: unknown, house: House): RenderedMail {
  return renderLetter(writeLetter(name, data, { house, secret: maskedToken }), house)
}

export const tokenTemplates = (Object.keys(templates) as TemplateName[]).filter(
  (name) => templates[name].token !== null,
)
