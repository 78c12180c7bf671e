import { Stripe } from 'stripe'
import type { Sandbox } from '../sandbox.ts'

/** Drives a sandbox through every operation that it speaks, with the official client. */
export async function driveEveryOperation(sandbox: Sandbox): Promise<void> {
  const stripe = new Stripe('sk_test_conformance', {
    host: '127.0.0.1',
    port: sandbox.port,
    protocol: 'http',
    telemetry: false,
    maxNetworkRetries: 0,
  })
  const customer = await driveCustomers(stripe)
  await drivePayments(stripe, customer)
  await driveOutcomes(stripe, sandbox)
  await driveCheckout(stripe, sandbox, customer)
  await driveRefunds(stripe, sandbox)
  await driveDisputes(stripe)
  await driveReading(stripe)
}

const PAYMENT = {
  amount: 4200,
  automatic_payment_methods: { allow_redirects: 'never', enabled: true },
  currency: 'gbp',
  metadata: { order_id: 'ord_1', payment_id: 'pay_1' },
} as const satisfies Stripe.PaymentIntentCreateParams

let keys = 0

/** A fresh idempotency key. */
function keyed(): { idempotencyKey: string } {
  keys += 1
  return { idempotencyKey: `conformance:${keys}` }
}

async function driveCustomers(stripe: Stripe): Promise<string> {
  const address = { city: 'London', country: 'GB', line1: '1 High Street', postal_code: 'N1 1AA' }
  const { id } = await stripe.customers.create(
    {
      address,
      description: 'A customer',
      email: 'ada@example.com',
      metadata: { customer_id: 'cus_1' },
      name: 'Ada',
      phone: '+442079460000',
      shipping: { address, name: 'Ada' },
    },
    keyed(),
  )
  await stripe.customers.retrieve(id)
  await stripe.customers.update(id, { metadata: { customer_id: '' }, phone: '' }, keyed())
  await stripe.customers.list({ email: 'ada@example.com', limit: 3 })
  const gone = await stripe.customers.create({}, keyed())
  await stripe.customers.del(gone.id)
  return id
}

async function drivePayments(stripe: Stripe, customer: string): Promise<void> {
  const created = await stripe.paymentIntents.create(
    {
      ...PAYMENT,
      allowed_payment_method_types: ['card'],
      capture_method: 'automatic',
      customer,
      description: 'An order',
      receipt_email: 'ada@example.com',
      setup_future_usage: 'off_session',
      shipping: { address: { line1: '1 High Street' }, name: 'Ada' },
      statement_descriptor_suffix: 'ORDER 1',
    },
    keyed(),
  )
  const { id } = created
  await stripe.paymentIntents.update(id, { amount: 4300, metadata: { note: 'x' } }, keyed())
  await stripe.paymentIntents.update(id, { description: 'The order', receipt_email: '' }, keyed())
  await stripe.paymentIntents.confirm(
    id,
    { payment_method: 'pm_card_visa', receipt_email: 'ada@example.com' },
    keyed(),
  )
  const paid = await stripe.paymentIntents.retrieve(id, {
    expand: ['latest_charge.balance_transaction', 'customer', 'payment_method'],
  })
  await stripe.paymentIntents.list({ created: { gte: created.created }, customer, limit: 5 })
  const charge = paid.latest_charge as Stripe.Charge
  await stripe.charges.retrieve(charge.id, { expand: ['refunds', 'payment_intent'] })
  await stripe.charges.list({ limit: 2, payment_intent: id })
  await stripe.paymentMethods.retrieve((paid.payment_method as Stripe.PaymentMethod).id)
  const open = await stripe.paymentIntents.create(PAYMENT, keyed())
  await stripe.paymentIntents.cancel(open.id, { cancellation_reason: 'abandoned' }, keyed())
  const held = await pay(stripe, 'pm_card_visa', { capture_method: 'manual' })
  await stripe.paymentIntents.capture(held.id, { amount_to_capture: 4000 }, keyed())
}

/** Every way in which an attempt can end, so that intents are seen in every state. */
async function driveOutcomes(stripe: Stripe, sandbox: Sandbox): Promise<void> {
  await pay(stripe, 'pm_card_chargeDeclined').catch(expectDecline)
  const waiting = await pay(stripe, 'pm_card_authenticationRequired', {
    return_url: 'https://shop.example/back',
  })
  sandbox.finishAuthentication(waiting.id, 'complete')
  await stripe.paymentIntents.retrieve(waiting.id)
  await pay(stripe, 'pm_card_authenticationRequired', { off_session: true }).catch(expectDecline)
  for (const method of ['pm_bacsDebit_success', 'pm_bacsDebit_accountClosed']) {
    const debit = await pay(stripe, method)
    await stripe.charges.list({ payment_intent: debit.id })
    sandbox.settlePayment(debit.id)
    await stripe.paymentIntents.retrieve(debit.id, { expand: ['payment_method', 'latest_charge'] })
  }
}

