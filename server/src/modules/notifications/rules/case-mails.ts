import { formatDay } from './amounts.ts'
import {
  button,
  facts,
  greeting,
  isRepeatable,
  paragraph,
  quote,
  type Block,
  type House,
} from './letter.ts'
import { pages } from './links.ts'
import type { Template } from './template.ts'

const caseOpened: Template<'case_opened'> = {
  description: 'Work on an order began, or a customer’s question was taken up.',
  byHand: true,
  token: null,
  sample: {
    name: 'Ada Lovelace',
    caseNumber: 'C-1042',
    subject: 'Order B-1042: Company formation',
    orderNumber: 'B-1042',
    dueAt: '2026-12-01T23:59:59.999Z',
  },
  write: ({ name, caseNumber, subject, orderNumber, dueAt }, { house }) => {
    // The subject of an order's case is ours. That of a request is its sender's, at an address that
    // nobody may have proved.
    const about = orderNumber !== null || isRepeatable(subject) ? subject : null
    return {
      subject:
        orderNumber === null
          ? `We have received your request ${caseNumber}`
          : `Work on your order ${orderNumber} has begun`,
      preheader: about ?? `Its number is ${caseNumber}`,
      blocks: [
        greeting(name),
        paragraph(
          orderNumber === null
            ? `We have received your request. Its number is ${caseNumber}, and you will hear from us.`
            : `Work on your order ${orderNumber} has begun. Its case is ${caseNumber}.`,
        ),
        ...facts(
          ['Subject', about],
          ['Expected by', dueAt === null ? null : formatDay(dueAt, house)],
        ),
        button('View the case', pages.case(house, caseNumber)),
      ],
    }
  },
}

const staffReplied: Template<'staff_replied'> = {
  description: 'A colleague wrote to the customer on a case.',
  byHand: true,
  token: null,
  sample: {
    name: 'Ada Lovelace',
    caseNumber: 'C-1042',
    subject: 'Order B-1042: Company formation',
    author: 'Priya Nair',
    body: 'Please send us a proof of address.\n\nA bill of the last three months will do.',
  },
  write: ({ name, caseNumber, subject, author, body }, { house }) => ({
    subject: `New message about ${caseNumber}: ${subject}`,
    preheader: firstLineOf(body),
    blocks: [
      greeting(name),
      paragraph(author === null ? 'You have a new message:' : `${author} wrote to you:`),
      quote(body),
      paragraph('Please answer on the page of the case, not by replying to this mail.'),
      button('Read and answer', pages.case(house, caseNumber)),
    ],
  }),
}

/** What the outcome means for the reader. */
const outcomes = {
  completed: 'Your case is done.',
  declined: 'We could not help you with this.',
  duplicate: 'We go on with this in another case of yours.',
  no_response: 'We have not heard from you, and so have closed this for now.',
} as const

const caseResolved: Template<'case_resolved'> = {
  description: 'A case was resolved.',
  byHand: true,
  token: null,
  sample: {
    name: 'Ada Lovelace',
    caseNumber: 'C-1042',
    subject: 'Order B-1042: Company formation',
    outcome: 'completed',
    summary: 'Your company is registered. The certificate is among your documents.',
  },
  write: ({ name, caseNumber, subject, outcome, summary }, { house }) => ({
    subject: `Resolved: ${caseNumber}, ${subject}`,
    preheader: firstLineOf(summary),
    blocks: [
      greeting(name),
      paragraph(outcomes[outcome]),
      quote(summary),
      paragraph('If something is left to do, answer on the page of the case and we take it up.'),
      button('View the case', pages.case(house, caseNumber)),
    ],
  }),
}

const documentRejected: Template<'document_rejected'> = {
  description: 'A document that a customer sent cannot be used.',
  byHand: true,
  token: null,
  sample: {
    name: 'Ada Lovelace',
    filename: 'passport.jpg',
    reason: 'The second line cannot be read.',
    orderNumber: 'B-1042',
    caseNumber: null,
  },
  write: ({ name, filename, reason, orderNumber, caseNumber }, { house }) => ({
    subject: 'Please send a document again',
    preheader: `${filename ?? 'It'} cannot be used`,
    blocks: [
      greeting(name),
      paragraph('We cannot use a document that you sent us. Please send it again.'),
      ...facts(['Document', filename], ['Order', orderNumber], ['Case', caseNumber]),
      ...(reason === null ? [] : [quote(reason)]),
      whereDocumentsGo(house, { orderNumber, caseNumber }),
    ],
  }),
}

export const caseMails = {
  case_opened: caseOpened,
  staff_replied: staffReplied,
  case_resolved: caseResolved,
  document_rejected: documentRejected,
} as const

function whereDocumentsGo(
  house: House,
  { orderNumber, caseNumber }: { orderNumber: string | null; caseNumber: string | null },
): Block {
  if (orderNumber !== null) return button('Go to your order', pages.order(house, orderNumber))
  if (caseNumber !== null) return button('Go to your case', pages.case(house, caseNumber))
  return button('Go to your pages', pages.portal(house))
}

/** An inbox shows about this much. */
const maxPreheader = 120

function firstLineOf(text: string): string {
  return (
    text
      .trim()
      .split(/[\r\n]/)[0]
      ?.slice(0, maxPreheader) ?? ''
  )
}
