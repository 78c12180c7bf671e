import { formatAmount } from './currencies.ts'
import { html, page, type Html } from './html.ts'
import type { Delivery } from './records.ts'
import type { Store } from './store.ts'

const SHOWN = 20
const DELIVERY_COLUMNS = ['Event', 'Type', 'State', 'Attempts', 'Last answer']

/** What a person sees at the sandbox's address: what this is, and what happened last. */
export function renderHome(store: Store): string {
  return page(
    'Stripe sandbox',
    html`<h1>Stripe sandbox</h1>
      <p>
        This server speaks the part of Stripe's API that a service business needs, with Stripe's
        test cards. Point the official <code>stripe</code> package at it with any key that starts
        with <code>sk_test_</code>. The control API lives under <code>/_sandbox</code>.
      </p>
      ${table('Payments', ['Payment', 'Amount', 'Status', 'Created'], rowsOfPayments(store))}
      ${table('Events', ['Event', 'Type', 'Created'], rowsOfEvents(store))}
      ${table('Deliveries', DELIVERY_COLUMNS, rowsOfDeliveries(store))}`,
  )
}

function table(title: string, columns: string[], rows: string[][]): Html {
  if (rows.length === 0)
    return html`<h2>${title}</h2>
      <p>None so far.</p>`
  return html`<h2>${title}</h2>
    <table class="wide">
      <thead>
        <tr>
          ${columns.map((column) => html`<th scope="col">${column}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell) => html`<td>${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>`
}

function rowsOfPayments(store: Store): string[][] {
  return newest(store.newestFirst('payment_intent')).map(
    ({ id, amount, created, currency, status }) => [
      id,
      formatAmount(amount, currency),
      status,
      isoTime(created * 1000),
    ],
  )
}

function rowsOfEvents(store: Store): string[][] {
  return newest(store.newestFirst('event')).map(({ created, id, type }) => [
    id,
    type,
    isoTime(created * 1000),
  ])
}

function rowsOfDeliveries(store: Store): string[][] {
  return newest(store.newestFirst('delivery')).map((delivery) => [
    delivery.id,
    delivery.type,
    delivery.state,
    String(delivery.attempts),
    lastAnswer(delivery),
  ])
}

function lastAnswer({ log }: Delivery): string {
  const last = log.at(-1)
  if (last === undefined) return ''
  return last.status === null ? (last.error ?? '') : String(last.status)
}

function newest<T>(records: Iterable<T>): T[] {
  const shown: T[] = []
  for (const record of records) {
    if (shown.length === SHOWN) break
    shown.push(record)
  }
  return shown
}

function isoTime(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 19).replace('T', ' ')
}
