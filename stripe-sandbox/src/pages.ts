import { finishAuthentication } from './attempts.ts'
import { renderAuthentication, renderAuthenticationResult } from './authentication-page.ts'
import {
  NO_ENTRIES,
  readTestMethod,
  renderCheckout,
  renderClosedSession,
  renderNotFound,
  type CheckoutEntries,
} from './checkout-page.ts'
import { getSession, paySession, planOf } from './checkout-sessions.ts'
import type { Context } from './context.ts'
import { ApiError } from './errors.ts'
import { decodeForm, type Form } from './form.ts'
import { renderHome } from './home-page.ts'
import { NO_BILLING_DETAILS, type CheckoutSession, type PaymentIntent } from './resources.ts'
import { transactAnswer } from './store.ts'

export interface PageAnswer {
  status: number
  /** Markup, or the address to go to when the status is 303. */
  body: string
}

interface PageRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly body: string
}

/** Answers a page for people: the home page, the hosted checkout, the bank's authentication. */
export function answerPage(context: Context, request: PageRequest): PageAnswer {
  const [, area = '', second = '', third = '', fourth = ''] = request.path.split('/')
  try {
    if (request.path === '/') return { status: 200, body: renderHome(context.store) }
    if (area === 'c' && second === 'pay') return answerCheckout(context, request, third, fourth)
    if (area === 'authenticate') return answerAuthentication(context, request, second)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    if (error.status !== 404) return { status: error.status, body: error.message }
  }
  return { status: 404, body: renderNotFound() }
}

function answerCheckout(
  context: Context,
  request: PageRequest,
  sessionId: string,
  step: string,
): PageAnswer {
  const session = context.store.transact(() => getSession(context, sessionId))
  if (session.status !== 'open') return answerClosed(session)
  if (step === 'return') return { status: 200, body: renderAfterReturn(context, session) }
  if (request.method === 'POST') return payWithEntries(context, session, decodeForm(request.body))
  return { status: 200, body: renderOpen(context, session) }
}

function payWithEntries(context: Context, session: CheckoutSession, form: Form): PageAnswer {
  const entries = readEntries(form)
  const choice = readTestMethod(entries, context.now)
  if ('problem' in choice) {
    return { status: 422, body: renderOpen(context, session, { entries, problem: choice.problem }) }
  }
  const billing = {
    ...NO_BILLING_DETAILS,
    email: entries.email,
    name: entries.name === '' ? null : entries.name,
  }
  try {
    const payer = { method: choice.method, billing }
    const intent = transactAnswer(context.store, () => paySession(context, session.id, payer))
    return { status: 303, body: nextAddress(intent, session) }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    const problem = error.message
    return { status: error.status, body: renderOpen(context, session, { entries, problem }) }
  }
}

function answerAuthentication(context: Context, request: PageRequest, id: string): PageAnswer {
  const intent = context.store.find('payment_intent', id)
  const secret = decodeForm(request.query)['secret']
  if (intent === undefined || secret !== intent.client_secret) {
    return { status: 404, body: renderNotFound() }
  }
  if (intent.status !== 'requires_action') {
    return { status: 200, body: renderAuthenticationResult(intent) }
  }
  if (request.method !== 'POST') return { status: 200, body: renderAuthentication(intent) }
  const result = decodeForm(request.body)['result'] === 'complete' ? 'complete' : 'fail'
  const action = intent.next_action
  const ended = context.store.transact(() => finishAuthentication(context, intent, result))
  if (action?.type !== 'redirect_to_url') {
    return { status: 200, body: renderAuthenticationResult(ended) }
  }
  return { status: 303, body: returnAddress(action.redirect_to_url.return_url, ended) }
}

/** Where the customer goes after an attempt: to the bank, or to the shop. */
function nextAddress(intent: PaymentIntent, session: CheckoutSession): string {
  const action = intent.next_action
  if (action?.type === 'redirect_to_url') return action.redirect_to_url.url
  return successAddress(session)
}

function answerClosed(session: CheckoutSession): PageAnswer {
  if (session.status === 'complete') return { status: 303, body: successAddress(session) }
  return { status: 410, body: renderClosedSession(session) }
}

function successAddress(session: CheckoutSession): string {
  return session.success_url.replaceAll('{CHECKOUT_SESSION_ID}', session.id)
}

/** The shop's return address with what Stripe adds to it. */
function returnAddress(address: string, intent: PaymentIntent): string {
  const url = new URL(address)
  url.searchParams.set('payment_intent', intent.id)
  url.searchParams.set('payment_intent_client_secret', intent.client_secret)
  const paid = intent.status === 'succeeded' || intent.status === 'requires_capture'
  url.searchParams.set('redirect_status', paid ? 'succeeded' : 'failed')
  return url.href
}

function renderAfterReturn(context: Context, session: CheckoutSession): string {
  const intent =
    session.payment_intent === null
      ? undefined
      : context.store.find('payment_intent', session.payment_intent)
  const problem = intent?.last_payment_error?.message
  return renderOpen(context, session, problem === undefined ? {} : { problem })
}

function renderOpen(
  context: Context,
  session: CheckoutSession,
  changes: { entries?: CheckoutEntries; problem?: string } = {},
): string {
  const { lineItems } = planOf(context, session)
  return renderCheckout({ session, lineItems, entries: NO_ENTRIES, ...changes })
}

/** The entries as typed; anything but short text counts as empty. */
function readEntries(form: Form): CheckoutEntries {
  const read = (name: keyof CheckoutEntries) => {
    const value = form[name]
    return typeof value === 'string' && value.length <= 254 ? value.trim() : ''
  }
  return {
    cardNumber: read('cardNumber'),
    cvc: read('cvc'),
    email: read('email'),
    expiry: read('expiry'),
    name: read('name'),
    payWith: read('payWith') === '' ? 'card' : read('payWith'),
  }
}
