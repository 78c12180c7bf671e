import { formatAmount } from './currencies.ts'
import { html, page, type Html } from './html.ts'
import type { CheckoutSession, LineItem } from './resources.ts'
import { findTestCard, findTestMethod, type TestMethod } from './test-methods.ts'

/** What a customer typed into the page; text as it came. */
export interface CheckoutEntries {
  cardNumber: string
  cvc: string
  email: string
  expiry: string
  name: string
  payWith: string
}

export const NO_ENTRIES: CheckoutEntries = {
  cardNumber: '',
  cvc: '',
  email: '',
  expiry: '',
  name: '',
  payWith: 'card',
}

export interface CheckoutView {
  session: CheckoutSession
  lineItems: readonly LineItem[]
  entries: CheckoutEntries
  /** Why the last try failed, in a sentence for the customer. */
  problem?: string
}

/** The page on which an open session is paid. */
export function renderCheckout(view: CheckoutView): string {
  const { session, lineItems, entries, problem } = view
  const total = formatAmount(session.amount_total, session.currency)
  return page(
    `Pay ${total}`,
    html`<h1>Pay ${total}</h1>
      ${problem === undefined ? null : html`<p class="alert" role="alert">${problem}</p>`}
      ${renderItems(lineItems, total)}
      <form method="post" action="/c/pay/${session.id}">
        <label for="email">E-mail</label>
        <input
          id="email"
          name="email"
          type="email"
          autocomplete="email"
          maxlength="254"
          required
          value="${entries.email === '' ? (session.customer_email ?? '') : entries.email}"
        />
        ${renderMethodChoice(session, entries)} ${renderCardFields(entries)}
        <button type="submit">Pay ${total}</button>
      </form>
      ${renderCancel(session)}`,
  )
}

/** What is shown when a session cannot be paid any more. */
export function renderClosedSession(session: CheckoutSession): string {
  const expired = session.status === 'expired'
  const title = expired ? 'This checkout has expired' : 'This checkout is complete'
  return page(
    title,
    html`<h1>${title}</h1>
      <p>
        ${
          expired
            ? 'Nothing was charged. Go back to the shop and start again.'
            : 'You can close this page.'
        }
      </p>
      ${renderCancel(session)}`,
  )
}

export function renderNotFound(): string {
  return page(
    'Not found',
    html`<h1>Not found</h1>
      <p>There is nothing at this address.</p>`,
  )
}

/**
 * The test method that the customer chose, or the sentence that says what is wrong with the
 * entries.
 */
export function readTestMethod(
  entries: CheckoutEntries,
  now: Date,
): { method: TestMethod } | { problem: string } {
  if (!/^[^\s@]+@[^\s@]+$/.test(entries.email))
    return { problem: 'Your e-mail address is incomplete.' }
  if (entries.payWith !== 'card') {
    const debit = findTestMethod(entries.payWith)
    return debit === undefined || debit.type === 'card'
      ? { problem: 'Choose how to pay.' }
      : { method: debit }
  }
  const digits = entries.cardNumber.replaceAll(/[\s-]/g, '')
  const method = findTestCard(digits)
  if (!isCardNumber(digits)) return { problem: 'Your card number is invalid.' }
  if (method === undefined) {
    return {
      problem:
        'Your card was declined: the sandbox takes test cards only, such as 4242 4242 4242 4242.',
    }
  }
  if (!isInFuture(entries.expiry, now))
    return { problem: "Your card's expiration date is in the past or incomplete." }
  if (!/^\d{3,4}$/.test(entries.cvc)) return { problem: "Your card's security code is incomplete." }
  return { method }
}

function renderItems(lineItems: readonly LineItem[], total: string): Html {
  return html`<table>
    <caption class="hint">
      What you are buying
    </caption>
    <thead>
      <tr>
        <th scope="col">Item</th>
        <th scope="col" class="amount">Quantity</th>
        <th scope="col" class="amount">Amount</th>
      </tr>
    </thead>
    <tbody>
      ${lineItems.map(
        (item) =>
          html`<tr>
            <td>${item.description}</td>
            <td class="amount">${item.quantity}</td>
            <td class="amount">${formatAmount(item.amount_total, item.currency)}</td>
          </tr>`,
      )}
    </tbody>
    <tfoot>
      <tr>
        <th scope="row" colspan="2">Total</th>
        <td class="amount"><strong>${total}</strong></td>
      </tr>
    </tfoot>
  </table>`
}

