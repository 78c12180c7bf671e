import type { Stripe } from 'stripe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSandbox, type Sandbox } from '../src/index.ts'
import { CARD_PAYMENT, clientOf, errorOf } from './support.ts'

let sandbox: Sandbox
let stripe: Stripe

beforeAll(async () => {
  sandbox = await startSandbox({ port: 0 })
  stripe = clientOf(sandbox)
})
afterAll(() => sandbox.close())

const pay = (paymentMethod = 'pm_card_visa') =>
  stripe.paymentIntents.create({
    ...CARD_PAYMENT,
    confirm: true,
    expand: ['latest_charge'],
    payment_method: paymentMethod,
  })

const typesAbout = async (...ids: string[]) =>
  (await stripe.events.list({ limit: 100 })).data
    .filter(({ data }) => ids.includes((data.object as { id: string }).id))
    .map(({ type }) => type)
    .toReversed()

const control = async (path: string, body: object, method: 'POST' | 'PUT' = 'POST') => {
  const answer = await fetch(`${sandbox.url}/_sandbox${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

const disputeOf = async (intent: Stripe.PaymentIntent) =>
  (await stripe.disputes.list({ payment_intent: intent.id })).data[0]!

describe('refunds', () => {
  it('give back a part, then the rest, and never more', async () => {
    const intent = await pay()
    const part = await stripe.refunds.create({
      amount: 1200,
      payment_intent: intent.id,
      reason: 'requested_by_customer',
    })
    expect(part).toMatchObject({ amount: 1200, payment_intent: intent.id, status: 'succeeded' })
    const much = await errorOf(stripe.refunds.create({ amount: 3001, payment_intent: intent.id }))
    expect(much.message).toContain('greater than unrefunded amount')
    const rest = await stripe.refunds.create({ charge: part.charge as string })
    expect(rest.amount).toBe(3000)
    const charge = await stripe.charges.retrieve(part.charge as string, { expand: ['refunds'] })
    expect(charge).toMatchObject({ amount_refunded: 4200, refunded: true })
    expect(charge.refunds?.data.map(({ id }) => id)).toEqual([rest.id, part.id])
    const more = await errorOf(stripe.refunds.create({ payment_intent: intent.id }))
    expect(more.code).toBe('charge_already_refunded')
    const listed = await stripe.refunds.list({ payment_intent: intent.id })
    expect(listed.data).toHaveLength(2)
    expect(await typesAbout(part.id)).toEqual(['refund.created'])
  })

  it('never exceed the charge under 50 parallel partial refunds', async () => {
    const intent = await pay()
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        stripe.refunds.create(
          { amount: 1000, payment_intent: intent.id },
          { idempotencyKey: `refund:${intent.id}:${index}` },
        ),
      ),
    )
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(4)
  })

  it('may fail later and free the amount', async () => {
    const intent = await pay('pm_card_refundFail')
    const refund = await stripe.refunds.create({ payment_intent: intent.id })
    expect(refund.status).toBe('succeeded')
    expect(await stripe.refunds.retrieve(refund.id)).toMatchObject({ status: 'failed' })
    const charge = await stripe.charges.retrieve(refund.charge as string)
    expect(charge).toMatchObject({ amount_refunded: 0, refunded: false })
    expect(await typesAbout(refund.id)).toEqual([
      'refund.created',
      'refund.updated',
      'charge.refund.updated',
      'refund.failed',
    ])
  })

  it('may be pending until the bank answers, and reserve the amount meanwhile', async () => {
    const intent = await pay('pm_card_pendingRefund')
    const refund = await stripe.refunds.create({ payment_intent: intent.id })
    expect(refund.status).toBe('pending')
    const more = await errorOf(stripe.refunds.create({ payment_intent: intent.id }))
    expect(more.code).toBe('charge_already_refunded')
    const finished = await control(`/refunds/${refund.id}/finish`, { result: 'succeed' })
    expect(finished.body['status']).toBe('succeeded')
  })

  it('can be cancelled only while they wait for the customer', async () => {
    const intent = await pay()
    const { id } = sandbox.refund({ paymentIntent: intent.id, status: 'requires_action' })
    expect((await stripe.refunds.cancel(id)).status).toBe('canceled')
    const done = await stripe.refunds.create({ payment_intent: intent.id })
    expect((await errorOf(stripe.refunds.cancel(done.id))).statusCode).toBe(400)
  })

  it('made in the dashboard carry no key', async () => {
    const intent = await pay()
    const made = await control('/refunds', { amount: 100, paymentIntent: intent.id })
    expect(made).toMatchObject({ status: 200, body: { amount: 100, status: 'succeeded' } })
    const events = await stripe.events.list({ type: 'refund.created', limit: 1 })
    expect(events.data[0]?.request).toEqual({ id: null, idempotency_key: null })
  })

  it('400 for an intent that took no money', async () => {
    const intent = await stripe.paymentIntents.create(CARD_PAYMENT)
    const error = await errorOf(stripe.refunds.create({ payment_intent: intent.id }))
    expect(error).toMatchObject({ code: 'payment_intent_unexpected_state' })
    const neither = await errorOf(stripe.refunds.create({}))
    expect(neither.code).toBe('parameter_missing')
  })
})

describe('disputes', () => {
  it('open by themselves on the disputed card and can be won', async () => {
    const intent = await pay('pm_card_createDispute')
    expect(intent.status).toBe('succeeded')
    const dispute = await disputeOf(intent)
    expect(dispute).toMatchObject({ amount: 4200, reason: 'fraudulent', status: 'needs_response' })
    const charge = await stripe.charges.retrieve(dispute.charge as string)
    expect(charge.disputed).toBe(true)
    const refund = await errorOf(stripe.refunds.create({ payment_intent: intent.id }))
    expect(refund.code).toBe('charge_disputed')
    sandbox.endDispute(dispute.id, 'review')
    sandbox.endDispute(dispute.id, 'win')
    const won = await stripe.disputes.retrieve(dispute.id)
    expect(won.status).toBe('won')
    expect(won.balance_transactions.map(({ amount }) => amount)).toEqual([-4200, 4200])
    expect(await typesAbout(dispute.id)).toEqual([
      'charge.dispute.created',
      'charge.dispute.funds_withdrawn',
      'charge.dispute.updated',
      'charge.dispute.funds_reinstated',
      'charge.dispute.closed',
    ])
  })

  it('are lost when the business gives in', async () => {
    const dispute = await disputeOf(await pay('pm_card_createDisputeProductNotReceived'))
    expect(dispute.reason).toBe('product_not_received')
    expect((await stripe.disputes.close(dispute.id)).status).toBe('lost')
    expect((await errorOf(stripe.disputes.close(dispute.id))).statusCode).toBe(400)
  })

  it('of a bank that only asks take no money', async () => {
    const dispute = await disputeOf(await pay('pm_card_createDisputeInquiry'))
    expect(dispute).toMatchObject({ balance_transactions: [], status: 'warning_needs_response' })
  })

  it('are opened on any payment by the control API', async () => {
    const intent = await pay()
    const opened = await control(`/payments/${intent.id}/dispute`, { reason: 'duplicate' })
    expect(opened.body).toMatchObject({ payment_intent: intent.id, reason: 'duplicate' })
    const ended = await control(`/disputes/${String(opened.body['id'])}/end`, { result: 'lose' })
    expect(ended.body['status']).toBe('lost')
    const twice = await control(`/payments/${intent.id}/dispute`, {})
    expect(twice.status).toBe(400)
  })
})

describe('customers, account and balance', () => {
  it('are created, found by e-mail, changed and deleted', async () => {
    const customer = await stripe.customers.create({
      email: 'a@example.com',
      name: 'A',
      phone: '1',
    })
    expect((await stripe.customers.list({ email: 'a@example.com' })).data[0]?.id).toBe(customer.id)
    const changed = await stripe.customers.update(customer.id, { name: 'B', phone: '' })
    expect(changed).toMatchObject({ email: 'a@example.com', name: 'B', phone: null })
    expect(await stripe.customers.del(customer.id)).toEqual(
      expect.objectContaining({ deleted: true, id: customer.id }),
    )
    expect(await stripe.customers.retrieve(customer.id)).toMatchObject({ deleted: true })
    expect((await errorOf(stripe.customers.update(customer.id, {}))).statusCode).toBe(404)
    expect(await typesAbout(customer.id)).toEqual([
      'customer.created',
      'customer.updated',
      'customer.deleted',
    ])
  })

  it('the account can take charges, and the balance adds up', async () => {
    expect(await stripe.accounts.retrieveCurrent()).toMatchObject({ charges_enabled: true })
    const before = (await stripe.balance.retrieve()).available[0]?.amount ?? 0
    const intent = await pay()
    const charge = intent.latest_charge as Stripe.Charge
    expect((await stripe.charges.retrieve(charge.id)).balance_transaction).toMatch(/^txn_/)
    const after = (await stripe.balance.retrieve()).available[0]?.amount ?? 0
    expect(after - before).toBe(4200 - 63 - 20)
  })
})

describe('the control API and the home page', () => {
  it('shows counts, the audit, the deliveries and unknown routes', async () => {
    const read = async (path: string) => (await fetch(`${sandbox.url}/_sandbox${path}`)).json()
    expect(await read('/state')).toMatchObject({ charge: expect.any(Number) })
    expect(await read('/audit')).toMatchObject({
      operations: { 'refunds.create': expect.any(Number) },
    })
    expect(await read('/deliveries')).toEqual({ deliveries: [] })
    expect(await read('/nothing')).toMatchObject({ error: { type: 'invalid_request_error' } })
    const malformed = await control('/refunds', { amount: 'x' })
    expect(malformed.status).toBe(400)
    const page = await (await fetch(sandbox.url)).text()
    expect(page).toContain('<h1>Stripe sandbox</h1>')
    expect(page).toContain('payment_intent.succeeded')
  })

  it('sets faults and the webhook over HTTP, and refuses malformed ones', async () => {
    const fault = { effect: 'answer', operation: 'balance.retrieve', status: 500, times: 1 }
    expect((await control('/faults', { faults: [fault] }, 'PUT')).body['faults']).toHaveLength(1)
    expect((await errorOf(stripe.balance.retrieve())).statusCode).toBe(500)
    expect(
      (await control('/faults', { faults: [{ effect: 'explode', operation: '*' }] }, 'PUT')).status,
    ).toBe(400)
    expect(
      (await control('/webhook', { secrets: ['whsec_1'], url: 'ftp://x' }, 'PUT')).status,
    ).toBe(400)
  })
})
