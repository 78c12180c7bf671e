import { formatInstant, formatMoney } from './amounts.ts'
import { button, facts, greeting, paragraph } from './letter.ts'
import { pages } from './links.ts'
import type { Template } from './template.ts'

const price = { amount: 19_900, currency: 'GBP' }
const nothing = { amount: 0, currency: 'GBP' }

const orderReceived: Template<'order_received'> = {
  description: 'An order was placed.',
  byHand: true,
  token: null,
  sample: {
    name: 'Ada Lovelace',
    orderNumber: 'B-1042',
    lines: [
      { name: 'Company formation (Express)', quantity: 1, total: price },
      { name: 'Certified copy', quantity: 2, total: { amount: 4000, currency: 'GBP' } },
    ],
    total: { amount: 23_900, currency: 'GBP' },
    outstanding: { amount: 23_900, currency: 'GBP' },
  },
  write: ({ name, orderNumber, lines, total, outstanding }, { house }) => ({
    subject: `We have received your order ${orderNumber}`,
    preheader: `Order ${orderNumber}, ${formatMoney(total)}`,
    blocks: [
      greeting(name),
      paragraph(`Thank you for your order ${orderNumber}. This is what it holds:`),
      ...facts(
        ...lines.map((line): [string, string] => [
          line.quantity === 1 ? line.name : `${line.quantity} × ${line.name}`,
          formatMoney(line.total),
        ]),
        ['Total', formatMoney(total)],
      ),
      outstanding.amount > 0
        ? paragraph(`${formatMoney(outstanding)} is still to be paid. Work begins once it is.`)
        : paragraph('There is nothing left to pay.'),
      button('View your order', pages.order(house, orderNumber)),
    ],
  }),
}

const paymentConfirmed: Template<'payment_confirmed'> = {
  description: 'A payment for an order arrived.',
  byHand: true,
  token: null,
  sample: { name: 'Ada Lovelace', orderNumber: 'B-1042', amount: price, outstanding: nothing },
  write: ({ name, orderNumber, amount, outstanding }, { house }) => ({
    subject: `Payment received for order ${orderNumber}`,
    preheader: `${formatMoney(amount)} for order ${orderNumber}`,
    blocks: [
      greeting(name),
      paragraph(`We have received your payment for order ${orderNumber}. Thank you.`),
      ...facts(
        ['Paid now', formatMoney(amount)],
        ['Still to be paid', outstanding.amount > 0 ? formatMoney(outstanding) : null],
      ),
      paragraph(
        outstanding.amount > 0
          ? 'Work begins once the rest is paid.'
          : 'Your order is paid in full.',
      ),
      button('View your order', pages.order(house, orderNumber)),
    ],
  }),
}

const paymentFailed: Template<'payment_failed'> = {
  description: 'A payment did not go through, and the order is still unpaid ten minutes later.',
  byHand: true,
  token: null,
  sample: {
    name: 'Ada Lovelace',
    orderNumber: 'B-1042',
    outstanding: price,
    keptUntil: '2026-11-23T16:40:21.000Z',
  },
  write: ({ name, orderNumber, outstanding, keptUntil }, { house }) => ({
    subject: `Your payment for order ${orderNumber} did not go through`,
    preheader: 'Nothing was taken. You can try again.',
    blocks: [
      greeting(name),
      paragraph(
        `Your payment for order ${orderNumber} did not go through, and nothing was taken. You ` +
          'can try again, with the same card or another one.',
      ),
      ...facts(
        ['To be paid', formatMoney(outstanding)],
        ['Kept for you until', keptUntil === null ? null : formatInstant(keptUntil, house)],
      ),
      button('Pay for your order', pages.order(house, orderNumber)),
    ],
  }),
}

const refund: Template<'refund'> = {
  description: 'Money was given back.',
  byHand: true,
  token: null,
  sample: {
    name: 'Ada Lovelace',
    orderNumber: 'B-1042',
    amount: { amount: 5000, currency: 'GBP' },
  },
  write: ({ name, orderNumber, amount }, { house }) => ({
    subject: `Your refund for order ${orderNumber}`,
    preheader: `${formatMoney(amount)} is on its way back to you`,
    blocks: [
      greeting(name),
      paragraph(
        `We have refunded ${formatMoney(amount)} of your order ${orderNumber}. It goes back the ` +
          'way it came, and your bank may take some days to show it.',
      ),
      ...facts(['Refunded', formatMoney(amount)]),
      button('View your order', pages.order(house, orderNumber)),
    ],
  }),
}

export const orderMails = {
  order_received: orderReceived,
  payment_confirmed: paymentConfirmed,
  payment_failed: paymentFailed,
  refund,
} as const
