import {
  asks,
  calls,
  recognises,
  remarks,
  resolves,
  takes,
  turns,
  writes,
  writesIn,
  type Plot,
} from './acts.ts'
import { demoGuests } from './people.ts'

const camille = { name: 'Camille Laurent', email: 'camille.laurent@example.com' }

/** What customers asked, and what strangers did who wrote or called. */
export const questionPlots: readonly Plot[] = [
  {
    customer: 'amelia',
    acts: [
      asks(3.1, {
        subject: 'Moving our registered office',
        description: 'Can the registered office be moved to our own address next spring?',
      }),
      takes(2.95, 'agent'),
      turns(2.9, 'agent', 'open'),
      writes(2.8, 'agent', 'Yes, at any time: we file the change for you within a day.'),
      resolves(2.7, 'agent', {
        outcome: 'completed',
        summary: 'The office can be moved at any time; just tell us when.',
      }),
    ],
  },
  {
    customer: 'joseph',
    acts: [
      asks(2.2, {
        subject: 'Payroll for our first employee',
        description: 'We hire somebody in the spring. Can you do the payroll as well?',
      }),
      takes(2.1, 'manager'),
      turns(2, 'manager', 'waiting_customer'),
      writes(1.9, 'manager', 'Gladly. From which month on, and weekly or monthly?'),
    ],
  },
  {
    acts: [
      writesIn(
        25,
        { name: 'Peter Aldous', email: 'peter.aldous@example.com' },
        { subject: 'Patent for a folding ladder', description: 'Do you file patents too?' },
      ),
      takes(24.6, 'former'),
      resolves(24.5, 'former', {
        outcome: 'declined',
        summary: 'We do trade marks only; the chamber of patent attorneys has a list.',
      }),
      turns(10.5, 'bureau', 'closed'),
    ],
  },
  {
    acts: [
      writesIn(
        17.5,
        { name: 'Maya Brooks', email: 'maya.brooks@example.com' },
        {
          subject: 'Visa for my brother',
          description: 'He wants to visit us in summer. How long does it take?',
        },
      ),
      takes(17.2, 'former', { tags: ['visa'] }),
      turns(17.1, 'former', 'open'),
      writes(17, 'former', 'About three weeks. Which passport does he have?'),
      turns(16.95, 'former', 'waiting_customer'),
      takes(14.2, 'agent'),
      resolves(6.2, 'agent', {
        outcome: 'no_response',
        summary: 'We have not heard from you and close this; just answer to go on.',
      }),
    ],
  },
  {
    acts: [
      calls(
        9.3,
        { name: 'Ingrid Solheim', email: 'ingrid.solheim@example.com', phone: '0131 496 0774' },
        {
          subject: 'Ten contracts to translate',
          description: 'Ten contracts of eight pages each, from Norwegian. Wants an offer.',
        },
      ),
      takes(9.2, 'manager', { priority: 'high', dueDaysAgo: 4 }),
      turns(9.1, 'manager', 'open'),
      remarks(6.8, 'manager', 'Our translator for Norwegian is back on Monday.'),
    ],
  },
  {
    acts: [
      writesIn(
        5,
        { name: demoGuests.yusuf.name, email: demoGuests.yusuf.email },
        {
          subject: 'Translation of a birth certificate',
          description: 'Six pages, Turkish to English, for the Home Office. Is that a problem?',
        },
      ),
      takes(4.6, 'agent', { tags: ['translation'] }),
      recognises(4.4, 'agent', 'yusuf'),
      turns(4.3, 'agent', 'open'),
      writes(4.2, 'agent', 'None at all. Order six pages, and send us a clear scan of each.'),
    ],
  },
  {
    acts: [
      writesIn(1.6, camille, {
        subject: 'Opening a branch in the UK',
        description: 'We are a bakery in Lyon and think of a branch in Leeds. Where do we begin?',
      }),
    ],
  },
  {
    acts: [
      writesIn(1.5, camille, {
        subject: 'Opening a branch in the UK',
        description: 'We are a bakery in Lyon. Did my first message arrive?',
      }),
      takes(1.3, 'agent'),
      resolves(1.2, 'agent', {
        outcome: 'duplicate',
        summary: 'The first message has arrived; the answer goes there.',
      }),
    ],
  },
  {
    acts: [
      calls(
        0.5,
        { name: 'Oliver Grant', email: 'oliver.grant@example.com', phone: '0117 496 0245' },
        {
          subject: 'Accounts for two companies',
          description: 'Asked by phone what the accounts of two small companies would cost.',
        },
      ),
      takes(0.45, 'agent', { priority: 'high', dueDaysAgo: -3 }),
      remarks(0.4, 'agent', 'Calls back on Friday; an offer with a discount would win him.'),
    ],
  },
]
