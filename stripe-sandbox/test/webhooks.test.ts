import { Stripe } from 'stripe'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startSandbox, type Sandbox } from '../src/index.ts'
import {
  CARD_PAYMENT,
  clientOf,
  eventually,
  startReceiver,
  type WebhookReceiver,
} from './support.ts'

let receiver: WebhookReceiver
let sandbox: Sandbox
let stripe: Stripe

beforeEach(async () => {
  receiver = await startReceiver()
  sandbox = await startSandbox({ port: 0, webhookUrl: receiver.url, webhookSecrets: ['whsec_one'] })
  stripe = clientOf(sandbox)
})
afterEach(async () => {
  await sandbox.close()
  await receiver.close()
})

const pay = () =>
  stripe.paymentIntents.create({ ...CARD_PAYMENT, confirm: true, payment_method: 'pm_card_visa' })
const receivedTypes = () => receiver.received.map(({ event }) => event.type)

describe('webhooks', () => {
  it('carry signed events that the client verifies', async () => {
    const intent = await pay()
    await sandbox.webhooksSettled()
    expect(receivedTypes().toSorted()).toEqual([
      'charge.succeeded',
      'charge.updated',
      'payment_intent.created',
      'payment_intent.succeeded',
    ])
    const { body, headers } = receiver.received[0]!
    const signature = String(headers['stripe-signature'])
    const event = stripe.webhooks.constructEvent(body, signature, 'whsec_one')
    expect(event).toMatchObject({ livemode: false, object: 'event', pending_webhooks: 1 })
    expect(() => stripe.webhooks.constructEvent(body, signature, 'whsec_two')).toThrow(
      Stripe.errors.StripeSignatureVerificationError,
    )
    const stored = await stripe.events.list({ type: 'payment_intent.succeeded' })
    expect(stored.data[0]).toMatchObject({
      data: { object: { id: intent.id } },
      pending_webhooks: 0,
    })
  })

  it('are signed with every secret while one is being replaced', async () => {
    sandbox.setWebhook(receiver.url, ['whsec_new', 'whsec_old'])
    await pay()
    await sandbox.webhooksSettled()
    const { body, headers } = receiver.received[0]!
    for (const secret of ['whsec_new', 'whsec_old']) {
      const signature = String(headers['stripe-signature'])
      expect(stripe.webhooks.constructEvent(body, signature, secret).object).toBe('event')
    }
  })

  it('hold the object as it was when the event happened', async () => {
    await pay()
    await sandbox.webhooksSettled()
    const created = receiver.received.find(({ event }) => event.type === 'payment_intent.created')
    expect(created?.event.data.object).toMatchObject({ status: 'requires_confirmation' })
  })

  it('are tried again after a failure until they are taken', async () => {
    receiver.answers.push(500, 302)
    await stripe.customers.create({ name: 'A' })
    await sandbox.webhooksSettled()
    expect(receivedTypes()).toEqual(['customer.created', 'customer.created', 'customer.created'])
    expect(sandbox.listDeliveries()[0]).toMatchObject({ attempts: 3, state: 'delivered' })
    expect(sandbox.listDeliveries()[0]?.log.map(({ status }) => status)).toEqual([500, 302, 200])
    const ids = new Set(receiver.received.map(({ event }) => event.id))
    expect(ids.size).toBe(1)
  })

  it('pause, resume and are sent again on demand', async () => {
    sandbox.pauseWebhooks()
    await stripe.customers.create({ name: 'A' })
    const events = await stripe.events.list()
    expect(events.data[0]?.pending_webhooks).toBe(1)
    expect(receiver.received).toHaveLength(0)
    sandbox.resumeWebhooks()
    await sandbox.webhooksSettled()
    expect(receiver.received).toHaveLength(1)
    sandbox.resendEvent(events.data[0]!.id)
    await sandbox.webhooksSettled()
    expect(receiver.received).toHaveLength(2)
  })

  it('are dropped, doubled, delayed and put out of order by faults', async () => {
    sandbox.setFaults([
      { operation: 'webhook:payment_intent.created', effect: 'drop' },
      { operation: 'webhook:charge.succeeded', effect: 'reorder' },
      { operation: 'webhook:payment_intent.succeeded', effect: 'duplicate' },
      { operation: 'webhook:charge.updated', effect: 'delay', delayMs: 400 },
    ])
    await pay()
    await sandbox.webhooksSettled()
    expect(receivedTypes()).toEqual([
      'payment_intent.succeeded',
      'payment_intent.succeeded',
      'charge.succeeded',
      'charge.updated',
    ])
    const dropped = sandbox.listDeliveries().find(({ type }) => type === 'payment_intent.created')
    expect(dropped?.state).toBe('dropped')
  })

  it('wait for an endpoint that is down', async () => {
    await receiver.close()
    await stripe.customers.create({ name: 'A' })
    await eventually(() => (sandbox.listDeliveries()[0]?.attempts ?? 0) >= 2)
    expect(sandbox.listDeliveries()[0]).toMatchObject({ state: 'pending' })
    expect(sandbox.listDeliveries()[0]?.log[0]?.error).toContain('ECONNREFUSED')
    const next = await startReceiver()
    sandbox.setWebhook(next.url, ['whsec_one'])
    await sandbox.webhooksSettled()
    expect(next.received).toHaveLength(1)
    await next.close()
  })
})