const DEBITS: readonly { type: string; token: string; label: string }[] = [
  { type: 'bacs_debit', token: 'pm_bacsDebit_success', label: 'Bacs Direct Debit that succeeds' },
  {
    type: 'bacs_debit',
    token: 'pm_bacsDebit_insufficientFunds',
    label: 'Bacs Direct Debit that fails',
  },
  { type: 'sepa_debit', token: 'pm_sepaDebit_success', label: 'SEPA debit that succeeds' },
  { type: 'sepa_debit', token: 'pm_sepaDebit_accountClosed', label: 'SEPA debit that fails' },
  { type: 'us_bank_account', token: 'pm_usBankAccount_success', label: 'ACH debit that succeeds' },
  {
    type: 'us_bank_account',
    token: 'pm_usBankAccount_accountClosed',
    label: 'ACH debit that fails',
  },
]

function renderMethodChoice(session: CheckoutSession, entries: CheckoutEntries): Html {
  const debits = DEBITS.filter(({ type }) => session.payment_method_types.includes(type))
  if (debits.length === 0) return html`<input type="hidden" name="payWith" value="card" />`
  const option = (value: string, label: string) =>
    value === entries.payWith
      ? html`<option value="${value}" selected>${label}</option>`
      : html`<option value="${value}">${label}</option>`
  return html`<label for="payWith">Pay with</label>
    <select id="payWith" name="payWith">
      ${option('card', 'Card')} ${debits.map(({ token, label }) => option(token, label))}
    </select>`
}

function renderCardFields(entries: CheckoutEntries): Html {
  return html`<label for="name">Name on card</label>
    <input id="name" name="name" autocomplete="cc-name" maxlength="200" value="${entries.name}" />
    <label for="cardNumber">Card number</label>
    <input
      id="cardNumber"
      name="cardNumber"
      inputmode="numeric"
      autocomplete="cc-number"
      maxlength="23"
      aria-describedby="testCards"
      value="${entries.cardNumber}"
    />
    <p class="hint" id="testCards">
      4242 4242 4242 4242 pays, 4000 0000 0000 0002 is declined, 4000 0000 0000 9995 lacks funds,
      4000 0000 0000 3220 asks for authentication, 4000 0000 0000 0259 is disputed later. Any future
      date and any three digits.
    </p>
    <div class="pair">
      <div>
        <label for="expiry">Expiry (MM/YY)</label>
        <input
          id="expiry"
          name="expiry"
          autocomplete="cc-exp"
          maxlength="7"
          value="${entries.expiry}"
        />
      </div>
      <div>
        <label for="cvc">Security code</label>
        <input id="cvc" name="cvc" inputmode="numeric" autocomplete="cc-csc" maxlength="4" />
      </div>
    </div>`
}

function renderCancel(session: CheckoutSession): Html | null {
  if (session.cancel_url === null) return null
  return html`<p><a href="${session.cancel_url}">Cancel and go back</a></p>`
}

/** Luhn's check: every second digit from the right counts double. */
function isCardNumber(digits: string): boolean {
  if (!/^\d{13,19}$/.test(digits)) return false
  const sum = digits
    .split('')
    .toReversed()
    .reduce((total, digit, position) => {
      const value = position % 2 === 0 ? Number(digit) : Number(digit) * 2
      return total + (value > 9 ? value - 9 : value)
    }, 0)
  return sum % 10 === 0
}

function isInFuture(expiry: string, now: Date): boolean {
  const match = /^(0?[1-9]|1[0-2])\s*\/?\s*(?:20)?(\d{2})$/.exec(expiry.trim())
  if (match === null) return false
  // A card is good until the end of its month.
  return Date.UTC(2000 + Number(match[2]), Number(match[1]), 1) > now.getTime()
}