async function driveCheckout(stripe: Stripe, sandbox: Sandbox, customer: string): Promise<void> {
  const terms: Stripe.Checkout.SessionCreateParams = {
    cancel_url: 'https://shop.example/basket',
    client_reference_id: 'ord_1',
    customer,
    expires_at: Math.floor(Date.now() / 1000) + 3600,
    line_items: [
      {
        price_data: {
          currency: 'gbp',
          product_data: { description: 'With advice', name: 'Will review' },
          unit_amount: 4500,
        },
        quantity: 2,
      },
    ],
    metadata: { order_id: 'ord_1' },
    mode: 'payment',
    payment_intent_data: { description: 'Order 1', metadata: { order_id: 'ord_1' } },
    submit_type: 'pay',
    success_url: 'https://shop.example/thanks?session={CHECKOUT_SESSION_ID}',
  }
  const session = await stripe.checkout.sessions.create(terms, keyed())
  sandbox.paySession(session.id)
  const paid = await stripe.checkout.sessions.retrieve(session.id, {
    expand: ['line_items', 'payment_intent'],
  })
  const intent = paid.payment_intent as Stripe.PaymentIntent
  await stripe.checkout.sessions.list({ payment_intent: intent.id })
  await stripe.checkout.sessions.listLineItems(session.id, { limit: 5 })
  const { customer: _customer, ...guest } = terms
  const other = await stripe.checkout.sessions.create(
    {
      ...guest,
      allowed_payment_method_types: ['card'],
      customer_creation: 'always',
      customer_email: 'bob@example.com',
    },
    keyed(),
  )
  await stripe.checkout.sessions.expire(other.id, {}, keyed())
}

async function driveRefunds(stripe: Stripe, sandbox: Sandbox): Promise<void> {
  const paid = await pay(stripe, 'pm_card_visa')
  const refund = await stripe.refunds.create(
    {
      amount: 1000,
      metadata: { refund_id: 'ref_1' },
      payment_intent: paid.id,
      reason: 'requested_by_customer',
    },
    keyed(),
  )
  await stripe.refunds.retrieve(refund.id, { expand: ['charge'] })
  await stripe.refunds.update(refund.id, { metadata: { note: 'x' } }, keyed())
  await stripe.refunds.list({ limit: 3, payment_intent: paid.id })
  await listWithIntents(paid.created, (terms) => stripe.refunds.list(terms))
  await stripe.refunds.create({ charge: refund.charge as string }, keyed())
  const failing = await pay(stripe, 'pm_card_refundFail')
  const failed = await stripe.refunds.create({ payment_intent: failing.id }, keyed())
  await stripe.refunds.retrieve(failed.id)
  const waiting = await pay(stripe, 'pm_card_visa')
  const { id } = sandbox.refund({ paymentIntent: waiting.id, status: 'requires_action' })
  await stripe.refunds.cancel(id, {}, keyed())
}

async function driveDisputes(stripe: Stripe): Promise<void> {
  const disputed = await pay(stripe, 'pm_card_createDispute')
  const { data } = await stripe.disputes.list({ payment_intent: disputed.id })
  for (const { id } of data) {
    await stripe.disputes.retrieve(id)
    await stripe.disputes.close(id, {}, keyed())
  }
  await listWithIntents(disputed.created, (terms) => stripe.disputes.list(terms))
}

/** What was made in a time, each with its intent, and the page after the first. */
async function listWithIntents(
  since: number,
  list: (terms: ListTerms) => PromiseLike<{ data: { id: string }[] }>,
): Promise<void> {
  const terms = { created: { gte: since, lte: since + 3600 }, expand: ['data.payment_intent'] }
  const { data } = await list({ ...terms, limit: 100 })
  const [newest] = data
  if (newest === undefined) throw new Error('What was just made is not in its list.')
  await list({ ...terms, limit: 100, starting_after: newest.id })
}

interface ListTerms {
  created: { gte: number; lte: number }
  expand: string[]
  limit: number
  starting_after?: string
}

async function driveReading(stripe: Stripe): Promise<void> {
  await stripe.accounts.retrieveCurrent()
  await stripe.balance.retrieve()
  const since = Math.floor(Date.now() / 1000) - 3600
  const all = await stripe.events.list({ created: { gte: since }, limit: 100 })
  await stripe.events.list({ limit: 5, type: 'payment_intent.succeeded' })
  await stripe.events.list({ types: ['refund.created', 'charge.refunded'] })
  for (const { id } of all.data.slice(0, 3)) await stripe.events.retrieve(id)
  const oldest = all.data.at(-1)
  if (oldest !== undefined) await stripe.events.list({ limit: 100, starting_after: oldest.id })
}

function pay(
  stripe: Stripe,
  method: string,
  changes: Partial<Stripe.PaymentIntentCreateParams> = {},
): Promise<Stripe.PaymentIntent> {
  const terms = { ...PAYMENT, ...changes, confirm: true, payment_method: method }
  return stripe.paymentIntents.create(terms, keyed())
}

function expectDecline(error: unknown): void {
  if (!(error instanceof Stripe.errors.StripeCardError)) throw error
}
