import {
  accepts,
  mails,
  moves,
  orderOf,
  orders,
  outstandingOf,
  pays,
  refunds,
  rejects,
  remarks,
  resolves,
  sends,
  takes,
  turns,
  writes,
  type Plot,
} from './acts.ts'
import { letter, memo, scan, sketch, table } from './papers.ts'
import { demoGuests } from './people.ts'

/** The orders of the demo, and what became of each with its case. */
export const orderPlots: readonly Plot[] = [
  {
    customer: 'amelia',
    acts: [
      orders(40, [
        {
          slug: 'uk-company-formation',
          level: 'plus',
          answers: { companyName: 'Hart Botanicals Ltd', directors: 'Amelia Hart' },
        },
        { slug: 'registered-office', level: 'standard' },
      ]),
      pays(39.9),
      sends(39.8, 'customer', scan('passport.png'), { label: 'Passport' }),
      sends(39.7, 'customer', scan('gas-bill.png'), { label: 'Proof of address' }),
      takes(39.5, 'agent'),
      turns(39.4, 'agent', 'open'),
      moves(39.3, { status: 'in_progress' }),
      accepts(39.2, 'agent', 'passport.png'),
      rejects(39.1, 'agent', 'gas-bill.png', 'The bill is older than three months.'),
      turns(39, 'agent', 'waiting_customer'),
      sends(
        38.5,
        'customer',
        letter('council-tax.pdf', 'Council tax for this year', [
          'Ms Amelia Hart, 14 Orchard Row, Leeds',
          'Band C, due in ten instalments of £172.00',
        ]),
        { label: 'Proof of address' },
      ),
      writes(38.4, 'customer', 'Here is the newest that I have.', 'council-tax.pdf'),
      accepts(38.3, 'agent', 'council-tax.pdf'),
      sends(
        38.2,
        'agent',
        memo('name-check.txt', [
          'Hart Botanicals Ltd: free.',
          'Hart Botanics Ltd (Bristol, dissolved): no objection is to be expected.',
        ]),
        { to: 'case', isInternal: true },
      ),
      remarks(38.1, 'agent', 'The name is free. Filed with Companies House.', 'name-check.txt'),
      writes(38, 'agent', 'Your application is filed. We expect the answer tomorrow.'),
      sends(
        36.2,
        'agent',
        letter('certificate.pdf', 'Certificate of incorporation', [
          'Hart Botanicals Ltd is this day incorporated as a private company,',
          'limited by shares, with its registered office in England and Wales.',
        ]),
        { label: 'Certificate of incorporation' },
      ),
      accepts(36.1, 'manager', 'certificate.pdf'),
      writes(36, 'agent', 'Congratulations! Here is your certificate.', 'certificate.pdf'),
      resolves(35.9, 'agent', {
        outcome: 'completed',
        summary: 'Hart Botanicals Ltd is on the register, and its office is in place.',
      }),
      moves(35.8, { status: 'completed' }),
      turns(21.9, 'bureau', 'closed'),
    ],
  },
  {
    customer: 'noah',
    acts: [
      orders(32, [{ slug: 'certified-translation', level: 'standard', quantity: 4 }]),
      pays(31.8),
      takes(31.5, 'former'),
      turns(31.4, 'former', 'open'),
      moves(31.3, { status: 'in_progress' }),
      writes(30, 'former', 'Three pages are translated. The fourth was blank: we refund it.'),
      moves(29.5, { status: 'completed' }),
      refunds(29.3, 4500, 'One page less than was ordered'),
      resolves(29, 'former', {
        outcome: 'completed',
        summary: 'Three certified pages are in the post, and the fourth is refunded.',
      }),
      turns(15, 'bureau', 'closed'),
    ],
  },
  {
    customer: 'joseph',
    acts: [
      orders(26, [
        { slug: 'annual-accounts', level: 'standard', answers: { yearEnd: '31 August' } },
      ]),
      pays(25.9),
      takes(25, 'former', { tags: ['year end'] }),
      turns(24.9, 'former', 'open'),
      moves(24, { status: 'in_progress' }),
      sends(
        20,
        'customer',
        table('bank-statement.csv', [
          ['date', 'text', 'amount'],
          ['3 August', 'Opening balance', '4180.12'],
          ['14 August', 'Wholesale Fabrics', '-612.40'],
          ['28 August', 'Shop takings', '1944.75'],
        ]),
        { to: 'nothing', label: 'August' },
      ),
      writes(19.9, 'customer', 'August. July is still with the bank.', 'bank-statement.csv'),
      takes(14.5, 'agent', { priority: 'urgent', tags: ['year end'] }),
      turns(14.4, 'agent', 'waiting_third_party'),
      remarks(14.3, 'agent', 'Taken over from Rowan. The bank has promised the statement of July.'),
    ],
  },
  {
    customer: 'lucia',
    acts: [
      orders(
        20,
        [{ slug: 'skilled-worker-visa', level: 'plus', answers: { nationality: 'Italian' } }],
        'Called first; prefers e-mail from now on.',
      ),
      pays(19.5),
      takes(19, 'agent', { priority: 'high', tags: ['documents'] }),
      turns(18.9, 'agent', 'open'),
      moves(18.5, { status: 'in_progress' }),
      sends(18, 'customer', scan('passport-lucia.png'), { label: 'Passport' }),
      sends(
        17.9,
        'customer',
        letter('job-offer.pdf', 'Offer of employment', [
          'Dear Ms Romano, we offer you the position of structural engineer.',
          'Start: as soon as your visa allows. Salary: £46,200 a year.',
        ]),
        { label: 'Certificate of Sponsorship' },
      ),
      accepts(17, 'agent', 'passport-lucia.png'),
      rejects(
        16.9,
        'agent',
        'job-offer.pdf',
        'This is the offer. We need the certificate that your employer has from the Home Office.',
      ),
      writes(
        16.8,
        'agent',
        'Please send us your certificate of sponsorship; your employer knows its number.',
      ),
      turns(16.7, 'agent', 'waiting_customer'),
      moves(16.6, { status: 'on_hold', reason: 'The certificate of sponsorship is missing.' }),
    ],
  },
  {
    customer: 'joseph',
    acts: [
      orders(18, [{ slug: 'terms-and-conditions', level: 'standard' }]),
      moves(16, { status: 'cancelled', reason: 'The customer changed their plans.' }),
    ],
  },
  {
    customer: 'lucia',
    acts: [
      orders(13, [{ slug: 'apostille', quantity: 2 }]),
      pays(12.9),
      takes(12.5, 'manager'),
      moves(12, {
        status: 'cancelled',
        reason: 'The documents need no apostille after all.',
        refund: 'full',
      }),
      resolves(11.9, 'manager', {
        outcome: 'declined',
        summary: 'Documents of this kind are accepted without an apostille; all is refunded.',
      }),
    ],
  },
  {
    customer: 'noah',
    acts: [
      orders(10, [{ slug: 'logo-design', level: 'plus', answers: { colours: 'Blue and sand' } }]),
      pays(9.9),
      takes(9, 'manager', { tags: ['design'] }),
      turns(8.9, 'manager', 'open'),
      moves(8.8, { status: 'in_progress' }),
      sends(4, 'manager', sketch('first-draft.png'), { label: 'First draft' }),
      writes(3.9, 'manager', 'The first of three drafts. What do you think?', 'first-draft.png'),
      writes(3.2, 'customer', 'Lovely! Could the wave be a little calmer?'),
    ],
  },
  {
    customer: 'amelia',
    acts: [orders(9, [{ slug: 'vat-registration' }]), pays(8.7)],
  },
  {
    customer: 'amelia',
    acts: [
      orders(8.95, [{ slug: 'vat-registration' }]),
      pays(8.6),
      takes(8.2, 'agent', { priority: 'low' }),
      moves(8.1, { status: 'cancelled', reason: 'It was ordered twice.', refund: 'full' }),
      resolves(8, 'agent', {
        outcome: 'duplicate',
        summary: 'You had ordered it twice: we work on the first order and refund this one.',
      }),
    ],
  },
  {
    customer: 'hannah',
    acts: [
      orders(
        7.5,
        [{ slug: 'business-website', level: 'standard' }],
        'Half now, half before the work begins.',
      ),
      pays(7, 'half'),
      mails(6.5, (stage) => ({
        template: 'message',
        to: demoGuests.hannah,
        customerId: orderOf(stage).customer.id,
        aboutId: orderOf(stage).id,
        data: {
          subject: 'Our call on Thursday',
          text:
            'We look forward to talking about your website on Thursday at ten.\n\n' +
            'Please think of three websites that you like, and of one that you do not.',
          html: null,
        },
      })),
    ],
  },
  {
    customer: 'joseph',
    acts: [
      orders(6, [{ slug: 'registered-office', level: 'plus' }]),
      pays(5.8),
      sends(5.5, 'customer', scan('driving-licence.png'), { label: 'Proof of identity' }),
      takes(5, 'admin'),
      turns(4.9, 'admin', 'open'),
      moves(4.8, { status: 'in_progress' }),
    ],
  },
  {
    customer: 'yusuf',
    acts: [
      orders(3, [{ slug: 'certified-translation', level: 'plus', quantity: 6 }]),
      mails(2.9, (stage) => ({
        template: 'payment_failed',
        to: demoGuests.yusuf,
        customerId: orderOf(stage).customer.id,
        aboutId: orderOf(stage).id,
        data: {
          name: demoGuests.yusuf.name,
          orderNumber: orderOf(stage).number,
          outstanding: outstandingOf(stage),
          keptUntil: null,
        },
      })),
      sends(2.5, 'customer', scan('birth-certificate.png'), { label: 'Page 1 of 6' }),
    ],
  },
  {
    customer: 'noah',
    acts: [
      orders(1, [{ slug: 'trade-mark', level: 'standard', answers: { mark: 'Clarke & Tide' } }]),
      pays(0.9),
      sends(
        0.8,
        'customer',
        letter('goods-and-services.pdf', 'Clarke & Tide', [
          'Class 3: soaps, and oils for the skin',
          'Class 35: retail of these, in shops and online',
        ]),
        { label: 'Goods and services' },
      ),
    ],
  },
]
