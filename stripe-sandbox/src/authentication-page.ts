import { formatAmount } from './currencies.ts'
import { html, page } from './html.ts'
import type { PaymentIntent } from './resources.ts'

/** The bank's page: the customer proves who they are, or fails to. */
export function renderAuthentication(intent: PaymentIntent): string {
  const amount = formatAmount(intent.amount, intent.currency)
  return page(
    'Authenticate your payment',
    html`<h1>Authenticate your payment of ${amount}</h1>
      <p>This page stands for the bank of the card.</p>
      <form method="post" action="/authenticate/${intent.id}?secret=${intent.client_secret}">
        <button name="result" value="complete">Complete</button>
        <button name="result" value="fail" class="quiet">Fail</button>
      </form>`,
  )
}

/** What is shown when there is nowhere to go back to, or nothing left to authenticate. */
export function renderAuthenticationResult(intent: PaymentIntent): string {
  const paid = intent.status === 'succeeded' || intent.status === 'requires_capture'
  const title = paid ? 'Authentication complete' : 'Not authenticated'
  return page(
    title,
    html`<h1>${title}</h1>
      <p>
        The payment has a status of <strong>${intent.status}</strong>. You can close this page.
      </p>`,
  )
}
